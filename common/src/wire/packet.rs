//! Checked access to the bytes of a packet.

use crate::direction::{self, Look};

/// A packet in network byte order. Every read is checked; `None` is past the end.
pub trait Packet {
    /// Length in bytes, from the Ethernet header.
    fn length(&self) -> usize;
    /// The byte at an offset.
    fn u8(&self, at: usize) -> Option<u8>;
    /// Two bytes as a number.
    fn u16(&self, at: usize) -> Option<u16>;
    /// Four bytes as a number.
    fn u32(&self, at: usize) -> Option<u32>;
    /// Eight bytes as a number.
    fn u64(&self, at: usize) -> Option<u64>;
    /// An offset below 2^15, as it is. For whoever walks through a packet and has to show that its offsets are bounded:
    /// the compiler drops bounds that it can prove itself, and older verifiers cannot.
    #[inline(always)]
    fn bounded(&self, at: usize) -> usize {
        at
    }
    /// See [`direction::class_at`].
    fn class_at(&self, look: Look, protocols: u32) -> u32
    where
        Self: Sized,
    {
        direction::class_at(self, look, protocols)
    }
}

/// A packet in memory.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }
}

impl Packet for Bytes<'_> {
    fn length(&self) -> usize {
        self.0.len()
    }
    fn u8(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }
    fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }
    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }
    fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_be_bytes)
    }
}
