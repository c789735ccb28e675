//! S7comm and S7comm-plus over ISO on TCP (RFC 1006, ISO 8073).
//!
//! Siemens has published neither; the fields are those of Wireshark's packet-s7comm.c and of the dissector of
//! S7comm-plus by Thomas Wiens.

use super::{Class, Payload};
use crate::wire::Packet;

/// Length and type of the COTP header.
const COTP: usize = 4;
const PARTS: usize = 6;
const MESSAGE: usize = 7;

/// A data header is two bytes long, and the last part of a message says so.
const DATA: u16 = 0x02f0;
const LAST_PART: u8 = 0x80;

/// Lengths of parameters and data.
const LENGTHS: usize = MESSAGE + 6;
/// Beginning of the parameters of user data, with their kind three bytes on.
const USER_DATA: usize = MESSAGE + 10;
const KIND: usize = MESSAGE + 15;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, _tcp: bool) -> Option<Class> {
    let head = payload.u32(0)?;
    let length = head as usize & 0xffff;
    if head >> 16 != 0x0300 || length < MESSAGE {
        return None;
    }
    let cotp = payload.u16(COTP)?;
    match cotp as u8 {
        0xe0 if length >= 11 => return Some(Class::Request),
        0xd0 if length >= 11 => return Some(Class::Response),
        _ if cotp != DATA => return None,
        _ => {}
    }
    match payload.u16(MESSAGE)? {
        message @ 0x3200..=0x32ff if payload.u8(PARTS)? & LAST_PART != 0 => {
            s7comm(payload, message as u8, length)
        }
        // Connecting and plain; with a digest before the message.
        0x7201 | 0x7202 => s7comm_plus(payload, MESSAGE + 4),
        0x7203 if payload.u8(MESSAGE + 4)? == 32 => s7comm_plus(payload, MESSAGE + 4 + 33),
        _ => None,
    }
}

/// The lengths must make up the whole: parts of long messages can begin with any byte.
#[inline(always)]
fn s7comm<P: Packet>(payload: &Payload<'_, P>, kind: u8, length: usize) -> Option<Class> {
    let lengths = payload.u32(LENGTHS)?;
    let rest = (lengths >> 16) as usize + (lengths as usize & 0xffff);
    let header = if matches!(kind, 2 | 3) { 12 } else { 10 };
    if MESSAGE + header + rest != length {
        return None;
    }
    match kind {
        1 => Some(Class::Request),
        2 | 3 => Some(Class::Response),
        7 if payload.u32(USER_DATA)? >> 8 == 0x00_0112 => match payload.u8(KIND)? >> 4 {
            0 => Some(Class::Notification),
            4 => Some(Class::Request),
            8 => Some(Class::Response),
            _ => None,
        },
        _ => None,
    }
}

/// The zeros behind the operation tell a message from the continuation of one.
#[inline(always)]
fn s7comm_plus<P: Packet>(payload: &Payload<'_, P>, at: usize) -> Option<Class> {
    let operation = payload.u8(at)?;
    match operation {
        0x31 | 0x32 if payload.u16(at + 1)? == 0 && payload.u16(at + 5)? == 0 => {
            Some(if operation == 0x31 { Class::Request } else { Class::Response })
        }
        // Subscriptions are objects 0x70xxxxxx.
        0x33 if payload.u8(at + 1)? == 0x70 => Some(Class::Notification),
        _ => None,
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { S7, "synthetic, RFC 1006, ISO 8073, Wireshark packet-s7comm.c";
    Tcp Request 6 "a connection is asked for" "0300 0016 11e0 0000 0001 00 c0010a c1020100 c2020102"
    Tcp Response 6 "the connection is confirmed" "0300 0016 11d0 0001 0002 00 c0010a c1020100 c2020102"
    Tcp Request 17 "communication is set up" "0300 0019 02f0 80 32 01 0000 0001 0008 0000 f0 00 0001 0001 01e0"
    Tcp Response 17 "communication is set up, answer" "0300 001b 02f0 80 32 03 0000 0001 0008 0000 0000 f0 00 0001 0001 00f0"
    Tcp Response 17 "an acknowledgement without data" "0300 0013 02f0 80 32 02 0000 0001 0000 0000 0000"
    Tcp Request 23 "a list of system states is read" "0300 0021 02f0 80 32 07 0000 0002 0008 0008 00 01 12 04 11 44 01 00 ff09 0004 0011 0001"
    Tcp Response 23 "a list of system states" "0300 0021 02f0 80 32 07 0000 0002 000c 0004 00 01 12 08 12 84 01 01 0000 0000 0a00 0000"
    Tcp Notification 23 "the controller pushes data" "0300 0021 02f0 80 32 07 0000 0000 000c 0004 00 01 12 08 12 04 05 01 0000 0000 0a00 0000"
    Tcp Request 18 "S7comm-plus: a session is created" "0300 0023 02f0 80 72 01 0014 31 0000 04ca 0000 0001 00000120 36 0000000000 7201 0000"
    Tcp Response 18 "S7comm-plus: the session" "0300 0023 02f0 80 72 02 0014 32 0000 04ca 0000 0001 36 0000000000000000 7202 0000"
    Tcp Request 51 "S7comm-plus: a request with a digest" "0300 0043 02f0 80 72 03 0034 20 0102030405060708 0102030405060708 0102030405060708 0102030405060708 31 0000 04f2 0000 0004 00000000 34 000000 7203 0000"
    Tcp Notification 13 "S7comm-plus: a subscription reports" "0300 001f 02f0 80 72 02 0010 33 700003e9 0004 0000 0001 0001020304 7202 0000"
    Tcp Undecidable 0 "a disconnect" "0300 000b 0680 0001 0002 00"
    Tcp Undecidable 0 "a part of a message" "0300 0019 02f0 00 32 01 0000 0001 0008 0000 f0 00 0001 0001 01e0"
    Tcp Undecidable 0 "lengths that do not make up the whole" "0300 0019 02f0 80 32 01 0000 0001 0009 0000 f0 00 0001 0001 01e0"
    Tcp Undecidable 0 "a Modbus request" "0001 0000 0006 01 03 0000 000a"
}
