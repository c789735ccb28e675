//! JTEKT TOYOPUC computer link over Ethernet (2PORT-EFR manual).

use super::{Class, Payload};
use crate::wire::Packet;

/// Frame type, response code, length of the rest with the low byte first.
const HEADER: usize = 4;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, _tcp: bool) -> Option<Class> {
    let head = payload.u32(0)?;
    let rest = usize::from((head as u16).swap_bytes());
    // Nothing else marks a frame: the length has to be exact.
    if rest == 0 || HEADER + rest != payload.len() {
        return None;
    }
    match head >> 16 {
        0x0000 => Some(Class::Request),
        0x8000..=0x80ff => Some(Class::Response),
        _ => None,
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { Toyopuc, "synthetic, JTEKT 2PORT-EFR manual";
    Tcp Request 9 "a register is read" "00 00 0500 1c 0010 0100"
    Tcp Response 7 "the register" "80 00 0300 1c 3412"
    Tcp Response 5 "a refusal" "80 10 0100 40"
    Tcp Undecidable 0 "a length that does not fit" "00 00 0600 1c 0010 0100"
    Tcp Undecidable 0 "a Modbus request" "0001 0000 0006 01 03 0000 000a"
    Udp Request 9 "a register is read" "00 00 0500 1c 0010 0100"
    Udp Response 7 "the register" "80 00 0300 1c 3412"
    Udp Undecidable 0 "a request with a response code" "00 01 0500 1c 0010 0100"
    Udp Undecidable 0 "a BACnet Who-Is" "810b 0008 0100 1008"
}
