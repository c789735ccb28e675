//! A report: what the captures show and what a policy says of it, as one HTML file that needs nothing else.
//!
//! [`gather`] holds every packet against the policy, [`readiness`] weighs that, and one file a section writes it down.
//! Everything that a capture, a policy or a status says goes through `maud`, which escapes it. The page may load nothing:
//! its own style and script are named in its content security policy by their hashes.

mod assets;
mod changes;
mod conduits;
pub mod data;
mod deviations;
mod exposure;
mod flows;
pub mod gather;
mod idioms;
mod map;
mod method;
mod page;
pub mod readiness;
mod safe;
mod summary;
mod words;

use std::collections::BTreeMap;
use std::net::IpAddr;

use maud::{Markup, html};

use crate::control::Status;
use crate::learn::Traffic;
use crate::policy::model::{Policy, ZoneId};
use data::Data;
use gather::Gathered;
use readiness::{Look, Readiness};

/// Service of which nothing gives a name.
const UNKNOWN: &str = "unknown";
/// Rows that a table has at most.
const ROWS: usize = 400;

/// What a report is made of.
pub struct Source<'s> {
    /// The policy that the captures were held against.
    pub policy: &'s Policy,
    /// Its file; `None` for a draft that was learnt from the same captures.
    pub policy_name: Option<String>,
    /// What it and the captures say of each other.
    pub gathered: Gathered,
    /// What was read of the captures.
    pub traffic: &'s Traffic,
    /// Names of the captures, and how many packets were read of each.
    pub captures: Vec<(String, u64)>,
    /// What the gateway says, and whether it runs this very policy.
    pub status: Option<(Status, bool)>,
    /// The report before this one.
    pub old: Option<Data>,
    /// When it is made, RFC 3339.
    pub made: String,
}

/// What the sections look at.
pub(super) struct Report<'s> {
    policy: &'s Policy,
    policy_name: Option<String>,
    gathered: Gathered,
    captures: Vec<(String, u64)>,
    status: Option<(Status, bool)>,
    old: Option<Data>,
    made: String,
    readiness: Vec<Readiness>,
    span: (u64, u64),
    packets: u64,
    left_out: u64,
    macs: BTreeMap<IpAddr, Vec<[u8; 6]>>,
}

impl<'s> Report<'s> {
    fn of(source: Source<'s>) -> Self {
        let span = source.traffic.span;
        let look = Look {
            policy: source.policy,
            gathered: &source.gathered,
            status: source.status.as_ref().map(|(status, _)| status),
            span,
            is_draft: source.policy_name.is_none(),
        };
        let readiness = look.all();
        let macs = source.traffic.hosts.senders().into_iter().map(|(address, host)| {
            let macs: std::collections::BTreeSet<[u8; 6]> =
                host.stations.iter().filter_map(|station| station.mac).collect();
            (address, macs.into_iter().collect())
        });
        Self {
            readiness,
            span,
            packets: source.traffic.packets,
            left_out: source.traffic.left_out,
            macs: macs.collect(),
            policy: source.policy,
            policy_name: source.policy_name,
            gathered: source.gathered,
            captures: source.captures,
            status: source.status,
            old: source.old,
            made: source.made,
        }
    }

    fn is_draft(&self) -> bool {
        self.policy_name.is_none()
    }

    fn zone(&self, zone: Option<ZoneId>) -> &str {
        zone.and_then(|zone| self.policy.zones.get(zone)).map_or("no zone", |zone| zone.name.as_str())
    }

    fn conduit(&self, line: &gather::Line) -> &str {
        let conduit = line.conduit.and_then(|conduit| self.policy.conduits.get(conduit));
        conduit.map_or("no conduit", |conduit| conduit.name.as_str())
    }

    /// Name of a flow's service: its own, else that of the rule that it fits.
    fn service(&self, line: &gather::Line) -> String {
        let rule = line.rule.filter(|_| line.passed > 0).and_then(|rule| self.policy.rules.get(rule));
        let written = || Some(self.policy.services.get(rule?.service)?.name.clone());
        line.flow.service.clone().or_else(written).unwrap_or_else(|| UNKNOWN.to_owned())
    }

    /// The rule that a flow fits; none where nothing of it passes.
    fn rule(&self, line: &gather::Line) -> Option<&str> {
        let rule = line.rule.filter(|_| line.passed > 0).and_then(|rule| self.policy.rules.get(rule));
        rule.map(|rule| rule.name.as_str())
    }
}

/// Writes a report.
pub fn render(source: Source<'_>) -> String {
    let report = Report::of(source);
    let data = Data::of(&report);
    let sections = [
        summary::section(&report, &data),
        safe::section(&report),
        map::section(&report),
        deviations::section(&report),
        conduits::section(&report),
        flows::section(&report),
        idioms::section(&report),
        exposure::section(&report),
        assets::section(&report),
        changes::section(&report, &data),
        method::section(&report),
    ];
    page::page(&report, &sections, &data)
}

/// A section of the page.
struct Section {
    id: &'static str,
    title: &'static str,
    body: Markup,
}

/// Says how many rows a table leaves out.
fn more(all: usize, shown: usize, what: &str) -> Markup {
    html! {
        @if all > shown {
            p.more { (words::count((all - shown) as u64)) " more " (what) " are not shown: those with the fewest packets." }
        }
    }
}
