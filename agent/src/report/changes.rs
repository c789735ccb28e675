//! What changed since the report before.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::data::{Data, FlowData};
use super::words::{count, some};
use super::{Report, Section};

/// Rows of each list.
const LISTED: usize = 60;

/// The section.
pub(super) fn section(report: &Report<'_>, now: &Data) -> Section {
    let body = match &report.old {
        None => {
            html! { p { "No report before was given. The next one reads this file: " code { "banchi report … --since THIS.html" } "." } }
        }
        Some(old) => compared(old, now),
    };
    Section { id: "changes", title: "What changed", body }
}

fn compared(old: &Data, now: &Data) -> Markup {
    let names = |data: &Data| data.hosts.keys().cloned().collect::<BTreeSet<_>>();
    let (before, after) = (names(old), names(now));
    let host = |data: &Data, host: &String| {
        let zone = data.hosts.get(host).cloned().flatten();
        format!("{host} ({})", zone.unwrap_or_else(|| "no zone".to_owned()))
    };
    let new_hosts: Vec<String> = after.difference(&before).map(|name| host(now, name)).collect();
    let gone_hosts: Vec<String> = before.difference(&after).map(|name| host(old, name)).collect();
    let fresh = |data: &Data, other: &Data| -> Vec<String> {
        let flows = data.flows.iter().filter(|(key, _)| !other.flows.contains_key(*key));
        flows.map(|(_, flow)| words(flow)).collect()
    };
    let both = || now.flows.iter().filter_map(|(key, flow)| Some((flow, old.flows.get(key)?)));
    let turned: Vec<String> = both()
        .filter(|(flow, was)| flow.idiom != was.idiom || flow.ports != was.ports)
        .map(|(flow, was)| format!("{}: was {} {}", words(flow), was.idiom, was.ports))
        .collect();
    let worse: Vec<String> = both()
        .filter(|(flow, was)| flow.dropped > 0 && was.dropped == 0)
        .map(|(flow, _)| format!("{}: {} packets", words(flow), count(flow.dropped)))
        .collect();
    let rules = |data: &Data, other: &Data| -> Vec<String> {
        data.rules.keys().filter(|rule| !other.rules.contains_key(*rule)).cloned().collect()
    };
    let lists = [
        ("New hosts", new_hosts),
        ("Hosts that were not seen any more", gone_hosts),
        ("New flows", fresh(now, old)),
        ("Flows that were not seen any more", fresh(old, now)),
        ("Flows with other client ports or another idiom", turned),
        ("Flows that deviate, and did not before", worse),
        ("New rules", rules(now, old)),
        ("Rules that are gone", rules(old, now)),
    ];
    html! {
        p.lead { "Since the report of " (old.made.split('T').next().unwrap_or_default()) ", about traffic from "
            (old.from.get(..16).unwrap_or_default().replace('T', " ")) " to " (old.to.get(..16).unwrap_or_default().replace('T', " ")) " UTC." }
        (figures(old, now))
        @if lists.iter().all(|(_, list)| list.is_empty()) {
            p.calm { "The same hosts, flows and rules as then." }
        }
        @for (title, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
            details open[list.len() <= 12] {
                summary { (title) ": " b { (count(list.len() as u64)) } }
                ul.list { @for row in list.iter().take(LISTED) { li { (row) } } }
                @if list.len() > LISTED { p.more { (some(list.len() - LISTED, "more row")) " not shown." } }
            }
        }
        @if old.more_flows + now.more_flows > 0 {
            p.note { "Only the flows with the most packets are compared: " (count(old.more_flows as u64)) " then and " (count(now.more_flows as u64)) " now are left out." }
        }
    }
}

fn words(flow: &FlowData) -> String {
    format!("{} > {} {} {}", flow.client, flow.server, flow.service, flow.ports)
}

/// How readiness moved.
fn figures(old: &Data, now: &Data) -> Markup {
    let names: BTreeSet<&String> = old.conduits.keys().chain(now.conduits.keys()).collect();
    html! {
        div.wide { table.stack {
            thead { tr { th { "Conduit" } th { "Then" } th { "Now" } th.n { "Would be dropped, then" } th.n { "Now" } } }
            tbody {
                @for name in names {
                    @let (was, is) = (old.conduits.get(name), now.conduits.get(name));
                    tr {
                        td data-h="Conduit" { (name) }
                        @for (row, title) in [(was, "Then"), (is, "Now")] {
                            td data-h=(title) { @match row {
                                Some(row) => { (row.figure) " " span.badge.(row.verdict.class()) { (row.verdict.text()) } },
                                None => "–",
                            } }
                        }
                        @for (row, title) in [(was, "Dropped then"), (is, "Dropped now")] {
                            td.n data-h=(title) { @match row { Some(row) => (count(row.dropped)), None => "–" } }
                        }
                    }
                }
            }
        } }
    }
}
