//! Is it safe to enforce? A figure a conduit, with its reasons.

use maud::{Markup, html};

use super::readiness::{Part, Readiness};
use super::words::some;
use super::{Report, Section};
use crate::policy::model::Mode;

/// The section.
pub(super) fn section(report: &Report<'_>) -> Section {
    let conduits = report.policy.conduits.iter().zip(&report.readiness);
    let body = html! {
        p.lead { "To enforce means that the gateway drops what the policy does not allow. The figure, from 0 to 100, says how much of what was seen speaks for it." }
        @if let Some((status, fits)) = &report.status {
            p.note {
                "Counters of the gateway since " (status.counts_since.get(..16).unwrap_or_default().replace('T', " ")) " UTC are part of it."
                @if !*fits { " " b { "The gateway runs another policy than this report is about" } ": rules and conduits are matched by name." }
            }
        }
        div.cards {
            @for (conduit, ready) in conduits { (card(&conduit.name, ready)) }
        }
        p.note { "The weights are judgement: time 40, new flows 25, packets that would be dropped 25, rules in use 10; ready from 85, nearly from 60. "
            "Answers without a question in their window are not tried here: " code { "banchi backtest" } " does that with the real program." }
    };
    Section { id: "safe", title: "Safe to enforce?", body }
}

/// The verdict as a badge that also has a sign.
pub(super) fn verdict(ready: &Readiness) -> Markup {
    let sign = match ready.verdict.class() {
        "good" => "✓",
        "fair" => "◐",
        "poor" => "✕",
        _ => "–",
    };
    html! { span.badge.(ready.verdict.class()) { (sign) " " (ready.verdict.text()) } }
}

fn card(name: &str, ready: &Readiness) -> Markup {
    let class = ready.verdict.class();
    html! {
        article.card {
            header {
                h3 { (name) }
                (verdict(ready))
                span.mode { @match ready.mode { Mode::Enforce => "enforced", Mode::Alert => "alert" } }
            }
            div.score {
                b { (ready.figure) small { " / 100" } }
                (bar(f64::from(ready.figure), 100.0, class))
            }
            @if !ready.stops.is_empty() {
                ul.stops { @for stop in &ready.stops { li { (stop) } } }
            }
            table.parts { tbody {
                @for part in &ready.parts { (row(part)) }
            } }
            @if ready.news.iter().any(|count| *count > 0) { (news(ready)) }
        }
    }
}

fn row(part: &Part) -> Markup {
    html! {
        tr {
            th scope="row" { (part.what) }
            td.n { span.nowrap { (format!("{:.0}", part.points)) " of " (format!("{:.0}", part.of)) } }
            td { (bar(part.points, part.of, "plain")) (part.why) }
        }
    }
}

fn bar(points: f64, of: f64, class: &str) -> Markup {
    let width = if of > 0.0 { 100.0 * points / of } else { 0.0 };
    html! {
        svg.bar.(class) viewBox="0 0 100 6" preserveAspectRatio="none" role="presentation" {
            rect.all width="100" height="6" rx="3" {}
            rect.part width=(format!("{width:.0}")) height="6" rx="3" {}
        }
    }
}

/// When flows were first seen.
fn news(ready: &Readiness) -> Markup {
    let most = ready.news.iter().copied().max().unwrap_or(1).max(1) as f64;
    let all: usize = ready.news.iter().sum();
    html! {
        figure.news {
            svg viewBox="0 0 200 46" role="img" aria-label="New flows in each tenth of the time" {
                @for (at, count) in ready.news.iter().enumerate() {
                    @let height = if *count == 0 { 1.0 } else { 3.0 + 27.0 * *count as f64 / most };
                    rect x=(format!("{}", at * 20 + 2)) width="16" y=(format!("{:.1}", 44.0 - height)) height=(format!("{height:.1}")) rx="1.5" {}
                    @if *count > 0 { text x=(format!("{}", at * 20 + 10)) y=(format!("{:.1}", 41.0 - height)) text-anchor="middle" { (count) } }
                }
            }
            figcaption { "When its " (some(all, "flow")) (if all == 1 { " was" } else { " were" }) " first seen, in tenths of the time" }
        }
    }
}
