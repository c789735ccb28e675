//! The map of flows: zones as columns, hosts in them, and a line for each flow that crosses.

mod draw;
mod layout;
mod nodes;

use maud::html;

use super::gather::State;
use super::words::{self, count, sign, some};
use super::{Report, Section};
use nodes::{Graph, Level};

/// The section.
pub(super) fn section(report: &Report<'_>) -> Section {
    let graph = Graph::of(report);
    let unseen = report.gathered.lines.iter().filter(|line| line.state() == State::Unseen).count();
    let idioms: Vec<_> = words::IDIOMS
        .into_iter()
        .filter(|idiom| graph.edges.iter().any(|edge| edge.idiom == *idiom))
        .collect();
    let body = html! {
        @if graph.edges.is_empty() {
            p { "Nothing crosses from one zone to another, so there is nothing to draw." }
        } @else {
            p.lead {
                "Each column is a zone. A line goes from whoever asks to whoever answers; the thicker, the more packets. "
                @match graph.level {
                    Level::Hosts => "Each box is a host.",
                    Level::Assets => "There are too many hosts for one box each, so boxes are assets of the policy.",
                    Level::Zones => "There are too many hosts for one box each, so a box holds all of a zone.",
                }
            }
            div.filters hidden {
                label.search { span { "Search" } input type="search" id="search" placeholder="host, service, port, rule" autocomplete="off"; }
                label { span { "Conduit" }
                    select id="conduit" {
                        option value="" { "all" }
                        @for (place, conduit) in report.policy.conduits.iter().enumerate() {
                            option value=(place) { (conduit.name) }
                        }
                        option value="none" { "no conduit" }
                    }
                }
                label { span { "Policy" }
                    select id="state" {
                        option value="" { "all" }
                        option value="passes" { "passes" }
                        option value="deviates" { "deviates" }
                    }
                }
                fieldset { legend { "Idiom" }
                    @for idiom in &idioms {
                        label.chip.{ "i-" (idiom.name()) } {
                            input type="checkbox" name="idiom" value=(idiom.name()) checked;
                            span.sign { (sign(*idiom)) } (idiom.name())
                        }
                    }
                }
                p.found role="status" id="found" {}
            }
            div.map tabindex="0" role="group" aria-label="Map of flows; it may be wider than the screen" { div.fit { (draw::svg(report, &graph)) } }
            p.note {
                "A triangle points to whoever answers. A sign and a dash stand for the idiom: "
                @for (place, idiom) in idioms.iter().enumerate() {
                    @if place > 0 { ", " }
                    span.key.{ "i-" (idiom.name()) } { span.sign { (sign(*idiom)) } " " (idiom.name()) }
                }
                ". A cross marks what the policy would not let pass."
            }
        }
        @if graph.hidden > 0 {
            p.more { (count(graph.hidden as u64)) " more lines with fewer packets are not drawn; the table of flows has them." }
        }
        @if unseen > 0 {
            p.note { (some(unseen, "flow")) (if unseen == 1 { " stays" } else { " stay" }) " within one zone or cannot be placed; the gateway does not see "
                (if unseen == 1 { "it" } else { "them" }) ", and " (if unseen == 1 { "it is" } else { "they are" }) " not drawn." }
        }
    };
    Section { id: "map", title: "Map of flows", body }
}
