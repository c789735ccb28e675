//! What the report is made from, and what it does not know.

use maud::html;

use super::words::count;
use super::{Report, Section};

/// The section.
pub(super) fn section(report: &Report<'_>) -> Section {
    let gathered = &report.gathered;
    let body = html! {
        div.wide { table.stack {
            thead { tr { th { "Capture" } th.n { "Packets" } } }
            tbody { @for (name, packets) in &report.captures { tr { td data-h="Capture" { (name) } td.n data-h="Packets" { (count(*packets)) } } } }
        } }
        ul {
            li { "Who asks is found by evidence: openings, payloads of known protocols, timing, ports that are kept. That a port looks ephemeral is none. Confidence orders flows and is no probability." }
            li { "Every packet went through the decision that the kernel would make"
                @if gathered.within > 0 { "; " (count(gathered.within)) " stay within a zone, which a gateway does not see" }
                @if gathered.unplaced > 0 { "; of " (count(gathered.unplaced)) " nothing says where they come from" }
                ". Windows for answers are not tried: that needs the kernel, and " code { "banchi backtest" } "." }
            li { "What is not in the captures is not in the report. Captures of a mirror port may miss what the gateway itself drops." }
            li { "Volumes are what the transport carried, without headers. Times are in UTC." }
        }
    };
    Section { id: "method", title: "Sources and limits", body }
}
