//! Ports and lengths of TCP (RFC 9293), UDP (RFC 768) and SCTP (RFC 9260).

use super::ipv4::protocol;
use super::{Content, FIRST_FRAGMENT, Headers, Packet};
use crate::abi::Transport;

const TCP_HEADER: usize = 20;
const TCP_OFFSET: usize = 12;
const TCP_FLAGS: usize = 13;
const UDP_HEADER: usize = 8;
const UDP_LENGTH: usize = 4;
const SCTP_HEADER: usize = 12;

/// TCP flag: opens a connection.
pub(crate) const SYN: u8 = 0x02;
/// TCP flag: resets a connection.
pub(crate) const RST: u8 = 0x04;
/// TCP flag: acknowledges.
pub(crate) const ACK: u8 = 0x10;

impl Headers {
    /// How many bytes a UDP datagram carries of which this is the first fragment.
    #[inline(always)]
    pub(crate) fn datagram<P: Packet>(&self, packet: &P) -> Option<usize> {
        if self.fragment != FIRST_FRAGMENT || self.protocol != protocol::UDP {
            return None;
        }
        Some(usize::from(packet.u16(self.l4() + UDP_LENGTH)?).saturating_sub(UDP_HEADER))
    }
}

/// A fragment behind the first, `offset` in units of 8 bytes. One of TCP at 8 bytes overlaps the header that the
/// first one has whole, where its flags are (RFC 3128).
#[inline(always)]
pub(super) fn later_fragment(protocol: u8, offset: u16) -> Content {
    if protocol == protocol::TCP && offset == 1 { Content::Malformed } else { Content::LaterFragment }
}

#[inline(always)]
pub(super) fn parse<P: Packet>(packet: &P, headers: &mut Headers, l4: usize) -> Option<Content> {
    let room = (headers.end as usize).wrapping_sub(l4);
    let (transport, header) = match headers.protocol {
        protocol::TCP => (Transport::Tcp, TCP_HEADER),
        protocol::UDP => (Transport::Udp, UDP_HEADER),
        protocol::SCTP => (Transport::Sctp, SCTP_HEADER),
        _ => return Some(Content::OtherProtocol),
    };
    if room < header {
        return Some(Content::Malformed);
    }
    let ports = packet.u32(l4)?;
    match transport {
        Transport::Tcp => {
            let offset = usize::from(packet.u8(l4 + TCP_OFFSET)? >> 4) * 4;
            if offset < TCP_HEADER || offset > room && headers.fragment != FIRST_FRAGMENT {
                return Some(Content::Malformed);
            }
            headers.tcp_flags = packet.u8(l4 + TCP_FLAGS)?;
            headers.payload = (l4 + offset) as u32;
        }
        Transport::Udp => {
            let length = usize::from(packet.u16(l4 + UDP_LENGTH)?);
            if length < UDP_HEADER || length > room && headers.fragment != FIRST_FRAGMENT {
                return Some(Content::Malformed);
            }
            headers.payload = (l4 + UDP_HEADER) as u32;
            if length < room {
                headers.end = (l4 + length) as u32;
            }
        }
        // Chunks follow the common header.
        Transport::Sctp | Transport::Icmp => headers.payload = (l4 + SCTP_HEADER) as u32,
    }
    headers.transport = transport as u8;
    headers.source_port = (ports >> 16) as u16;
    headers.destination_port = ports as u16;
    Some(Content::Flow)
}
