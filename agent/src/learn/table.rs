//! From packets to tuples: one fixed record for each, in a table of bounded size.
//!
//! When the table is full, tuples that differ in one side's port only are folded into one record (a client that takes a
//! new port for each question, a scan of ports). What finds no place even then is counted and left out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use banchi_common::abi::Transport;
use banchi_common::direction::{Class, Payload, classify};
use banchi_common::wire::{Address, Bytes, Content, Headers, parse, rule_ethertype};
use serde::{Deserialize, Serialize};

use super::asks::{Asks, Elsewhere};
use super::hosts::{Hosts, Station};
use super::key::{End, Key};
use super::probe::{PROBES, Probe, of_port};
use super::side::Side;
use crate::capture::Frame;

/// A tuple folds if at least this many differ in one port.
const FOLD: usize = 64;
/// Different protocols below IP, and stations of each, that are told apart.
const KINDS: usize = 256;
const STATIONS: usize = 64;
/// Payloads that a protocol known by its port may leave undecided before others are tried.
const PATIENCE: u32 = 16;

/// What is known of a tuple.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tuple {
    /// Who.
    pub key: Key,
    /// What each side sent.
    pub sides: [Side; 2],
    /// First and last packet, in nanoseconds since 1970.
    pub first: u64,
    /// See there.
    pub last: u64,
    /// Number of the [`banchi_common::direction::Protocol`] that its payloads are read as; 0 is none.
    pub protocol: u8,
    /// Bit 1 << hour of the day (UTC) in which it was seen.
    pub hours: u32,
    /// Days on which it was seen.
    pub days: u32,
    /// Tuples that are folded into it; 0 is an ordinary one.
    pub folded: u32,
    /// The side that sent its first packet.
    pub starter: usize,
    day: u64,
    probed: u32,
    probe: Option<Box<Probe>>,
}

/// A protocol below IP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Below {
    /// Frames.
    pub frames: u64,
    /// Who sent them, and to whom; the first few.
    pub stations: Vec<([u8; 6], [u8; 6])>,
}

/// Packets that are no flow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Others {
    /// ARP, neighbour discovery, and what keeps a network alive.
    pub survival: u64,
    /// Fragments behind the first.
    pub fragments: u64,
    /// ICMP errors.
    pub icmp_errors: u64,
    /// Truncated or contradictory.
    pub malformed: u64,
    /// IP protocols without ports.
    pub protocols: BTreeMap<u8, u64>,
    /// Neither IP nor ARP.
    pub below: BTreeMap<u16, Below>,
}

/// All tuples.
#[derive(Serialize, Deserialize)]
pub struct Table {
    pub(super) tuples: HashMap<Key, Tuple>,
    pub(super) limit: usize,
    folds: bool,
    /// Protocol of clients' ends over UDP, which speak it on other ports too.
    speakers: HashMap<End, u8>,
    asks: Asks,
    hosts: Hosts,
    pub(super) others: Others,
    pub(super) packets: u64,
    pub(super) left_out: u64,
    span: Option<(u64, u64)>,
}

/// What a table holds in the end, in order.
pub struct Traffic {
    /// Tuples by key.
    pub tuples: Vec<Tuple>,
    /// Answers that went elsewhere than they were asked: by tuple and side.
    pub elsewhere: BTreeMap<(Key, usize), Elsewhere>,
    /// Questions that were answered elsewhere: asker and its port, who was asked and on which port.
    pub answered: BTreeSet<(Address, u16, Address, u16)>,
    /// Hosts and groups.
    pub hosts: Hosts,
    /// Packets that are no flow.
    pub others: Others,
    /// All packets.
    pub packets: u64,
    /// Packets of flows that found no place.
    pub left_out: u64,
    /// First and last time, in nanoseconds since 1970.
    pub span: (u64, u64),
}

impl Table {
    /// An empty table for so many tuples.
    pub fn new(limit: usize) -> Self {
        Self {
            tuples: HashMap::new(),
            limit: limit.max(1),
            folds: false,
            speakers: HashMap::new(),
            asks: Asks::new(limit),
            hosts: Hosts::new(limit),
            others: Others::default(),
            packets: 0,
            left_out: 0,
            span: None,
        }
    }

    /// Takes a packet in.
    pub fn packet(&mut self, frame: &Frame) {
        self.packet_after(frame, [0, 0]);
    }

    /// The same where not all packets are shown: `told` is when its side and the other one spoke last, as
    /// [`Side::last`] has it; 0 is as far as this table knows.
    pub fn packet_after(&mut self, frame: &Frame, told: [u64; 2]) {
        self.packets += 1;
        self.spans(frame.at);
        let bytes = Bytes(&frame.bytes);
        let mut headers = Headers::default();
        match parse(&bytes, &mut headers) {
            Content::Flow => self.flow(frame, &bytes, &headers, told),
            Content::LaterFragment => self.others.fragments += 1,
            Content::IcmpError => self.others.icmp_errors += 1,
            Content::OtherProtocol => *self.others.protocols.entry(headers.protocol).or_default() += 1,
            Content::Survival | Content::Arp | Content::Neighbour => self.others.survival += 1,
            Content::Malformed => self.others.malformed += 1,
            Content::OtherEthertype => self.below(&bytes, &headers),
        }
    }

    pub(super) fn spans(&mut self, at: u64) {
        let span = self.span.get_or_insert((at, at));
        *span = (span.0.min(at), span.1.max(at));
    }

    fn below(&mut self, bytes: &Bytes<'_>, headers: &Headers) {
        let kind = rule_ethertype(bytes, headers);
        if self.others.below.len() >= KINDS && !self.others.below.contains_key(&kind) {
            return;
        }
        let row = self.others.below.entry(kind).or_default();
        row.frames += 1;
        let mac = |at: usize| bytes.0.get(at..at + 6).and_then(|mac| mac.try_into().ok());
        if let (Some(to), Some(from)) = (mac(0), mac(6))
            && row.stations.len() < STATIONS
            && !row.stations.contains(&(from, to))
        {
            row.stations.push((from, to));
        }
    }

    fn flow(&mut self, frame: &Frame, bytes: &Bytes<'_>, headers: &Headers, told: [u64; 2]) {
        let (key, side) = Key::of(headers);
        let Some(key) = self.place(key, side, frame.at) else {
            self.left_out += 1;
            return;
        };
        let station = Station::of(frame, headers);
        let to_group = self.hosts.is_group(bytes, headers);
        let Some(tuple) = self.tuples.get_mut(&key) else { return };
        tuple.seen(frame.at);
        let [low, high] = &mut tuple.sides;
        let (mine, other) = if side == 0 { (low, high) } else { (high, low) };
        mine.last = mine.last.max(told[0]);
        other.last = other.last.max(told[1]);
        let fingerprint = station.fingerprint();
        if mine.station != fingerprint {
            mine.station = fingerprint;
            self.hosts.seen(headers, station, frame.at);
        }
        let flags = if key.transport == Transport::Tcp as u8 { headers.tcp_flags | 0x80 } else { 0 };
        let end = headers.end as usize;
        mine.sent(frame.at, other.last, flags, end.saturating_sub(headers.payload as usize) as u64);
        let alone = other.packets == 0;
        // What was not captured has a length all the same.
        let start = headers.payload as usize;
        let payload = Payload::of_length(bytes, start, end.min(frame.captured()), end.saturating_sub(start));
        let class = if payload.is_empty() {
            echo(headers)
        } else if headers.fragment == 0 {
            tuple.class(&payload, side)
        } else {
            tuple.class(&Payload::of(bytes, headers), side)
        };
        if key.transport == Transport::Udp as u8 && key.ends.iter().all(|end| end.port != 0) {
            self.asks.packet(&key, side, class, frame.at, alone, to_group);
        }
    }

    /// The key under which a packet is counted; `None` where there is no place.
    pub(super) fn place(&mut self, key: Key, side: usize, at: u64) -> Option<Key> {
        if self.tuples.contains_key(&key) {
            return Some(key);
        }
        if self.tuples.len() >= self.limit && !self.folds {
            self.fold();
        }
        if self.folds
            && let Some(folded) =
                [0, 1].map(|side| key.folded(side)).into_iter().find(|k| self.tuples.contains_key(k))
        {
            if let Some(tuple) = self.tuples.get_mut(&folded) {
                tuple.folded = tuple.folded.saturating_add(1);
            }
            return Some(folded);
        }
        if self.tuples.len() >= self.limit {
            return None;
        }
        let mut tuple = Tuple::new(key, side, at);
        self.name(&mut tuple, side);
        self.tuples.insert(key, tuple);
        Some(key)
    }

    /// The protocol of a new tuple, by its ports, or over UDP by what its ends speak elsewhere.
    fn name(&mut self, tuple: &mut Tuple, sender: usize) {
        let key = &tuple.key;
        for side in [1 - sender, sender] {
            let protocol = of_port(key.transport, key.port(side));
            if protocol != 0 {
                tuple.protocol = protocol;
                if key.transport == Transport::Udp as u8 && self.speakers.len() < self.limit {
                    self.speakers.insert(key.end(1 - side), protocol);
                }
                return;
            }
        }
        if key.transport == Transport::Udp as u8 {
            let known = [0, 1].into_iter().find_map(|side| self.speakers.get(&key.end(side)));
            tuple.protocol = known.copied().unwrap_or(0);
        }
    }

    /// Folds tuples that differ in one port only.
    fn fold(&mut self) {
        self.folds = true;
        let mut members: HashMap<Key, usize> = HashMap::new();
        for key in self.tuples.keys() {
            for side in [0, 1] {
                *members.entry(key.folded(side)).or_default() += 1;
            }
        }
        members.retain(|_, count| *count >= FOLD);
        let mut folded: HashMap<Key, Tuple> = HashMap::new();
        self.tuples.retain(|key, tuple| {
            let candidates = [0, 1].map(|side| key.folded(side));
            let best = candidates.into_iter().filter_map(|k| Some((*members.get(&k)?, k))).max();
            let Some((_, into)) = best else { return true };
            tuple.settle();
            match folded.get_mut(&into) {
                Some(whole) => whole.absorb(tuple),
                None => {
                    let whole = Tuple { key: into, folded: 1, probe: None, ..tuple.clone() };
                    folded.insert(into, whole);
                }
            }
            false
        });
        self.tuples.extend(folded);
        self.tuples.shrink_to_fit();
    }

    /// All that was seen.
    pub fn finish(self) -> Traffic {
        let mut tuples: Vec<Tuple> = self.tuples.into_values().collect();
        tuples.iter_mut().for_each(Tuple::settle);
        tuples.sort_unstable_by_key(|tuple| tuple.key);
        Traffic {
            tuples,
            answered: self.asks.answered(),
            elsewhere: self.asks.finish(),
            hosts: self.hosts,
            others: self.others,
            packets: self.packets,
            left_out: self.left_out,
            span: self.span.unwrap_or_default(),
        }
    }
}

/// Class of what carries nothing: an ICMP echo asks by its type.
fn echo(headers: &Headers) -> Class {
    match (headers.transport == Transport::Icmp as u8, headers.icmp_type) {
        (true, 8 | 128) => Class::Request,
        (true, 0 | 129) => Class::Response,
        _ => Class::Undecidable,
    }
}

impl Tuple {
    fn new(key: Key, starter: usize, at: u64) -> Self {
        Self {
            key,
            sides: [Side::default(); 2],
            first: at,
            last: at,
            protocol: 0,
            hours: 0,
            days: 0,
            folded: 0,
            starter,
            day: u64::MAX,
            probed: 0,
            probe: None,
        }
    }

    pub(super) fn seen(&mut self, at: u64) {
        const HOUR: u64 = 3_600_000_000_000;
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        let hour = at / HOUR;
        self.hours |= 1 << (hour % 24);
        if hour / 24 != self.day {
            self.day = hour / 24;
            self.days = self.days.saturating_add(1);
        }
    }

    /// Class of a payload of a side, after looking for the protocol.
    fn class(&mut self, payload: &Payload<'_, Bytes<'_>>, side: usize) -> Class {
        let transport = self.key.transport;
        if transport > Transport::Udp as u8 {
            return Class::Undecidable;
        }
        if self.probed < PROBES && (self.protocol == 0 || self.probe.is_some()) {
            self.probe.get_or_insert_with(Probe::new).look(payload, transport, side);
        }
        self.probed = self.probed.saturating_add(1);
        if self.probed == PROBES {
            self.settle();
        }
        if self.protocol == 0 {
            return Class::Undecidable;
        }
        let class = classify(payload, transport, self.protocol, u32::MAX);
        if let Some(side) = self.sides.get_mut(side) {
            side.classified(class);
        }
        if self.probed == PATIENCE && self.decided() == 0 {
            // The port is that of a protocol, and the payloads are not.
            (self.protocol, self.probed) = (0, 1);
            self.sides.iter_mut().for_each(|side| side.classes = [0; 4]);
        }
        class
    }

    fn decided(&self) -> u32 {
        let classes = self.sides.iter().flat_map(|side| side.classes.iter().skip(1));
        classes.fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Ends the search for the protocol.
    fn settle(&mut self) {
        let Some(probe) = self.probe.take() else { return };
        self.probed = self.probed.max(PROBES);
        if let Some((protocol, classes)) = probe.best().filter(|_| self.protocol == 0) {
            self.protocol = protocol as u8;
            for (side, counted) in self.sides.iter_mut().zip(classes) {
                side.classes = counted.map(u32::from);
            }
        }
    }

    fn absorb(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.hours |= other.hours;
        self.days = self.days.max(other.days);
        self.folded = self.folded.saturating_add(1);
        if self.protocol == 0 {
            self.protocol = other.protocol;
        }
        for (mine, more) in self.sides.iter_mut().zip(&other.sides) {
            mine.absorb(more);
        }
    }
}
