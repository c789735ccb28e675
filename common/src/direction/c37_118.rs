//! Synchrophasors (IEEE C37.118.2-2011 clause 6).

use super::{Class, Payload};
use crate::wire::Packet;

const SYNC: u32 = 0xaa;
/// The shortest frame: a command.
const SHORTEST: usize = 16;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, tcp: bool) -> Option<Class> {
    let head = payload.u32(0)?;
    let size = head as usize & 0xffff;
    let version = head >> 16 & 0x0f;
    if head >> 24 != SYNC || version == 0 || size < SHORTEST || !tcp && size > payload.len() {
        return None;
    }
    // Bit 7 is reserved.
    match head >> 20 & 0x0f {
        0 => Some(Class::Notification),
        // Header, configurations 1, 2 and 3.
        1 | 2 | 3 | 5 => Some(Class::Response),
        4 => Some(Class::Request),
        _ => None,
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { C37118, "synthetic, IEEE C37.118.2-2011 clause 6";
    Udp Request 18 "data are turned on" "aa41 0012 0007 5f000000 00000000 0002 1234"
    Udp Response 20 "a configuration" "aa31 0014 0007 5f000000 00000000 000f4240 1234"
    Udp Notification 18 "data" "aa01 0012 0007 5f000000 00000000 0000 1234"
    Udp Undecidable 0 "a size beyond the datagram" "aa41 0013 0007 5f000000 00000000 0002 1234"
    Udp Undecidable 0 "a DNP3 link request" "0564 05c9 0100 0200 1234"
    Tcp Request 4 "data are turned on" "aa42 0012 0007 5f000000 00000000 0002 1234"
    Tcp Response 4 "a header" "aa12 0014 0007 5f000000 00000000 504d5531 1234"
    Tcp Notification 4 "data" "aa02 0012 0007 5f000000 00000000 0000 1234"
    Tcp Undecidable 0 "a type that does not exist" "aa72 0012 0007 5f000000 00000000 0002 1234"
    Tcp Undecidable 0 "a Modbus request" "0001 0000 0006 01 03 0000 000a"
}
