//! Conduits and their rules, with the traffic that they are there for.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::gather::Line;
use super::words::{bytes, count, minute, some};
use super::{Report, Section, more, safe};
use crate::policy::describe;
use crate::policy::model::ConduitId;

/// Rules of a conduit that are shown.
const RULES: usize = 200;

/// The section.
pub(super) fn section(report: &Report<'_>) -> Section {
    let mut by_rule: BTreeMap<usize, Vec<&Line>> = BTreeMap::new();
    for line in &report.gathered.lines {
        if let Some(rule) = line.rule.filter(|_| line.passed > 0) {
            by_rule.entry(rule).or_default().push(line);
        }
    }
    let elsewhere = report.gathered.conduits.last();
    let body = html! {
        p.lead { "A conduit is what may cross between two zones. Each rule stands with the traffic that used it, and why banchi thinks that this side asks." }
        @for conduit in 0..report.policy.conduits.len() { (one(report, conduit, &by_rule)) }
        @if let Some(facts) = elsewhere.filter(|facts| facts.dropped() > 0) {
            p.note { (count(facts.dropped())) " packets belong to no conduit, as no two zones of the policy fit them." }
        }
    };
    Section { id: "conduits", title: "Conduits and rules", body }
}

fn one(report: &Report<'_>, conduit: ConduitId, by_rule: &BTreeMap<usize, Vec<&Line>>) -> Markup {
    let Some(row) = report.policy.conduits.get(conduit) else { return html! {} };
    let facts = report.gathered.conduits.get(conduit);
    let rules: Vec<usize> = report
        .policy
        .rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.conduit == conduit)
        .map(|(place, _)| place)
        .collect();
    let (a, b) = row.zones;
    html! {
        article.conduit {
            header {
                h3 { (row.name) }
                @if let Some(ready) = report.readiness.get(conduit) { (safe::verdict(ready)) }
            }
            p.meta {
                (report.zone(Some(a))) (if row.ordered { " → " } else { " ↔ " }) (report.zone(Some(b))) " · "
                (some(rules.len(), "rule")) " · "
                @if let Some(facts) = facts {
                    (count(facts.passed)) " packets pass"
                    @if facts.dropped() > 0 { ", " b { (count(facts.dropped())) " would be dropped" } }
                }
            }
            div.wide { table.stack.rules {
                thead { tr { th { "Rule" } th { "Service" } th { "Ports" } th.n { "Flows" } th.n { "Packets" } th { "Last seen" } th { "Evidence" } } }
                tbody { @for place in rules.iter().take(RULES) { (rule(report, *place, by_rule.get(place))) } }
            } }
            (more(rules.len(), RULES, "rules"))
        }
    }
}

fn rule(report: &Report<'_>, place: usize, lines: Option<&Vec<&Line>>) -> Markup {
    let Some(rule) = report.policy.rules.get(place) else { return html! {} };
    let service = report.policy.services.get(rule.service);
    let seen = report.gathered.rules.get(place);
    let lines = lines.map_or(&[][..], Vec::as_slice);
    let volume: u64 = lines.iter().map(|line| line.flow.bytes).sum();
    let strongest = lines.iter().max_by_key(|line| (!line.flow.to_group, line.flow.packets));
    let live =
        report.status.as_ref().and_then(|(status, _)| status.rules.iter().find(|row| row.name == rule.name));
    html! {
        tr {
            td data-h="Rule" { (rule.name) div { small { "line " (rule.line) } } }
            td data-h="Service" { (service.map_or("", |service| service.name.as_str())) }
            td data-h="Ports" { span.nowrap { @if let Some(service) = service { (service.transport.name()) " " (describe::relation(service)) } } }
            td.n data-h="Flows" { (count(lines.len() as u64)) }
            td.n data-h="Packets" { (count(seen.map_or(0, |seen| seen.packets))) div { small.nowrap { (bytes(volume)) } } }
            td data-h="Last seen" {
                @match seen.filter(|seen| seen.packets > 0) {
                    Some(seen) => span.nowrap { (minute(seen.last)) },
                    None => span.badge.fair { "◐ never in these captures" },
                }
                @if let Some(live) = live {
                    div { small { "at the gateway: " (live.last.as_deref().and_then(|last| last.get(..16)).map_or("never".to_owned(), |last| last.replace('T', " "))) } }
                }
            }
            td data-h="Evidence" {
                @if let Some(line) = strongest {
                    (line.flow.evidence.iter().take(2).cloned().collect::<Vec<_>>().join("; "))
                    " " small.nowrap { "confidence " (format!("{:.2}", line.flow.confidence)) }
                }
            }
        }
    }
}
