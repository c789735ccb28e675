//! The drawing.

use maud::{Markup, html};

use super::layout::{BOX, Course, layout};
use super::nodes::{Edge, Graph, cut};
use crate::learn::Idiom;
use crate::report::Report;
use crate::report::gather::State;
use crate::report::words::{count, short, some};

/// Characters of a name in a box.
const NAME: usize = 23;
/// Scale below which the map is not shrunk.
const LEAST: f64 = 0.86;

/// The map as SVG.
pub(super) fn svg(report: &Report<'_>, graph: &Graph) -> Markup {
    let layout = layout(graph);
    html! {
        // Nothing but a width: letters of the map stay legible, and a narrow screen moves it in its frame.
        svg.least width=(format!("{:.0}", layout.width * LEAST)) height="0" aria-hidden="true" {}
        svg.narrow[layout.width < 860.0] viewBox=(format!("0 0 {:.0} {:.0}", layout.width, layout.height)) role="img"
            aria-label="Map of flows between zones" {
            @for (zone, x) in &layout.columns {
                rect.band x=(number(x - 8.0)) y="8" width=(number(BOX + 16.0)) height=(number(layout.height - 16.0)) rx="8" {}
                text.zone x=(number(x + BOX / 2.0)) y="34" text-anchor="middle" {
                    (cut(report.zone(Some(*zone)), NAME))
                }
            }
            @for (edge, course) in graph.edges.iter().zip(&layout.courses) { (line(report, edge, course)) }
            @for (place, (node, at)) in graph.nodes.iter().zip(&layout.nodes).enumerate() {
                g.node data-node=(place) {
                    title { (node.name) " " (node.below) }
                    rect x=(number(at.x)) y=(number(at.y)) width=(number(BOX)) height=(number(at.height)) rx="6" {}
                    @let middle = at.y + at.height / 2.0;
                    @if node.below.is_empty() {
                        text.name x=(number(at.x + BOX / 2.0)) y=(number(middle + 4.5)) text-anchor="middle" { (cut(&node.name, NAME)) }
                    } @else {
                        text.name x=(number(at.x + BOX / 2.0)) y=(number(middle - 2.5)) text-anchor="middle" { (cut(&node.name, NAME)) }
                        text.below x=(number(at.x + BOX / 2.0)) y=(number(middle + 12.5)) text-anchor="middle" { (cut(&node.below, NAME + 4)) }
                    }
                }
            }
        }
    }
}

fn line(report: &Report<'_>, edge: &Edge, course: &Course) -> Markup {
    let (Some(first), Some(last)) = (course.legs.first(), course.legs.last()) else { return html! {} };
    let width = 1.1 + 0.75 * (edge.packets.max(1) as f64).log10();
    let (client, server) = if course.rightwards { (first.from, last.to) } else { (last.to, first.from) };
    let towards = if course.rightwards { 1.0 } else { -1.0 };
    let both = matches!(edge.idiom, Idiom::Peer | Idiom::Undecided);
    let conduit = edge.conduit.map_or_else(|| "none".to_owned(), |conduit| conduit.to_string());
    let leg = if course.rightwards { first } else { last };
    let middle =
        ((leg.from.0 + leg.straight[0] + leg.to.0 - leg.straight[1]) / 2.0, (leg.from.1 + leg.to.1) / 2.0);
    let known = edge.conduit.and_then(|conduit| report.policy.conduits.get(conduit));
    let name = known.map_or("no conduit", |conduit| conduit.name.as_str());
    html! {
        g class={ "edge i-" (edge.idiom.name()) " " (edge.state.name()) } data-idiom=(edge.idiom.name())
            data-conduit=(conduit) data-state=(edge.state.name()) data-a=(edge.client) data-b=(edge.server)
            data-find=(edge.words) {
            title {
                (edge.service) " " (edge.ports) ", " (edge.idiom.name()) ": " (count(edge.packets)) " packets in "
                (some(edge.flows, "flow")) ", " (name)
                @if edge.state == State::Deviates { "; some of it would not pass" }
            }
            path.under d=(path(course)) {}
            path.line d=(path(course)) stroke-width=(format!("{width:.1}")) {}
            polygon points=(triangle(server, towards)) {}
            @if both { polygon points=(triangle(client, -towards)) {} }
            @if edge.state == State::Deviates {
                circle.mark cx=(number(middle.0)) cy=(number(middle.1)) r="8" {}
                path.cross d=(format!("M{:.1} {:.1}l7 7m0 -7l-7 7", middle.0 - 3.5, middle.1 - 3.5)) {}
            }
            text.label x=(number(client.0 + 8.0 * towards)) y=(number(client.1 - 4.5))
                text-anchor=(if course.rightwards { "start" } else { "end" }) { (edge.label()) }
            text.volume x=(number(server.0 - 14.0 * towards)) y=(number(server.1 - 4.5))
                text-anchor=(if course.rightwards { "end" } else { "start" }) { (short(edge.packets)) }
        }
    }
}

/// Straight where labels are, and a bend between.
fn path(course: &Course) -> String {
    let mut path = String::new();
    for (place, leg) in course.legs.iter().enumerate() {
        let (from, to) = (leg.from.0 + leg.straight[0], leg.to.0 - leg.straight[1]);
        let bend = (from + to) / 2.0;
        let begin = if place == 0 { "M" } else { "L" };
        path += &format!(
            "{begin}{:.1} {:.1}H{from:.1}C{bend:.1} {:.1} {bend:.1} {:.1} {to:.1} {:.1}H{:.1}",
            leg.from.0, leg.from.1, leg.from.1, leg.to.1, leg.to.1, leg.to.0
        );
    }
    path
}

/// A triangle whose tip is at a point.
fn triangle(tip: (f64, f64), towards: f64) -> String {
    let back = tip.0 - 10.0 * towards;
    format!("{:.1},{:.1} {back:.1},{:.1} {back:.1},{:.1}", tip.0, tip.1, tip.1 - 5.0, tip.1 + 5.0)
}

fn number(value: f64) -> String {
    format!("{value:.1}")
}
