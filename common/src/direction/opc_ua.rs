//! OPC UA binary (OPC 10000-6: chunks clause 6.7.2, messages clause 7.1, identifiers annex A).

use super::{Class, Payload};
use crate::wire::Packet;

/// Length of the whole chunk, low byte first.
const SIZE: usize = 4;
const CHANNEL: usize = 8;
/// Behind channel, token, sequence and request: the identifier of the body, in its form of four bytes.
const BODY: usize = 24;
const FOUR_BYTE: u32 = 0x0100;

const HEL: u32 = u32::from_be_bytes(*b"HELF");
const ACK: u32 = u32::from_be_bytes(*b"ACKF");
const ERR: u32 = u32::from_be_bytes(*b"ERRF");
const RHE: u32 = u32::from_be_bytes(*b"RHEF");
const OPN: u32 = u32::from_be_bytes(*b"OPNF");
const CLO: u32 = u32::from_be_bytes(*b"CLOF");
const MSG: u32 = u32::from_be_bytes(*b"MSGF");
/// The first chunk of several.
const MSG_FIRST: u32 = u32::from_be_bytes(*b"MSGC");

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, _tcp: bool) -> Option<Class> {
    let kind = payload.u32(0)?;
    if payload.u32_le(SIZE)? < 16 {
        return None;
    }
    match kind {
        HEL | CLO => Some(Class::Request),
        ACK | ERR => Some(Class::Response),
        RHE => Some(Class::Notification),
        // Only who opens does not know the channel yet.
        OPN => (payload.u32(CHANNEL)? == 0).then_some(Class::Request),
        MSG | MSG_FIRST => {
            let body = payload.u32(BODY)?;
            if body >> 16 == FOUR_BYTE { service((body as u16).swap_bytes()) } else { None }
        }
        _ => None,
    }
}

/// The identifier of a response is that of its request and 3.
#[inline(always)]
fn service(identifier: u16) -> Option<Class> {
    if identifier == 397 {
        // ServiceFault.
        Some(Class::Response)
    } else if is_request(identifier) {
        Some(Class::Request)
    } else if is_request(identifier.wrapping_sub(3)) {
        Some(Class::Response)
    } else {
        None
    }
}

#[inline(always)]
fn is_request(identifier: u16) -> bool {
    matches!(
        identifier,
        // FindServers, GetEndpoints, RegisterServer, sessions.
        422 | 428 | 437 | 461 | 467 | 473 | 479
            // Nodes and references: added, deleted, browsed, queried.
            | 488 | 494 | 500 | 506 | 527 | 533 | 554 | 560 | 566 | 615 | 621
            // Read, HistoryRead, Write, HistoryUpdate, Call.
            | 631 | 664 | 673 | 700 | 712
            // Monitored items, subscriptions, Publish.
            | 751 | 763 | 769 | 775 | 781 | 787 | 793 | 799 | 826 | 832 | 841 | 847
    )
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { OpcUa, "synthetic, OPC 10000-6";
    Tcp Request 8 "hello" "48454c46 20000000 00000000 00000100 00000100 00000000 00000000 00000000"
    Tcp Response 8 "hello is acknowledged" "41434b46 1c000000 00000000 00000100 00000100 00000000 00000000"
    Tcp Response 8 "an error" "45525246 10000000 00007f80 00000000"
    Tcp Notification 8 "a server asks to be called (reverse hello)" "52484546 10000000 00000000 00000000"
    Tcp Request 12 "a channel is opened" "4f504e46 20000000 00000000 00000000 ffffffff ffffffff 01000000 01000000"
    Tcp Request 28 "values are read" "4d534746 24000000 01000000 01000000 03000000 03000000 0100 7702 00000000 00000000"
    Tcp Response 28 "the values" "4d534746 24000000 01000000 01000000 03000000 03000000 0100 7a02 00000000 00000000"
    Tcp Response 28 "a service fails" "4d534746 24000000 01000000 01000000 03000000 03000000 0100 8d01 00000000 00000000"
    Tcp Response 28 "what was subscribed, first chunk" "4d534743 24000000 01000000 01000000 03000000 03000000 0100 3d03 00000000 00000000"
    Tcp Undecidable 0 "a channel is renewed, or was" "4f504e46 20000000 01000000 00000000 ffffffff ffffffff 02000000 02000000"
    Tcp Undecidable 0 "an encrypted message" "4d534746 24000000 01000000 01000000 9f3a51c0 77e2105b a1b2 c3d4 e5f60718 293a4b5c"
    Tcp Undecidable 0 "a Modbus request" "0001 0000 0006 01 03 0000 000a"
}
