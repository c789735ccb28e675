//! What would be stopped if everything were enforced now.

use std::collections::BTreeMap;

use banchi_common::reason::REASONS;
use maud::html;

use super::flows::{host, idiom, searched};
use super::gather::{Line, State};
use super::words::{count, minute, relation, some};
use super::{ROWS, Report, Section, more};

/// The section.
pub(super) fn section(report: &Report<'_>) -> Section {
    let mut lines: Vec<&Line> =
        report.gathered.lines.iter().filter(|line| line.state() == State::Deviates).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.dropped()));
    let mut reasons: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    for (reason, found) in report.gathered.conduits.iter().flat_map(|conduit| &conduit.reasons) {
        let row = reasons.entry(reason).or_insert((0, u64::MAX, 0));
        *row = (row.0 + found.packets, row.1.min(found.first), row.2.max(found.last));
    }
    let about = |name: &str| REASONS.iter().find(|about| about.name == name);
    let body = html! {
        @if reasons.is_empty() {
            p.calm { "Nothing: every packet that crosses would pass." }
        } @else {
            p.lead { "These packets were in the captures, and the policy does not let them pass. Each is either a rule that is missing, or something that should not be." }
            div.wide { table.stack {
                thead { tr { th { "Reason" } th { "What it means" } th { "What to look at first" } th.n { "Packets" } th { "Seen" } } }
                tbody {
                    @for (reason, (packets, first, last)) in &reasons {
                        tr {
                            td data-h="Reason" { code { (reason) } }
                            td data-h="Meaning" { (about(reason).map_or("", |about| about.text)) }
                            td data-h="Look at" { (about(reason).map_or("", |about| about.advice)) }
                            td.n data-h="Packets" { (count(*packets)) }
                            td data-h="Seen" { span.nowrap { (minute(*first)) } " – " span.nowrap { (minute(*last)) } }
                        }
                    }
                }
            } }
            @if !lines.is_empty() {
                h3 { (some(lines.len(), "flow")) " with such packets" }
                div.wide { table.stack {
                    thead { tr { th { "Client" } th { "Server" } th { "Service and ports" } th { "Idiom" } th { "Conduit" } th { "Reasons" } th.n { "Packets" } } }
                    tbody {
                        @for line in lines.iter().take(ROWS) {
                            tr.flow data-find=(searched(report, line)) data-idiom=(line.flow.idiom.name()) data-state="deviates"
                                data-conduit=(line.conduit.map_or_else(|| "none".to_owned(), |conduit| conduit.to_string())) {
                                td data-h="Client" { (host(line, 0)) }
                                td data-h="Server" { (host(line, 1)) }
                                td data-h="Service" { (report.service(line)) " " span.nowrap { (line.flow.transport.name()) " " (relation(&line.flow)) } }
                                td data-h="Idiom" { (idiom(line)) }
                                td data-h="Conduit" { (report.conduit(line)) }
                                td data-h="Reasons" { @for (reason, packets) in &line.reasons { div { code { (reason) } " " (count(*packets)) } } }
                                td.n data-h="Packets" { (count(line.dropped())) " of " (count(line.dropped() + line.passed)) }
                            }
                        }
                    }
                } }
                (more(lines.len(), ROWS, "flows"))
            }
        }
    };
    Section { id: "deviations", title: "What would be stopped", body }
}
