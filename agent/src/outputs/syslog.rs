//! Messages of RFC 5424, with structured data.

use super::meaning;
use crate::config::Facility;
use crate::events::Report;

/// Name of the structured data. The number is the one that RFC 5612 leaves to documentation: the project has none.
const DATA: &str = "banchi@32473";

/// Writes messages of this process.
#[derive(Debug, Clone)]
pub struct Syslog {
    facility: Facility,
    host: String,
    process: u32,
}

impl Syslog {
    /// Messages of this host and process.
    pub fn new(facility: Facility) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self::of(facility, &host, std::process::id())
    }

    /// The same of another one.
    pub fn of(facility: Facility, host: &str, process: u32) -> Self {
        let host: String = host.chars().filter(char::is_ascii_graphic).take(255).collect();
        let host = if host.is_empty() { "-".to_owned() } else { host };
        Self { facility, host, process }
    }

    /// One message, without framing.
    pub fn message(&self, report: &Report) -> String {
        let about = report.reason.about();
        let severity = meaning::priority(report.reason, report.verdict);
        let mut text = format!(
            "<{}>1 {} {} banchi {} {} [{DATA}",
            u16::from(self.facility.0) * 8 + u16::from(severity),
            report.time,
            self.host,
            self.process,
            about.name,
        );
        let mut set = |key: &str, value: Option<&str>| {
            if let Some(value) = value {
                text.push_str(&format!(" {key}=\"{}\"", escape(value)));
            }
        };
        set("kind", Some(if report.kind == crate::events::Kind::Repeats { "repeats" } else { "deviation" }));
        set("verdict", Some(meaning::verdict_word(report.verdict)));
        set("mode", Some(meaning::mode_word(report.mode)));
        set("conduit", report.conduit.as_deref());
        set("zone", report.zone.as_deref());
        set("destination_zone", report.destination_zone.as_deref());
        set("src", report.src.map(|address| address.to_string()).as_deref());
        set("src_port", report.src_port.map(|port| port.to_string()).as_deref());
        set("dst", report.dst.map(|address| address.to_string()).as_deref());
        set("dst_port", report.dst_port.map(|port| port.to_string()).as_deref());
        set("transport", report.transport.as_deref());
        set("ethertype", Some(&report.ethertype));
        let vlans: Vec<String> = report.vlans.iter().map(u16::to_string).collect();
        set("vlans", (!vlans.is_empty()).then(|| vlans.join(",")).as_deref());
        set("interface", report.interface.as_deref());
        set("protocol", report.protocol);
        set("class", report.class.map(|class| class.name()));
        set("rule", report.rule.as_deref());
        set("repeats", Some(&report.repeats.to_string()));
        set("length", Some(&report.length.to_string()));
        text.push_str("] ");
        let words = format!("{}: {}", report.line(), report.text);
        if !words.is_ascii() {
            text.push('\u{feff}');
        }
        text.push_str(&words);
        text
    }
}

/// RFC 5424, section 6.3.3. What would end a line elsewhere becomes a space.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '"' | '\\' | ']' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
