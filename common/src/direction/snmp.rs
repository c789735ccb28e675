//! SNMP (RFC 1157, 3416; version 3: RFC 3412).

use super::{Class, Payload};
use crate::wire::Packet;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const STRING: u8 = 0x04;

/// Longest string or sequence that is stepped over.
const LONGEST: usize = 0xff;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, _tcp: bool) -> Option<Class> {
    let (start, length) = element(payload, 0, SEQUENCE)?;
    let message = payload.first(start + length)?;
    let version = message.u16(start)?;
    if version != u16::from_be_bytes([INTEGER, 1]) {
        return None;
    }
    let next = start + 3;
    let pdu = match message.u8(start + 2)? {
        // The community.
        0 | 1 => after(&message, next, STRING)?,
        3 => scoped_pdu(&message, next)?,
        _ => return None,
    };
    match message.u8(pdu)? {
        // Get, GetNext, Set, GetBulk.
        0xa0 | 0xa1 | 0xa3 | 0xa5 => Some(Class::Request),
        0xa2 => Some(Class::Response),
        // Traps, Inform.
        0xa4 | 0xa6 | 0xa7 => Some(Class::Notification),
        _ => None,
    }
}

/// Behind global data, security parameters, engine and context name: where the PDU is, unless encrypted.
#[inline(always)]
fn scoped_pdu<P: Packet>(message: &Payload<'_, P>, at: usize) -> Option<usize> {
    let at = after(message, at, SEQUENCE)?;
    let at = after(message, at, STRING)?;
    let (at, _) = element(message, at, SEQUENCE)?;
    let at = after(message, at, STRING)?;
    after(message, at, STRING)
}

/// Where the element behind this one begins.
#[inline(always)]
fn after<P: Packet>(message: &Payload<'_, P>, at: usize, tag: u8) -> Option<usize> {
    let (start, length) = element(message, at, tag)?;
    (length <= LONGEST).then_some(start + (length & LONGEST))
}

/// Where the content of the element with this tag begins, and its length.
#[inline(always)]
fn element<P: Packet>(message: &Payload<'_, P>, at: usize, tag: u8) -> Option<(usize, usize)> {
    let head = message.u16(at)?;
    if head >> 8 != u16::from(tag) {
        return None;
    }
    match head & 0xff {
        length @ 0..=0x7f => Some((at + 2, usize::from(length))),
        0x81 => Some((at + 3, usize::from(message.u8(at + 2)?))),
        0x82 => Some((at + 4, usize::from(message.u16(at + 2)?))),
        _ => None,
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { Snmp, "synthetic, RFC 1157, 3416, 3412";
    Udp Request 32 "a value is read" "301e 020101 0406 7075626c6963 a011 020101 020100 020100 3006 3004 0600 0500"
    Udp Response 32 "the value" "301e 020101 0406 7075626c6963 a211 020101 020100 020100 3006 3004 0600 0500"
    Udp Request 33 "a value is set, with a longer length" "30811e 020100 0406 7075626c6963 a311 020101 020100 020100 3006 3004 0600 0500"
    Udp Notification 32 "a trap" "301e 020101 0406 7075626c6963 a711 020101 020100 020100 3006 3004 0600 0500"
    Udp Notification 32 "an inform" "301e 020101 0406 7075626c6963 a611 020101 020100 020100 3006 3004 0600 0500"
    Udp Request 64 "version 3 asks for the engine" "303e 020103 3011 020412345678 020300ffe3 040104 020103 0410 300e 0400 020100 020100 0400 0400 0400 3014 0400 0400 a00e 020412345678 020100 020100 3000"
    Udp Undecidable 0 "an encrypted message of version 3" "3020 020103 3011 020412345678 020300ffe3 040107 020103 0402 3000 0404 01020304"
    Udp Undecidable 0 "a length beyond the datagram" "301f 020101 0406 7075626c6963 a011 020101 020100 020100 3006 3004 0600 0500"
    Udp Undecidable 0 "a version that does not exist" "301e 020105 0406 7075626c6963 a011 020101 020100 020100 3006 3004 0600 0500"
    Udp Undecidable 0 "a BACnet Who-Is" "810b 0008 0100 1008 0000 0000"
}
