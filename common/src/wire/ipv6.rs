//! Internet Protocol version 6 (RFC 8200) with a bounded number of extension headers.

use super::ipv4::protocol;
use super::{
    Address, Content, FIRST_FRAGMENT, Headers, LATER_FRAGMENT, OFFSET_MASK, Packet, icmp, transport,
};

const PAYLOAD_LENGTH: usize = 4;
const NEXT_HEADER: usize = 6;
const SOURCE: usize = 8;
const DESTINATION: usize = 24;
const HEADER: usize = 40;
const FRAGMENT_HEADER: usize = 8;

/// Extension headers that are followed; more make a packet malformed.
pub const MAX_EXTENSIONS: usize = 6;

mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
}

#[inline(always)]
pub(super) fn parse<P: Packet>(packet: &P, headers: &mut Headers, l3: usize) -> Option<Content> {
    let version = packet.u8(l3)? >> 4;
    let end = l3 + HEADER + usize::from(packet.u16(l3 + PAYLOAD_LENGTH)?);
    if version != 6 || end > packet.length() {
        return Some(Content::Malformed);
    }
    headers.family = 6;
    headers.source = address(packet, l3 + SOURCE)?;
    headers.destination = address(packet, l3 + DESTINATION)?;
    headers.end = end as u32;
    let mut next = packet.u8(l3 + NEXT_HEADER)?;
    let mut at = l3 + HEADER;
    for _ in 0..=MAX_EXTENSIONS {
        let length = match next {
            extension::HOP_BY_HOP | extension::ROUTING | extension::DESTINATION => {
                (usize::from(packet.u8(at + 1)?) + 1) * 8
            }
            extension::AUTHENTICATION => (usize::from(packet.u8(at + 1)?) + 2) * 4,
            extension::FRAGMENT => {
                if at + FRAGMENT_HEADER > end {
                    return Some(Content::Malformed);
                }
                let fragment = packet.u16(at + 2)?;
                if fragment & 0xfff9 != 0 {
                    headers.fragment_id = packet.u32(at + 4)?;
                    if fragment & 0xfff8 != 0 {
                        headers.protocol = packet.u8(at)?;
                        headers.fragment = LATER_FRAGMENT;
                        return Some(transport::later_fragment(headers.protocol, fragment >> 3));
                    }
                    headers.fragment = FIRST_FRAGMENT;
                }
                FRAGMENT_HEADER
            }
            _ => {
                headers.protocol = next;
                headers.l4 = at as u32;
                return match next {
                    protocol::VRRP => Some(Content::Survival),
                    protocol::ICMPV6 => icmp::parse_v6(packet, headers, l3, at),
                    _ => transport::parse(packet, headers, at),
                };
            }
        };
        next = packet.u8(at)?;
        at = (at + length) & OFFSET_MASK;
        if at > end {
            return Some(Content::Malformed);
        }
    }
    Some(Content::Malformed)
}

#[inline(always)]
pub(super) fn address<P: Packet>(packet: &P, at: usize) -> Option<Address> {
    Some(Address { hi: packet.u64(at)?, lo: packet.u64(at + 8)? })
}
