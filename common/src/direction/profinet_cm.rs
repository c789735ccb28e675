//! PROFINET context management: connectionless DCE/RPC (C706 chapter 12, IEC 61158-6-10).

use super::{Class, Payload};
use crate::wire::Packet;

/// Length of the body, in the byte order that the data representation names.
const BODY: usize = 74;
const HEADER: usize = 80;
const DATA_REPRESENTATION: usize = 4;
const LITTLE_ENDIAN: u8 = 0x10;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, _tcp: bool) -> Option<Class> {
    let head = payload.u16(0)?;
    let representation = payload.u8(DATA_REPRESENTATION)?;
    let body = if representation & LITTLE_ENDIAN != 0 { payload.u16_le(BODY)? } else { payload.u16(BODY)? };
    // Characters are ASCII or EBCDIC, integers of either order: two bits.
    if representation & 0xee != 0 || HEADER + usize::from(body) > payload.len() {
        return None;
    }
    match head {
        // Request, ping, acknowledgement, cancel.
        0x0400 | 0x0401 | 0x0407 | 0x0408 => Some(Class::Request),
        // Response, fault, working, no call, reject, fragment acknowledged, cancel acknowledged.
        0x0402..=0x0406 | 0x0409 | 0x040a => Some(Class::Response),
        _ => None,
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { ProfinetCm, "synthetic, C706 chapter 12, IEC 61158-6-10";
    Udp Request 84 "a controller connects"
        "0400 2000 100000 00 00000000000000000000000000000000 0100a0de976cd111827100a02442df7d 000102030405060708090a0b0c0d0e0f 00000000 01000000 00000000 0000 ffff ffff 0400 0000 00 00 01020304"
    Udp Response 84 "the device has connected"
        "0402 0a00 100000 00 00000000000000000000000000000000 0100a0de976cd111827100a02442df7d 000102030405060708090a0b0c0d0e0f 00000000 01000000 00000000 0000 ffff ffff 0400 0000 00 00 00000000"
    Udp Request 80 "a ping, high byte first"
        "0401 0000 000000 00 00000000000000000000000000000000 dea000016c9711d1827100a02442df7d 000102030405060708090a0b0c0d0e0f 00000000 00000001 00000000 0000 ffff ffff 0000 0000 00 00"
    Udp Response 80 "the device still works on it"
        "0404 0000 100000 00 00000000000000000000000000000000 0100a0de976cd111827100a02442df7d 000102030405060708090a0b0c0d0e0f 00000000 01000000 00000000 0000 ffff ffff 0000 0000 00 00"
    Udp Undecidable 0 "a body beyond the datagram"
        "0400 2000 100000 00 00000000000000000000000000000000 0100a0de976cd111827100a02442df7d 000102030405060708090a0b0c0d0e0f 00000000 01000000 00000000 0000 ffff ffff 0500 0000 00 00 01020304"
    Udp Undecidable 0 "the connection oriented version"
        "0500 0b03 10000000 4800 0000 01000000 b810 b810 00000000 01 000000 0000 01 00 0100a0de976cd111827100a02442df7d 01000000 045d888aeb1cc9119fe808002b104860 02000000 00000000 00000000"
}
