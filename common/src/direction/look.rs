//! A look at a payload, in numbers only: so the data plane can make a function of it that the verifier checks once, and
//! not at every place that calls it.

use super::{Class, Payload, classify};
use crate::abi::{CUSTOM, RuleRow};
use crate::wire::{Headers, OFFSET_MASK, Packet};

/// Where a payload stands, and how its class is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Offset of its first byte in the packet << 32 | offset behind its last one.
    pub bounds: u64,
    /// Bytes of it in all fragments.
    pub length: u32,
    /// [`crate::abi::Transport`] << 8 | [`super::Protocol`], or [`CUSTOM`].
    pub method: u32,
    /// For [`CUSTOM`]: offset of the byte in the payload << 24 | bits of it that count << 16 | value of a request << 8 |
    /// value of a response.
    pub byte: u64,
}

impl Look {
    /// What a rule looks for in a packet.
    #[inline(always)]
    pub(crate) fn of<P: Packet>(packet: &P, headers: &Headers, row: &RuleRow) -> Self {
        let RuleRow { transport, protocol, at, mask, request, response, .. } = *row;
        Self {
            bounds: u64::from(headers.payload) << 32 | u64::from(headers.end),
            length: Payload::of(packet, headers).len() as u32,
            method: u32::from(transport) << 8 | u32::from(protocol),
            byte: u64::from(at) << 24 | u64::from(mask) << 16 | u64::from(request) << 8 | u64::from(response),
        }
    }
}

/// The [`Class`] that a payload shows itself as, by number. `protocols` has a bit for each one that is in use, and bit 0
/// for bytes that a service names itself.
#[inline(always)]
pub fn class_at<P: Packet>(packet: &P, look: Look, protocols: u32) -> u32 {
    let (start, end) = ((look.bounds >> 32) as usize, look.bounds as u32 as usize);
    let payload = Payload::of_length(packet, start, end, look.length as usize);
    if look.method as u8 != CUSTOM {
        return classify(&payload, (look.method >> 8) as u8, look.method as u8, protocols) as u32;
    }
    let at = (look.byte >> 24) as usize;
    // No frame is that long, and the verifier follows a reader no further.
    if at > OFFSET_MASK || protocols & 1 == 0 {
        return Class::Undecidable as u32;
    }
    let [mask, request, response] = [(look.byte >> 16) as u8, (look.byte >> 8) as u8, look.byte as u8];
    match payload.u8(at) {
        Some(byte) if byte & mask == request => Class::Request as u32,
        Some(byte) if byte & mask == response => Class::Response as u32,
        _ => Class::Undecidable as u32,
    }
}
