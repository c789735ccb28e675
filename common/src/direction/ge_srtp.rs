//! GE SRTP (Denton et al., DFRWS 2017; the dissector Palatis/packet-ge-srtp).

use super::{Class, Payload};
use crate::wire::Packet;

/// Kind of the message in the mailbox.
const KIND: usize = 31;
const HEADER: usize = 56;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, _tcp: bool) -> Option<Class> {
    let head = payload.u16(0)?;
    let kind = payload.u8(KIND)?;
    if payload.len() < HEADER {
        return None;
    }
    match (head, kind) {
        // Opening: a header of zeros, and its answer.
        (0x0000, 0) if payload.len() == HEADER && payload.u32(HEADER - 4)? == 0 => Some(Class::Request),
        (0x0100, 0) if payload.len() == HEADER => Some(Class::Response),
        // Short, with text.
        (0x0200, 0xc0 | 0x80) => Some(Class::Request),
        // Done, done with text, refused.
        (0x0300, 0xd4 | 0x94 | 0xd1) => Some(Class::Response),
        _ => None,
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { GeSrtp, "synthetic, Denton et al., DFRWS 2017";
    Tcp Request 56 "a connection is opened" "00000000000000000000000000000000 00000000000000000000000000000000 00000000000000000000000000000000 0000000000000000"
    Tcp Response 56 "the connection is open" "01000000000000000f00000000000000 00000000000000000000000000000000 00000000000000000000000000000000 0000000000000000"
    Tcp Request 56 "registers are read" "02000600000000000001000000000000 000100000000000000000000000006c0 00000000100e00000101040800000100 0000000000000000"
    Tcp Response 56 "the registers" "03000600000000000001000000000000 000100000000000000000000000006d4 100e0000000000000000000000000000 0000000000000000"
    Tcp Response 56 "a refusal" "03000700000000000001000000000000 000100000000000000000000000007d1 100e0000000000000000000000000000 0000000000000000"
    Tcp Undecidable 0 "an answer of a request's kind" "03000600000000000001000000000000 000100000000000000000000000006c0 00000000100e00000101040800000100 0000000000000000"
    Tcp Undecidable 0 "a Modbus request" "0001 0000 0006 01 03 0000 000a"
}
