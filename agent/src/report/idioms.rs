//! The idioms in words, each with the traffic that shows it.

use maud::{Markup, html};

use super::flows::host;
use super::gather::Line;
use super::words::{IDIOMS, count, relation, sign, some};
use super::{Report, Section};
use crate::learn::Idiom;

/// Flows that each idiom is shown with.
const SHOWN: usize = 3;

/// What an idiom means, what goes wrong where it is not known, and how a policy says it.
const fn text(idiom: Idiom) -> [&'static str; 3] {
    match idiom {
        Idiom::SamePort => [
            "Both sides use the same port number, so neither port says who asks. Only the payload or the timing does.",
            "A rule that leaves the source port open lets any program of an allowed host speak in the device's place.",
            "`source_port: same`, and `direction` where the protocol is known.",
        ],
        Idiom::PinnedSource => [
            "The client always sends from the same port, set by its maker or by an engineer.",
            "A tool that takes the side with the lower or steadier port for the server turns client and server round.",
            "`source_port` with that number.",
        ],
        Idiom::AddressLinked => [
            "The server's port follows from its address, such as 6000 plus the last octet.",
            "Without the relation one protocol becomes as many services as there are stations, or a wide range of ports; \
             a station that answers on its neighbour's port is not noticed.",
            "`port: { linked: … }` or `by_address`.",
        ],
        Idiom::Ordinary => [
            "The server listens on a known port, and the client takes any free one for each conversation.",
            "Nothing: this is what every firewall knows.",
            "`port`; the client's port is left open or `ephemeral`.",
        ],
        Idiom::OneWay => [
            "One side sends and nobody answers: measured values, process data, announcements.",
            "A firewall that waits for an answer reports it as broken, or lets an answer through that nobody expects.",
            "`reply: none`.",
        ],
        Idiom::Peer => [
            "Either side asks, or each sends at its own pace.",
            "A rule for one way drops half of it.",
            "`peer: true`.",
        ],
        Idiom::Undecided => [
            "What was seen does not tell who asks: no opening, no payload that is known, no timing.",
            "A rule may stand the wrong way round. A longer capture, or a person, can tell.",
            "A rule that somebody confirmed.",
        ],
    }
}

/// The section.
pub(super) fn section(report: &Report<'_>) -> Section {
    let body = html! {
        p.lead { "How ports behave in this plant. A port and an address are one address together; an idiom says how." }
        div.cards {
            @for idiom in IDIOMS {
                @let lines: Vec<&Line> = report.gathered.lines.iter().filter(|line| line.flow.idiom == idiom).collect();
                @if !lines.is_empty() { (card(report, idiom, &lines)) }
            }
        }
    };
    Section { id: "idioms", title: "Idioms", body }
}

fn card(report: &Report<'_>, idiom: Idiom, lines: &[&Line]) -> Markup {
    let [what, wrong, policy] = text(idiom);
    let packets: u64 = lines.iter().map(|line| line.flow.packets).sum();
    html! {
        article.card.idioms.{ "i-" (idiom.name()) } {
            header { h3 { span.sign { (sign(idiom)) } " " (idiom.name()) } span.mode { (some(lines.len(), "flow")) ", " (count(packets)) " packets" } }
            (diagram(idiom, lines))
            p { (what) }
            p { b { "If it is not known: " } (wrong) }
            p { b { "In a policy: " } (code(policy)) }
            ul.examples {
                @for line in lines.iter().take(SHOWN) {
                    li {
                        (host(line, 0)) " asks " (host(line, 1)) ", " (report.service(line)) " " span.nowrap { (relation(&line.flow)) }
                        ul { @for sentence in line.flow.evidence.iter().take(3) { li { (sentence) } } }
                    }
                }
                @if lines.len() > SHOWN { li.more { "and " (some(lines.len() - SHOWN, "more flow")) } }
            }
        }
    }
}

/// Words between backticks as code.
fn code(text: &str) -> Markup {
    html! { @for (at, part) in text.split('`').enumerate() { @if at % 2 == 1 { code { (part) } } @else { (part) } } }
}

/// Client and server with the ports of the first flow.
fn diagram(idiom: Idiom, lines: &[&Line]) -> Markup {
    let Some(line) = lines.first() else { return html! {} };
    let (client, server) = match relation(&line.flow).split_once(" → ") {
        Some((client, server)) => (client.to_owned(), server.to_owned()),
        None => (String::new(), "echo".to_owned()),
    };
    let short = |text: &str| -> String {
        if text.chars().count() > 11 {
            text.chars().take(10).chain(['…']).collect()
        } else {
            text.to_owned()
        }
    };
    let answered = !matches!(idiom, Idiom::OneWay);
    let asks_back = matches!(idiom, Idiom::Peer | Idiom::Undecided);
    html! {
        svg.diagram viewBox="0 0 320 62" role="img" aria-label="Ports of client and server" {
            rect x="1" y="6" width="104" height="50" rx="6" {}
            rect x="215" y="6" width="104" height="50" rx="6" {}
            text.below x="53" y="25" text-anchor="middle" { (if asks_back { "one side" } else { "client" }) }
            text.name x="53" y="44" text-anchor="middle" { (short(&client)) }
            text.below x="267" y="25" text-anchor="middle" { (if asks_back { "other side" } else { "server" }) }
            text.name x="267" y="44" text-anchor="middle" { (short(&server)) }
            path.line d=(if answered { "M105 24H205" } else { "M105 31H205" }) stroke-width="2.5" {}
            polygon points=(if answered { "215,24 204,19 204,29" } else { "215,31 204,26 204,36" }) {}
            @if answered {
                path.back d="M215 42H115" {}
                polygon.back points="105,42 116,37 116,47" {}
            }
        }
    }
}
