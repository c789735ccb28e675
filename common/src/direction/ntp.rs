//! NTP (RFC 5905), control messages (RFC 9327) and the private mode of ntpd.

use super::{Class, Payload};
use crate::wire::Packet;

const HEADER: usize = 48;
const CONTROL_HEADER: usize = 12;
const PRIVATE_HEADER: usize = 8;
/// Response bits of mode 6, in the second byte, and of mode 7, in the first.
const CONTROL_ANSWERS: u16 = 0x0080;
const PRIVATE_ANSWERS: u16 = 0x8000;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, _tcp: bool) -> Option<Class> {
    let head = payload.u16(0)?;
    let (version, mode) = (head >> 11 & 7, head >> 8 & 7);
    if !matches!(version, 1..=4) {
        return None;
    }
    let least = match mode {
        6 => CONTROL_HEADER,
        7 => PRIVATE_HEADER,
        _ => HEADER,
    };
    if payload.len() < least {
        return None;
    }
    let answers = match mode {
        3 => false,
        4 => true,
        5 => return Some(Class::Notification),
        6 => head & CONTROL_ANSWERS != 0,
        7 => head & PRIVATE_ANSWERS != 0,
        _ => return None,
    };
    Some(if answers { Class::Response } else { Class::Request })
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { Ntp, "synthetic, RFC 5905 and RFC 9327";
    Udp Request 48 "the time is asked for" "23000000 00000000 00000000 00000000 0000000000000000 0000000000000000 0000000000000000 e900000000000000"
    Udp Response 48 "the time" "24010000 00000000 00000000 47505300 e900000000000000 e900000000000000 e900000000000000 e900000000000000"
    Udp Notification 48 "the time is broadcast" "25010600 00000000 00000000 47505300 e900000000000000 0000000000000000 0000000000000000 e900000000000000"
    Udp Request 12 "variables are read" "1602 0001 0000 0000 0000 0000"
    Udp Response 12 "the variables" "1682 0001 0000 0000 0000 0000"
    Udp Request 8 "a private request" "17 00 03 2a 0000 0000"
    Udp Response 8 "its answer" "97 00 03 2a 0000 0000"
    Udp Undecidable 0 "a symmetric peer" "21010600 00000000 00000000 00000000 0000000000000000 0000000000000000 0000000000000000 e900000000000000"
    Udp Undecidable 0 "version 0" "03000000 00000000 00000000 00000000 0000000000000000 0000000000000000 0000000000000000 e900000000000000"
    Udp Undecidable 0 "a BACnet Who-Is" "810b 0008 0100 1008 0000 0000"
}
