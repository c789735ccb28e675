//! Beckhoff ADS over AMS/TCP (48898), and its discovery (UDP 48899).

use super::{Class, Payload};
use crate::wire::Packet;

/// Length of the AMS header and its data, behind two reserved bytes.
const TCP_LENGTH: usize = 2;
const AMS_HEADER: u32 = 32;
/// Command and state flags.
const COMMAND: usize = 22;
/// Length of the data.
const LENGTH: usize = 26;
/// Low bytes of the flags, as they stand in the packet: the answer's bit.
const ANSWERS: u32 = 0x0100;
const DEVICE_NOTIFICATION: u32 = 0x0800;

/// Discovery.
const MAGIC: u32 = 0x0366_1471;
const SERVICE: usize = 8;
const SERVICE_ANSWERS: u32 = 0x8000_0000;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, tcp: bool) -> Option<Class> {
    if !tcp {
        return discovery(payload);
    }
    let length = payload.u32_le(TCP_LENGTH)?;
    let command = payload.u32(COMMAND)?;
    let data = payload.u32_le(LENGTH)?;
    if payload.u16(0)? != 0 || length < AMS_HEADER || length - AMS_HEADER != data {
        return None;
    }
    Some(if command & ANSWERS != 0 {
        Class::Response
    } else if command >> 16 == DEVICE_NOTIFICATION {
        Class::Notification
    } else {
        Class::Request
    })
}

#[inline(always)]
fn discovery<P: Packet>(payload: &Payload<'_, P>) -> Option<Class> {
    if payload.u32(0)? != MAGIC {
        return None;
    }
    let answers = payload.u32_le(SERVICE)? & SERVICE_ANSWERS != 0;
    Some(if answers { Class::Response } else { Class::Request })
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { Ads, "synthetic, Beckhoff Information System, ADS/AMS specification";
    Tcp Request 30 "the state is read" "0000 20000000 0a0000010101 1027 0a0000020101 0180 0400 0400 00000000 00000000 01000000"
    Tcp Response 30 "the state" "0000 28000000 0a0000020101 0180 0a0000010101 1027 0400 0500 08000000 00000000 01000000 00000000 05000000"
    Tcp Notification 30 "a value is reported" "0000 28000000 0a0000020101 0180 0a0000010101 1027 0800 0400 08000000 00000000 00000000 04000000 00000000"
    Tcp Undecidable 0 "lengths that contradict each other" "0000 21000000 0a0000010101 1027 0a0000020101 0180 0400 0400 00000000 00000000 01000000 00"
    Tcp Undecidable 0 "a command of a local router" "0010 20000000 0a0000010101 1027 0a0000020101 0180 0400 0400 00000000 00000000 01000000"
    Udp Request 12 "devices are looked for" "03661471 00000000 01000000 0a0000020101 1027 00000000"
    Udp Response 12 "a device shows itself" "03661471 00000000 01000080 0a0000010101 1027 00000000"
    Udp Undecidable 0 "another magic number" "03661472 00000000 01000000 0a0000020101 1027 00000000"
    Udp Undecidable 0 "a BACnet Who-Is" "810b 0008 0100 1008 0000 0000"
}
