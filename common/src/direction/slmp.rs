//! MELSEC communication protocol 3E and 4E, SLMP of CC-Link IE, and MELSOFT.
//!
//! Mitsubishi SH-080956ENG and SH-080008; the MELSOFT frames 57 and 5A as published by Nozomi Networks.

use super::{Class, Payload};
use crate::wire::Packet;

/// Bit of the first byte of every binary answer.
const RESPONSE: u16 = 0x8000;

/// Behind its length field a request has timer, command and subcommand, an answer its end code.
const REQUEST_REST: usize = 6;
const RESPONSE_REST: usize = 2;

/// Length fields of binary frames; the rest follows each at once.
const LENGTH_3E: usize = 7;
const LENGTH_4E: usize = 11;
const LENGTH_68: usize = 15;
const LENGTH_57: usize = 19;

/// Where an ASCII header ends, length included.
const ASCII_3E: usize = 18;
const ASCII_4E: usize = 26;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, tcp: bool) -> Option<Class> {
    let subheader = payload.u16(0)?;
    match subheader & !RESPONSE {
        0x5000 => binary(payload, subheader, LENGTH_3E, tcp),
        0x5400 => binary(payload, subheader, LENGTH_4E, tcp),
        0x6800 => binary(payload, subheader, LENGTH_68, tcp),
        // The second byte counts; 0x1111 marks MELSOFT.
        0x5700..=0x57ff if payload.u16(5)? == 0x1111 => binary(payload, subheader, LENGTH_57, tcp),
        // Four bytes ask whether somebody is there.
        0x5a00 => match (subheader & RESPONSE != 0, payload.len()) {
            (false, 4) => Some(Class::Request),
            (true, 6..) => Some(Class::Response),
            _ => None,
        },
        0x3530 | 0x3534 | 0x4430 | 0x4434 => ascii(payload),
        _ => None,
    }
}

#[inline(always)]
fn binary<P: Packet>(payload: &Payload<'_, P>, subheader: u16, length: usize, tcp: bool) -> Option<Class> {
    let (class, least) = class_of(subheader & RESPONSE != 0);
    let rest = usize::from(payload.u16_le(length)?);
    // A datagram has its message whole; a segment may have only its beginning.
    let fits = rest >= least && (tcp || length + 2 + rest <= payload.len());
    fits.then_some(class)
}

#[inline(always)]
fn ascii<P: Packet>(payload: &Payload<'_, P>) -> Option<Class> {
    let (answers, header) = match &payload.u32(0)?.to_be_bytes() {
        b"5000" => (false, ASCII_3E),
        b"D000" => (true, ASCII_3E),
        b"5400" => (false, ASCII_4E),
        b"D400" => (true, ASCII_4E),
        _ => return None,
    };
    let (class, least) = class_of(answers);
    (payload.len() >= header + 2 * least).then_some(class)
}

#[inline(always)]
fn class_of(answers: bool) -> (Class, usize) {
    if answers { (Class::Response, RESPONSE_REST) } else { (Class::Request, REQUEST_REST) }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { Slmp, "synthetic, Mitsubishi SH-080956ENG and SH-080008";
    Udp Request 21 "a 3E batch read" "5000 00ff ff03 00 0c00 1000 0104 0000 640000 a8 0100"
    Udp Response 13 "a 3E answer" "d000 00ff ff03 00 0400 0000 3412"
    Udp Response 11 "a 3E answer without data" "d000 00ff ff03 00 0200 0000"
    Udp Request 25 "a 4E batch read" "5400 3412 0000 00ff ff03 00 0c00 1000 0104 0000 640000 a8 0100"
    Udp Response 17 "a 4E answer" "d400 3412 0000 00ff ff03 00 0400 0000 3412"
    Udp Request 23 "SLMP of CC-Link IE TSN" "6800 0100 0000 00ff ff03 00 000000 00 0600 0000 010e 0000"
    Udp Response 19 "its answer" "e800 0100 0000 00ff ff03 00 000000 00 0200 0000"
    Udp Request 27 "MELSOFT" "5701 0000 00 1111 07 0000 ffff 0300 00fe 03 0000 0600 1c0a 1614 0000"
    Udp Response 23 "MELSOFT answers" "d701 0000 00 1111 7f 0000 00a8 0300 ffff 03 00 00 0200 9c0a"
    Udp Request 4 "MELSOFT looks for a controller" "5a00 0001"
    Udp Response 6 "the controller shows itself" "da00 0001 1400"
    Udp Undecidable 0 "a length beyond the datagram" "5000 00ff ff03 00 0d00 1000 0104 0000 640000 a8 0100"
    Udp Undecidable 0 "a 1E batch read" "01ff 0a00 64000000 2044 0100"
    Udp Undecidable 0 "a FINS command" "8000 0200 0100 0002 0001 0501"
    Tcp Request 9 "a 3E batch read" "5000 00ff ff03 00 0c00 1000 0104 0000 640000 a8 0100"
    Tcp Response 9 "the first segment of a long 3E answer" "d000 00ff ff03 00 c203 0000 3412"
    Tcp Request 13 "a 4E batch read" "5400 3412 0000 00ff ff03 00 0c00 1000 0104 0000 640000 a8 0100"
    Tcp Response 13 "a 4E answer" "d400 3412 0000 00ff ff03 00 0400 0000 3412"
    Tcp Request 21 "MELSOFT" "5701 0000 00 1111 07 0000 ffff 0300 00fe 03 0000 0600 1c0a 1614 0000"
    Tcp Response 21 "MELSOFT answers" "d700 0000 00 1111 7f 0000 00a8 0300 ffff 03 00 00 0200 9c0a"
    Tcp Request 30 "an ASCII 3E batch read" "35303030 3030 4646 30334646 3030 30303138 30303130 30343031 30303030"
    Tcp Response 22 "an ASCII 3E answer" "44303030 3030 4646 30334646 3030 30303034 30303030"
    Tcp Request 38 "an ASCII 4E batch read" "35343030 31323334 30303030 3030 4646 30334646 3030 30303138 30303130 30343031 30303030"
    Tcp Response 30 "an ASCII 4E answer" "44343030 31323334 30303030 3030 4646 30334646 3030 30303034 30303030"
    Tcp Undecidable 0 "a length that leaves no room for a command" "5000 00ff ff03 00 0200 1000"
    Tcp Undecidable 0 "a Modbus request" "0001 0000 0006 01 03 0000 000a"
}
