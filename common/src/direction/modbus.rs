//! Modbus/TCP (Modbus Application Protocol 1.1b3, Messaging on TCP/IP 1.0b), with Schneider's UMAS.
//!
//! Modbus has no bit of direction. What decides is that a request and its response, by their functions, have
//! different lengths; where they have not, nothing does.

use super::{Class, Payload};
use crate::wire::Packet;

/// Protocol, then the length of what follows.
const PROTOCOL_AND_LENGTH: usize = 2;
/// Unit and function.
const UNIT: usize = 6;
/// First byte of the function's own.
const DATA: usize = 8;
const EXCEPTION: u8 = 0x80;
/// Most coils or inputs that one request may ask for.
const MOST_COILS: u16 = 2000;
/// Longest unit and PDU.
const LONGEST: usize = 254;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, _tcp: bool) -> Option<Class> {
    // Protocol 0 keeps the upper half empty.
    let length = payload.u32(PROTOCOL_AND_LENGTH)? as usize;
    if length > LONGEST {
        return None;
    }
    let message = payload.first(UNIT + length)?;
    let function = message.u16(UNIT)? as u8;
    if function & EXCEPTION != 0 {
        return (length >= 3).then_some(Class::Response);
    }
    match function {
        1..=4 => read(&message, function, length),
        7 => by_length(length, 2, 3),
        11 => by_length(length, 2, 6),
        12 | 17 if length == 2 => Some(Class::Request),
        12 | 17 => counted(&message, length).then_some(Class::Response),
        15 | 16 if length == 6 => Some(Class::Response),
        15 | 16 => (usize::from(message.u8(DATA + 4)?) + 7 == length && length > 7).then_some(Class::Request),
        20 => read_file(&message, length),
        23 => read_write(&message, length),
        24 if length == 4 => Some(Class::Request),
        24 => (usize::from(message.u16(DATA)?) + 4 == length && length >= 6).then_some(Class::Response),
        43 => device_identification(&message, length),
        0x5a => umas(&message, length),
        _ => None,
    }
}

#[inline(always)]
fn by_length(length: usize, request: usize, response: usize) -> Option<Class> {
    if length == request {
        Some(Class::Request)
    } else if length == response {
        Some(Class::Response)
    } else {
        None
    }
}

/// Whether a byte count is there and is that of the rest.
#[inline(always)]
fn counted<P: Packet>(message: &Payload<'_, P>, length: usize) -> bool {
    message.u8(DATA).is_some_and(|count| usize::from(count) + 3 == length)
}

/// Coils and discrete inputs (1, 2), registers (3, 4).
#[inline(always)]
fn read<P: Packet>(message: &Payload<'_, P>, function: u8, length: usize) -> Option<Class> {
    let counted = counted(message, length);
    match length {
        // Three bytes of coils, or a start address of 0x03xx: a quantity that nobody may ask for is data.
        // Registers come in pairs of bytes.
        6 if counted && function <= 2 => match message.u16(DATA + 2)? {
            1..=MOST_COILS => None,
            _ => Some(Class::Response),
        },
        6 => Some(Class::Request),
        4.. if counted && (function <= 2 || length & 1 != 0) => Some(Class::Response),
        _ => None,
    }
}

/// Groups of seven bytes that begin with 6, or answers whose own length precedes the 6 and is odd.
#[inline(always)]
fn read_file<P: Packet>(message: &Payload<'_, P>, length: usize) -> Option<Class> {
    let head = message.u16(DATA)?;
    if usize::from(head >> 8) + 3 != length {
        return None;
    }
    match head as u8 {
        6 if (length - 3).is_multiple_of(7) => Some(Class::Request),
        own if own & 1 != 0 && message.u8(DATA + 2)? == 6 => Some(Class::Response),
        _ => None,
    }
}

#[inline(always)]
fn read_write<P: Packet>(message: &Payload<'_, P>, length: usize) -> Option<Class> {
    let asks = message.u8(DATA + 8).is_some_and(|count| usize::from(count) + 11 == length && length > 11);
    let answers = counted(message, length) && length > 3 && length & 1 != 0;
    match (asks, answers) {
        (true, false) => Some(Class::Request),
        (false, true) => Some(Class::Response),
        _ => None,
    }
}

/// Only the interface of device identification: its answer has a conformity level and "more follows".
#[inline(always)]
fn device_identification<P: Packet>(message: &Payload<'_, P>, length: usize) -> Option<Class> {
    match (message.u8(DATA)?, length) {
        // Some clients append a byte; an answer is longer still.
        (14, 5..=7) => Some(Class::Request),
        (14, 8..)
            if matches!(
                message.u16(DATA + 2)? & 0x7fff,
                0x0100 | 0x01ff | 0x0200 | 0x02ff | 0x0300 | 0x03ff
            ) =>
        {
            Some(Class::Response)
        }
        _ => None,
    }
}

/// Session, then a function of at most 0x7f, or the outcome.
#[inline(always)]
fn umas<P: Packet>(message: &Payload<'_, P>, length: usize) -> Option<Class> {
    match (message.u8(DATA + 1)?, length) {
        (0xfd | 0xfe, 4..) => Some(Class::Response),
        (1..=0x7f, 4..) => Some(Class::Request),
        _ => None,
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { Modbus, "synthetic, Modbus Application Protocol 1.1b3";
    Tcp Request 12 "holding registers are read" "0001 0000 0006 01 03 0000 000a"
    Tcp Response 13 "two holding registers" "0001 0000 0007 01 03 04 00010002"
    Tcp Request 12 "holding registers are read from 0x0300 on" "0001 0000 0006 01 03 0300 0001"
    Tcp Request 12 "coils are read" "0001 0000 0006 01 01 0013 0025"
    Tcp Response 10 "eight coils" "0001 0000 0004 01 01 01 55"
    Tcp Response 12 "three bytes of coils, no quantity that could be asked for" "0001 0000 0006 01 01 03 00ff07"
    Tcp Response 10 "an exception with a byte too many" "0001 0000 0004 01 81 0600"
    Tcp Response 9 "an exception" "0001 0000 0003 01 83 02"
    Tcp Request 15 "a register is written (function 16)" "0001 0000 0009 01 10 0001 0001 02 000a"
    Tcp Response 12 "registers were written" "0001 0000 0006 01 10 0001 0002"
    Tcp Request 14 "coils are written (function 15)" "0001 0000 0008 01 0f 0013 000a 01 cd"
    Tcp Request 8 "the exception status is read" "0001 0000 0002 01 07"
    Tcp Response 9 "the exception status" "0001 0000 0003 01 07 6d"
    Tcp Response 12 "the event counter" "0001 0000 0006 01 0b ffff 0108"
    Tcp Request 8 "the identity is asked (function 17)" "0001 0000 0002 01 11"
    Tcp Response 11 "the identity" "0001 0000 0005 01 11 02 0aff"
    Tcp Request 16 "a record of a file is read" "0001 0000 000a 01 14 07 06 0004 0001 0002"
    Tcp Response 15 "the record" "0001 0000 0009 01 14 06 05 06 0dfe 0020"
    Tcp Request 19 "registers are read and written (function 23)" "0001 0000 000d 01 17 0003 0001 000e 0001 02 00ff"
    Tcp Response 11 "the registers that were read" "0001 0000 0005 01 17 02 00fe"
    Tcp Request 10 "a queue is read" "0001 0000 0004 01 18 04de"
    Tcp Response 14 "the queue" "0001 0000 0008 01 18 0004 0001 01b8"
    Tcp Request 11 "the device is identified (function 43)" "0001 0000 0005 01 2b 0e 01 00"
    Tcp Response 17 "the device's identity" "0001 0000 000b 01 2b 0e 01 01 00 00 01 00 01 41"
    Tcp Request 10 "UMAS: a session opens" "0001 0000 0004 00 5a 00 01"
    Tcp Response 11 "UMAS: done" "0001 0000 0005 00 5a 00 fe 00"
    Tcp Undecidable 0 "a coil is written, or was (function 5)" "0001 0000 0006 01 05 00ac ff00"
    Tcp Undecidable 0 "a register is written, or was (function 6)" "0001 0000 0006 01 06 0001 0003"
    Tcp Undecidable 0 "coils from 0x0310 on, or three bytes of them" "0001 0000 0006 01 01 0310 0010"
    Tcp Undecidable 0 "an odd number of bytes for registers" "0001 0000 0008 01 03 05 0001000200"
    Tcp Undecidable 0 "another protocol than 0" "0001 0001 0006 01 03 0000 000a"
    Tcp Undecidable 0 "an S7comm job" "0300 0019 02f080 32 01 0000 0001 0008 0000 f0 00 0001 0001 01e0"
    Udp Request 12 "holding registers are read" "0001 0000 0006 01 03 0000 000a"
    Udp Response 11 "a holding register" "0001 0000 0005 01 03 02 0001"
    Udp Undecidable 0 "diagnostics echo (function 8)" "0001 0000 0006 01 08 0000 a537"
    Udp Undecidable 0 "a DNP3 link request" "0564 05c9 0100 0200 1234"
}
