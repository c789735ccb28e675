//! Who sent a frame to whom, and how much it carries: read by etherparse, not by the program's own parser.

use std::net::{IpAddr, Ipv4Addr};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

/// What carries a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Carrier {
    Tcp,
    Udp,
}

impl Carrier {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// An address and a port.
pub(crate) type End = (IpAddr, u16);

/// A packet of TCP or UDP.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet {
    /// Its VLAN tags from the outside; 0 is none.
    pub(crate) vlans: [u16; 2],
    pub(crate) carrier: Carrier,
    pub(crate) source: End,
    pub(crate) destination: End,
    /// Where the bytes behind the transport header are that belong to the IP packet.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Packet {
    /// `None` where a frame has no ports, or is a fragment.
    pub(crate) fn read(frame: &[u8]) -> Option<Self> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let (source, destination): (IpAddr, IpAddr) = match packet.net.as_ref()? {
            NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            NetSlice::Arp(_) => return None,
        };
        let (carrier, from, to, payload) = match packet.transport.as_ref()? {
            TransportSlice::Tcp(tcp) => {
                (Carrier::Tcp, tcp.source_port(), tcp.destination_port(), tcp.payload())
            }
            TransportSlice::Udp(udp) => {
                (Carrier::Udp, udp.source_port(), udp.destination_port(), udp.payload())
            }
            _ => return None,
        };
        let start = payload.as_ptr() as usize - frame.as_ptr() as usize;
        let end = start + payload.len();
        let mut vlans = [0; 2];
        for (to, from) in vlans.iter_mut().zip(packet.vlan_ids()) {
            *to = from.value();
        }
        Some(Self { vlans, carrier, source: (source, from), destination: (destination, to), start, end })
    }
}

/// Whether it addresses many hosts: multicast, broadcast, and what ends as the broadcast addresses of these captures
/// do.
pub(crate) fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.octets()[3] == 255,
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}

/// A capture of a host that talks to itself has one address on both sides. A rule wants two: the client gets another.
pub(crate) fn part(frame: &mut [u8], packet: &mut Packet, from_client: bool) {
    const IPV4: usize = 14;
    let IpAddr::V4(address) = packet.source.0 else { return };
    if packet.source.0 != packet.destination.0 {
        return;
    }
    let [a, b, c, d] = address.octets();
    let other = Ipv4Addr::new(a, b, c, d ^ 0x40);
    let at = IPV4 + if from_client { 12 } else { 16 };
    frame[at..at + 4].copy_from_slice(&other.octets());
    let end = if from_client { &mut packet.source } else { &mut packet.destination };
    end.0 = other.into();
}
