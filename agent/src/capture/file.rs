//! One capture file, frame by frame.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use pcap_parser::traits::{PcapNGPacketBlock as _, PcapReaderIterator};
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError};

use super::link::ethernet;
use super::open::open;
use super::{CaptureError, Frame};

/// Room for the longest block: twice the largest snap length that tcpdump allows (262,144 bytes).
const BUFFER: usize = 1 << 19;
/// Interfaces that one file may describe.
const INTERFACES: usize = 4096;
/// No packet is longer; a length beyond it is the file's word only.
const LONGEST: usize = 1 << 16;

/// Why a file was not read to its end, or not wholly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// What broke off the reading.
    pub broken: Option<String>,
    /// Frames of links that are not read.
    pub unknown_link: u64,
    /// Frames that were cut short by who captured them.
    pub cut: u64,
    /// Frames that are older than the one before.
    pub back_in_time: u64,
}

/// A file that is being read.
pub(super) struct CaptureFile {
    reader: Box<dyn PcapReaderIterator + Send>,
    links: Vec<Interface>,
    nanoseconds: bool,
    frames: u64,
    last: u64,
    ended: bool,
    pub(super) trouble: Trouble,
}

struct Interface {
    link: Linktype,
    /// Units a second.
    resolution: u64,
    offset: i64,
    name: Option<String>,
}

impl CaptureFile {
    pub(super) fn open(path: &Path, progress: &Arc<AtomicU64>) -> Result<Self, CaptureError> {
        Self::of(open(path, progress)?).map_err(|why| CaptureError::NoCapture { path: path.to_owned(), why })
    }

    fn of(stream: impl Read + Send + 'static) -> Result<Self, String> {
        let reader = pcap_parser::create_reader(BUFFER, stream).map_err(|error| match error {
            PcapError::Eof => "it is empty".to_owned(),
            PcapError::ReadError => "its compression is broken".to_owned(),
            PcapError::Incomplete(_) => "it ends within its first header".to_owned(),
            _ => "it begins neither as pcap nor as pcapng does".to_owned(),
        })?;
        Ok(Self {
            reader,
            links: Vec::new(),
            nanoseconds: false,
            frames: 0,
            last: 0,
            ended: false,
            trouble: Trouble::default(),
        })
    }

    /// Fills a frame with the next one, and gives the name of its interface; `None` at the end.
    pub(super) fn next(&mut self, frame: &mut Frame) -> Option<Option<&str>> {
        while !self.ended {
            let (read, found) = match self.reader.next() {
                Ok((read, block)) => {
                    let taken = take(&block, &mut self.links, &mut self.nanoseconds, frame);
                    (read, taken)
                }
                Err(PcapError::Incomplete(_)) => {
                    if self.reader.refill().is_err() {
                        self.broke("it cannot be read any further");
                    }
                    continue;
                }
                Err(error) => {
                    match ending(&error) {
                        Some(why) => self.broke(why),
                        None => self.ended = true,
                    }
                    continue;
                }
            };
            self.reader.consume(read);
            match found {
                Taken::Nothing => {}
                Taken::Wrong(why) => self.broke(why),
                Taken::UnknownLink => {
                    self.frames += 1;
                    self.trouble.unknown_link += 1;
                }
                Taken::Frame(interface) => {
                    self.frames += 1;
                    frame.number = self.frames;
                    self.trouble.cut += u64::from(frame.missing > 0);
                    self.trouble.back_in_time += u64::from(frame.at < self.last);
                    self.last = frame.at;
                    let name = self.links.get(interface).and_then(|interface| interface.name.as_deref());
                    return Some(name);
                }
            }
        }
        None
    }

    fn broke(&mut self, why: &str) {
        self.ended = true;
        self.trouble.broken = Some(format!("after {} frames: {why}", self.frames));
    }
}

/// What an error means; `None` is the end of the file.
fn ending(error: &PcapError<&[u8]>) -> Option<&'static str> {
    match error {
        PcapError::Eof => None,
        PcapError::UnexpectedEof => Some("the file ends within a frame"),
        PcapError::BufferTooSmall => Some("a block claims to be longer than any frame"),
        PcapError::ReadError => Some("it cannot be read any further"),
        _ => Some("what follows is no block of a capture"),
    }
}

enum Taken {
    Frame(usize),
    Nothing,
    UnknownLink,
    Wrong(&'static str),
}

fn take(
    block: &PcapBlockOwned<'_>,
    links: &mut Vec<Interface>,
    nanoseconds: &mut bool,
    frame: &mut Frame,
) -> Taken {
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            *nanoseconds = header.is_nanosecond_precision();
            links.push(Interface { link: header.network, resolution: 1, offset: 0, name: None });
            Taken::Nothing
        }
        PcapBlockOwned::Legacy(packet) => {
            let unit = if *nanoseconds { 1 } else { 1_000 };
            let at = u64::from(packet.ts_sec) * SECOND + u64::from(packet.ts_usec) * unit;
            put(links, 0, at, packet.data, packet.origlen as usize, frame)
        }
        PcapBlockOwned::NG(block) => take_block(block, links, frame),
    }
}

const SECOND: u64 = 1_000_000_000;

fn take_block(block: &Block<'_>, links: &mut Vec<Interface>, frame: &mut Frame) -> Taken {
    match block {
        // Each section numbers its interfaces anew.
        Block::SectionHeader(_) => links.clear(),
        Block::InterfaceDescription(about) => {
            if links.len() == INTERFACES {
                return Taken::Wrong("it describes too many interfaces");
            }
            let Some(resolution) = about.ts_resolution().filter(|units| *units > 0) else {
                return Taken::Wrong("an interface has a clock that nobody can read");
            };
            let name = about.if_name().and_then(Result::ok).map(str::to_owned);
            links.push(Interface { link: about.linktype, resolution, offset: about.ts_offset(), name });
        }
        Block::EnhancedPacket(packet) => {
            let place = packet.if_id as usize;
            let Some(interface) = links.get(place) else {
                return Taken::Wrong("a packet is from an interface that the file does not describe");
            };
            let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
            let whole = (units / interface.resolution).saturating_add_signed(interface.offset);
            let part = u128::from(units % interface.resolution) * u128::from(SECOND);
            let part = (part / u128::from(interface.resolution)) as u64;
            let at = whole.saturating_mul(SECOND).saturating_add(part);
            return put(links, place, at, packet.packet_data(), packet.origlen as usize, frame);
        }
        Block::SimplePacket(packet) => {
            let at = frame.at;
            return put(links, 0, at, packet.packet_data(), packet.origlen as usize, frame);
        }
        _ => {}
    }
    Taken::Nothing
}

fn put(links: &[Interface], place: usize, at: u64, bytes: &[u8], length: usize, frame: &mut Frame) -> Taken {
    let Some(interface) = links.get(place) else {
        return Taken::Wrong("a packet comes before its interface");
    };
    frame.bytes.clear();
    frame.at = at;
    frame.missing = length.saturating_sub(bytes.len()).min(LONGEST);
    if !ethernet(interface.link, bytes, &mut frame.bytes) {
        return Taken::UnknownLink;
    }
    frame.bytes.resize(frame.bytes.len() + frame.missing, 0);
    Taken::Frame(place)
}
