//! EtherNet/IP explicit messages (ODVA CIP volume 2, chapter 2: encapsulation and common packet format).

use super::{Class, Payload};
use crate::wire::Packet;

const LENGTH: usize = 2;
const SESSION: usize = 4;
/// Every request has zero here; only an answer can have failed.
const STATUS: usize = 8;
const OPTIONS: usize = 20;
const HEADER: usize = 24;
const INTERFACE: usize = 24;
const ITEM_COUNT: usize = 30;
const FIRST_ITEM: usize = 32;

/// Items that are looked at, and the longest that is stepped over: an address.
const ITEMS: u16 = 4;
const LONGEST: usize = 0x3f;
/// Bit of a CIP service that answers.
const REPLY: u8 = 0x80;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, tcp: bool) -> Option<Class> {
    let command = payload.u16_le(0)?;
    let length = usize::from(payload.u16_le(LENGTH)?);
    let (session, status) = (payload.u32(SESSION)?, payload.u32(STATUS)?);
    if payload.u32(OPTIONS)? != 0 || !tcp && HEADER + length > payload.len() {
        return None;
    }
    match command {
        0x04 | 0x63 | 0x64 | 0x65 | 0x6f | 0x70 if status != 0 => Some(Class::Response),
        // ListServices, ListIdentity, ListInterfaces.
        0x04 | 0x63 | 0x64 => Some(if length == 0 { Class::Request } else { Class::Response }),
        // RegisterSession: the answer gives the session.
        0x65 if length == 4 => Some(if session == 0 { Class::Request } else { Class::Response }),
        // UnregisterSession is not answered.
        0x66 if length == 0 && status == 0 => Some(Class::Request),
        // SendRRData, SendUnitData.
        0x6f | 0x70 => items(payload),
        _ => None,
    }
}

#[inline(always)]
fn items<P: Packet>(payload: &Payload<'_, P>) -> Option<Class> {
    if payload.u32(INTERFACE)? != 0 {
        return None;
    }
    let count = payload.u16_le(ITEM_COUNT)?;
    let mut at = FIRST_ITEM;
    for item in 0..ITEMS {
        if item >= count {
            return None;
        }
        let head = payload.u32(at)?;
        let (kind, length) = ((head >> 16) as u16, usize::from((head as u16).swap_bytes()));
        // Numbers as they stand in the packet, low byte first.
        match kind {
            0xb200 if length >= 2 => return service(payload.u8(at + 4)?),
            // A sequence number precedes the service.
            0xb100 if length >= 4 => return service(payload.u8(at + 6)?),
            _ if length > LONGEST => return None,
            _ => at += 4 + (length & LONGEST),
        }
    }
    None
}

#[inline(always)]
fn service(service: u8) -> Option<Class> {
    match service & !REPLY {
        0 => None,
        _ if service & REPLY != 0 => Some(Class::Response),
        _ => Some(Class::Request),
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { Enip, "synthetic, ODVA CIP volume 2, chapter 2";
    Tcp Request 24 "a session is registered" "6500 0400 00000000 00000000 0000000000000000 00000000 0100 0000"
    Tcp Response 24 "the session" "6500 0400 01000000 00000000 0000000000000000 00000000 0100 0000"
    Tcp Request 24 "a session ends" "6600 0000 01000000 00000000 0000000000000000 00000000"
    Tcp Request 41 "an attribute is read" "6f00 1200 01000000 00000000 0000000000000000 00000000 00000000 0a00 0200 0000 0000 b200 0200 0e00"
    Tcp Response 41 "the attribute" "6f00 1400 01000000 00000000 0000000000000000 00000000 00000000 0a00 0200 0000 0000 b200 0400 8e000000"
    Tcp Response 24 "a refused request, without data" "6f00 0000 01000000 64000000 0000000000000000 00000000"
    Tcp Request 47 "a tag is read on a connection" "7000 1800 01000000 00000000 0000000000000000 00000000 00000000 0000 0200 a100 0400 11223344 b100 0400 0100 4c00"
    Tcp Response 47 "the tag" "7000 1a00 01000000 00000000 0000000000000000 00000000 00000000 0000 0200 a100 0400 11223344 b100 0600 0100 cc000000"
    Tcp Undecidable 0 "NOP" "0000 0000 00000000 00000000 0000000000000000 00000000"
    Tcp Undecidable 0 "options that must be zero" "6500 0400 00000000 00000000 0000000000000000 00000001 0100 0000"
    Tcp Undecidable 0 "more items than are read" "6f00 2000 01000000 00000000 0000000000000000 00000000 00000000 0a00 0500 0000 0000 0000 0000 0000 0000 0000 0000 b200 0200 0e00"
    Tcp Undecidable 0 "an S7comm connection" "0300 0016 11e0 0000 0001 00 c0010a c1020100 c2020102 0000"
    Udp Request 24 "devices are looked for" "6300 0000 00000000 00000000 0000000000000000 00000000"
    Udp Response 26 "a device shows itself" "6300 0200 00000000 00000000 0000000000000000 00000000 0000"
    Udp Request 24 "services are listed" "0400 0000 00000000 00000000 0000000000000000 00000000"
    Udp Response 26 "the services" "0400 0200 00000000 00000000 0000000000000000 00000000 0000"
    Udp Undecidable 0 "a length beyond the datagram" "6300 0200 00000000 00000000 0000000000000000 00000000"
    Udp Undecidable 0 "cyclic data of a connection" "0200 0280 0800 01000000 01000000 b100 0400 0100 0000 00000000"
}
