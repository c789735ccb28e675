//! Conversations, and who asks in them.
//!
//! An event is of one packet, and often of one direction. What begins a connection tells most, then what the payload
//! shows itself as, then the rule; where none of these is known, ports tell, and at last who was heard first.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use banchi_common::reason::Reason;
use banchi_common::wire::Content;
use serde::Serialize;

use super::event::{Event, Kind};
use crate::policy::catalogue;
use crate::policy::model::{Policy, ServerPort, Service};

/// Conversations that are kept apart.
const MOST: usize = 50_000;
/// Ports of a range from which on it says nothing of a service.
const WIDE: u16 = 64;
/// Bits of TCP flags.
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// An address, and a port where there is one and it is known.
pub(super) type End = (IpAddr, Option<u16>);

/// What one end sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Side {
    pub(super) packets: u64,
    pub(super) first: Option<String>,
    /// The last event that is of a packet.
    pub(super) latest: Option<Box<Event>>,
    opens: bool,
    accepts: bool,
    asks: bool,
    answers: bool,
}

/// A conversation of two ends, the lower one first.
#[derive(Debug, Clone)]
pub(super) struct Talk {
    pub(super) transport: String,
    pub(super) ends: [End; 2],
    pub(super) sides: [Side; 2],
    pub(super) first: String,
    pub(super) last: String,
}

/// Why one side is taken for the one that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It opened the connection.
    Opened,
    /// The payload shows itself as a question, or an answer.
    Payload,
    /// It fits the client of a rule.
    Rule,
    /// Others ask the same port.
    Others,
    /// The port is that of a known service.
    Port,
    /// Its own port varies from packet to packet.
    Noise,
    /// It was heard first: a guess.
    First,
}

impl Why {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Opened => "it opened the connection",
            Self::Payload => "the payload shows who asks",
            Self::Rule => "it stands where the client of a rule does",
            Self::Others => "other conversations were opened to the same port",
            Self::Port => "the port is that of a known service",
            Self::Noise => "its own port varies",
            Self::First => "it was heard first, which is a guess",
        }
    }
}

/// All conversations.
#[derive(Debug, Clone, Default)]
pub(super) struct Talks {
    known: BTreeMap<(String, End, End), Talk>,
    /// Events of conversations beyond [`MOST`].
    pub(super) left_out: u64,
}

impl Talks {
    /// Takes an event in that has two addresses.
    pub(super) fn add(&mut self, event: Event) {
        let (Some(src), Some(dst), Some(transport)) = (event.src, event.dst, event.transport.clone()) else {
            return;
        };
        let (from, to) = ((src, event.src_port), (dst, event.dst_port));
        let ends = [from.min(to), from.max(to)];
        let key = (transport, ends[0], ends[1]);
        if self.known.len() >= MOST && !self.known.contains_key(&key) {
            self.left_out = self.left_out.saturating_add(event.packets());
            return;
        }
        let talk = self.known.entry(key.clone()).or_insert_with(|| Talk {
            transport: key.0,
            ends,
            sides: Default::default(),
            first: event.time.clone(),
            last: event.time.clone(),
        });
        talk.add(event, usize::from(from != ends[0]));
    }

    /// Each conversation with the place of the end that answers.
    pub(super) fn decided(self, policy: &Policy) -> Vec<(Talk, usize, Why)> {
        let mut served: BTreeSet<(&str, End)> = BTreeSet::new();
        for talk in self.known.values() {
            if let Some((at, _)) = talk.evidence() {
                served.insert((&talk.transport, talk.ends_by_role(at).1));
            }
        }
        let places: Vec<(usize, Why)> =
            self.known.values().map(|talk| talk.server(policy, &served)).collect();
        self.known.into_values().zip(places).map(|(talk, (at, why))| (talk, at, why)).collect()
    }
}

impl Talk {
    /// The last event, for preference one of a packet.
    pub(super) fn latest(&self) -> Option<&Event> {
        let [low, high] = &self.sides;
        match (low.latest.as_deref(), high.latest.as_deref()) {
            (Some(low), Some(high)) if low.time < high.time => Some(high),
            (low, high) => low.or(high),
        }
    }

    /// Why its packets deviate.
    pub(super) fn reasons(&self) -> Vec<Reason> {
        self.sides.iter().filter_map(|side| Some(side.latest.as_ref()?.reason)).collect()
    }

    /// The end that asks, and the one that answers.
    pub(super) fn ends_by_role(&self, server: usize) -> (End, End) {
        let [low, high] = self.ends;
        if server == 1 { (low, high) } else { (high, low) }
    }

    fn add(&mut self, event: Event, from: usize) {
        if event.time < self.first {
            self.first.clone_from(&event.time);
        }
        if event.time > self.last {
            self.last.clone_from(&event.time);
        }
        let Some(side) = self.sides.get_mut(from) else { return };
        side.packets = side.packets.saturating_add(event.packets());
        if side.first.as_ref().is_none_or(|first| event.time < *first) {
            side.first = Some(event.time.clone());
        }
        match event.class.as_deref() {
            Some("request") => side.asks = true,
            Some("response") => side.answers = true,
            _ => {}
        }
        if event.kind == Kind::Repeats {
            if side.latest.is_none() {
                side.latest = Some(Box::new(event));
            }
            return;
        }
        let (content, headers) = event.headers();
        if content == Content::Flow && headers.protocol == 6 && headers.fragment == 0 {
            side.opens |= headers.tcp_flags & (SYN | ACK) == SYN;
            side.accepts |= headers.tcp_flags & (SYN | ACK) == SYN | ACK;
        }
        // ICMP echo says it by its type.
        side.opens |= matches!((headers.protocol, headers.icmp_type), (1, 8) | (58, 128));
        side.accepts |= matches!((headers.protocol, headers.icmp_type), (1, 0) | (58, 129));
        let is_older = |latest: &Event| latest.kind == Kind::Repeats || latest.time <= event.time;
        if side.latest.as_deref().is_none_or(is_older) {
            side.latest = Some(Box::new(event));
        }
    }

    /// The end that answers, where its own packets tell.
    fn evidence(&self) -> Option<(usize, Why)> {
        let [low, high] = &self.sides;
        let rule =
            |side: &Side, word: &str| side.latest.as_ref().is_some_and(|event| event.orientation == word);
        let votes = [
            (low.opens || high.accepts, high.opens || low.accepts, Why::Opened),
            (low.asks || high.answers, high.asks || low.answers, Why::Payload),
            (
                rule(low, "forward") || rule(high, "return"),
                rule(high, "forward") || rule(low, "return"),
                Why::Rule,
            ),
        ];
        votes.into_iter().find_map(|(low_asks, high_asks, why)| match (low_asks, high_asks) {
            (true, false) => Some((1, why)),
            (false, true) => Some((0, why)),
            _ => None,
        })
    }

    fn server(&self, policy: &Policy, served: &BTreeSet<(&str, End)>) -> (usize, Why) {
        if let Some(found) = self.evidence() {
            return found;
        }
        let one = |holds: &dyn Fn(End) -> bool| match self.ends.map(holds) {
            [true, false] => Some(0),
            [false, true] => Some(1),
            _ => None,
        };
        let transport = self.transport.as_str();
        if let Some(at) = one(&|end| served.contains(&(transport, end))) {
            return (at, Why::Others);
        }
        if let Some(at) = one(&|(_, port)| port.is_some_and(|port| is_known(policy, transport, port))) {
            return (at, Why::Port);
        }
        // A count of repeats has no port where the port is noise. How many conversations end at a port says nothing more:
        // a client with one port and many servers looks like a server with many clients.
        match self.ends.map(|(_, port)| port.is_some()) {
            [true, false] => return (0, Why::Noise),
            [false, true] => return (1, Why::Noise),
            _ => {}
        }
        let [low, high] = &self.sides;
        let low_first = match (&low.first, &high.first) {
            (Some(low), Some(high)) => low <= high,
            (low, _) => low.is_some(),
        };
        (usize::from(low_first), Why::First)
    }
}

/// Whether a service of the policy or the catalogue is asked on a port.
fn is_known(policy: &Policy, transport: &str, port: u16) -> bool {
    let fits = |service: &Service| service.transport.name() == transport && has_port(service, port);
    policy.services.iter().any(fits) || catalogue::entries().iter().any(|entry| fits(&entry.service))
}

/// Whether a port is one of a service's, where it has a set of them.
fn has_port(service: &Service, port: u16) -> bool {
    match &service.port {
        // A range as wide as that of dynamic ports says nothing.
        ServerPort::Set(ranges) => ranges
            .iter()
            .any(|range| (range.first..=range.last).contains(&port) && range.last - range.first < WIDE),
        ServerPort::ByAddress(table) => table.values().any(|known| *known == port),
        ServerPort::Any | ServerPort::Linked { .. } => false,
    }
}
