//! An event as it is shown, and what there is to say of it.

use std::net::IpAddr;

use banchi_common::abi::Transport;
use banchi_common::reason::{About, REASONS, Verdict};
use serde::Deserialize;

use crate::events::packet;
use crate::explain::{Question, fit_of, in_words};
use crate::policy::model::Policy;

/// One event: what is looked at of a line of `banchi events --json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Anomaly {
    /// `deviation` or `repeats`.
    pub kind: String,
    /// When, RFC 3339.
    pub time: String,
    /// Name of the reason.
    pub reason: String,
    /// What became of the packet.
    pub verdict: Verdict,
    /// The part of the packet that deviates.
    pub field: String,
    /// Conduit, or null.
    pub conduit: Option<String>,
    /// Zone that it came from, or null.
    pub zone: Option<String>,
    /// Zone of its destination, or null.
    pub destination_zone: Option<String>,
    /// Source address, or null.
    pub src: Option<IpAddr>,
    /// Destination address, or null.
    pub dst: Option<IpAddr>,
    /// Source port, or null.
    pub src_port: Option<u16>,
    /// Destination port, or null.
    pub dst_port: Option<u16>,
    /// Protocol, or null.
    pub transport: Option<String>,
    /// EtherType.
    pub ethertype: String,
    /// VIDs, outer first.
    pub vlans: Vec<u16>,
    /// Name of the interface, or null.
    pub interface: Option<String>,
    /// What the payload shows itself as, or null.
    pub class: Option<String>,
    /// The rule that fits best, or null.
    pub rule: Option<String>,
    /// Its line in the policy, or null.
    pub rule_line: Option<usize>,
    /// Packets like it that were counted only.
    pub repeats: u64,
    /// What happened, in one sentence.
    pub text: String,
}

impl Anomaly {
    /// An event by its line of JSON; `None` where it is none.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// Who sends to whom.
    pub(super) fn packet(&self) -> String {
        packet(
            self.transport.as_deref(),
            (self.src, self.src_port),
            (self.dst, self.dst_port),
            &self.ethertype,
        )
        .to_string()
    }

    /// The time of day, to the second.
    pub(super) fn clock(&self) -> &str {
        self.time.get(11..19).unwrap_or(&self.time)
    }

    /// Packets that it stands for besides itself.
    pub(super) fn more(&self) -> String {
        match (self.repeats, self.kind == "repeats") {
            (0, _) => String::new(),
            (count, true) => format!("{count} more like it"),
            (count, false) => format!("+{count} before"),
        }
    }

    fn about(&self) -> Option<&'static About> {
        REASONS.iter().find(|about| about.name == self.reason)
    }

    /// Whether somebody has to do with it, and not only the log.
    pub(super) fn deviates(&self) -> bool {
        self.about().is_none_or(|about| !about.reason.passes())
    }

    /// The packet as `banchi explain` would be asked for it; `None` where no such question can be put.
    fn question(&self) -> Option<Question> {
        let transport = match self.transport.as_deref()? {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            "sctp" => Transport::Sctp,
            "icmp" | "icmpv6" => Transport::Icmp,
            _ => return None,
        };
        let ports = transport != Transport::Icmp;
        let port = |port: Option<u16>| if ports { port } else { Some(0) };
        Some(Question {
            transport,
            source: self.src?,
            source_port: port(self.src_port)?,
            destination: self.dst?,
            destination_port: port(self.dst_port)?,
            // The data plane has seen the flags; it says what it made of them.
            opens: self.reason == "reversed-direction",
            mac: None,
            payload: Vec::new(),
        })
    }

    /// The part of the packet that deviates, with its value where the event has it.
    fn deviating(&self) -> String {
        let value = match self.field.as_str() {
            "source" => self.src.map(|address| address.to_string()),
            "destination" => self.dst.map(|address| address.to_string()),
            "source-port" => self.src_port.map(|port| port.to_string()),
            "ethertype" => Some(self.ethertype.clone()),
            "protocol" => self.transport.clone(),
            _ => None,
        };
        let field = self.field.replace('-', " ");
        value.map_or(field.clone(), |value| format!("{field} {value}"))
    }

    /// What there is to say, as labels with texts: the most important first.
    pub(super) fn explanation(&self, policy: Option<&Policy>) -> Vec<(&'static str, String)> {
        let mut lines = vec![("", in_words(self.verdict).to_owned())];
        let question = self.question();
        let fit = match (&self.rule, policy, &question) {
            (Some(rule), Some(policy), Some(question)) => fit_of(policy, question, rule),
            _ => None,
        };
        let misses = fit.iter().flat_map(|fit| &fit.fields).filter(|field| !field.fits);
        let misses: Vec<String> = misses.map(|field| format!("{} {}", field.field, field.words())).collect();
        let mut deviates = match (misses.as_slice(), self.field.as_str()) {
            ([], "none") => Vec::new(),
            ([], _) => vec![self.deviating()],
            (misses, _) => misses.to_vec(),
        };
        if let Some(rule) = &self.rule {
            let line = self.rule_line.map_or_else(String::new, |line| format!(" (line {line})"));
            deviates.push(format!("nearest: {rule}{line}"));
        }
        if !deviates.is_empty() {
            lines.push(("deviates", deviates.join("; ")));
        }
        lines.push(("reason", format!("{}: {}", self.reason, self.text)));
        if let Some(advice) = self.about().map(|about| about.advice).filter(|advice| !advice.is_empty()) {
            lines.push(("look at", advice.to_owned()));
        }
        if let Some(class) = &self.class {
            lines.push(("payload", class.clone()));
        }
        let (from, to) = (self.zone.as_deref(), self.destination_zone.as_deref());
        let mut way = format!("zone {}", from.unwrap_or("none"));
        if let Some(to) = to {
            way.push_str(&format!(" to {to}"));
        }
        if let Some(interface) = &self.interface {
            way.push_str(&format!(", by {interface}"));
        }
        for vid in &self.vlans {
            way.push_str(&format!(", VLAN {vid}"));
        }
        if let Some(conduit) = &self.conduit {
            way.push_str(&format!(", conduit {conduit}"));
        }
        lines.push(("from", way));
        lines.push(("time", self.time.clone()));
        if let Some(question) = question {
            lines.push(("more", format!("banchi explain \"{question}\"")));
        }
        if self.repeats > 0 {
            lines.push(("packets", self.more()));
        }
        lines
    }
}
