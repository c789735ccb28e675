//! Messages that wait on the disk, in order, up to a bound.
//!
//! A directory of segments with ascending numbers. A record is its length, four bytes, little-endian, and its bytes. A
//! segment goes when everything in it was delivered.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use super::store::Message;
use crate::config;

/// Segments of a full spool.
const SEGMENTS: u64 = 16;
/// No message is longer; a length beyond it is no length.
const LONGEST: u32 = 1 << 20;
const HEAD: u64 = 4;
/// Where reading had come to, when an agent ended.
const POSITION: &str = "position";

#[derive(Debug)]
struct Segment {
    number: u64,
    /// Bytes of whole records.
    length: u64,
}

/// Messages that wait on the disk.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    bound: u64,
    segments: VecDeque<Segment>,
    /// The youngest segment.
    writing: Option<File>,
    /// Where in the oldest segment the first message begins that was not handed out.
    reading: u64,
    /// Messages that were not handed out.
    waiting: u64,
    /// Bytes of all segments.
    bytes: u64,
}

impl Spool {
    /// Opens what is there, or makes the directory.
    ///
    /// # Errors
    /// Where the directory cannot be used.
    pub(super) fn open(config: &config::Spool) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o750).create(&config.path)?;
        let mut spool = Self {
            path: config.path.clone(),
            bound: config.size,
            segments: VecDeque::new(),
            writing: None,
            reading: 0,
            waiting: 0,
            bytes: 0,
        };
        let mut numbers: Vec<u64> = fs::read_dir(&config.path)?
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".seg")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        let position = spool.take_position();
        for number in numbers {
            let from = match position {
                Some((at, offset)) if at == number && spool.segments.is_empty() => offset,
                _ => 0,
            };
            let (length, records) = survey(&mut File::open(spool.segment(number))?, from)?;
            if spool.segments.is_empty() {
                spool.reading = from;
            }
            spool.waiting += records;
            spool.bytes += length;
            spool.segments.push_back(Segment { number, length });
        }
        Ok(spool)
    }

    /// Messages that were not handed out.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Bytes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a message; `false` where there is no room.
    ///
    /// # Errors
    /// Where it cannot be written; nothing of it is there then.
    pub(super) fn push(&mut self, message: &[u8]) -> io::Result<bool> {
        let record = HEAD + message.len() as u64;
        if message.len() > LONGEST as usize || self.bytes + record > self.bound {
            return Ok(false);
        }
        let is_full = |segment: &Segment| segment.length + record > self.bound / SEGMENTS;
        if self.writing.is_none() || self.segments.back().is_none_or(is_full) {
            let number = self.segments.back().map_or(1 << 32, |last| last.number + 1);
            self.writing = Some(create(&self.segment(number))?);
            self.segments.push_back(Segment { number, length: 0 });
        }
        let (Some(file), Some(segment)) = (&mut self.writing, self.segments.back_mut()) else {
            return Ok(false);
        };
        if let Err(error) = append(file, message) {
            // Part of a record would hide those behind it. What follows goes into another segment where it cannot be undone.
            if file.set_len(segment.length).is_err() {
                self.writing = None;
            }
            return Err(error);
        }
        segment.length += record;
        self.bytes += record;
        self.waiting += 1;
        Ok(true)
    }

    /// Takes messages, oldest first, as long as they fit. Everything that was taken before has been delivered.
    ///
    /// # Errors
    /// Where a segment cannot be read: it is given up, and the error says how many messages went with it.
    pub(super) fn take(&mut self, most: usize, bytes: usize) -> Result<VecDeque<Message>, (u64, io::Error)> {
        while self.segments.front().is_some_and(|segment| self.reading >= segment.length) {
            self.drop_oldest();
        }
        let mut taken = VecDeque::new();
        let Some(segment) = self.segments.front() else { return Ok(taken) };
        let (number, length) = (segment.number, segment.length);
        match read(&self.segment(number), self.reading, length, most, bytes) {
            Ok(messages) if !messages.is_empty() => {
                self.waiting = self.waiting.saturating_sub(messages.len() as u64);
                self.reading += messages.iter().map(|message| HEAD + message.len() as u64).sum::<u64>();
                taken = messages;
                Ok(taken)
            }
            result => {
                let error = result.err().unwrap_or_else(|| io::ErrorKind::InvalidData.into());
                let before = self.waiting;
                self.drop_oldest();
                self.waiting = self.recount().min(before);
                Err((before - self.waiting, error))
            }
        }
    }

    /// The last of those that were taken were not delivered: they are there again.
    pub(super) fn give_back(&mut self, left: &VecDeque<Message>) {
        let bytes: u64 = left.iter().map(|message| HEAD + message.len() as u64).sum();
        self.reading = self.reading.saturating_sub(bytes);
        self.waiting += left.len() as u64;
    }

    /// Remembers where reading had come to.
    pub(super) fn end(&mut self) {
        if self.segments.front().is_some_and(|segment| self.reading >= segment.length) {
            self.drop_oldest();
        }
        if let Some(segment) = self.segments.front() {
            let text = format!("{} {}\n", segment.number, self.reading);
            // Without it messages come twice, and none is lost.
            let _ = fs::write(self.path.join(POSITION), text);
        }
    }

    fn take_position(&self) -> Option<(u64, u64)> {
        let path = self.path.join(POSITION);
        let text = fs::read_to_string(&path).ok()?;
        // It holds once: segments go on without it.
        let _ = fs::remove_file(path);
        let (number, offset) = text.trim().split_once(' ')?;
        Some((number.parse().ok()?, offset.parse().ok()?))
    }

    fn drop_oldest(&mut self) {
        if let Some(segment) = self.segments.pop_front() {
            self.bytes = self.bytes.saturating_sub(segment.length);
            let _ = fs::remove_file(self.segment(segment.number));
        }
        if self.segments.is_empty() {
            self.writing = None;
        }
        self.reading = 0;
    }

    fn recount(&self) -> u64 {
        let count = |segment: &Segment| {
            File::open(self.segment(segment.number)).and_then(|mut file| survey(&mut file, 0))
        };
        self.segments.iter().filter_map(|segment| count(segment).ok()).map(|(_, records)| records).sum()
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:020}.seg"))
    }
}

fn create(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create_new(true).append(true).mode(0o640).open(path)
}

fn append(file: &mut File, message: &[u8]) -> io::Result<()> {
    let mut record = Vec::with_capacity(message.len() + HEAD as usize);
    record.extend((message.len() as u32).to_le_bytes());
    record.extend_from_slice(message);
    file.write_all(&record)
}

/// Bytes of whole records, and how many begin at or after `from`.
fn survey(file: &mut File, from: u64) -> io::Result<(u64, u64)> {
    let size = file.metadata()?.len();
    let mut reader = io::BufReader::new(file);
    let (mut at, mut records) = (0, 0);
    while size - at >= HEAD {
        let mut head = [0; HEAD as usize];
        reader.read_exact(&mut head)?;
        let length = u32::from_le_bytes(head);
        let record = HEAD + u64::from(length);
        if length > LONGEST || size - at < record {
            break;
        }
        records += u64::from(at >= from);
        reader.seek_relative(i64::from(length))?;
        at += record;
    }
    Ok((at, records))
}

fn read(path: &PathBuf, from: u64, to: u64, most: usize, bytes: usize) -> io::Result<VecDeque<Message>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut reader = io::BufReader::new(file);
    let (mut at, mut sum, mut messages) = (from, 0, VecDeque::new());
    while at < to && messages.len() < most && sum < bytes {
        let mut head = [0; HEAD as usize];
        reader.read_exact(&mut head)?;
        let length = u32::from_le_bytes(head);
        if length > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut message = vec![0; length as usize];
        reader.read_exact(&mut message)?;
        at += HEAD + u64::from(length);
        sum += message.len();
        messages.push_back(message.into());
    }
    Ok(messages)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    /// A directory of this test, gone when dropped.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("banchi-spool-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn spool(&self, size: u64) -> Spool {
            Spool::open(&config::Spool { path: self.0.clone(), size }).unwrap()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn message(number: u32) -> Vec<u8> {
        format!("{number:096}").into_bytes()
    }

    fn numbers(messages: &VecDeque<Message>) -> Vec<u32> {
        messages.iter().map(|text| std::str::from_utf8(text).unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn what_goes_in_comes_out_in_order_and_leaves_no_file() {
        let place = Place::new("order");
        let mut spool = place.spool(64 << 10);
        let all: Vec<u32> = (0..500).collect();
        all.iter().for_each(|number| assert!(spool.push(&message(*number)).unwrap()));
        assert_eq!((spool.waiting(), spool.bytes()), (500, 50_000));
        let mut out = Vec::new();
        loop {
            let taken = spool.take(7, 1 << 20).unwrap();
            if taken.is_empty() {
                break;
            }
            out.extend(numbers(&taken));
        }
        assert_eq!(out, all);
        assert_eq!((spool.waiting(), spool.bytes()), (0, 0));
        assert_eq!(fs::read_dir(&place.0).unwrap().count(), 0);
        assert!(spool.push(&message(1)).unwrap());
        assert_eq!(numbers(&spool.take(7, 1 << 20).unwrap()), [1]);
    }

    #[test]
    fn the_bound_holds_and_room_comes_back() {
        let place = Place::new("bound");
        let mut spool = place.spool(10_000);
        let taken = (0..).take_while(|number| spool.push(&message(*number)).unwrap()).count();
        assert_eq!(taken, 100);
        let on_disk: u64 =
            fs::read_dir(&place.0).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert_eq!(on_disk, 10_000);
        spool.take(10, 1 << 20).unwrap();
        spool.take(10, 1 << 20).unwrap();
        assert!(spool.push(&message(0)).unwrap());
    }

    #[test]
    fn what_was_not_delivered_is_there_for_the_next_agent() {
        let place = Place::new("again");
        let mut spool = place.spool(64 << 10);
        (0..20).for_each(|number| assert!(spool.push(&message(number)).unwrap()));
        let mut taken = spool.take(8, 1 << 20).unwrap();
        taken.drain(..3);
        spool.give_back(&taken);
        spool.end();
        let mut next = place.spool(64 << 10);
        assert_eq!(next.waiting(), 17);
        assert_eq!(numbers(&next.take(100, 1 << 20).unwrap()), (3..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_record_that_was_cut_short_costs_itself() {
        let place = Place::new("cut");
        let mut spool = place.spool(64 << 10);
        (0..3).for_each(|number| assert!(spool.push(&message(number)).unwrap()));
        drop(spool);
        let file = fs::read_dir(&place.0).unwrap().next().unwrap().unwrap().path();
        OpenOptions::new().write(true).open(&file).unwrap().set_len(250).unwrap();
        let mut next = place.spool(64 << 10);
        assert_eq!(next.waiting(), 2);
        assert!(next.push(&message(9)).unwrap());
        assert_eq!(numbers(&next.take(100, 1 << 20).unwrap()), [0, 1]);
        assert_eq!(numbers(&next.take(100, 1 << 20).unwrap()), [9]);
        // A length that cannot be: the segment goes, and what is behind it stays.
        fs::write(&file, [0xff; 40]).unwrap();
        let mut last = place.spool(64 << 10);
        assert_eq!(last.waiting(), 1);
        let found: Vec<u32> = (0..3)
            .flat_map(|_| last.take(9, 1 << 20).map(|taken| numbers(&taken)).unwrap_or_default())
            .collect();
        assert_eq!(found, [9]);
    }
}
