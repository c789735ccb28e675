//! ARP for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use super::ethertype;
use crate::lab::Mac;

pub(super) fn message(
    operation: u16,
    sender: Mac,
    sender_ip: Ipv4Addr,
    target: Mac,
    target_ip: Ipv4Addr,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(28);
    for word in [1, ethertype::IPV4, 0x0604, operation] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    for (mac, ip) in [(sender, sender_ip), (target, target_ip)] {
        bytes.extend_from_slice(&mac.0);
        bytes.extend_from_slice(&ip.octets());
    }
    bytes
}
