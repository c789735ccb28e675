//! Packets, read with checks at every step.
//!
//! [`parse`] fills [`Headers`] and says what kind of [`Content`] the packet has. It trusts no length: a
//! header that is cut short or contradicts itself makes the packet [`Content::Malformed`]. Bytes behind the
//! IP length (Ethernet padding, trailers) belong to nothing.

mod arp;
mod ethernet;
mod icmp;
mod ipv4;
mod ipv6;
mod packet;
mod quote;
mod transport;

pub use arp::claimed_address as arp_claim;
pub use ethernet::{
    OT_ETHERTYPES, OtEthertype, SURVIVAL_ETHERTYPES, SurvivalEthertype, always_passes, always_passing_name,
    ethertype, rule_ethertype,
};
pub use icmp::neighbour_claim;
pub use ipv4::SURVIVAL_PROTOCOLS;
pub use ipv6::MAX_EXTENSIONS;
pub use packet::{Bytes, Packet};
pub use quote::quoted;

use crate::abi::Transport;

/// An IP address as two words: IPv6 whole, IPv4 in the low 32 bits of `lo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct Address {
    /// First 64 bits of an IPv6 address; 0 for IPv4.
    pub hi: u64,
    /// Last 64 bits.
    pub lo: u64,
}

/// [`Headers::transport`] of a packet without ports.
pub const NO_TRANSPORT: u8 = 255;

/// Server port of an ICMP echo: requests go to it, replies come from it.
pub const ECHO_PORT: u16 = 8;

/// What the headers of a packet say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Headers {
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Source port; for ICMP echo see [`ECHO_PORT`].
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// EtherType behind the tags; below 0x600 a length.
    pub ethertype: u16,
    /// VID of the outer tag; 0 without one, or where it is a priority tag.
    pub outer_vid: u16,
    /// VID of the inner tag, where both tags carry one.
    pub inner_vid: u16,
    /// IP version, 4 or 6; 0 is no IP.
    pub family: u8,
    /// IP protocol behind the extension headers.
    pub protocol: u8,
    /// [`crate::abi::Transport`], or [`NO_TRANSPORT`].
    pub transport: u8,
    /// TCP flags, low 8 bits.
    pub tcp_flags: u8,
    /// Type of an ICMP message.
    pub icmp_type: u8,
    /// 0 whole, 1 first fragment, 2 later fragment.
    pub fragment: u8,
    /// Identification of a fragment.
    pub fragment_id: u32,
    /// Offset of the IP or ARP header.
    pub l3: u32,
    /// Offset of the transport header.
    pub l4: u32,
    /// Offset of what the transport carries.
    pub payload: u32,
    /// End of what it carries: of the IP packet, or of the datagram where that is shorter.
    pub end: u32,
}

/// An offset that no packet reaches: keeps offsets bounded for the verifier, which forgets what it knew of a
/// number that has been stored.
pub(crate) const OFFSET_MASK: usize = 0x3fff;

impl Headers {
    /// Offset of the IP or ARP header.
    #[must_use]
    #[inline(always)]
    pub const fn l3(&self) -> usize {
        self.l3 as usize & OFFSET_MASK
    }

    /// Offset of the transport header.
    #[must_use]
    #[inline(always)]
    pub const fn l4(&self) -> usize {
        self.l4 as usize & OFFSET_MASK
    }

    /// Whether a server would open a TCP connection with the packet, or it belongs to none: in one that is open every
    /// segment acknowledges, or resets.
    #[must_use]
    #[inline(always)]
    pub const fn opens_as_server(&self) -> bool {
        let flags = self.tcp_flags & (transport::SYN | transport::ACK | transport::RST);
        self.transport == Transport::Tcp as u8 && flags & transport::ACK == 0 && flags != transport::RST
    }
}

/// A whole packet.
pub const WHOLE: u8 = 0;
/// The first fragment of a packet, with its ports.
pub const FIRST_FRAGMENT: u8 = 1;
/// A later fragment, without ports.
pub const LATER_FRAGMENT: u8 = 2;

/// What kind of packet it is, as far as headers tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Content {
    /// TCP, UDP, SCTP or ICMP echo: has both ports.
    Flow = 0,
    /// A later fragment of something.
    LaterFragment = 1,
    /// An ICMP error that quotes a packet.
    IcmpError = 2,
    /// IP, but a protocol or an ICMP message that no service can name.
    OtherProtocol = 3,
    /// Always passes: link control, group management, router redundancy.
    Survival = 4,
    /// ARP over Ethernet and IPv4.
    Arp = 5,
    /// IPv6 neighbour discovery.
    Neighbour = 6,
    /// Neither IP nor ARP nor survival.
    OtherEthertype = 7,
    /// Truncated or inconsistent.
    Malformed = 8,
}

/// Parses a packet from its Ethernet header on.
#[inline(always)]
pub fn parse<P: Packet>(packet: &P, headers: &mut Headers) -> Content {
    headers.transport = NO_TRANSPORT;
    parse_frame(packet, headers).unwrap_or(Content::Malformed)
}

/// Parses a [`Content::Flow`] of the kind that nearly all are: IPv4 without options, whole, at most one VLAN tag. `None`
/// says nothing of a packet but that [`parse`] has to look at it.
#[inline(always)]
pub fn parse_plain<P: Packet>(packet: &P, headers: &mut Headers) -> Option<()> {
    headers.transport = NO_TRANSPORT;
    let l3 = ethernet::parse_plain(packet, headers)?;
    headers.l3 = l3 as u32;
    ipv4::parse_plain(packet, headers, l3)
}

/// `None` is truncated.
#[inline(always)]
fn parse_frame<P: Packet>(packet: &P, headers: &mut Headers) -> Option<Content> {
    let l3 = ethernet::parse(packet, headers)?;
    headers.l3 = l3 as u32;
    match headers.ethertype {
        ethertype::IPV4 => ipv4::parse(packet, headers, l3),
        ethertype::IPV6 => ipv6::parse(packet, headers, l3),
        ethertype::ARP => arp::parse(packet, l3),
        _ => Some(ethernet::other(packet, headers.ethertype, l3)),
    }
}
