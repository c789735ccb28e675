//! KNXnet/IP (ISO 22510, KNX 03_08), with message codes of cEMI (KNX 03_06_03).

use super::{Class, Payload};
use crate::wire::Packet;

/// Length of the header and version 1.0.
const HEAD: u32 = 0x0610;
const LENGTH: usize = 4;
const HEADER: usize = 6;
/// Length of the connection header.
const CONNECTION: usize = 6;
const CONNECTION_LENGTH: u8 = 4;
/// cEMI message code behind the connection header.
const CODE: usize = 10;

#[inline(always)]
pub(super) fn classify<P: Packet>(payload: &Payload<'_, P>, tcp: bool) -> Option<Class> {
    let head = payload.u32(0)?;
    let length = usize::from(payload.u16(LENGTH)?);
    if head >> 16 != HEAD || length < HEADER || !tcp && length > payload.len() {
        return None;
    }
    match head as u16 {
        // Search, description, connection, state of the connection; features of the interface.
        0x0201 | 0x0203 | 0x0205 | 0x0207 | 0x020b | 0x0422 | 0x0424 => Some(Class::Request),
        0x0202 | 0x0204 | 0x0206 | 0x0208 | 0x020c | 0x0311 | 0x0421 | 0x0423 => Some(Class::Response),
        0x0310 | 0x0420 if payload.u8(CONNECTION)? == CONNECTION_LENGTH => cemi(payload.u8(CODE)?),
        // Routed telegrams, lost ones, busy routers; a feature that changed.
        0x0530..=0x0533 | 0x0425 => Some(Class::Notification),
        _ => None,
    }
}

#[inline(always)]
fn cemi(code: u8) -> Option<Class> {
    match code {
        // L_Raw.req, L_Data.req, L_Poll_Data.req, T_Data.req.
        0x10 | 0x11 | 0x13 | 0x41 | 0x4a => Some(Class::Request),
        // The bus reports telegrams, those of this client included.
        0x25 | 0x29 | 0x2b | 0x2d | 0x2e | 0x2f | 0x89 | 0x94 => Some(Class::Notification),
        // M_Reset, M_PropWrite, M_FuncPropCommand, M_FuncPropStateRead, M_PropRead.
        0xf1 | 0xf6 | 0xf8 | 0xf9 | 0xfc => Some(Class::Request),
        0xf5 | 0xfa | 0xfb => Some(Class::Response),
        // M_Reset.ind, M_PropInfo.ind.
        0xf0 | 0xf7 => Some(Class::Notification),
        _ => None,
    }
}

#[cfg(any(test, feature = "std"))]
super::samples_of! { KnxnetIp, "synthetic, ISO 22510, KNX 03_08 and 03_06_03";
    Udp Request 14 "interfaces are searched for" "0610 0201 000e 0801 c0a80105 0e57"
    Udp Response 14 "an interface shows itself" "0610 0202 000e 0801 c0a80107 0e57"
    Udp Request 26 "a tunnel is asked for" "0610 0205 001a 0801 c0a80105 0e58 0801 c0a80105 0e58 0404 0200"
    Udp Request 21 "a group is written through the tunnel" "0610 0420 0015 04 01 00 00 11 00 bce0 0000 0801 01 0081"
    Udp Notification 21 "a telegram of the bus" "0610 0420 0015 04 01 00 00 29 00 bce0 1105 0801 01 0081"
    Udp Notification 21 "the telegram that was written" "0610 0420 0015 04 01 01 00 2e 00 bce0 1105 0801 01 0081"
    Udp Response 10 "a telegram is acknowledged" "0610 0421 000a 04 01 00 00"
    Udp Request 17 "a property of the interface is read" "0610 0310 0011 04 01 00 00 fc 0000 01 34 1001"
    Udp Response 19 "the property" "0610 0310 0013 04 01 00 00 fb 0000 01 34 1001 0001"
    Udp Response 10 "a property is acknowledged" "0610 0311 000a 04 01 00 00"
    Udp Notification 17 "a routed telegram" "0610 0530 0011 29 00 bcd0 1105 0801 01 0081"
    Udp Undecidable 0 "either side disconnects" "0610 0209 0010 0100 0801 c0a80105 0e57"
    Udp Undecidable 0 "a length beyond the datagram" "0610 0201 000f 0801 c0a80105 0e57"
    Udp Undecidable 0 "an unknown version" "0620 0201 000e 0801 c0a80105 0e57"
    Tcp Request 6 "a tunnel is asked for" "0610 0205 001a 0802 00000000 0000 0802 00000000 0000 0404 0200"
    Tcp Response 6 "the tunnel" "0610 0206 0014 01 00 0802 00000000 0000 0404 1105"
    Tcp Notification 11 "a telegram of the bus" "0610 0420 0015 04 01 00 00 29 00 bce0 1105 0801 01 0081"
    Tcp Undecidable 0 "a secure wrapper" "0610 0950 0010 0001 0000 0000 0000 0000"
    Tcp Undecidable 0 "a DNP3 link request" "0564 05c9 0100 0200 1234"
}
