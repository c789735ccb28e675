//! IPv6 headers, with extension headers, fragments and untrue claims.

use std::net::Ipv6Addr;

/// An extension header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extension {
    /// Options for every hop, filled up to 8 bytes.
    HopByHop(Vec<u8>),
    /// A routing header of this type with no segments left, filled up to 8 bytes.
    Routing(u8, Vec<u8>),
    /// Options for the destination, filled up to 8 bytes.
    Destination(Vec<u8>),
    /// An authentication header with this integrity value.
    Authentication(Vec<u8>),
    /// Any other: its number and its bytes, whose first becomes the number of the next header.
    Other(u8, Vec<u8>),
}

const FRAGMENT: u8 = 44;

#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) version: u8,
    pub(super) id: u32,
    pub(super) extensions: Vec<Extension>,
    pub(super) length: Option<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self { version: 6, id: 0, extensions: Vec::new(), length: None }
    }
}

impl Options {
    pub(super) fn packet(
        &self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        protocol: u8,
        hops: u8,
        fragment: Option<(u16, bool)>,
        content: &[u8],
    ) -> Vec<u8> {
        let mut extensions: Vec<(u8, Vec<u8>)> = self.extensions.iter().map(Extension::header).collect();
        extensions.extend(fragment.map(|(offset, more)| (FRAGMENT, self.fragment_header(offset, more))));
        // Every header names the one behind it.
        let mut next = protocol;
        for (number, bytes) in extensions.iter_mut().rev() {
            bytes[0] = next;
            next = *number;
        }
        let chain: Vec<u8> = extensions.into_iter().flat_map(|(_, bytes)| bytes).collect();
        let length = (chain.len() + content.len()).try_into().expect("a short packet");

        let mut bytes = vec![self.version << 4, 0, 0, 0];
        bytes.extend_from_slice(&self.length.unwrap_or(length).to_be_bytes());
        bytes.extend_from_slice(&[next, hops]);
        bytes.extend_from_slice(&source.octets());
        bytes.extend_from_slice(&destination.octets());
        bytes.extend_from_slice(&chain);
        bytes.extend_from_slice(content);
        bytes
    }

    fn fragment_header(&self, offset: u16, more: bool) -> Vec<u8> {
        let mut bytes = vec![0, 0];
        bytes.extend_from_slice(&(offset & !7 | u16::from(more)).to_be_bytes());
        bytes.extend_from_slice(&self.id.to_be_bytes());
        bytes
    }
}

impl Extension {
    /// Its number and its bytes; the first is filled in when the next header is known.
    fn header(&self) -> (u8, Vec<u8>) {
        match self {
            Self::HopByHop(options) => (0, options_header(options)),
            Self::Destination(options) => (60, options_header(options)),
            Self::Routing(kind, data) => {
                let mut bytes = vec![0, 0, *kind, 0];
                bytes.extend_from_slice(data);
                bytes.resize(bytes.len().next_multiple_of(8), 0);
                bytes[1] = (bytes.len() / 8 - 1) as u8;
                (43, bytes)
            }
            Self::Authentication(value) => {
                let mut bytes = vec![0; 12];
                bytes.extend_from_slice(value);
                bytes.resize(bytes.len().next_multiple_of(8), 0);
                // Counted in words of four bytes, unlike all the others.
                bytes[1] = (bytes.len() / 4 - 2) as u8;
                (51, bytes)
            }
            Self::Other(number, bytes) => (*number, bytes.clone()),
        }
    }
}

fn options_header(options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend_from_slice(options);
    // One byte is filled by Pad1, more by PadN.
    match bytes.len().next_multiple_of(8) - bytes.len() {
        0 => {}
        1 => bytes.push(0),
        n => {
            bytes.extend_from_slice(&[1, (n - 2) as u8]);
            bytes.resize(bytes.len() + n - 2, 0);
        }
    }
    bytes[1] = (bytes.len() / 8 - 1) as u8;
    bytes
}
