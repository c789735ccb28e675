//! What became of the packets of one capture.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use banchi_common::wire::{Bytes, Headers, NO_TRANSPORT, parse};
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use super::Fate;
use crate::capture::Frame;
use crate::learn::{flow, ip};
use crate::policy::model::Transport;

/// Packets that are shown of each kind.
const SHOWN: u64 = 5;
/// Kinds that are told apart.
const KINDS: usize = 4096;

/// Counts of one capture.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The file.
    pub file: PathBuf,
    /// All packets that were read.
    pub packets: u64,
    /// Packets that would not pass.
    pub would_drop: u64,
    /// Packets within one zone, which the gateway does not see; they count as passed.
    pub within_zone: u64,
    /// Packets of which nothing says where they come in; they count as passed.
    pub unplaced: u64,
    /// Packets that would not pass, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// The first packets of each kind.
    pub examples: Vec<Example>,
    /// What another policy does otherwise; `None` without one.
    pub changes: Option<BTreeMap<Change, u64>>,
    shown: BTreeMap<(&'static str, String), u64>,
}

/// What one policy says of a packet, and what the other one says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Reason under the policy that is tested.
    pub now: &'static str,
    /// Reason under the other one.
    pub other: &'static str,
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Its number in the file.
    pub number: u64,
    /// When, in nanoseconds since 1970.
    pub at: u64,
    /// Why it would not pass, or what changes.
    pub why: String,
    /// From where to where.
    pub packet: String,
    /// The rule that is nearest.
    pub rule: Option<String>,
}

impl Tally {
    pub(super) fn of(path: &Path) -> Self {
        Self { file: path.to_owned(), ..Self::default() }
    }

    /// Packets that would pass, or that the gateway does not see.
    pub fn passed(&self) -> u64 {
        self.packets - self.would_drop
    }

    /// Counts a packet, and says whether it is among the first of its kind.
    pub(super) fn count(
        &mut self,
        frame: &Frame,
        fate: &Fate,
        other: Option<&Fate>,
        rule: Option<&str>,
    ) -> bool {
        self.packets += 1;
        self.within_zone += u64::from(*fate == Fate::Within);
        self.unplaced += u64::from(*fate == Fate::Nowhere);
        if fate.against().is_some() {
            self.would_drop += 1;
            *self.reasons.entry(fate.name()).or_default() += 1;
        }
        let shows = match other {
            None => fate.against().is_some(),
            Some(other) => {
                let differs = fate.against().is_some() != other.against().is_some()
                    || fate.against().is_some() && fate.name() != other.name();
                let changes = self.changes.get_or_insert_default();
                if differs {
                    *changes.entry(Change { now: fate.name(), other: other.name() }).or_default() += 1;
                }
                differs
            }
        };
        if !shows {
            return false;
        }
        let kind = (fate.name(), rule.unwrap_or_default().to_owned());
        if self.shown.len() >= KINDS && !self.shown.contains_key(&kind) {
            return false;
        }
        let shown = self.shown.entry(kind).or_default();
        *shown += 1;
        if *shown > SHOWN {
            return false;
        }
        let why = why(fate, other);
        let packet = summary(frame);
        self.examples.push(Example {
            number: frame.number,
            at: frame.at,
            why,
            packet,
            rule: rule.map(str::to_owned),
        });
        true
    }
}

fn why(fate: &Fate, other: Option<&Fate>) -> String {
    match other {
        None => fate.name().to_owned(),
        Some(other) => format!("{} (against: {})", fate.name(), other.name()),
    }
}

/// What a pcapng file says beside a packet.
pub(super) fn comment(fate: &Fate, other: Option<&Fate>, rule: Option<&str>) -> String {
    let verdict = if fate.against().is_some() { "would drop" } else { "passes" };
    let rule = rule.map_or_else(String::new, |rule| format!("; nearest rule: {rule}"));
    format!("banchi: {verdict}: {}{rule}", why(fate, other))
}

/// Addresses and ports of a packet in one line.
fn summary(frame: &Frame) -> String {
    let mut headers = Headers::default();
    let _ = parse(&Bytes(&frame.bytes), &mut headers);
    let mac = |at: usize| {
        let bytes = frame.bytes.get(at..at + 6).unwrap_or_default();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
    };
    if headers.family == 0 {
        return format!("{:#06x} {} > {}", headers.ethertype, mac(6), mac(0));
    }
    let (from, to) = (ip(headers.family, headers.source), ip(headers.family, headers.destination));
    match headers.transport {
        NO_TRANSPORT => format!("ip {} {from} > {to}", headers.protocol),
        number => {
            let name = [Transport::Tcp, Transport::Udp, Transport::Sctp, Transport::Icmp]
                .into_iter()
                .find(|transport| *transport as u8 == number)
                .map_or("", Transport::name);
            let from = std::net::SocketAddr::new(from, headers.source_port);
            let to = std::net::SocketAddr::new(to, headers.destination_port);
            format!("{name} {from} > {to}")
        }
    }
}

impl Serialize for Tally {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Tally", 8)?;
        row.serialize_field("file", &self.file)?;
        row.serialize_field("packets", &self.packets)?;
        row.serialize_field("passed", &self.passed())?;
        row.serialize_field("would_drop", &self.would_drop)?;
        row.serialize_field("reasons", &self.reasons)?;
        row.serialize_field("within_zone", &self.within_zone)?;
        row.serialize_field("unplaced", &self.unplaced)?;
        if let Some(changes) = &self.changes {
            let rows: Vec<serde_json::Value> = changes
                .iter()
                .map(|(change, packets)| serde_json::json!({ "policy": change.now, "against": change.other, "packets": packets }))
                .collect();
            row.serialize_field("changes", &rows)?;
        }
        row.end()
    }
}

impl Example {
    /// One line for a person.
    pub fn line(&self) -> String {
        let rule = self.rule.as_ref().map_or_else(String::new, |rule| format!("  ({rule})"));
        format!("  {:>8}  {}  {}  {}{rule}", self.number, flow::time(self.at), self.packet, self.why)
    }
}
