//! A flow: who asks whom, from which ports to which, and how that is known.

use std::collections::BTreeSet;
use std::net::IpAddr;

use banchi_common::abi::Transport;
use banchi_common::direction::Protocol;
use serde::Serialize;
use serde::ser::{SerializeStruct as _, Serializer};

use super::linked::Link;

/// Most ports that are listed one by one.
pub const LISTED: usize = 64;

/// Ports of one side of a flow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ports {
    /// These.
    Set(BTreeSet<u16>),
    /// A client's that mean nothing.
    Any,
    /// A server's that follow from its address.
    Linked(u16),
}

impl Serialize for Ports {
    /// A number, a list of numbers, `"any"` or `"linked"`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => serializer.serialize_str("any"),
            Self::Linked(_) => serializer.serialize_str("linked"),
            Self::Set(ports) => match ports.first() {
                Some(port) if ports.len() == 1 => serializer.serialize_u16(*port),
                _ => serializer.collect_seq(ports),
            },
        }
    }
}

/// How the ports of a flow behave, or that its direction is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Idiom {
    /// The server's port is known, and the client's means nothing.
    Ordinary,
    /// Both ports are the same.
    SamePort,
    /// The client's port is fixed.
    PinnedSource,
    /// The server's port follows from its address.
    AddressLinked,
    /// Only one side sends.
    OneWay,
    /// Either side asks.
    Peer,
    /// What was seen does not tell who asks.
    Undecided,
}

impl Idiom {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::SamePort => "same-port",
            Self::PinnedSource => "pinned-source",
            Self::AddressLinked => "address-linked",
            Self::OneWay => "one-way",
            Self::Peer => "peer",
            Self::Undecided => "undecided",
        }
    }
}

/// A flow between two hosts, or from a host to a group.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// Who asks.
    pub client: IpAddr,
    /// Who answers.
    pub server: IpAddr,
    /// What carries it.
    pub transport: Transport,
    /// Where questions come from.
    pub client_port: Ports,
    /// Where they go to.
    pub server_port: Ports,
    /// How its ports behave.
    pub idiom: Idiom,
    /// What its payloads were read as.
    pub protocol: Option<Protocol>,
    /// Name of its service: of the catalogue, of a protocol, or of an IT service.
    pub service: Option<String>,
    /// Why this way round, strongest first, in words.
    pub evidence: Vec<String>,
    /// From 0 to 1.
    pub confidence: f64,
    /// Packets of both sides, and those of the server.
    pub packets: u64,
    /// See there.
    pub answers: u64,
    /// Bytes that the transport carried, of both sides.
    pub bytes: u64,
    /// First and last packet, in nanoseconds since 1970.
    pub first: u64,
    /// See there.
    pub last: u64,
    /// Bits of the hours of the day (UTC), and the number of days.
    pub hours: u32,
    /// See there.
    pub days: u32,
    /// The relation of the server's port to its address.
    pub link: Option<Link>,
    /// The server is a group or a broadcast address.
    pub to_group: bool,
    /// Server ports that only answers came from.
    pub reply_from: BTreeSet<u16>,
    /// Groups that its answers went to.
    pub reply_to: BTreeSet<IpAddr>,
    /// Groups that were asked in the server's place.
    pub asked_groups: BTreeSet<IpAddr>,
    /// Payloads of each class, by the client and by the server: request, response, notification, undecidable.
    pub classes: [[u32; 4]; 2],
    /// Different ports of the client that were seen.
    pub client_ports: usize,
    /// Tuples.
    pub tuples: usize,
    /// Its period in seconds, if it has one.
    pub period: Option<f32>,
    /// Longest time in nanoseconds from the client's last packet to one of the server.
    pub longest_wait: u64,
    /// The server spoke before its client did.
    pub server_first: bool,
    /// The port of a server changes with each session.
    pub allotted: bool,
    /// The server never sent anything.
    pub unanswered: bool,
    /// Openings that the server did not accept.
    pub refused: bool,
    /// A station that answers off its relation, or on a second port beside it.
    pub exception: bool,
}

impl Serialize for Flow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_struct("Flow", 12)?;
        row.serialize_field("client", &self.client)?;
        row.serialize_field("server", &self.server)?;
        row.serialize_field("transport", self.transport.name())?;
        row.serialize_field("client_port", &self.client_port)?;
        row.serialize_field("server_port", &self.server_port)?;
        row.serialize_field("idiom", &self.idiom)?;
        row.serialize_field("protocol", &self.service)?;
        row.serialize_field("direction_evidence", &self.evidence)?;
        row.serialize_field("confidence", &((self.confidence * 1000.0).round() / 1000.0))?;
        row.serialize_field("packets", &self.packets)?;
        row.serialize_field("first_seen", &time(self.first))?;
        row.serialize_field("last_seen", &time(self.last))?;
        row.end()
    }
}

/// Nanoseconds since 1970 as RFC 3339, in microseconds and UTC.
pub fn time(nanoseconds: u64) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default();
    format!("{at:.6}")
}
