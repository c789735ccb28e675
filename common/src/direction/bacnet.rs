//! BACnet/IP (ASHRAE 135-2020: BVLC Annex J, NPDU clause 6, APDU clause 20).

use super::{Class, Payload};
use crate::wire::Packet;

/// NPDU behind a plain BVLC header.
const NPDU: usize = 4;
/// NPDU behind the address of the originating device.
const FORWARDED_NPDU: usize = 10;
const NPDU_VERSION: u16 = 1;

mod control {
    pub(super) const NETWORK_MESSAGE: u16 = 0x80;
    pub(super) const DESTINATION: u16 = 0x20;
    pub(super) const SOURCE: u16 = 0x08;
}

/// Bit of the first byte of a confirmed request: two more bytes precede the service.
const SEGMENTED: u8 = 0x08;
/// Bit of the first byte of SegmentACK and Abort.
const FROM_SERVER: u8 = 0x01;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, _tcp: bool) -> Option<Class> {
    // The length is left alone: devices exist whose answers carry that of an earlier message, and nothing is
    // found by it.
    let function = payload.u32(0)? >> 16;
    let npdu = match (function, payload.len()) {
        // Results; tables that are read.
        (0x8100, 6..) | (0x8103 | 0x8107, _) => return Some(Class::Response),
        // Tables written, read, entered and left.
        (0x8101 | 0x8102 | 0x8106, _) | (0x8105, 6..) | (0x8108, 10..) => return Some(Class::Request),
        (0x8104, _) => FORWARDED_NPDU,
        (0x8109..=0x810b, _) => NPDU,
        _ => return None,
    };
    let head = payload.u16(npdu)?;
    if head >> 8 != NPDU_VERSION {
        return None;
    }
    let mut at = npdu + 2;
    if head & control::DESTINATION != 0 {
        at += 3 + usize::from(payload.u8(at + 2)?);
    }
    if head & control::SOURCE != 0 {
        at += 3 + usize::from(payload.u8(at + 2)?);
    }
    if head & control::DESTINATION != 0 {
        at += 1;
    }
    let first = payload.u8(at)?;
    if head & control::NETWORK_MESSAGE != 0 {
        return network_message(first);
    }
    match first >> 4 {
        0 => {
            let service = payload.u8(at + if first & SEGMENTED != 0 { 5 } else { 3 })?;
            Some(if matches!(service, 1 | 2 | 31 | 32) { Class::Notification } else { Class::Request })
        }
        1 => unconfirmed(payload.u8(at + 1)?),
        2 | 3 | 5 | 6 => Some(Class::Response),
        4 | 7 => Some(if first & FROM_SERVER != 0 { Class::Response } else { Class::Request }),
        _ => None,
    }
}

/// Routers ask for routes and tables, answer, and announce.
#[inline(always)]
fn network_message(kind: u8) -> Option<Class> {
    match kind {
        0x00 | 0x06 | 0x08 | 0x09 | 0x12 => Some(Class::Request),
        0x01..=0x03 | 0x07 => Some(Class::Response),
        0x04 | 0x05 | 0x13 => Some(Class::Notification),
        _ => None,
    }
}

#[inline(always)]
fn unconfirmed(service: u8) -> Option<Class> {
    match service {
        // Who-Has, Who-Is, both time synchronisations, WriteGroup.
        6..=10 => Some(Class::Request),
        // I-Am, I-Have.
        0 | 1 => Some(Class::Response),
        // Changes of value, events, text messages, audit.
        2 | 3 | 5 | 11 | 12 => Some(Class::Notification),
        // What a private transfer means, only its vendor knows.
        _ => None,
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { Bacnet, "synthetic, ASHRAE 135-2020 clauses 6 and 20, Annex J";
    Udp Response 6 "BVLC-Result of a broadcast device" "8100 0006 0000"
    Udp Request 4 "a broadcast table is written" "8101 000e c0a80105 bac0 ffffffff"
    Udp Request 4 "a broadcast table is read" "8102 0004"
    Udp Response 4 "a broadcast table" "8103 000e c0a80105 bac0 ffffffff"
    Udp Request 18 "a forwarded Who-Is" "8104 0012 c0a80105 bac0 0120 ffff 00 ff 1008"
    Udp Response 14 "a forwarded I-Am" "8104 0018 c0a80105 bac0 0100 1000 c40200000a 2201e0 9100"
    Udp Request 6 "a foreign device registers" "8105 0006 003c"
    Udp Request 4 "the table of foreign devices is read" "8106 0004"
    Udp Response 4 "the table of foreign devices" "8107 000e c0a80107 bac0 003c 005a"
    Udp Request 10 "a foreign device is deleted" "8108 000a c0a80107 bac0"
    Udp Request 12 "a foreign device lets Who-Is be distributed" "8109 000c 0120 ffff 00 ff 1008"
    Udp Request 10 "ReadProperty of a controller" "810a 0011 0104 0005 01 0c 0c00000005 1955"
    Udp Request 15 "ReadProperty through a router, with the address of the controller" "810a 0016 0124 0005 01 07 ff 0005 02 0c 0c00000005 1955"
    Udp Request 14 "ReadProperty from behind a router" "810a 0016 010c 0007 01 09 0005 03 0c 0c00000005 1955 00"
    Udp Request 24 "ReadProperty from behind one router to behind another" "810a 001f 012c 0005 01 07 0007 06 c0a80105bac0 fe 0005 04 0c 0c00000005 1955"
    Udp Request 12 "a long WriteProperty, second segment" "810a 0014 0104 0e75 05 01 04 0f 4142434445464748"
    Udp Response 7 "ReadProperty is answered (ComplexACK)" "810a 0011 0100 30 01 0c 0c00000005 1955 3e"
    Udp Response 7 "WriteProperty is acknowledged (SimpleACK)" "810a 0009 0100 20 05 0f"
    Udp Response 7 "ReadProperty fails (Error)" "810a 000d 0100 50 01 0c 9101 911f"
    Udp Response 7 "a request is rejected" "810a 0009 0100 60 01 09"
    Udp Response 7 "a server acknowledges a segment" "810a 000a 0100 41 05 01 04"
    Udp Request 7 "a client acknowledges a segment" "810a 000a 0100 40 05 01 04"
    Udp Response 7 "a server aborts" "810a 0009 0100 71 05 04"
    Udp Request 7 "a client aborts" "810a 0009 0100 70 05 04"
    Udp Request 8 "Who-Is" "810b 0008 0100 1008"
    Udp Request 8 "Who-Has" "810b 000b 0100 1007 3d0100"
    Udp Request 8 "the time is set" "810b 000a 0100 1006 a47c"
    Udp Request 8 "the universal time is set" "810b 000a 0100 1009 a47c"
    Udp Response 8 "I-Am" "810b 0011 0100 1000 c40200000a 2201e0 91"
    Udp Response 8 "I-Have" "810b 000d 0100 1001 c40200000a"
    Udp Notification 8 "a change of value, unconfirmed" "810a 000a 0100 1002 0901"
    Udp Notification 8 "an event, unconfirmed" "810b 000a 0100 1003 0901"
    Udp Notification 10 "a change of value that wants a confirmation" "810a 000a 0104 0004 07 01"
    Udp Notification 10 "an event that wants a confirmation" "810a 000a 0104 0004 08 02"
    Udp Notification 10 "changes of several values that want a confirmation" "810a 000a 0104 0004 09 1f"
    Udp Notification 12 "a long event, in segments" "810a 000c 0104 0c74 09 00 04 02"
    Udp Request 7 "Who-Is-Router-To-Network" "810b 0009 0180 00 0005"
    Udp Response 7 "I-Am-Router-To-Network" "810b 0009 0180 01 0005"
    Udp Response 7 "a router rejects a message" "810a 000a 0180 03 01 0005"
    Udp Notification 7 "a router is busy" "810b 0009 0180 04 0005"
    Udp Request 7 "the number of the network is asked" "810b 0007 0180 12"
    Udp Notification 7 "the number of the network" "810b 000a 0180 13 0005 01"
    Udp Undecidable 0 "a private transfer" "810a 000c 0100 1004 0903 1901"
    Udp Undecidable 0 "a secure BVLL" "810c 0008 01020304"
    Udp Undecidable 0 "an unknown version of the NPDU" "810a 0008 0200 1008"
    Udp Request 8 "Who-Is with the length of another message" "810b 0011 0100 1008"
    Udp Undecidable 0 "a confirmed request without its service" "810a 0009 0104 0005 01"
    Udp Undecidable 0 "a destination address that leaves no room for an APDU" "810a 000e 0120 0005 ff ff ff 1008 00"
    Udp Undecidable 0 "an NTP request" "2300 0020 00000000 00000000"
}
