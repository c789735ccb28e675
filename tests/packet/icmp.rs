//! What ICMP (RFC 792) and ICMPv6 (RFC 4443) number differently.

use std::net::IpAddr;

/// As much as an ICMPv6 error quotes without exceeding the least MTU.
const QUOTED_V6: usize = 1280 - 40 - 8;

pub(super) fn echo_request(address: IpAddr) -> u8 {
    if address.is_ipv4() { 8 } else { 128 }
}

pub(super) fn echo_reply(address: IpAddr) -> u8 {
    if address.is_ipv4() { 0 } else { 129 }
}

/// Type and code.
pub(super) fn port_unreachable(address: IpAddr) -> (u8, u8) {
    if address.is_ipv4() { (3, 3) } else { (1, 4) }
}

/// What an error quotes: for IPv4 the header and the 8 bytes that even the oldest router quotes.
pub(super) fn quote(packet: &[u8]) -> Vec<u8> {
    let enough = if packet[0] >> 4 == 6 { QUOTED_V6 } else { usize::from(packet[0] & 0x0f) * 4 + 8 };
    packet[..packet.len().min(enough)].to_vec()
}
