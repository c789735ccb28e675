//! Checked access to the bytes behind the transport header.

use crate::wire::{OFFSET_MASK, Packet};

/// The bytes between the transport header and the end of the IP packet. Never the end of the frame: short
/// frames are padded, and padding would decode as zeros.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'p, P> {
    packet: &'p P,
    start: usize,
    end: usize,
}

impl<'p, P: Packet> Payload<'p, P> {
    /// The bytes of a packet from one offset to another.
    #[must_use]
    #[inline(always)]
    pub fn new(packet: &'p P, start: usize, end: usize) -> Self {
        Self { packet, start: start & OFFSET_MASK, end }
    }

    /// How many bytes there are.
    #[must_use]
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    #[must_use]
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The byte at an offset.
    #[must_use]
    #[inline(always)]
    pub fn u8(&self, at: usize) -> Option<u8> {
        self.packet.u8(self.inside(at, 1)?)
    }

    /// Two bytes, the higher one first.
    #[must_use]
    #[inline(always)]
    pub fn u16(&self, at: usize) -> Option<u16> {
        self.packet.u16(self.inside(at, 2)?)
    }

    /// Two bytes, the lower one first.
    #[must_use]
    #[inline(always)]
    pub fn u16_le(&self, at: usize) -> Option<u16> {
        self.u16(at).map(u16::swap_bytes)
    }

    /// Four bytes, the highest one first.
    #[must_use]
    #[inline(always)]
    pub fn u32(&self, at: usize) -> Option<u32> {
        self.packet.u32(self.inside(at, 4)?)
    }

    /// Four bytes, the lowest one first.
    #[must_use]
    #[inline(always)]
    pub fn u32_le(&self, at: usize) -> Option<u32> {
        self.u32(at).map(u32::swap_bytes)
    }

    /// The first bytes only, as many as a length field says; `None` where there are fewer.
    #[inline(always)]
    pub(super) fn first(&self, length: usize) -> Option<Self> {
        (length <= self.len()).then(|| Self { end: self.start + length, ..*self })
    }

    /// The offset in the packet of bytes that the payload has.
    #[inline(always)]
    fn inside(&self, at: usize, bytes: usize) -> Option<usize> {
        let first = self.start + (at & OFFSET_MASK);
        (at <= OFFSET_MASK && first + bytes <= self.end).then_some(first)
    }
}
