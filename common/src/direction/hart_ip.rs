//! HART-IP (FieldComm Group HCF_SPEC-085).

use super::{Class, Payload};
use crate::wire::Packet;

/// Length of the whole, header included.
const LENGTH: usize = 6;
const HEADER: usize = 8;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, tcp: bool) -> Option<Class> {
    let head = payload.u16(0)?;
    let length = usize::from(payload.u16(LENGTH)?);
    if !matches!(head >> 8, 1 | 2) || length < HEADER || !tcp && length > payload.len() {
        return None;
    }
    match head & 0x0f {
        0 => Some(Class::Request),
        // Answers, errors, refusals.
        1 | 3 | 15 => Some(Class::Response),
        2 => Some(Class::Notification),
        _ => None,
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { HartIp, "synthetic, FieldComm Group HCF_SPEC-085";
    Udp Request 13 "a session is opened" "01 00 00 00 0001 000d 01 00007530"
    Udp Response 13 "the session" "01 01 00 00 0001 000d 01 00007530"
    Udp Notification 13 "a burst message is published" "01 02 03 00 0002 000d 86 01020304"
    Udp Response 8 "a refusal" "01 0f 00 0e 0001 0008"
    Udp Undecidable 0 "a length beyond the datagram" "01 00 00 00 0001 000e 01 00007530"
    Udp Undecidable 0 "an unknown version" "00 00 00 00 0001 000d 01 00007530"
    Tcp Request 8 "a HART command" "01 00 03 00 0003 000d 02 80 00 00 82"
    Tcp Response 8 "the answer" "01 01 03 00 0003 000f 06 80 00 02 0000 84"
    Tcp Notification 8 "a burst message is published" "02 02 03 00 0002 000d 86 01020304"
    Tcp Undecidable 0 "a message of an unknown type" "01 04 03 00 0003 000d 02 80 00 00 82"
    Tcp Undecidable 0 "a Modbus request" "0001 0000 0006 01 03 0000 000a"
}
