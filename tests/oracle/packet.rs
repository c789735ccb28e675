//! Packets as the tests think of them, and the frames that they become.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use banchi_common::abi::Transport;

use crate::lab::Mac;
use crate::packet::{Extension, Packet, flags};

/// What an echo request is sent to, as if it were a port; the asking side's is 0.
pub(super) const ECHO: u16 = 8;

/// Whom a packet takes for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Its source.
    Forward,
    /// Its destination.
    Return,
}

/// A packet with everything that a decision may hang on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestPacket {
    /// Name of the interface that it comes in by.
    pub interface: &'static str,
    /// Tags, from the outermost on; at most two.
    pub vids: Vec<u16>,
    /// Hardware address of the sender.
    pub source_mac: [u8; 6],
    /// Source address, where it is IP.
    pub source: IpAddr,
    /// Destination address, of the same family.
    pub destination: IpAddr,
    /// What it carries.
    pub body: Body,
    /// What its transport carries, where that is TCP, UDP or SCTP.
    pub payload: Vec<u8>,
    /// UDP: the datagram ends before so many bytes of that, the others only trail behind it.
    pub trailer: usize,
    /// Its place among fragments.
    pub fragment: Fragment,
    /// IPv4 options, or IPv6 extension headers.
    pub options: bool,
    /// What is wrong with its headers.
    pub defect: Option<Defect>,
}

/// What a packet carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A part of a conversation.
    Flow(Flow),
    /// An ICMP error about a packet.
    IcmpError {
        /// ICMP type.
        kind: u8,
        /// Source of the packet that it quotes.
        from: IpAddr,
        /// Destination of that packet.
        to: IpAddr,
        /// What that packet carries.
        about: Flow,
        /// The quotation has the ports.
        complete: bool,
    },
    /// Any ICMP message that is neither echo nor error.
    Icmp(u8),
    /// Any other IP protocol.
    Protocol(u8),
    /// ARP: a reply that claims an address.
    Arp {
        /// Address that is claimed.
        claimed: Ipv4Addr,
        /// Hardware address that is given for it.
        claimed_mac: [u8; 6],
    },
    /// Neighbour discovery: a solicitation, or an advertisement that claims an address.
    Neighbour {
        /// Address that is claimed.
        advertises: Option<Ipv6Addr>,
    },
    /// Neither IP nor ARP.
    Ethertype(u16),
    /// A frame with a length and the LLC header instead of an EtherType.
    Llc {
        /// Destination SAP.
        destination: u8,
        /// Source SAP.
        source: u8,
        /// Behind SNAP: one of Cisco's protocols.
        cisco: bool,
        /// Bytes behind the Ethernet header, at least 8.
        length: u8,
    },
}

/// Transport and ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// TCP: source port, destination port, flags.
    Tcp(u16, u16, u16),
    /// UDP: source port, destination port.
    Udp(u16, u16),
    /// SCTP: source port, destination port.
    Sctp(u16, u16),
    /// Ping.
    EchoRequest,
    /// Its answer.
    EchoReply,
}

/// Place among fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// None.
    Whole,
    /// The first, with the ports; with this identification.
    First(u16),
    /// Another one.
    Later {
        /// Identification.
        id: u16,
        /// The first one came before.
        after_first: bool,
    },
}

/// What is wrong with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The IP header claims more than there is.
    IpLength,
    /// The IP version is none.
    IpVersion,
    /// The IPv4 header claims to be too short.
    Ihl,
    /// The UDP length is below that of its header.
    ShortUdp,
    /// The UDP length exceeds the packet.
    LongUdp,
    /// The TCP header claims to be too short.
    ShortTcp,
    /// The TCP header exceeds the packet.
    LongTcp,
    /// The frame ends early.
    Cut,
    /// Neighbour discovery that crossed a router.
    HopLimit,
}

impl Flow {
    /// Its transport.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Tcp(..) => Transport::Tcp,
            Self::Udp(..) => Transport::Udp,
            Self::Sctp(..) => Transport::Sctp,
            Self::EchoRequest | Self::EchoReply => Transport::Icmp,
        }
    }

    /// Source and destination port; an echo has 0 on the asking side.
    pub fn ports(&self) -> (u16, u16) {
        match self {
            Self::Tcp(from, to, _) | Self::Udp(from, to) | Self::Sctp(from, to) => (*from, *to),
            Self::EchoRequest => (0, ECHO),
            Self::EchoReply => (ECHO, 0),
        }
    }

    /// Whether it opens a TCP connection, or belongs to none: it acknowledges nothing, and is no plain reset.
    pub fn opens(&self) -> bool {
        let Self::Tcp(_, _, set) = self else { return false };
        set & flags::ACK == 0 && (set & flags::SYN != 0 || set & flags::RST == 0)
    }

    fn packet(&self, from: IpAddr, to: IpAddr, payload: &[u8]) -> Packet {
        match self {
            Self::Tcp(source, port, flags) => {
                Packet::tcp((from, *source), (to, *port), *flags).payload(payload)
            }
            Self::Udp(source, port) => Packet::udp((from, *source), (to, *port)).payload(payload),
            Self::Sctp(source, port) => Packet::sctp((from, *source), (to, *port)).payload(payload),
            Self::EchoRequest => Packet::echo_request(from, to, 7, 1),
            Self::EchoReply => Packet::echo_reply(from, to, 7, 1),
        }
    }
}

impl TestPacket {
    /// The frame.
    pub fn frame(&self) -> Vec<u8> {
        let mut packet = self.bare().from_mac(Mac(self.source_mac)).to_mac(Mac([2, 0, 0, 0, 0, 0xfe]));
        for vid in &self.vids {
            packet = packet.vlan(*vid);
        }
        if self.is_ip() {
            if self.options && self.source.is_ipv4() {
                packet = packet.ip_options(&[1, 1, 1, 0]);
            } else if self.options {
                packet = packet
                    .extension(Extension::HopByHop(vec![1, 4, 0, 0, 0, 0]))
                    .extension(Extension::Destination(vec![1, 12]));
            }
            if matches!(self.body, Body::Flow(Flow::Udp(..))) {
                packet = packet.claim_udp_length(self.udp_length());
            }
            packet = match self.fragment {
                Fragment::Whole => packet,
                Fragment::First(id) => packet.ip_id(u32::from(id)).fragment(0, true),
                Fragment::Later { id, .. } => packet.ip_id(u32::from(id)).fragment(24, id % 2 == 0),
            };
        }
        packet = match self.defect {
            None | Some(Defect::Cut) => packet,
            Some(Defect::IpLength) => packet.claim_ip_length(1400),
            Some(Defect::IpVersion) => packet.claim_version(5),
            Some(Defect::Ihl) => packet.claim_ihl(4),
            Some(Defect::ShortUdp) => packet.claim_udp_length(7),
            Some(Defect::LongUdp) => packet.claim_udp_length(400),
            Some(Defect::ShortTcp) => packet.claim_data_offset(4),
            Some(Defect::LongTcp) => packet.claim_data_offset(15),
            Some(Defect::HopLimit) => packet.hops(64),
        };
        if self.defect == Some(Defect::Cut) {
            // Behind the EtherType, and inside the IP or ARP header or just behind the former.
            packet = packet.cut(14 + 4 * self.vids.len() + 22);
        }
        packet.build()
    }

    /// The first fragment of the same packet.
    #[must_use]
    pub fn first_fragment(&self) -> Self {
        let fragment = match self.fragment {
            Fragment::Later { id, .. } => Fragment::First(id),
            other => other,
        };
        Self { fragment, ..self.clone() }
    }

    /// The frame that comes before, where one does.
    pub fn frame_before(&self) -> Option<Vec<u8>> {
        matches!(self.fragment, Fragment::Later { after_first: true, .. })
            .then(|| self.first_fragment().frame())
    }

    /// Whether the body is an IP packet.
    pub fn is_ip(&self) -> bool {
        !matches!(self.body, Body::Arp { .. } | Body::Ethertype(_) | Body::Llc { .. })
    }

    /// Whether a defect makes sense for this packet.
    pub fn can_have(&self, defect: Defect) -> bool {
        let flow = |wanted: fn(&Flow) -> bool| matches!(&self.body, Body::Flow(flow) if wanted(flow));
        self.fragment == Fragment::Whole
            && match defect {
                Defect::IpLength | Defect::IpVersion => self.is_ip(),
                Defect::Ihl => self.is_ip() && self.source.is_ipv4(),
                Defect::ShortUdp | Defect::LongUdp => flow(|flow| matches!(flow, Flow::Udp(..))),
                Defect::ShortTcp | Defect::LongTcp => flow(|flow| matches!(flow, Flow::Tcp(..))),
                Defect::Cut => !matches!(self.body, Body::Ethertype(_) | Body::Llc { .. }),
                Defect::HopLimit => matches!(self.body, Body::Neighbour { .. }),
            }
    }

    /// Length that the UDP header of a first fragment claims for the whole datagram, itself included.
    pub(super) fn datagram(&self) -> Option<u16> {
        let udp = matches!(self.body, Body::Flow(Flow::Udp(..)));
        (udp && matches!(self.fragment, Fragment::First(_))).then(|| self.udp_length())
    }

    fn udp_length(&self) -> u16 {
        // More of the datagram follows in later fragments.
        let rest = if self.fragment == Fragment::Whole { 0 } else { 64 };
        (8 + self.payload.len() - self.trailer + rest) as u16
    }

    /// What the transport carries: an echo carries nothing that counts.
    pub(super) fn payload(&self, flow: &Flow) -> &[u8] {
        match flow {
            Flow::Tcp(..) | Flow::Sctp(..) => &self.payload,
            // A first fragment is only a part of its datagram.
            Flow::Udp(..) if self.fragment != Fragment::Whole => &self.payload,
            Flow::Udp(..) => &self.payload[..self.payload.len() - self.trailer],
            Flow::EchoRequest | Flow::EchoReply => &[],
        }
    }

    pub(super) fn is_malformed(&self) -> bool {
        self.defect.is_some()
    }

    /// IGMP, MLD, VRRP and CARP.
    pub(super) fn is_redundancy_or_membership(&self) -> bool {
        match &self.body {
            Body::Protocol(2) => self.source.is_ipv4(),
            Body::Protocol(112) => true,
            Body::Icmp(kind) => self.source.is_ipv6() && matches!(kind, 130..=132 | 143),
            _ => false,
        }
    }

    fn bare(&self) -> Packet {
        let (from, to) = (self.source, self.destination);
        match &self.body {
            Body::Flow(flow) => flow.packet(from, to, &self.payload),
            Body::IcmpError { kind, from: source, to: destination, about, complete } => {
                let mut quoted = about.packet(*source, *destination, &[0x5a; 24]).ip_packet();
                let header = if from.is_ipv4() { 20 } else { 40 };
                quoted.truncate(header + if *complete { 8 } else { 7 });
                Packet::icmp(from, to, *kind, 0, &[&[0; 4], quoted.as_slice()].concat())
            }
            Body::Icmp(kind) => Packet::icmp(from, to, *kind, 0, &[0; 28]),
            Body::Protocol(number) => Packet::ip_protocol(from, to, *number).payload([0x5a; 40]),
            Body::Arp { claimed, claimed_mac } => {
                let asked = Mac([2, 0, 0, 0, 0, 0xfe]);
                Packet::arp(2, Mac(*claimed_mac), *claimed, asked, Ipv4Addr::new(10, 0, 0, 254))
            }
            Body::Neighbour { advertises: None } => {
                // Flags or reserved bytes, then the address that is asked for.
                let body: Vec<u8> = [0; 4].into_iter().chain([0xfd; 16]).collect();
                Packet::icmp(from, to, 135, 0, &body).hops(255)
            }
            Body::Neighbour { advertises: Some(address) } => {
                let body: Vec<u8> = [0x20, 0, 0, 0].into_iter().chain(address.octets()).collect();
                Packet::icmp(from, to, 136, 0, &body).hops(255)
            }
            Body::Ethertype(kind) => Packet::ethernet(*kind, &[0x5a; 46]),
            Body::Llc { destination, source, cisco, length } => {
                // Control, then the organisation and its protocol.
                let snap = if *cisco { [3, 0, 0, 0x0c, 0x20, 0x00] } else { [3, 0, 0, 0, 0x08, 0x00] };
                let mut payload = [[*destination, *source].as_slice(), &snap].concat();
                payload.resize(usize::from(*length), 0x5a);
                Packet::llc(&payload)
            }
        }
    }
}
