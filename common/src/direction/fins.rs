//! Omron FINS (W342, commands; W421, FINS/TCP).

use super::{Class, Payload};
use crate::wire::Packet;

/// Header of FINS/TCP: magic, length of the rest, command, error.
const LENGTH: usize = 4;
const COMMAND: usize = 8;
const FRAME: usize = 16;

const MAGIC: u32 = u32::from_be_bytes(*b"FINS");

const ANSWERS: u32 = 0x4000_0000;
/// Information control: bit 7 is always set, bits 1 to 5 never. The second byte is reserved. The third
/// counts gateways, 7 at most.
const FIXED: u32 = 0xbeff_f800;
const FIXED_VALUE: u32 = 0x8000_0000;
/// Last byte of the command, and of the end code that answers have.
const COMMAND_CODE: usize = 10;
const END_CODE: usize = 12;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, tcp: bool) -> Option<Class> {
    if !tcp {
        return frame(payload, 0);
    }
    if payload.u32(0)? != MAGIC || payload.u32(LENGTH)? < 8 {
        return None;
    }
    match payload.u32(COMMAND)? {
        0 => Some(Class::Request),
        1 | 3 => Some(Class::Response),
        2 => frame(payload, FRAME),
        _ => None,
    }
}

#[inline(always)]
fn frame<P: Packet>(payload: &Payload<'_, P>, at: usize) -> Option<Class> {
    let head = payload.u32(at)?;
    if head & FIXED != FIXED_VALUE {
        return None;
    }
    if head & ANSWERS == 0 {
        payload.u16(at + COMMAND_CODE).map(|_| Class::Request)
    } else {
        payload.u16(at + END_CODE).map(|_| Class::Response)
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { Fins, "synthetic, Omron W342 and W421";
    Udp Request 12 "memory is read" "8000 02 00 0a00 00 0b00 01 0101 820064 000001"
    Udp Request 12 "a command that wants no answer" "8100 02 00 0a00 00 0b00 01 0401 0000 04"
    Udp Response 14 "memory" "c000 02 00 0b00 01 0a00 01 0101 0000 1234"
    Udp Undecidable 0 "a reserved byte that is set" "8001 02 00 0a00 00 0b00 01 0101 820064 000001"
    Udp Undecidable 0 "an SLMP request" "5000 00ff ff03 00 0c00 1000 0104 0000 640000 a8 0100"
    Tcp Request 12 "a node address is asked for" "46494e53 0000000c 00000000 00000000 00000000"
    Tcp Response 12 "the node address" "46494e53 00000010 00000001 00000000 0000000b 0000000a"
    Tcp Response 12 "a frame is refused" "46494e53 00000008 00000003 00000003"
    Tcp Request 28 "memory is read" "46494e53 0000001a 00000002 00000000 8000 02 00 0a00 00 0b00 01 0101 820064 000001"
    Tcp Response 30 "memory" "46494e53 00000018 00000002 00000000 c000 02 00 0b00 01 0a00 01 0101 0000 1234"
    Tcp Undecidable 0 "a FINS frame without FINS/TCP" "8000 02 00 0a00 00 0b00 01 0101 820064 000001"
    Tcp Undecidable 0 "another command of FINS/TCP" "46494e53 00000008 00000006 00000000"
}
