//! Frames for tests: correct by default, wrong in exactly the way that a test asks for.
//!
//! ```
//! use banchi_tests::packet::Packet;
//! let frame = Packet::udp("10.10.1.5:47808", "10.20.0.11:47808").vlan(20).payload([0x81, 0x0b]).build();
//! assert_eq!(frame.len(), 60, "as short as Ethernet allows");
//! ```
//!
//! The layers are built from the innermost outwards: [`transport`] makes the segment, [`ipv4`] or [`ipv6`] puts it
//! into packets (several, when fragmented), [`ethernet`] into frames.

mod arp;
mod checksum;
mod ethernet;
mod icmp;
mod ipv4;
mod ipv6;
mod transport;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub use ethernet::{Tag, ethertype};
pub use ipv6::Extension;
pub use transport::flags;

use crate::Endpoint;
use crate::lab::Mac;

/// The least that an Ethernet frame has, without its check sequence.
pub const SHORTEST: usize = 60;

/// IP protocol numbers.
pub mod protocol {
    #![allow(missing_docs, reason = "the names are those of the protocols")]
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const ICMPV6: u8 = 58;
    pub const SCTP: u8 = 132;
}

/// A frame that is to be built.
#[derive(Debug, Clone)]
pub struct Packet {
    source_mac: Mac,
    destination_mac: Mac,
    tags: Vec<Tag>,
    content: Content,
    padding: Padding,
    truncate: Option<usize>,
}

#[derive(Debug, Clone)]
enum Content {
    /// Bytes behind an EtherType.
    Ethernet { ethertype: u16, payload: Vec<u8> },
    /// An IEEE 802.3 frame: the length field counts what follows.
    Llc { payload: Vec<u8> },
    /// A packet of either IP version.
    Ip(Box<Ip>),
}

#[derive(Debug, Clone)]
struct Ip {
    source: IpAddr,
    destination: IpAddr,
    hops: u8,
    v4: ipv4::Options,
    v6: ipv6::Options,
    segment: transport::Segment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    ToShortest,
    None,
}

impl Packet {
    /// A UDP datagram.
    pub fn udp(source: impl Endpoint, destination: impl Endpoint) -> Self {
        let (source, destination) = (source.endpoint(), destination.endpoint());
        Self::ip(source, destination, transport::Header::udp(source.port(), destination.port()))
    }

    /// A TCP segment with these flags, for instance `flags::SYN | flags::ACK`.
    pub fn tcp(source: impl Endpoint, destination: impl Endpoint, flags: u16) -> Self {
        let (source, destination) = (source.endpoint(), destination.endpoint());
        Self::ip(source, destination, transport::Header::tcp(source.port(), destination.port(), flags))
    }

    /// An SCTP packet; its payload are chunks.
    pub fn sctp(source: impl Endpoint, destination: impl Endpoint) -> Self {
        let (source, destination) = (source.endpoint(), destination.endpoint());
        Self::ip(source, destination, transport::Header::sctp(source.port(), destination.port()))
    }

    /// An echo request of the ICMP of the addresses' family.
    pub fn echo_request(
        source: impl Into<IpAddr>,
        destination: impl Into<IpAddr>,
        id: u16,
        seq: u16,
    ) -> Self {
        Self::icmp_of_family(source.into(), destination.into(), icmp::echo_request, id, seq)
    }

    /// An echo reply of the ICMP of the addresses' family.
    pub fn echo_reply(source: impl Into<IpAddr>, destination: impl Into<IpAddr>, id: u16, seq: u16) -> Self {
        Self::icmp_of_family(source.into(), destination.into(), icmp::echo_reply, id, seq)
    }

    /// Any ICMP or ICMPv6 message; the first four bytes of `body` are the rest of the header.
    pub fn icmp(
        source: impl Into<IpAddr>,
        destination: impl Into<IpAddr>,
        kind: u8,
        code: u8,
        body: &[u8],
    ) -> Self {
        let (source, destination) = (source.into(), destination.into());
        Self::ip((source, 0).into(), (destination, 0).into(), transport::Header::icmp(source, kind, code))
            .payload(body)
    }

    /// "Port unreachable", quoting as much of `about` as routers do. The one who sends it need not be the one
    /// that `about` was for.
    pub fn port_unreachable(source: impl Into<IpAddr>, about: &Packet) -> Self {
        let source = source.into();
        let (kind, code) = icmp::port_unreachable(source);
        Self::icmp_error(source, kind, code, about)
    }

    /// An ICMP error for the sender of `about`, which it quotes.
    ///
    /// # Panics
    /// If `about` is not an IP packet.
    pub fn icmp_error(source: impl Into<IpAddr>, kind: u8, code: u8, about: &Packet) -> Self {
        let Content::Ip(ip) = &about.content else { panic!("an ICMP error is about an IP packet") };
        let quoted = icmp::quote(&about.ip_packet());
        let body: Vec<u8> = [0; 4].into_iter().chain(quoted).collect();
        Self::icmp(source, ip.source, kind, code, &body)
    }

    /// A packet of any IP protocol, whose payload is what follows the IP header.
    pub fn ip_protocol(source: impl Into<IpAddr>, destination: impl Into<IpAddr>, number: u8) -> Self {
        let (source, destination) = (source.into(), destination.into());
        Self::ip((source, 0).into(), (destination, 0).into(), transport::Header::other(number))
    }

    /// "Who has `asked`?", to all.
    pub fn arp_request(sender: Ipv4Addr, asked: Ipv4Addr) -> Self {
        let mac = Mac::of(sender.into());
        Self::arp(1, mac, sender, Mac([0; 6]), asked).from_mac(mac).to_mac(Mac::BROADCAST)
    }

    /// "`sender` is at `mac`", to the one who asked.
    pub fn arp_reply(mac: Mac, sender: Ipv4Addr, asker: Ipv4Addr) -> Self {
        let to = Mac::of(asker.into());
        Self::arp(2, mac, sender, to, asker).from_mac(mac).to_mac(to)
    }

    /// ARP with every field given.
    pub fn arp(operation: u16, sender: Mac, sender_ip: Ipv4Addr, target: Mac, target_ip: Ipv4Addr) -> Self {
        let payload = arp::message(operation, sender, sender_ip, target, target_ip);
        Self::ethernet(ethertype::ARP, &payload).from_mac(sender).to_mac(target)
    }

    /// Any EtherType.
    pub fn ethernet(ethertype: u16, payload: &[u8]) -> Self {
        Self::of(Content::Ethernet { ethertype, payload: payload.to_vec() })
    }

    /// A frame with a length instead of an EtherType; the payload begins with the LLC header.
    pub fn llc(payload: &[u8]) -> Self {
        Self::of(Content::Llc { payload: payload.to_vec() })
    }

    /// Sets the payload of the innermost layer.
    #[must_use]
    pub fn payload(mut self, bytes: impl AsRef<[u8]>) -> Self {
        *match &mut self.content {
            Content::Ethernet { payload, .. } | Content::Llc { payload } => payload,
            Content::Ip(ip) => &mut ip.segment.payload,
        } = bytes.as_ref().to_vec();
        self
    }

    /// Sets the sender's MAC address; without, it is the one that the lab gives to the source address.
    #[must_use]
    pub fn from_mac(mut self, mac: Mac) -> Self {
        self.source_mac = mac;
        self
    }

    /// Sets the receiver's MAC address; without, it is the one that the lab gives to the destination address.
    #[must_use]
    pub fn to_mac(mut self, mac: Mac) -> Self {
        self.destination_mac = mac;
        self
    }

    /// Adds an 802.1Q tag inside those that are there.
    #[must_use]
    pub fn vlan(self, id: u16) -> Self {
        self.tag(Tag::customer(id))
    }

    /// Adds any tag inside those that are there.
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// Sets the time to live or the hop limit.
    #[must_use]
    pub fn hops(mut self, hops: u8) -> Self {
        self.ip_mut().hops = hops;
        self
    }

    /// Adds IPv4 options, filled up to whole words.
    #[must_use]
    pub fn ip_options(mut self, options: &[u8]) -> Self {
        self.ip_mut().v4.options = options.to_vec();
        self
    }

    /// Sets the identification, which fragments of one packet share.
    #[must_use]
    pub fn ip_id(mut self, id: u32) -> Self {
        let ip = self.ip_mut();
        ip.v4.id = id as u16;
        ip.v6.id = id;
        self
    }

    /// Forbids fragments (IPv4).
    #[must_use]
    pub fn dont_fragment(mut self) -> Self {
        self.ip_mut().v4.dont_fragment = true;
        self
    }

    /// Makes it a fragment with the segment as its content, at `offset` bytes, and the flag "more".
    #[must_use]
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.ip_mut().segment.fragment = Some((offset, more));
        self
    }

    /// Adds an IPv6 extension header behind those that are there.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Self {
        self.ip_mut().v6.extensions.push(extension);
        self
    }

    /// Claims another total length (IPv4) or payload length (IPv6) than the true one.
    #[must_use]
    pub fn claim_ip_length(mut self, length: u16) -> Self {
        let ip = self.ip_mut();
        ip.v4.length = Some(length);
        ip.v6.length = Some(length);
        self
    }

    /// Claims another IPv4 header length, in words.
    #[must_use]
    pub fn claim_ihl(mut self, words: u8) -> Self {
        self.ip_mut().v4.ihl = Some(words);
        self
    }

    /// Claims another IP version.
    #[must_use]
    pub fn claim_version(mut self, version: u8) -> Self {
        let ip = self.ip_mut();
        ip.v4.version = version;
        ip.v6.version = version;
        self
    }

    /// Claims another UDP length.
    #[must_use]
    pub fn claim_udp_length(mut self, length: u16) -> Self {
        self.ip_mut().segment.header.udp_length = Some(length);
        self
    }

    /// Claims another TCP data offset, in words.
    #[must_use]
    pub fn claim_data_offset(mut self, words: u8) -> Self {
        self.ip_mut().segment.header.data_offset = Some(words);
        self
    }

    /// Adds TCP options, filled up to whole words.
    #[must_use]
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        self.ip_mut().segment.header.tcp_options = options.to_vec();
        self
    }

    /// Sets the TCP sequence and acknowledgement numbers.
    #[must_use]
    pub fn sequence(mut self, sequence: u32, acknowledgement: u32) -> Self {
        self.ip_mut().segment.header.sequence = (sequence, acknowledgement);
        self
    }

    /// Makes the checksums of the transport wrong.
    #[must_use]
    pub fn wrong_checksum(mut self) -> Self {
        self.ip_mut().segment.header.wrong_checksum = true;
        self
    }

    /// Leaves the frame as short as it is.
    #[must_use]
    pub fn unpadded(mut self) -> Self {
        self.padding = Padding::None;
        self
    }

    /// Cuts the frame after so many bytes; it is not padded then.
    #[must_use]
    pub fn cut(mut self, length: usize) -> Self {
        self.truncate = Some(length);
        self
    }

    /// The bytes of the frame.
    pub fn build(&self) -> Vec<u8> {
        let (ethertype, body) = match &self.content {
            Content::Ethernet { ethertype, payload } => (*ethertype, payload.clone()),
            Content::Llc { payload } => {
                (u16::try_from(payload.len()).expect("a short payload"), payload.clone())
            }
            Content::Ip(ip) => (ip.ethertype(), self.ip_packet()),
        };
        self.frame(ethertype, &body)
    }

    /// The frames of the packet in fragments, each with at most `size` bytes of it (a multiple of 8).
    pub fn build_fragments(&self, size: usize) -> Vec<Vec<u8>> {
        assert!(size > 0 && size.is_multiple_of(8), "fragments are cut at multiples of 8 bytes, not {size}");
        let Content::Ip(ip) = &self.content else { panic!("only IP packets have fragments") };
        let segment = ip.segment();
        let last = segment.len().saturating_sub(1) / size;
        let pieces = segment.chunks(size).enumerate();
        let packets = pieces.map(|(n, piece)| ip.packet(piece, Some(((n * size) as u16, n != last))));
        packets.map(|packet| self.frame(ip.ethertype(), &packet)).collect()
    }

    /// The IP packet alone, as an ICMP error quotes it.
    ///
    /// # Panics
    /// If it is something else.
    pub fn ip_packet(&self) -> Vec<u8> {
        let Content::Ip(ip) = &self.content else { panic!("not an IP packet: {self:?}") };
        ip.packet(&ip.segment(), ip.segment.fragment)
    }

    fn frame(&self, ethertype: u16, body: &[u8]) -> Vec<u8> {
        let mut frame = ethernet::header(self.destination_mac, self.source_mac, &self.tags, ethertype);
        frame.extend_from_slice(body);
        match (self.truncate, self.padding) {
            (Some(length), _) => frame.truncate(length),
            (None, Padding::ToShortest) => frame.resize(frame.len().max(SHORTEST), 0),
            (None, Padding::None) => {}
        }
        frame
    }

    fn ip(source: SocketAddr, destination: SocketAddr, header: transport::Header) -> Self {
        let (source, destination) = (source.ip(), destination.ip());
        assert_eq!(source.is_ipv4(), destination.is_ipv4(), "{source} and {destination} are of one family");
        let segment = transport::Segment { header, payload: Vec::new(), fragment: None };
        let (v4, v6) = (ipv4::Options::default(), ipv6::Options::default());
        let packet = Self::of(Content::Ip(Box::new(Ip { source, destination, hops: 64, v4, v6, segment })));
        packet.from_mac(Mac::of(source)).to_mac(Mac::of(destination))
    }

    fn icmp_of_family(
        source: IpAddr,
        destination: IpAddr,
        kind: fn(IpAddr) -> u8,
        id: u16,
        sequence: u16,
    ) -> Self {
        let body = [id.to_be_bytes(), sequence.to_be_bytes()].concat();
        Self::icmp(source, destination, kind(source), 0, &body)
    }

    fn of(content: Content) -> Self {
        let mac = Mac([0x02, 0, 0, 0, 0, 1]);
        Self {
            source_mac: mac,
            destination_mac: Mac::BROADCAST,
            tags: Vec::new(),
            content,
            padding: Padding::ToShortest,
            truncate: None,
        }
    }

    fn ip_mut(&mut self) -> &mut Ip {
        match &mut self.content {
            Content::Ip(ip) => ip,
            other => panic!("only an IP packet has this: {other:?}"),
        }
    }
}

impl Ip {
    fn ethertype(&self) -> u16 {
        if self.source.is_ipv4() { ethertype::IPV4 } else { ethertype::IPV6 }
    }

    fn segment(&self) -> Vec<u8> {
        self.segment.build(self.source, self.destination)
    }

    fn packet(&self, content: &[u8], fragment: Option<(u16, bool)>) -> Vec<u8> {
        let protocol = self.segment.header.protocol;
        match (self.source, self.destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                self.v4.packet(from, to, protocol, self.hops, fragment.unwrap_or_default(), content)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                self.v6.packet(from, to, protocol, self.hops, fragment, content)
            }
            _ => unreachable!("checked when it was made"),
        }
    }
}

#[cfg(test)]
mod tests;
