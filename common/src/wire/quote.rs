//! The packet that an ICMP error quotes: its IP header and at least 8 bytes of what follows.

use super::ipv4::protocol;
use super::{Address, ECHO_PORT, Headers, NO_TRANSPORT, Packet, ipv6};
use crate::abi::Transport;

/// Offset of the quotation in an ICMP error.
const QUOTE: usize = 8;

/// Reads addresses and ports of the quoted packet. `None` where the quotation is cut short, is a later
/// fragment, hides its ports behind extension headers, or is of a protocol without ports.
#[inline(always)]
pub fn quoted<P: Packet>(packet: &P, outer: &Headers, inner: &mut Headers) -> Option<()> {
    inner.transport = NO_TRANSPORT;
    inner.family = outer.family;
    let l3 = outer.l4() + QUOTE;
    let l4 = if outer.family == 4 { v4(packet, l3, inner)? } else { v6(packet, l3, inner)? };
    if outer.end as usize <= l4 + 7 {
        return None;
    }
    let ports = packet.u32(l4)?;
    let (transport, source, destination) = match (inner.protocol, outer.family, ports >> 24) {
        (protocol::TCP, ..) => (Transport::Tcp, (ports >> 16) as u16, ports as u16),
        (protocol::UDP, ..) => (Transport::Udp, (ports >> 16) as u16, ports as u16),
        (protocol::SCTP, ..) => (Transport::Sctp, (ports >> 16) as u16, ports as u16),
        (protocol::ICMP, 4, 8) | (protocol::ICMPV6, 6, 128) => (Transport::Icmp, 0, ECHO_PORT),
        (protocol::ICMP, 4, 0) | (protocol::ICMPV6, 6, 129) => (Transport::Icmp, ECHO_PORT, 0),
        _ => return None,
    };
    inner.transport = transport as u8;
    inner.source_port = source;
    inner.destination_port = destination;
    Some(())
}

#[inline(always)]
fn v4<P: Packet>(packet: &P, l3: usize, inner: &mut Headers) -> Option<usize> {
    let start = packet.u8(l3)?;
    let later = packet.u16(l3 + 6)? & 0x1fff != 0;
    if start >> 4 != 4 || start & 0x0f < 5 || later {
        return None;
    }
    inner.protocol = packet.u8(l3 + 9)?;
    inner.source = Address { hi: 0, lo: u64::from(packet.u32(l3 + 12)?) };
    inner.destination = Address { hi: 0, lo: u64::from(packet.u32(l3 + 16)?) };
    Some(l3 + usize::from(start & 0x0f) * 4)
}

#[inline(always)]
fn v6<P: Packet>(packet: &P, l3: usize, inner: &mut Headers) -> Option<usize> {
    if packet.u8(l3)? >> 4 != 6 {
        return None;
    }
    inner.protocol = packet.u8(l3 + 6)?;
    inner.source = ipv6::address(packet, l3 + 8)?;
    inner.destination = ipv6::address(packet, l3 + 24)?;
    Some(l3 + 40)
}
