//! Events as they are written, read again.

use std::io::{BufRead as _, BufReader, Read};
use std::net::IpAddr;
use std::path::Path;

use banchi_common::reason::{REASONS, Reason};
use banchi_common::wire::{Bytes, Content, Headers, arp_claim, parse};
use serde::{Deserialize, Deserializer};

use super::is_hidden;
use crate::capture::{CaptureError, unpacked};
use crate::learn::ip;

/// Longest line that is read: no event is longer.
const LONGEST: u64 = 1 << 16;
/// Longest packet.
const LONGEST_FRAME: u32 = 1 << 16;

/// One line of `banchi events --json`, as far as a review looks at it.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    /// `deviation` or `repeats`.
    pub kind: Kind,
    /// RFC 3339 in UTC with microseconds: as text they have the order of the times.
    #[serde(deserialize_with = "time")]
    pub time: String,
    /// Why.
    #[serde(deserialize_with = "reason")]
    pub reason: Reason,
    /// Conduit, or none.
    #[serde(default, deserialize_with = "name")]
    pub conduit: Option<String>,
    /// Zone that it came from, or none.
    #[serde(default, deserialize_with = "name")]
    pub zone: Option<String>,
    /// Source address.
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: Option<IpAddr>,
    /// Source port.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// `tcp`, `udp`, `sctp`, `icmp`, `icmpv6`, or a number.
    #[serde(default, deserialize_with = "name")]
    pub transport: Option<String>,
    /// EtherType, as `0x0800`.
    #[serde(deserialize_with = "word")]
    pub ethertype: String,
    /// VIDs, outer first.
    pub vlans: Vec<u16>,
    /// Name of the interface.
    #[serde(default, deserialize_with = "name")]
    pub interface: Option<String>,
    /// What the payload shows itself as.
    #[serde(default, deserialize_with = "name")]
    pub class: Option<String>,
    /// `forward`, `return` or `none`.
    pub orientation: String,
    /// The rule that fits best.
    #[serde(default, deserialize_with = "name")]
    pub rule: Option<String>,
    /// Packets that were counted, but not reported, since the last event about them.
    pub repeats: u64,
    /// Length of the packet.
    pub length: u32,
    /// Its first bytes, in hexadecimal.
    #[serde(deserialize_with = "bytes")]
    pub data: Vec<u8>,
}

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A packet deviated.
    Deviation,
    /// Packets like one before were counted.
    Repeats,
}

/// The shape that they are written in: their first ten characters are a day, and go into policies.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let fits =
        |(byte, wanted): (u8, &u8)| if *wanted == b'0' { byte.is_ascii_digit() } else { byte == *wanted };
    let shape = b"0000-00-00T00:00:00.000000Z";
    if text.len() == shape.len() && text.bytes().zip(shape).all(fits) {
        return Ok(text);
    }
    Err(serde::de::Error::custom("`time` is none"))
}

/// A name. What a terminal would obey in it is spelt out: events may be from elsewhere, and names are shown to people.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let spelt = |c: char| if is_hidden(c) { c.escape_unicode().to_string() } else { c.to_string() };
    Ok(if text.contains(is_hidden) { text.chars().map(spelt).collect() } else { text })
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Name(#[serde(deserialize_with = "word")] String);
    Ok(Option::<Name>::deserialize(deserializer)?.map(|name| name.0))
}

fn reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Reason, D::Error> {
    let name = String::deserialize(deserializer)?;
    let about = REASONS.iter().find(|about| about.name == name);
    about.map(|about| about.reason).ok_or_else(|| serde::de::Error::custom(format!("no reason `{name}`")))
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let byte = |at: usize| text.get(at..at + 2).and_then(|byte| u8::from_str_radix(byte, 16).ok());
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
    bytes.ok_or_else(|| serde::de::Error::custom("`data` is not hexadecimal"))
}

impl Event {
    /// Packets that it stands for.
    pub fn packets(&self) -> u64 {
        self.repeats.saturating_add(u64::from(self.kind == Kind::Deviation))
    }

    /// Source hardware address.
    pub fn mac(&self) -> Option<[u8; 6]> {
        self.data.get(6..12)?.try_into().ok()
    }

    /// What its packet says. Zeros stand for what did not travel with it.
    pub fn headers(&self) -> (Content, Headers) {
        let mut headers = Headers::default();
        let content = parse(&Bytes(&self.frame()), &mut headers);
        (content, headers)
    }

    /// Its packet, with zeros for what did not travel with it.
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = self.data.clone();
        frame.resize(self.data.len().max(self.length.min(LONGEST_FRAME) as usize), 0);
        frame
    }

    /// The address that speaks, or that a neighbour announcement claims.
    pub fn speaker(&self) -> Option<IpAddr> {
        self.src.or_else(|| match self.headers() {
            (Content::Arp, headers) => {
                arp_claim(&Bytes(&self.data), headers.l3()).map(|(address, _)| ip(4, address))
            }
            _ => None,
        })
    }
}

/// Lines that are no events of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unread(pub u64);

/// Reads events line by line. What is no event is counted.
///
/// # Errors
/// Where the stream cannot be read.
pub fn read(stream: impl Read, mut each: impl FnMut(Event)) -> std::io::Result<Unread> {
    let (mut stream, mut line, mut unread) = (BufReader::new(stream), Vec::new(), Unread::default());
    loop {
        line.clear();
        if stream.by_ref().take(LONGEST).read_until(b'\n', &mut line)? == 0 {
            return Ok(unread);
        }
        match serde_json::from_slice(&line) {
            Ok(event) => each(event),
            Err(_) if line.trim_ascii().is_empty() => {}
            Err(_) => unread.0 += 1,
        }
    }
}

/// Reads a file, plain, gzip or zstd.
///
/// # Errors
/// Where it cannot be read.
pub fn read_file(path: &Path, each: impl FnMut(Event)) -> std::io::Result<Unread> {
    let stream = unpacked(path).map_err(|error| match error {
        CaptureError::Read { source, .. } => source,
        other => std::io::Error::other(other),
    })?;
    read(stream, each)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write as _;

    use ruzstd::encoding::CompressionLevel;

    use super::*;

    #[test]
    fn what_is_no_event_is_counted() {
        let text = b"{\"missed\":3}\n\n{\"kind\":\"other\"}\nnot json\n";
        let mut events = 0;
        let unread = read(text.as_slice(), |_| events += 1).unwrap();
        assert_eq!((unread, events), (Unread(3), 0));
    }

    #[test]
    fn what_is_not_as_an_agent_writes_it_does_no_harm() {
        let line = include_str!("../../tests/review/events.jsonl").lines().next().unwrap();
        let with = |key: &str, value: serde_json::Value| {
            let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
            event.as_object_mut().unwrap().insert(key.to_owned(), value);
            let mut read_one = None;
            let unread = read(event.to_string().as_bytes(), |event| read_one = Some(event)).unwrap();
            (read_one, unread.0)
        };
        // The day of a time goes into a comment of a policy.
        for time in [
            "\n- {a: b}\n ",
            "",
            "2026-11-24",
            "2026-11-24T17:05:15.000000+01:00",
            "２026-11-24T17:05:15.0000Z",
        ] {
            assert!(matches!(with("time", time.into()), (None, 1)), "{time}");
        }
        for key in ["conduit", "zone", "transport", "ethertype", "interface", "class", "rule"] {
            let (event, _) = with(key, "a\u{1b}[2J\u{202e}\nb".into());
            let said = format!("{:?}", event.unwrap());
            assert!(said.contains("a\\\\u{1b}[2J\\\\u{202e}\\\\u{a}b"), "{key}: {said}");
        }
        let mut heap = super::super::Heap::default();
        for _ in 0..2 {
            heap.add(with("repeats", u64::MAX.into()).0.unwrap());
        }
        let policy = crate::policy::load("policy.yaml", include_str!("../../tests/review/policy.yaml"));
        assert!(!super::super::changes(heap, &policy.policy.unwrap()).unwrap().is_empty());
    }

    #[test]
    fn rotated_files_are_read_packed_as_well() {
        let lines = include_bytes!("../../tests/review/events.jsonl");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(lines).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(&lines[..], CompressionLevel::Fastest);
        let directory = tempfile::tempdir().unwrap();
        let counts = [lines.to_vec(), gzip.finish().unwrap(), zstd].map(|bytes| {
            let path = directory.path().join("events");
            std::fs::write(&path, bytes).unwrap();
            let mut events = 0;
            assert_eq!(read_file(&path, |_| events += 1).unwrap(), Unread(0));
            events
        });
        assert!(counts[0] > 0);
        assert_eq!(counts, [counts[0]; 3]);
        let missing = read_file(&directory.path().join("none"), |_| ()).unwrap_err();
        assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    }
}
