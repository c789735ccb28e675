//! What the observer sees of packets that nobody judges: [`Sight`]s of some, and counts of all others, by tuple and round.

use bytemuck::{Pod, Zeroable};

/// First bytes of a packet that are shown: all that tells who asks, in every protocol whose payloads are told apart.
pub const SHOWN: usize = 384;

/// Packets of each side of a tuple that are shown in a round before the rest is counted only.
pub const SHOWN_A_ROUND: u32 = 8;

/// A tuple in a round, the lower end first so that both ways have one key; or a kind of packet that is no flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
#[repr(C)]
pub struct SightKey {
    /// Addresses of both ends. Of packets below IP, the hardware addresses of sender and receiver in the low 48 bits.
    pub ends: [[u64; 2]; 2],
    /// Number of the round, which ends when the agent says so.
    pub round: u32,
    /// Ports of both ends.
    pub ports: [u16; 2],
    /// EtherType of packets below IP, as a policy calls it.
    pub ethertype: u16,
    /// [`super::Transport`], or [`crate::wire::NO_TRANSPORT`].
    pub transport: u8,
    /// IP version, 4 or 6; 0 is no IP.
    pub family: u8,
    /// [`crate::wire::Content`].
    pub content: u8,
    /// IP protocol of what has no transport.
    pub protocol: u8,
    /// Zero.
    pub reserved: [u8; 2],
}

/// One side of a tuple in a round. A packet is either shown or counted; times are those of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct SightSide {
    /// Packets that were not shown.
    pub packets: u64,
    /// Bytes that their transport carried.
    pub bytes: u64,
    /// Of those packets, how many carried something.
    pub payloads: u64,
    /// Time of the last packet, nanoseconds since boot.
    pub last_ns: u64,
    /// Of the last one that was more than an acknowledgement; 0 is none.
    pub told_ns: u64,
    /// Longest time from one of the other side to a packet of this one.
    pub longest_wait_ns: u64,
    /// Packets with SYN and without ACK that were not shown.
    pub opened: u64,
    /// Packets with SYN and ACK that were not shown.
    pub accepted: u64,
    /// Packets that were shown.
    pub shown: u32,
    /// Zero.
    pub reserved: u32,
}

/// A tuple in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Sighted {
    /// Time of the first packet, nanoseconds since boot.
    pub first_ns: u64,
    /// What each end sent.
    pub sides: [SightSide; 2],
}

/// A packet that is shown: one record of the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Sight {
    /// Nanoseconds since boot.
    pub time_ns: u64,
    /// [`SightSide::told_ns`] of its own side and of the other one, as they were before it.
    pub told_ns: [u64; 2],
    /// Interface that it came in by.
    pub interface: u32,
    /// Its length in bytes.
    pub length: u32,
    /// Number of the round.
    pub round: u32,
    /// Bytes of `data` that are the packet's.
    pub captured: u32,
    /// First bytes of the packet, from the Ethernet header, in memory order. See [`Sight::bytes`].
    pub data: [u64; SHOWN / 8],
}

impl Sight {
    /// First bytes of the packet, from the Ethernet header.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let data: &[u8] = bytemuck::cast_slice(&self.data);
        data.get(..self.captured as usize).unwrap_or(data)
    }
}

/// What the observer could not do, counted for each CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Unseen {
    /// Packets of tuples that found no room in the table.
    NoRoom = 0,
    /// Packets that were counted and should have been shown: the ring was full.
    RingFull = 1,
}

/// Rows of those counters.
pub const UNSEENS: u32 = 2;
