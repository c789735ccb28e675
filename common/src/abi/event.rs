//! What the data plane reports.

use bytemuck::{Pod, Zeroable};

/// First bytes of a packet that travel with its event.
pub const CAPTURE: usize = 96;

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    /// A packet deviated from the policy.
    Deviation = 1,
    /// Packets that were counted, but not reported, since the last event about their flow. Made by the agent.
    Repeats = 2,
}

/// One record of the ring buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Event {
    /// Nanoseconds since boot, as `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// Source address: IPv6, or IPv4 in the low 32 bits of the second word.
    pub source: [u64; 2],
    /// Destination address.
    pub destination: [u64; 2],
    /// Packets of this flow and reason that were not reported since the last event about them.
    pub repeats: u64,
    /// Interface that the packet came in by.
    pub interface: u32,
    /// Rule that fits best, from 1; 0 is none.
    pub rule: u32,
    /// Length of the packet in bytes.
    pub length: u32,
    /// Generation of the policy.
    pub generation: u32,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// EtherType behind the tags.
    pub ethertype: u16,
    /// Outer VID; 0 is none.
    pub outer_vid: u16,
    /// Inner VID; 0 is none.
    pub inner_vid: u16,
    /// Conduit, from 1; 0 is none.
    pub conduit: u16,
    /// Zone that the packet came from, from 1; 0 is none.
    pub zone: u16,
    /// Zone of its destination address, from 1; 0 is none.
    pub destination_zone: u16,
    /// [`EventKind`].
    pub kind: u8,
    /// [`crate::reason::Reason`].
    pub reason: u8,
    /// [`crate::reason::Verdict`].
    pub verdict: u8,
    /// [`super::Mode`].
    pub mode: u8,
    /// IP version, 4 or 6; 0 is no IP.
    pub family: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// Bytes of `data` that are the packet's.
    pub captured: u16,
    /// [`crate::direction::Class`].
    pub class: u8,
    /// [`crate::reason::Orientation`].
    pub orientation: u8,
    /// Zero.
    pub reserved: [u8; 6],
    /// First bytes of the packet, from the Ethernet header, in memory order. See [`Event::bytes`].
    pub data: [u64; CAPTURE / 8],
}

impl Event {
    /// First bytes of the packet, from the Ethernet header.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let data: &[u8] = bytemuck::cast_slice(&self.data);
        data.get(..usize::from(self.captured)).unwrap_or(data)
    }
}

/// Packets, bytes and time of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes, from the Ethernet header.
    pub bytes: u64,
    /// Time of the last one, nanoseconds since boot.
    pub last_ns: u64,
}

/// Key of the suppression table: a flow without what varies from packet to packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct SuppressKey {
    /// Source address.
    pub source: [u64; 2],
    /// Destination address.
    pub destination: [u64; 2],
    /// Source port, unless the reason says that it is noise.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// EtherType.
    pub ethertype: u16,
    /// Zone of the source.
    pub zone: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// [`crate::reason::Reason`].
    pub reason: u8,
    /// [`crate::reason::Verdict`].
    pub verdict: u8,
    /// Zero.
    pub reserved: [u8; 5],
}

/// Value of the suppression table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Suppressed {
    /// Time of the last event, nanoseconds since boot.
    pub reported_ns: u64,
    /// Packets since.
    pub repeats: u64,
}

/// The last decision of a CPU, for tests and proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Trace {
    /// Rule that decided or fits best, from 1; 0 is none.
    pub rule: u32,
    /// Conduit, from 1; 0 is none.
    pub conduit: u16,
    /// Zone that the packet came from, from 1; 0 is none.
    pub zone: u16,
    /// [`crate::reason::Reason`].
    pub reason: u8,
    /// [`crate::reason::Verdict`].
    pub verdict: u8,
    /// [`crate::reason::Orientation`].
    pub orientation: u8,
    /// [`super::Mode`].
    pub mode: u8,
    /// Decisions written so far.
    pub count: u32,
    /// [`crate::direction::Class`].
    pub class: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// What became of the reports of one reason, on one CPU. The sum is the number of packets with that reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Reports {
    /// Sent to the agent.
    pub sent: u64,
    /// Counted as a repeat of one that was sent.
    pub suppressed: u64,
    /// Counted only, because the reason was over its rate.
    pub limited: u64,
    /// Lost, because the ring was full.
    pub lost: u64,
    /// Second of the rate window, since boot.
    pub second: u64,
    /// Sent in that second.
    pub in_second: u64,
}
