//! DNP3 (IEEE 1815-2012: application clause 4, transport clause 8, data link clause 9).

use super::{Class, Payload};
use crate::wire::Packet;

const START: u32 = 0x0564_0000;
/// The header's checksum: a frame is never shorter.
const CHECKSUM: usize = 8;
/// Transport and application control.
const TRANSPORT: usize = 10;
const FUNCTION: usize = 12;

const FROM_MASTER: u8 = 0x80;
const PRIMARY: u8 = 0x40;
/// Functions of the link that carry data.
const USER_DATA: u8 = 3;
const UNCONFIRMED_USER_DATA: u8 = 4;
/// Bit of the transport header: the application header follows.
const FIRST: u16 = 0x4000;
const UNSOLICITED: u8 = 0x82;
/// Length field of a frame without data, and with an application header.
const NO_DATA: u8 = 5;
const APPLICATION: u8 = 8;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, _tcp: bool) -> Option<Class> {
    let head = payload.u32(0)?;
    let (length, control) = ((head >> 8) as u8, head as u8);
    if head & 0xffff_0000 != START || length < NO_DATA {
        return None;
    }
    payload.u16(CHECKSUM)?;
    let asks = control & FROM_MASTER != 0;
    let plain = if asks { Class::Request } else { Class::Response };
    let carries = control & PRIMARY != 0 && matches!(control & 0x0f, USER_DATA | UNCONFIRMED_USER_DATA);
    if length == NO_DATA {
        return (!carries).then_some(plain);
    }
    let transport = payload.u16(TRANSPORT)?;
    if !carries || transport & FIRST == 0 {
        return carries.then_some(plain);
    }
    let function = payload.u8(FUNCTION)?;
    if length < APPLICATION || asks == (function & 0x80 != 0) {
        return None;
    }
    Some(if function == UNSOLICITED { Class::Notification } else { plain })
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { Dnp3, "synthetic, IEEE 1815-2012 clauses 4, 8 and 9";
    Tcp Request 13 "a class 0 poll" "0564 0bc4 0a00 0100 1234 c0c1 01 3c0106 5678"
    Tcp Response 13 "the answer to a poll" "0564 0a44 0100 0a00 1234 c0c1 81 0000 5678"
    Tcp Notification 13 "an unsolicited report" "0564 0a44 0100 0a00 1234 c0f1 82 0000 5678"
    Tcp Request 13 "the master confirms a report" "0564 08c4 0a00 0100 1234 c0d1 00 5678"
    Tcp Request 10 "the state of the link is asked" "0564 05c9 0a00 0100 1234"
    Tcp Response 10 "the state of the link" "0564 050b 0100 0a00 1234"
    Tcp Response 12 "a later segment of a long answer" "0564 0844 0100 0a00 1234 8101 02 5678"
    Tcp Undecidable 0 "a read that says it comes from an outstation" "0564 0b44 0a00 0100 1234 c0c1 01 3c0106 5678"
    Tcp Undecidable 0 "user data without data" "0564 05c4 0a00 0100 1234"
    Tcp Undecidable 0 "a Modbus request" "0001 0000 0006 01 03 0000 000a"
    Udp Request 13 "a class 0 poll" "0564 0bc4 0a00 0100 1234 c0c1 01 3c0106 5678"
    Udp Response 13 "the answer to a poll" "0564 0a44 0100 0a00 1234 c0c1 81 0000 5678"
    Udp Notification 13 "an unsolicited report" "0564 0a44 0100 0a00 1234 c0f1 82 0000 5678"
    Udp Undecidable 0 "an answer that says it comes from a master" "0564 0ac4 0100 0a00 1234 c0c1 81 0000 5678"
    Udp Undecidable 0 "a length below the header's" "0564 04c9 0a00 0100 1234"
    Udp Undecidable 0 "a BACnet Who-Is" "810b 0008 0100 1008 0000 0000"
}
