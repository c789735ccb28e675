//! IPv4 headers, with options, fragments and untrue claims.

use std::net::Ipv4Addr;

use super::checksum;

const HEADER: usize = 20;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;

#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) version: u8,
    pub(super) id: u16,
    pub(super) dont_fragment: bool,
    pub(super) options: Vec<u8>,
    pub(super) length: Option<u16>,
    pub(super) ihl: Option<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Self { version: 4, id: 0, dont_fragment: false, options: Vec::new(), length: None, ihl: None }
    }
}

impl Options {
    pub(super) fn packet(
        &self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        ttl: u8,
        (offset, more): (u16, bool),
        content: &[u8],
    ) -> Vec<u8> {
        let options = self.options.len().next_multiple_of(4);
        let header = HEADER + options;
        let length =
            self.length.unwrap_or_else(|| (header + content.len()).try_into().expect("a short packet"));
        let ihl = self.ihl.unwrap_or((header / 4) as u8);
        let flags =
            if self.dont_fragment { DONT_FRAGMENT } else { 0 } | if more { MORE_FRAGMENTS } else { 0 };

        let mut bytes = vec![self.version << 4 | ihl & 0x0f, 0];
        for word in [length, self.id, flags | (offset / 8)] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes.extend_from_slice(&[ttl, protocol, 0, 0]);
        bytes.extend_from_slice(&source.octets());
        bytes.extend_from_slice(&destination.octets());
        bytes.extend_from_slice(&self.options);
        bytes.resize(header, 0);
        let checksum = checksum::internet(&bytes);
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes.extend_from_slice(content);
        bytes
    }
}
