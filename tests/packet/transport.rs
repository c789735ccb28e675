//! TCP, UDP, SCTP and ICMP headers, with options and untrue claims.

use std::net::IpAddr;

use super::{checksum, protocol};

/// TCP flags, to be joined with `|`.
pub mod flags {
    #![allow(missing_docs, reason = "the names are those of the flags")]
    pub const FIN: u16 = 0x001;
    pub const SYN: u16 = 0x002;
    pub const RST: u16 = 0x004;
    pub const PSH: u16 = 0x008;
    pub const ACK: u16 = 0x010;
    pub const URG: u16 = 0x020;
    pub const ECE: u16 = 0x040;
    pub const CWR: u16 = 0x080;
}

/// What follows the IP header.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
    /// The offset and "more" of the fragment that the whole segment is put into.
    pub(super) fragment: Option<(u16, bool)>,
}

#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) protocol: u8,
    kind: Kind,
    pub(super) sequence: (u32, u32),
    pub(super) tcp_options: Vec<u8>,
    pub(super) data_offset: Option<u8>,
    pub(super) udp_length: Option<u16>,
    pub(super) wrong_checksum: bool,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Tcp {
        source: u16,
        destination: u16,
        flags: u16,
    },
    Udp {
        source: u16,
        destination: u16,
    },
    Sctp {
        source: u16,
        destination: u16,
    },
    Icmp {
        kind: u8,
        code: u8,
    },
    /// No header: the payload is all there is.
    Other,
}

impl Header {
    pub(super) fn tcp(source: u16, destination: u16, flags: u16) -> Self {
        Self::new(protocol::TCP, Kind::Tcp { source, destination, flags })
    }

    pub(super) fn udp(source: u16, destination: u16) -> Self {
        Self::new(protocol::UDP, Kind::Udp { source, destination })
    }

    pub(super) fn sctp(source: u16, destination: u16) -> Self {
        Self::new(protocol::SCTP, Kind::Sctp { source, destination })
    }

    pub(super) fn icmp(of: IpAddr, kind: u8, code: u8) -> Self {
        let protocol = if of.is_ipv4() { protocol::ICMP } else { protocol::ICMPV6 };
        Self::new(protocol, Kind::Icmp { kind, code })
    }

    pub(super) fn other(protocol: u8) -> Self {
        Self::new(protocol, Kind::Other)
    }

    fn new(protocol: u8, kind: Kind) -> Self {
        Self {
            protocol,
            kind,
            sequence: (1, 0),
            tcp_options: Vec::new(),
            data_offset: None,
            udp_length: None,
            wrong_checksum: false,
        }
    }

    fn tcp_bytes(&self, source: u16, destination: u16, flags: u16) -> Vec<u8> {
        let length = 20 + self.tcp_options.len().next_multiple_of(4);
        let offset = u16::from(self.data_offset.unwrap_or((length / 4) as u8));
        let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
        bytes.extend_from_slice(&self.sequence.0.to_be_bytes());
        bytes.extend_from_slice(&self.sequence.1.to_be_bytes());
        for word in [offset << 12 | flags & 0x0fff, 0x2000, 0, 0] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(&self.tcp_options);
        bytes.resize(length, 0);
        bytes
    }
}

impl Segment {
    pub(super) fn build(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let (mut bytes, checksum_at) = self.header();
        bytes.extend_from_slice(&self.payload);
        let sum = |bytes: &[u8]| checksum::transport(source, destination, self.header.protocol, bytes);
        let mut checksum = match self.header.kind {
            Kind::Other => return bytes,
            Kind::Sctp { .. } => checksum::crc32c(&bytes).to_le_bytes().to_vec(),
            Kind::Icmp { .. } if source.is_ipv4() => checksum::internet(&bytes).to_be_bytes().to_vec(),
            // A UDP checksum of zero says that there is none, so the other form of zero stands for it.
            Kind::Udp { .. } => {
                Some(sum(&bytes)).filter(|s| *s != 0).unwrap_or(0xffff).to_be_bytes().to_vec()
            }
            Kind::Tcp { .. } | Kind::Icmp { .. } => sum(&bytes).to_be_bytes().to_vec(),
        };
        if self.header.wrong_checksum {
            checksum[0] ^= 0x55;
        }
        bytes[checksum_at..][..checksum.len()].copy_from_slice(&checksum);
        bytes
    }

    /// The header without its checksum, and where that belongs.
    fn header(&self) -> (Vec<u8>, usize) {
        match self.header.kind {
            Kind::Tcp { source, destination, flags } => {
                (self.header.tcp_bytes(source, destination, flags), 16)
            }
            Kind::Udp { source, destination } => {
                let length = u16::try_from(8 + self.payload.len()).expect("a short payload");
                let words = [source, destination, self.header.udp_length.unwrap_or(length), 0];
                (words.iter().flat_map(|word| word.to_be_bytes()).collect(), 6)
            }
            Kind::Sctp { source, destination } => {
                let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
                (ports.into_iter().chain([0; 8]).collect(), 8)
            }
            Kind::Icmp { kind, code } => (vec![kind, code, 0, 0], 2),
            Kind::Other => (Vec::new(), 0),
        }
    }
}
