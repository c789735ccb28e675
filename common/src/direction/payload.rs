//! Checked access to the bytes behind the transport header.

use crate::wire::{Headers, OFFSET_MASK, Packet};

/// The bytes between the transport header and the end of the IP packet. Never the end of the frame: short
/// frames are padded, and padding would decode as zeros.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'p, P> {
    packet: &'p P,
    start: usize,
    /// End of the bytes that are there.
    end: usize,
    /// How many bytes there are in all fragments.
    length: usize,
}

impl<'p, P: Packet> Payload<'p, P> {
    /// The bytes of a packet from one offset to another.
    #[must_use]
    #[inline(always)]
    pub fn new(packet: &'p P, start: usize, end: usize) -> Self {
        let start = start & OFFSET_MASK;
        Self { packet, start, end, length: end.saturating_sub(start) }
    }

    /// The same, of more fragments than this one: `length` bytes in all.
    #[must_use]
    #[inline(always)]
    pub fn of_length(packet: &'p P, start: usize, end: usize, length: usize) -> Self {
        Self { length, ..Self::new(packet, start, end) }
    }

    /// What a packet carries. Of a datagram in fragments the first has the beginning, and says how long the whole is:
    /// a message that fits into the whole is not broken.
    #[must_use]
    #[inline(always)]
    pub fn of(packet: &'p P, headers: &Headers) -> Self {
        let payload = Self::new(packet, headers.payload as usize, headers.end as usize);
        match headers.datagram(packet) {
            Some(length) if length > payload.length => Self { length, ..payload },
            _ => payload,
        }
    }

    /// How many bytes there are, those in later fragments included.
    #[must_use]
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.length
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
        let end = self.end.min(self.start + length);
        (length <= self.length).then_some(Self { end, length, ..*self })
    }

    /// The offset in the packet of bytes that the payload has.
    #[inline(always)]
    fn inside(&self, at: usize, bytes: usize) -> Option<usize> {
        let first = self.start + (at & OFFSET_MASK);
        (at <= OFFSET_MASK && first + bytes <= self.end).then(|| self.packet.bounded(first))
    }
}
