//! All flows as a table.

use maud::{Markup, html};

use super::gather::Line;
use super::words::{bytes, count, minute, relation, sign};
use super::{ROWS, Report, Section, more};

/// What a search looks at: everything that names the flow, in small letters.
pub(super) fn searched(report: &Report<'_>, line: &Line) -> String {
    let flow = &line.flow;
    let mut text = format!(
        "{} {} {} {} {} {} {} {} {} {} ",
        line.names[0],
        line.names[1],
        flow.client,
        flow.server,
        report.service(line),
        flow.transport.name(),
        relation(flow),
        flow.idiom.name(),
        report.conduit(line),
        report.rule(line).unwrap_or_default()
    );
    for reason in line.reasons.keys() {
        text += reason;
        text.push(' ');
    }
    text.to_lowercase()
}

/// A host: its name, and its address where that says something else.
pub(super) fn host(line: &Line, end: usize) -> Markup {
    let address = if end == 0 { line.flow.client } else { line.flow.server }.to_string();
    let name = line.names.get(end).map_or("", String::as_str);
    html! {
        (name)
        @if name != address { " " small { (address) } }
    }
}

/// The sign and the word of an idiom.
pub(super) fn idiom(line: &Line) -> Markup {
    let idiom = line.flow.idiom;
    html! { span.idiom.{ "i-" (idiom.name()) } { span.sign { (sign(idiom)) } " " (idiom.name()) } }
}

/// Whether a flow passes, as a badge that also has a sign.
pub(super) fn badge(line: &Line) -> Markup {
    use super::gather::State;
    match line.state() {
        State::Passes => html! { span.badge.good { "✓ passes" } },
        State::Deviates => html! { span.badge.poor { "✕ deviates" } },
        State::Unseen => html! { span.badge.none { "– not seen" } },
    }
}

/// The section.
pub(super) fn section(report: &Report<'_>) -> Section {
    let lines = &report.gathered.lines;
    let body = html! {
        p.lead { (count(lines.len() as u64)) " flows, those with the most packets first. Search and filters of the map work here too." }
        div.wide { table.stack {
            thead { tr { th { "Client" } th { "Server" } th { "Service" } th { "Ports" } th { "Idiom" } th.n { "Packets" } th.n { "Volume" } th { "Seen" } th { "Policy" } } }
            tbody {
                @for line in lines.iter().take(ROWS) {
                    tr.flow data-find=(searched(report, line)) data-idiom=(line.flow.idiom.name()) data-state=(line.state().name())
                        data-conduit=(line.conduit.map_or_else(|| "none".to_owned(), |conduit| conduit.to_string())) {
                        td data-h="Client" { (host(line, 0)) }
                        td data-h="Server" { (host(line, 1)) }
                        td data-h="Service" { (report.service(line)) }
                        td data-h="Ports" { span.nowrap { (line.flow.transport.name()) " " (relation(&line.flow)) } }
                        td data-h="Idiom" { (idiom(line)) }
                        td.n data-h="Packets" { (count(line.flow.packets)) }
                        td.n data-h="Volume" { span.nowrap { (bytes(line.flow.bytes)) } }
                        td data-h="Seen" { span.nowrap { (minute(line.flow.first)) } " – " span.nowrap { (minute(line.flow.last)) } }
                        td data-h="Policy" { (badge(line)) }
                    }
                }
            }
        } }
        (more(lines.len(), ROWS, "flows"))
    };
    Section { id: "flows", title: "All flows", body }
}
