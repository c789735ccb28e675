//! ICMP (RFC 792) and ICMPv6 (RFC 4443, 4861, 3810).

use super::{Address, Content, ECHO_PORT, Headers, Packet, ipv6};
use crate::abi::Transport;

/// Shortest message.
const HEADER: usize = 8;
/// Hop limit of the IPv6 header.
const HOP_LIMIT: usize = 7;
/// Target of a neighbour advertisement.
const TARGET: usize = 8;

const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

#[inline(always)]
pub(super) fn parse_v4<P: Packet>(packet: &P, headers: &mut Headers, l4: usize) -> Option<Content> {
    let kind = read(packet, headers, l4)?;
    Some(match kind {
        8 => echo(headers, 0, ECHO_PORT),
        0 => echo(headers, ECHO_PORT, 0),
        // Unreachable, redirect, time exceeded, parameter problem.
        3 | 5 | 11 | 12 => Content::IcmpError,
        _ => Content::OtherProtocol,
    })
}

#[inline(always)]
pub(super) fn parse_v6<P: Packet>(
    packet: &P,
    headers: &mut Headers,
    l3: usize,
    l4: usize,
) -> Option<Content> {
    let kind = read(packet, headers, l4)?;
    Some(match kind {
        128 => echo(headers, 0, ECHO_PORT),
        129 => echo(headers, ECHO_PORT, 0),
        1..=4 => Content::IcmpError,
        // Multicast listener queries, reports and version 2 reports.
        130..=132 | 143 => Content::Survival,
        // Router and neighbour solicitation and advertisement never cross a router.
        133..=136 => {
            let target = headers.end as usize >= l4 + TARGET + 16;
            if packet.u8(l3 + HOP_LIMIT)? != 255 || kind >= 135 && !target {
                Content::Malformed
            } else {
                Content::Neighbour
            }
        }
        _ => Content::OtherProtocol,
    })
}

/// Type of a message that is long enough.
#[inline(always)]
fn read<P: Packet>(packet: &P, headers: &mut Headers, l4: usize) -> Option<u8> {
    if (headers.end as usize) < l4 + HEADER {
        return None;
    }
    headers.icmp_type = packet.u8(l4)?;
    Some(headers.icmp_type)
}

#[inline(always)]
fn echo(headers: &mut Headers, source_port: u16, destination_port: u16) -> Content {
    headers.transport = Transport::Icmp as u8;
    headers.source_port = source_port;
    headers.destination_port = destination_port;
    Content::Flow
}

/// The address that a neighbour advertisement claims; for other messages the packet's source.
#[inline(always)]
pub fn neighbour_claim<P: Packet>(packet: &P, headers: &Headers) -> Option<Address> {
    if headers.icmp_type == NEIGHBOUR_ADVERTISEMENT {
        ipv6::address(packet, headers.l4() + TARGET)
    } else {
        Some(headers.source)
    }
}
