//! Packets that were counted and not shown: what the observer in the kernel says of them goes to the same tuples.

use banchi_common::abi::{SightKey, SightSide};
use banchi_common::wire::{Address, Content};

use super::key::{End, Key};
use super::side::Side;
use super::table::Table;

/// Packets of one tuple, or of one kind that is no flow, that were counted together.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// Who, or which kind.
    pub key: SightKey,
    /// What each end sent; times are nanoseconds since 1970, and 0 is never.
    pub sides: [SightSide; 2],
    /// When the first packet came, nanoseconds since 1970.
    pub first: u64,
}

impl Counted {
    fn packets(&self) -> u64 {
        self.sides.iter().map(|side| side.packets).sum()
    }

    fn tuple(&self) -> Key {
        let end = |[hi, lo]: [u64; 2], port| End { address: Address { hi, lo }, port };
        let ([low, high], [from, to]) = (self.key.ends, self.key.ports);
        Key { transport: self.key.transport, family: self.key.family, ends: [end(low, from), end(high, to)] }
    }
}

impl Table {
    /// Counts packets of which nothing else is known.
    pub(super) fn missed(&mut self, packets: u64) {
        self.packets += packets;
        self.left_out += packets;
    }

    /// Packets so far, and tuples.
    pub(super) fn size(&self) -> (u64, usize) {
        (self.packets, self.tuples.len())
    }

    /// Keeps so many tuples apart from now on.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(1);
    }

    /// Takes in what was counted.
    pub fn counted(&mut self, counted: &Counted) {
        let packets = counted.packets();
        self.packets += packets;
        for at in counted.sides.iter().map(|side| side.last_ns).filter(|at| *at != 0) {
            self.spans(at);
        }
        let kind = counted.key.content;
        let is = |content: Content| kind == content as u8;
        let others = &mut self.others;
        if is(Content::Flow) {
            self.tuple(counted);
        } else if is(Content::LaterFragment) {
            others.fragments += packets;
        } else if is(Content::IcmpError) {
            others.icmp_errors += packets;
        } else if is(Content::OtherProtocol) && packets > 0 {
            *others.protocols.entry(counted.key.protocol).or_default() += packets;
        } else if is(Content::Malformed) {
            others.malformed += packets;
        } else if is(Content::OtherEthertype) {
            // Who sends to whom was shown: each pair of stations has a row of its own.
            if let Some(row) = others.below.get_mut(&counted.key.ethertype) {
                row.frames += packets;
            }
        } else {
            others.survival += packets;
        }
    }

    fn tuple(&mut self, counted: &Counted) {
        let starter = usize::from(counted.sides.iter().all(|side| side.last_ns == 0));
        let Some(key) = self.place(counted.tuple(), starter, counted.first) else {
            self.left_out += counted.packets();
            return;
        };
        let Some(tuple) = self.tuples.get_mut(&key) else { return };
        for (side, more) in tuple.sides.iter_mut().zip(&counted.sides) {
            side.counted(more);
        }
        for side in counted.sides.iter().filter(|side| side.last_ns != 0) {
            tuple.seen(side.last_ns);
        }
    }
}

impl Side {
    fn counted(&mut self, more: &SightSide) {
        let few = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        self.packets += more.packets;
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.payloads += more.payloads;
        self.opened = self.opened.saturating_add(few(more.opened));
        self.accepted = self.accepted.saturating_add(few(more.accepted));
        self.longest_wait = self.longest_wait.max(more.longest_wait_ns);
        self.last = self.last.max(more.told_ns);
    }
}
