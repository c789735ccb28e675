//! IEC 60870-5-104 (clause 5), with types and causes of IEC 60870-5-101 (clause 7.2).

use super::{Class, Payload};
use crate::wire::Packet;

const START: u32 = 0x68;
/// Control fields of 4 bytes, and of the shortest ASDU besides.
const CONTROL: u8 = 4;
const ASDU: u8 = 10;
const LONGEST: u8 = 253;
const TYPE: usize = 6;
const CAUSE: usize = 8;
/// The upper bits of the cause mark tests and refusals.
const CAUSE_MASK: u8 = 0x3f;
const READ_COMMAND: u8 = 102;

/// APDUs of a segment that are looked at.
const APDUS: usize = 3;
/// Length of an APDU of control fields only.
const SHORT: usize = 6;

/// Receipts and tests of the link come from both sides, often before what the segment is about.
#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, _tcp: bool) -> Option<Class> {
    for place in 0..APDUS {
        let at = place * SHORT;
        let head = payload.u32(at)?;
        let (length, control) = ((head >> 16) as u8, (head >> 8) as u8);
        if head >> 24 != START {
            return None;
        }
        if length != CONTROL {
            let data = matches!(length, ASDU..=LONGEST) && control & 1 == 0 && payload.u8(at + 4)? & 1 == 0;
            return if data { asdu(payload.u8(at + TYPE)?, payload.u8(at + CAUSE)?) } else { None };
        }
        let rest = payload.u16(at + 4)?;
        match (control, head as u8, rest) {
            (0x07 | 0x13, 0, 0) => return Some(Class::Request),
            (0x0b | 0x23, 0, 0) => return Some(Class::Response),
            (0x43 | 0x83, 0, 0) | (0x01, 0, _) => {}
            _ => return None,
        }
    }
    None
}

#[inline(always)]
fn asdu(kind: u8, cause: u8) -> Option<Class> {
    let cause = cause & CAUSE_MASK;
    if matches!(kind, 1..=44 | 70) { monitored(cause) } else { commanded(kind, cause) }
}

#[inline(always)]
fn monitored(cause: u8) -> Option<Class> {
    match cause {
        // Periodic, background, spontaneous, initialised, changed by a command.
        1..=4 | 11 | 12 => Some(Class::Notification),
        // Requested, interrogated.
        5 | 20..=41 => Some(Class::Response),
        _ => None,
    }
}

#[inline(always)]
fn commanded(kind: u8, cause: u8) -> Option<Class> {
    match (kind, cause) {
        (READ_COMMAND, 5) => Some(Class::Request),
        // Activation, deactivation.
        (45..=69 | 100..=113, 6 | 8) => Some(Class::Request),
        // Their confirmation and end, parameters that were interrogated, what is unknown.
        (45..=69 | 100..=113, 7 | 9 | 10 | 44..=47) | (110..=113, 20..=36) => Some(Class::Response),
        _ => None,
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { Iec104, "synthetic, IEC 60870-5-101 clause 7.2, IEC 60870-5-104 clause 5";
    Tcp Request 6 "transfer starts" "6804 07000000"
    Tcp Response 6 "transfer has started" "6804 0b000000"
    Tcp Request 6 "transfer stops" "6804 13000000"
    Tcp Request 9 "a general interrogation" "680e 00000000 64 01 0600 0100 000000 14"
    Tcp Response 9 "the interrogation is confirmed" "680e 00000200 64 01 0700 0100 000000 14"
    Tcp Response 9 "a value that was interrogated" "680e 02000200 01 01 1400 0100 010000 01"
    Tcp Notification 9 "a value that changed by itself" "680e 04000200 01 01 0300 0100 010000 00"
    Tcp Notification 9 "the station has restarted" "680e 06000200 46 01 0400 0100 000000 00"
    Tcp Request 9 "a single command" "680e 02000800 2d 01 0600 0100 881300 01"
    Tcp Response 9 "the command was refused" "680e 08000400 2d 01 4700 0100 881300 01"
    Tcp Response 9 "an unknown type" "680e 0a000400 2d 01 6c00 0100 881300 01"
    Tcp Request 9 "a value is read" "680d 04000800 66 01 0500 0100 010000"
    Tcp Response 9 "a value that was read" "680e 0a000600 01 01 0500 0100 010000 01"
    Tcp Request 21 "a single command behind a receipt and a test" "6804 01000200 6804 43000000 680e 02000800 2d 01 0600 0100 881300 01"
    Tcp Undecidable 0 "a command behind more than is read" "6804 01000200 6804 01000200 6804 01000200 680e 02000800 2d 01 0600 0100 881300 01"
    Tcp Undecidable 0 "a frame of no known kind" "6804 0f000000"
    Tcp Undecidable 0 "the connection is tested" "6804 43000000"
    Tcp Undecidable 0 "receipt is acknowledged" "6804 01000200"
    Tcp Undecidable 0 "a file is called" "6813 0c000600 7a 01 0d00 0100 000000 0100 00 02 00000000"
    Tcp Undecidable 0 "a DNP3 link request" "0564 05c9 0100 0200 1234"
}
