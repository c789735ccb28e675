//! Saia Ether-S-Bus (SAIA-Burgess manual 26/739; fields as in Wireshark's packet-sbus.c).

use super::{Class, Payload};
use crate::wire::Packet;

/// Version and protocol. Requests say version 1; their answers do not always.
const VERSION: usize = 4;
const VERSIONS: [u16; 2] = [0x0000, 0x0100];
const ATTRIBUTE: usize = 8;
/// The shortest telegram has an acknowledgement and a checksum.
const SHORTEST: usize = 13;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, _tcp: bool) -> Option<Class> {
    let length = payload.u32(0)? as usize;
    let head = payload.u16(VERSION)?;
    if !VERSIONS.contains(&head) || length < SHORTEST - 2 || length > payload.len() {
        return None;
    }
    match payload.u8(ATTRIBUTE)? {
        0 if length >= SHORTEST => Some(Class::Request),
        1 | 2 => Some(Class::Response),
        _ => None,
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { SBus, "synthetic, SAIA-Burgess manual 26/739";
    Udp Request 15 "registers are read" "0000000f 01 00 0001 00 0a 06 00 00 1234"
    Udp Response 15 "a register" "0000000f 00 00 0001 01 0000002a 1234"
    Udp Response 13 "a write is acknowledged" "0000000d 01 00 0002 02 0000 1234"
    Udp Undecidable 0 "a length beyond the datagram" "00000010 01 00 0001 00 0a 06 00 00 1234"
    Udp Undecidable 0 "an unknown version" "0000000f 02 00 0001 00 0a 06 00 00 1234"
    Udp Undecidable 0 "an unknown attribute" "0000000f 01 00 0001 03 0a 06 00 00 1234"
    Udp Undecidable 0 "a BACnet Who-Is" "810b 0008 0100 1008 0000 0000"
}
