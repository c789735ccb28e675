//! Reads captures: pcap and pcapng.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use pcap_parser::traits::PcapNGPacketBlock as _;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError};

/// Room for the longest block; a reader that is given less stops at it.
const BUFFER: usize = 1 << 20;

/// What was captured of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Since 1970.
    pub at: Duration,
    /// What the bytes begin with.
    pub link: Linktype,
    /// As many bytes as were captured.
    pub bytes: Vec<u8>,
    /// How long it was on the wire.
    pub length: usize,
}

impl Frame {
    /// As it is on Ethernet: raw IP and loopback captures get a link header. `None` for other links.
    pub fn ethernet(&self) -> Option<Vec<u8>> {
        let packet = match self.link {
            Linktype::ETHERNET => return Some(self.bytes.clone()),
            Linktype::NULL | Linktype::LOOP => self.bytes.get(4..)?,
            Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => &self.bytes,
            _ => return None,
        };
        let kind = match packet.first()? >> 4 {
            4 => [0x08, 0x00],
            6 => [0x86, 0xdd],
            _ => return None,
        };
        let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        frame.extend(kind);
        frame.extend(packet);
        Some(frame)
    }
}

/// A capture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recording {
    /// All whole frames, in the order in which other tools number them.
    pub frames: Vec<Frame>,
    /// The file ends within a frame, as that of a writer that was killed.
    pub cut: bool,
}

/// Reads a capture.
///
/// # Errors
/// Where there is no file, or what is in it is no capture.
pub fn read(path: &Path) -> Result<Recording> {
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    frames(&bytes).with_context(|| format!("make sense of {}", path.display()))
}

fn frames(bytes: &[u8]) -> Result<Recording> {
    let mut reader = pcap_parser::create_reader(BUFFER, bytes).map_err(|e| anyhow::anyhow!("{e:?}"))?;
    let mut links: Vec<Interface> = Vec::new();
    let mut nanoseconds = false;
    let mut found = Vec::new();
    loop {
        let read = match reader.next() {
            Ok((read, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        nanoseconds = header.is_nanosecond_precision();
                        links.push(Interface { link: header.network, resolution: 0, offset: 0 });
                    }
                    PcapBlockOwned::Legacy(packet) => {
                        let link = links.first().context("a packet before the header")?.link;
                        let unit = if nanoseconds { 1 } else { 1000 };
                        found.push(Frame {
                            at: Duration::new(packet.ts_sec.into(), packet.ts_usec * unit),
                            link,
                            bytes: packet.data.to_vec(),
                            length: packet.origlen as usize,
                        });
                    }
                    PcapBlockOwned::NG(block) => block_of(&block, &mut links, &mut found)?,
                }
                read
            }
            Err(PcapError::Eof) => return Ok(Recording { frames: found, cut: false }),
            Err(PcapError::UnexpectedEof) => return Ok(Recording { frames: found, cut: true }),
            Err(PcapError::Incomplete(_)) => {
                reader.refill().map_err(|e| anyhow::anyhow!("{e:?}"))?;
                continue;
            }
            Err(error) => bail!("after {} frames: {error:?}", found.len()),
        };
        reader.consume(read);
    }
}

struct Interface {
    link: Linktype,
    resolution: u64,
    offset: i64,
}

fn block_of(block: &Block<'_>, links: &mut Vec<Interface>, found: &mut Vec<Frame>) -> Result<()> {
    match block {
        // Each section numbers its interfaces anew.
        Block::SectionHeader(_) => links.clear(),
        Block::InterfaceDescription(about) => links.push(Interface {
            link: about.linktype,
            resolution: about.ts_resolution().context("the clock of the interface")?,
            offset: about.ts_offset(),
        }),
        Block::EnhancedPacket(packet) => {
            let interface = links.get(packet.if_id as usize).context("a packet of no interface")?;
            let (seconds, fraction) = packet.decode_ts(interface.offset as u64, interface.resolution);
            let fraction = u64::from(fraction) * 1_000_000_000 / interface.resolution;
            found.push(Frame {
                at: Duration::new(seconds.into(), fraction as u32),
                link: interface.link,
                bytes: packet.packet_data().to_vec(),
                length: packet.origlen as usize,
            });
        }
        Block::SimplePacket(packet) => {
            let interface = links.first().context("a packet of no interface")?;
            let data = packet.packet_data();
            found.push(Frame {
                at: Duration::ZERO,
                link: interface.link,
                bytes: data.to_vec(),
                length: packet.origlen as usize,
            });
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Duration, Linktype, frames};

    /// One frame of 3 bytes, cut from 5, in either format and byte order.
    #[test]
    fn both_formats_say_the_same() {
        let mut old = Vec::new();
        old.extend(0xa1b2_c3d4_u32.to_be_bytes());
        old.extend([0, 2, 0, 4]);
        for word in [0, 0, 65535, 1, 100, 500_000, 3, 5] {
            old.extend(u32::to_be_bytes(word));
        }
        old.extend([7, 8, 9]);

        let mut new = Vec::new();
        block(
            &mut new,
            0x0a0d_0d0a,
            &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255],
        );
        block(&mut new, 1, &[1, 0, 0, 0, 255, 255, 0, 0]);
        let micros = 100_500_000_u64;
        let mut body = vec![0, 0, 0, 0];
        body.extend(((micros >> 32) as u32).to_le_bytes());
        body.extend((micros as u32).to_le_bytes());
        body.extend([3, 0, 0, 0, 5, 0, 0, 0, 7, 8, 9, 0]);
        block(&mut new, 6, &body);

        let cut = frames(&new[..new.len() - 5]).unwrap();
        assert_eq!((cut.frames.len(), cut.cut), (0, true));

        let old = frames(&old).unwrap();
        assert_eq!(old, frames(&new).unwrap());
        let [frame] = &old.frames[..] else { panic!("{old:?}") };
        assert!(!old.cut);
        assert_eq!(frame.at, Duration::new(100, 500_000_000));
        assert_eq!((frame.link, frame.length), (Linktype::ETHERNET, 5));
        assert_eq!(frame.bytes, [7, 8, 9]);
    }

    #[test]
    fn what_is_no_capture_is_an_error() {
        assert!(frames(b"a text that is long enough to be a header").is_err());
    }

    fn block(file: &mut Vec<u8>, kind: u32, body: &[u8]) {
        let length = (body.len() as u32 + 12).to_le_bytes();
        file.extend(kind.to_le_bytes());
        file.extend(length);
        file.extend(body);
        file.extend(length);
    }
}
