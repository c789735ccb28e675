//! What of a policy is used: by the counters of the gateway, and by captures.

mod breadth;

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

pub use breadth::{Breadth, Share};

use crate::control::Status;
use crate::learn::Traffic;
use crate::learn::flow::time;
use crate::policy::model::{Policy, Rule};
use crate::report::gather::{Gathered, holds};
use crate::report::readiness::{Look, Readiness};

/// Hours of a day.
const HOURS: f64 = 24.0;

/// What is known of the traffic.
pub struct Seen<'s> {
    /// What the gateway said, now or at other times; the last one is the latest.
    pub statuses: &'s [Status],
    /// What captures say of the policy, and what was read of them.
    pub captures: Option<(&'s Gathered, &'s Traffic)>,
    /// The time of day, RFC 3339.
    pub now: &'s str,
}

/// What of a policy is used.
#[derive(Debug, Clone, Serialize)]
pub struct Usage {
    /// Since when the gateway has counted without a gap that is known of, RFC 3339.
    pub counted_since: Option<String>,
    /// Days of that.
    pub counted_days: f64,
    /// Days after which a rule counts as unused.
    pub unused_after_days: f64,
    /// Rules, in file order.
    pub rules: Vec<RuleUsage>,
    /// Assets of which nothing was seen.
    pub unseen_assets: Vec<UnseenAsset>,
    /// How ready each conduit is to be enforced, as `banchi report` has it.
    pub conduits: Vec<ConduitUsage>,
}

/// A rule.
#[derive(Debug, Clone, Serialize)]
pub struct RuleUsage {
    /// Name.
    pub name: String,
    /// Line in the policy.
    pub line: usize,
    /// Its conduit.
    pub conduit: String,
    /// The last packet, by counters or captures, RFC 3339.
    pub last: Option<String>,
    /// Days since then.
    pub idle_days: Option<f64>,
    /// How it stands.
    pub state: State,
    /// What captures use of it.
    pub breadth: Option<Breadth>,
}

/// How a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It was used in the time that was asked for.
    Used,
    /// It was not, and somebody has counted for so long.
    Unused,
    /// It was not, but nobody has counted for so long.
    Unknown,
}

impl State {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Unused => "unused",
            Self::Unknown => "unknown",
        }
    }
}

/// An asset of which nothing was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnseenAsset {
    /// Name.
    pub name: String,
    /// How that is known: `captures` have none of its addresses, or none of the `rules` that name it was used.
    pub by: &'static str,
}

/// A conduit.
#[derive(Debug, Clone, Serialize)]
pub struct ConduitUsage {
    /// Name.
    pub name: String,
    /// How ready it is.
    #[serde(flatten)]
    pub readiness: Readiness,
}

/// What of a policy is used, where `days` are those after which a rule counts as unused.
pub fn usage(policy: &Policy, seen: &Seen<'_>, days: f64) -> Usage {
    let since = seen
        .statuses
        .iter()
        .map(|status| status.counts_since.as_str())
        .filter(|text| at(text).is_some())
        .min();
    let counted = since.and_then(|since| days_between(since, seen.now)).unwrap_or(0.0);
    let captured = seen
        .captures
        .map_or(0.0, |(_, traffic)| traffic.span.1.saturating_sub(traffic.span.0) as f64 / (HOURS * 3_600e9));
    let rules: Vec<RuleUsage> = policy
        .rules
        .iter()
        .enumerate()
        .map(|(place, rule)| {
            let conduit = policy.conduits.get(rule.conduit).map_or("", |conduit| conduit.name.as_str());
            let last = last(seen, place, conduit, rule);
            // What captures of another time show is as old as they are, but it was used in them.
            let idle = last.as_deref().and_then(|last| days_between(last, seen.now));
            let in_captures = seen.captures.is_some_and(|(gathered, _)| {
                gathered.rules.get(place).is_some_and(|count| count.packets > 0)
            });
            let is_used = in_captures || idle.is_some_and(|idle| idle < days);
            let state = match () {
                () if is_used => State::Used,
                () if counted >= days || captured >= days => State::Unused,
                () => State::Unknown,
            };
            RuleUsage {
                name: rule.name.clone(),
                line: rule.line,
                conduit: conduit.to_owned(),
                last,
                idle_days: idle,
                state,
                breadth: seen.captures.and_then(|(gathered, _)| breadth::of(policy, gathered, place, rule)),
            }
        })
        .collect();
    let none = Gathered::none(policy);
    let look = Look {
        policy,
        gathered: seen.captures.map_or(&none, |(gathered, _)| gathered),
        status: seen.statuses.last(),
        span: seen.captures.map_or((0, 0), |(_, traffic)| traffic.span),
        is_draft: false,
    };
    let names = policy.conduits.iter().map(|conduit| conduit.name.clone());
    Usage {
        counted_since: since.map(str::to_owned),
        counted_days: counted,
        unused_after_days: days,
        unseen_assets: unseen(policy, seen, &rules),
        conduits: names.zip(look.all()).map(|(name, readiness)| ConduitUsage { name, readiness }).collect(),
        rules,
    }
}

/// The last packet of a rule that anybody knows of.
fn last(seen: &Seen<'_>, place: usize, conduit: &str, rule: &Rule) -> Option<String> {
    let counted = seen.statuses.iter().filter_map(|status| {
        let row = status.rules.iter().find(|row| row.name == rule.name && row.conduit == conduit)?;
        row.last.clone()
    });
    let captured = seen.captures.and_then(|(gathered, _)| {
        let count = gathered.rules.get(place).filter(|count| count.packets > 0)?;
        Some(time(count.last))
    });
    counted.chain(captured).max_by_key(|text| at(text))
}

fn unseen(policy: &Policy, seen: &Seen<'_>, rules: &[RuleUsage]) -> Vec<UnseenAsset> {
    let heard: Option<BTreeSet<IpAddr>> = seen.captures.map(|(gathered, traffic)| {
        let senders = traffic.hosts.senders().into_keys();
        // Groups never send.
        let asked = gathered.lines.iter().flat_map(|line| [line.flow.client, line.flow.server]);
        senders.chain(asked).collect()
    });
    let assets = policy.assets.iter().enumerate();
    let gateway = policy.zones.iter().position(|zone| zone.is_gateway);
    let assets = assets.filter(|(_, asset)| Some(asset.zone) != gateway);
    let found = assets.filter_map(|(id, asset)| {
        if let Some(heard) = &heard {
            let is_heard = heard.iter().any(|address| holds(&asset.addresses, *address));
            return (!is_heard).then(|| UnseenAsset { name: asset.name.clone(), by: "captures" });
        }
        let mut naming = policy
            .rules
            .iter()
            .zip(rules)
            .filter(|(rule, _)| rule.clients.contains(&id) || rule.servers.contains(&id))
            .peekable();
        let is_named = naming.peek().is_some();
        let unused = is_named && naming.all(|(_, usage)| usage.state == State::Unused);
        unused.then(|| UnseenAsset { name: asset.name.clone(), by: "rules" })
    });
    found.collect()
}

fn at(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok()
}

/// Days from one time to another; none where one of them is no time.
fn days_between(from: &str, to: &str) -> Option<f64> {
    Some(at(to)?.duration_since(at(from)?).as_secs_f64() / (HOURS * 3_600.0))
}
