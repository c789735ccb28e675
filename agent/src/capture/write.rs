//! A pcapng file with a comment on each packet (draft-ietf-opsawg-pcapng, sections 4.1 to 4.3).

use std::io::{self, Write};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const ETHERNET: u16 = 1;
/// Options.
const COMMENT: u16 = 1;
const NAME: u16 = 2;
const VERDICT: u16 = 7;
const RESOLUTION: u16 = 9;
/// The kind of verdict that an XDP program has; its value is that of the program.
const XDP_VERDICT: u8 = 2;
/// 10^-9 seconds.
const NANOSECONDS: u8 = 9;

/// Writes Ethernet frames in nanoseconds.
pub struct PcapngWriter<W>(W);

impl<W: Write> PcapngWriter<W> {
    /// Writes the headers of a section, and of one interface without a name.
    ///
    /// # Errors
    /// Where the stream refuses the bytes.
    pub fn new(stream: W) -> io::Result<Self> {
        let mut writer = Self::section(stream)?;
        writer.interface(None)?;
        Ok(writer)
    }

    /// Writes the header of a section without interfaces. A file may have several; the interfaces of each are numbered
    /// anew.
    ///
    /// # Errors
    /// Where the stream refuses the bytes.
    pub fn section(mut stream: W) -> io::Result<Self> {
        let mut section = BYTE_ORDER.to_le_bytes().to_vec();
        section.extend([1, 0, 0, 0]);
        section.extend(u64::MAX.to_le_bytes());
        block(&mut stream, SECTION, &section)?;
        Ok(Self(stream))
    }

    /// Goes on in a section that was begun.
    pub fn resume(stream: W) -> Self {
        Self(stream)
    }

    /// The stream.
    pub fn into_inner(self) -> W {
        self.0
    }

    /// Adds an Ethernet interface; the first of a section has number 0.
    ///
    /// # Errors
    /// Where the stream refuses the bytes.
    pub fn interface(&mut self, name: Option<&str>) -> io::Result<()> {
        let mut interface = ETHERNET.to_le_bytes().to_vec();
        interface.extend([0; 6]);
        if let Some(name) = name {
            option(&mut interface, NAME, name.as_bytes());
        }
        option(&mut interface, RESOLUTION, &[NANOSECONDS]);
        interface.extend([0; 4]);
        block(&mut self.0, INTERFACE, &interface)
    }

    /// Writes a frame of interface 0 that was captured at `at` nanoseconds since 1970, with a comment.
    ///
    /// # Errors
    /// Where the stream refuses the bytes.
    pub fn packet(&mut self, at: u64, frame: &[u8], length: usize, comment: &str) -> io::Result<()> {
        self.judged(0, at, frame, length, comment, None)
    }

    /// Writes a frame with a comment and what an XDP program answered. `length` is that of the whole frame.
    ///
    /// # Errors
    /// Where the stream refuses the bytes.
    pub fn judged(
        &mut self,
        interface: u32,
        at: u64,
        frame: &[u8],
        length: usize,
        comment: &str,
        verdict: Option<u64>,
    ) -> io::Result<()> {
        let mut body = interface.to_le_bytes().to_vec();
        body.extend(((at >> 32) as u32).to_le_bytes());
        body.extend((at as u32).to_le_bytes());
        body.extend((frame.len() as u32).to_le_bytes());
        body.extend((length as u32).to_le_bytes());
        body.extend_from_slice(frame);
        pad(&mut body);
        option(&mut body, COMMENT, comment.as_bytes());
        if let Some(verdict) = verdict {
            let mut value = vec![XDP_VERDICT];
            value.extend(verdict.to_le_bytes());
            option(&mut body, VERDICT, &value);
        }
        body.extend([0; 4]);
        block(&mut self.0, ENHANCED_PACKET, &body)
    }
}

/// Length of the leading part of a file that consists of whole blocks.
pub fn whole_blocks(mut file: impl io::Read + io::Seek) -> io::Result<u64> {
    let length = file.seek(io::SeekFrom::End(0))?;
    let mut at = 0;
    while length - at >= 12 {
        let mut head = [0; 8];
        file.seek(io::SeekFrom::Start(at))?;
        file.read_exact(&mut head)?;
        let [_, _, _, _, a, b, c, d] = head;
        let block = u64::from(u32::from_le_bytes([a, b, c, d]));
        if block < 12 || block % 4 != 0 || block > length - at {
            break;
        }
        at += block;
    }
    Ok(at)
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
