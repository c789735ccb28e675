//! The summary: for whoever runs the plant, and reads nothing else.

use maud::{Markup, html};

use super::data::Data;
use super::gather::State;
use super::readiness::Verdict;
use super::words::{count, length, some, span};
use super::{Report, Section, exposure};

fn figure(value: &str, what: &str, note: &str, class: &str) -> Markup {
    html! { div.figure.(class) { b { (value) } span { (what) } small { (note) } } }
}

/// The section.
pub(super) fn section(report: &Report<'_>, data: &Data) -> Section {
    let lines = &report.gathered.lines;
    let deviating = lines.iter().filter(|line| line.state() == State::Deviates).count();
    let dropped: u64 = report.gathered.conduits.iter().map(super::gather::ConduitFacts::dropped).sum();
    let ready = report.readiness.iter().filter(|ready| ready.verdict == Verdict::Ready).count();
    let conduits = report.readiness.len();
    let fixed = lines.iter().filter(|line| exposure::is_guessable(line)).count();
    let time = report.span.1.saturating_sub(report.span.0);
    let body = html! {
        p.lead {
            "Between " b { (span(report.span.0, report.span.1)) } " UTC (" (length(time)) "), "
            b { (some(data.hosts.len(), "host")) } " spoke in " b { (some(lines.len(), "flow")) } ". "
            @match &report.policy_name {
                Some(name) => { "They were held against the policy " code { (name) } "." },
                None => { "No policy was given, so they were held against a draft that banchi learnt from them." },
            }
        }
        div.figures {
            (figure(&format!("{ready} / {conduits}"), "conduits ready to enforce", "see Safe to enforce?", if ready == conduits && ready > 0 { "good" } else { "fair" }))
            (figure(&count(deviating as u64), "flows deviate", &format!("{} packets", count(dropped)), if deviating == 0 { "good" } else { "poor" }))
            (figure(&count(fixed as u64), "flows with ports that can be guessed", "see Fixed ports", if fixed == 0 { "good" } else { "fair" }))
            (figure(&count(report.packets), "packets read", &some(report.captures.len(), "capture"), "plain"))
        }
        ul.sentences {
            li { (enforcing(report, ready)) }
            @if deviating > 0 {
                li { "If everything were enforced now, " b { (some(deviating, "flow")) } " would lose packets. Each is listed with its reason under "
                    a href="#deviations" { "What would be stopped" } "." }
            } @else if !report.is_draft() {
                li { "Nothing that was seen deviates from the policy." }
            }
            @if time < 7 * 86_400_000_000_000 {
                li { "The captures last less than a week. What a plant does once a week, a month or a year (shift changes, cleaning, stocktaking, failover) may not be in them." }
            }
            @if fixed > 0 {
                li { (some(fixed, "flow")) (if fixed == 1 { " keeps" } else { " keep" }) " the client's port, so whoever forges an answer need not guess it. "
                    a href="#exposure" { "Fixed ports" } " says what that means and what the policy does about it." }
            }
            @if let Some(old) = &report.old {
                li { "Compared with the report of " (old.made.split('T').next().unwrap_or_default()) ": see " a href="#changes" { "What changed" } "." }
            }
            @if report.left_out > 0 {
                li { b { (count(report.left_out)) " packets" } " belong to flows that found no place in memory and are in none of the tables." }
            }
        }
    };
    Section { id: "summary", title: "Summary", body }
}

fn enforcing(report: &Report<'_>, ready: usize) -> Markup {
    let enforced =
        report.readiness.iter().filter(|ready| ready.mode == crate::policy::model::Mode::Enforce).count();
    let all = report.readiness.len();
    html! {
        @if report.is_draft() {
            "This is a draft: read it, correct it, and hold it against other captures before anything is enforced."
        } @else if ready == 0 {
            "No conduit is ready to be enforced yet; the reasons stand under " a href="#safe" { "Safe to enforce?" } "."
        } @else {
            b { (some(ready, "conduit")) } " of " (all) (if ready == 1 { " is" } else { " are" }) " ready to be enforced, by what was seen."
        }
        @if enforced > 0 { " " (some(enforced, "conduit")) (if enforced == 1 { " is" } else { " are" }) " enforced " (if report.status.is_some() { "at the gateway now." } else { "by the policy." }) }
    }
}
