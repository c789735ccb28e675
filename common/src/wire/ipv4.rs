//! Internet Protocol version 4 (RFC 791), options and fragments included.

use super::{Address, Content, FIRST_FRAGMENT, Headers, LATER_FRAGMENT, Packet, icmp, transport};

const TOTAL_LENGTH: usize = 2;
const IDENTIFICATION: usize = 4;
const FRAGMENT: usize = 6;
const PROTOCOL: usize = 9;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;
/// Length without options.
const HEADER: usize = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// IP protocols that always pass, with their names.
pub const SURVIVAL_PROTOCOLS: &[(u8, &str)] =
    &[(2, "IGMP, multicast membership"), (112, "VRRP and CARP, router redundancy")];

pub(super) mod protocol {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const IGMP: u8 = 2;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const VRRP: u8 = 112;
    pub(crate) const SCTP: u8 = 132;
}

/// A whole packet without options, of TCP or UDP; `None` is any other.
#[inline(always)]
pub(super) fn parse_plain<P: Packet>(packet: &P, headers: &mut Headers, l3: usize) -> Option<()> {
    let start = packet.u32(l3)?;
    let total = (start & 0xffff) as usize;
    let fragment = packet.u16(l3 + FRAGMENT)?;
    if start >> 24 != 0x45 || fragment & (MORE_FRAGMENTS | OFFSET) != 0 {
        return None;
    }
    if total < HEADER || l3 + total > packet.length() {
        return None;
    }
    headers.family = 4;
    headers.protocol = packet.u8(l3 + PROTOCOL)?;
    headers.source = Address { hi: 0, lo: u64::from(packet.u32(l3 + SOURCE)?) };
    headers.destination = Address { hi: 0, lo: u64::from(packet.u32(l3 + DESTINATION)?) };
    headers.l4 = (l3 + HEADER) as u32;
    headers.end = (l3 + total) as u32;
    match transport::parse(packet, headers, l3 + HEADER)? {
        Content::Flow => Some(()),
        _ => None,
    }
}

#[inline(always)]
pub(super) fn parse<P: Packet>(packet: &P, headers: &mut Headers, l3: usize) -> Option<Content> {
    let start = packet.u16(l3)?;
    let header = usize::from(start >> 8 & 0x0f) * 4;
    let total = usize::from(packet.u16(l3 + TOTAL_LENGTH)?);
    if start >> 12 != 4 || header < HEADER || total < header || l3 + total > packet.length() {
        return Some(Content::Malformed);
    }
    headers.family = 4;
    headers.source = Address { hi: 0, lo: u64::from(packet.u32(l3 + SOURCE)?) };
    headers.destination = Address { hi: 0, lo: u64::from(packet.u32(l3 + DESTINATION)?) };
    headers.protocol = packet.u8(l3 + PROTOCOL)?;
    headers.l4 = (l3 + header) as u32;
    headers.end = (l3 + total) as u32;
    let fragment = packet.u16(l3 + FRAGMENT)?;
    if fragment & (MORE_FRAGMENTS | OFFSET) != 0 {
        headers.fragment_id = u32::from(packet.u16(l3 + IDENTIFICATION)?);
        if fragment & OFFSET != 0 {
            headers.fragment = LATER_FRAGMENT;
            return Some(transport::later_fragment(headers.protocol, fragment & OFFSET));
        }
        headers.fragment = FIRST_FRAGMENT;
    }
    match headers.protocol {
        protocol::IGMP | protocol::VRRP => Some(Content::Survival),
        protocol::ICMP => icmp::parse_v4(packet, headers, l3 + header),
        _ => transport::parse(packet, headers, l3 + header),
    }
}
