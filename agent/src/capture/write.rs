//! A pcapng file with a comment on each packet (draft-ietf-opsawg-pcapng, sections 4.1 to 4.3).

use std::io::{self, Write};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const ETHERNET: u16 = 1;
/// Options.
const COMMENT: u16 = 1;
const RESOLUTION: u16 = 9;
/// 10^-9 seconds.
const NANOSECONDS: u8 = 9;

/// Writes Ethernet frames in nanoseconds.
pub struct PcapngWriter<W>(W);

impl<W: Write> PcapngWriter<W> {
    /// Writes the headers.
    ///
    /// # Errors
    /// Where the stream refuses the bytes.
    pub fn new(mut stream: W) -> io::Result<Self> {
        let mut section = BYTE_ORDER.to_le_bytes().to_vec();
        section.extend([1, 0, 0, 0]);
        section.extend(u64::MAX.to_le_bytes());
        block(&mut stream, SECTION, &section)?;
        let mut interface = ETHERNET.to_le_bytes().to_vec();
        interface.extend([0; 6]);
        option(&mut interface, RESOLUTION, &[NANOSECONDS]);
        interface.extend([0; 4]);
        block(&mut stream, INTERFACE, &interface)?;
        Ok(Self(stream))
    }

    /// Writes a frame that was captured at `at` nanoseconds since 1970, with a comment.
    ///
    /// # Errors
    /// Where the stream refuses the bytes.
    pub fn packet(&mut self, at: u64, frame: &[u8], length: usize, comment: &str) -> io::Result<()> {
        let mut body = vec![0; 4];
        body.extend(((at >> 32) as u32).to_le_bytes());
        body.extend((at as u32).to_le_bytes());
        body.extend((frame.len() as u32).to_le_bytes());
        body.extend((length as u32).to_le_bytes());
        body.extend_from_slice(frame);
        pad(&mut body);
        option(&mut body, COMMENT, comment.as_bytes());
        body.extend([0; 4]);
        block(&mut self.0, ENHANCED_PACKET, &body)
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..usize::from(u16::MAX)).unwrap_or(value);
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend_from_slice(value);
    pad(body);
}

fn block(stream: &mut impl Write, kind: u32, body: &[u8]) -> io::Result<()> {
    let length = (body.len() as u32 + 12).to_le_bytes();
    stream.write_all(&kind.to_le_bytes())?;
    stream.write_all(&length)?;
    stream.write_all(body)?;
    stream.write_all(&length)
}
