//! A file of lines that may be rotated, and whose disk may be full.
//!
//! A thread writes it: a disk that hangs holds up neither the agent nor its heartbeat. What cannot be written is counted
//! and gone, and the file goes on with what comes once there is room.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// Batches that wait for the disk. While it is busy, lines gather in the next one.
const WAITING: usize = 4;
/// Bytes that gather before lines are given up: a disk that is this far behind hangs.
const GATHERED: usize = 16 << 20;
/// How long the end of the agent waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// The file of `--events`.
#[derive(Debug)]
pub struct LineFile {
    batch: Batch,
    sender: SyncSender<Batch>,
    ended: Receiver<()>,
    unwritten: Arc<AtomicU64>,
}

/// Whole lines. An empty one has the thread look at where its file is.
#[derive(Debug, Default)]
struct Batch {
    text: Vec<u8>,
    lines: u64,
}

impl LineFile {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let unwritten = Arc::new(AtomicU64::new(0));
        let (sender, batches) = sync_channel(WAITING);
        let (end, ended) = sync_channel(1);
        let mut disk = Disk {
            path: path.to_owned(),
            file: Some(open(path)?),
            end: end_of(path),
            unwritten: Arc::clone(&unwritten),
            is_broken: false,
        };
        std::thread::Builder::new().name("events".to_owned()).spawn(move || {
            batches.iter().for_each(|batch: Batch| disk.write(&batch));
            // Whoever waited may have waited long enough.
            let _ = end.send(());
        })?;
        Ok(Self { batch: Batch::default(), sender, ended, unwritten })
    }

    /// Adds a line, without its end.
    pub(super) fn push(&mut self, line: &str) {
        self.batch.text.extend_from_slice(line.as_bytes());
        self.batch.text.push(b'\n');
        self.batch.lines += 1;
    }

    /// Hands the lines over. Without lines this finds out whether the file was renamed.
    pub(super) fn flush(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) = self.sender.try_send(batch)
        else {
            return;
        };
        if batch.text.len() < GATHERED {
            self.batch = batch;
            return;
        }
        self.unwritten.fetch_add(batch.lines, Ordering::Relaxed);
        log::error!("the disk of the events does not answer: {} lines are lost", batch.lines);
    }

    /// Lines that are in no file.
    pub(super) fn unwritten(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.unwritten)
    }

    /// Writes what is left, unless the disk takes too long.
    pub(super) fn end(mut self) {
        let until = Instant::now() + PATIENCE;
        self.flush();
        while self.batch.lines > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            self.flush();
        }
        drop(self.sender);
        let left = until.saturating_duration_since(Instant::now());
        if self.batch.lines > 0 || self.ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            log::error!("the disk of the events does not answer: the last lines are lost");
        }
    }
}

/// What the thread has.
struct Disk {
    path: PathBuf,
    file: Option<File>,
    end: End,
    unwritten: Arc<AtomicU64>,
    is_broken: bool,
}

/// How the file ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With the end of a line, or with nothing.
    Line,
    /// Within a line.
    Part,
    /// With a line that lacks nothing but its end: it counts once it has that.
    Whole,
}

impl Disk {
    fn write(&mut self, batch: &Batch) {
        self.follow();
        if batch.lines == 0 {
            return;
        }
        let (written, result) = match &mut self.file {
            Some(file) => put(file, &batch.text, &mut self.end),
            None => (0, Err(io::ErrorKind::NotFound.into())),
        };
        // A line that an earlier batch left without its end may be among what was written.
        self.unwritten.fetch_add(batch.lines, Ordering::Relaxed);
        self.unwritten.fetch_sub(written, Ordering::Relaxed);
        self.note(result);
    }

    /// Goes on in a new file where the old one was renamed or removed. One look at the directory a batch.
    fn follow(&mut self) {
        let is_there = self.file.as_ref().is_some_and(|file| {
            let Ok(open) = file.metadata() else { return false };
            fs::metadata(&self.path).is_ok_and(|at| (at.dev(), at.ino()) == (open.dev(), open.ino()))
        });
        if is_there {
            return;
        }
        match open(&self.path) {
            Ok(file) => {
                self.file = Some(file);
                self.end = end_of(&self.path);
            }
            // Not into a file that was removed: those lines would be nowhere, and would not be counted.
            Err(error) => {
                self.file = None;
                self.note(Err(error));
            }
        }
    }

    fn note(&mut self, result: io::Result<()>) {
        let path = self.path.display();
        match result {
            Ok(()) if self.is_broken => {
                self.is_broken = false;
                let lost = self.unwritten.load(Ordering::Relaxed);
                log::warn!("events are written to {path} again; {lost} were not, since the start");
            }
            Err(error) if !self.is_broken => {
                self.is_broken = true;
                log::error!("cannot write events to {path}: {error}; they are counted until it can be");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// How a file ends that is there: an agent may have been killed, or its machine, while it wrote.
fn end_of(path: &Path) -> End {
    let last = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        io::Result::Ok(byte)
    };
    // What is no file has no end to look at, and what is empty has no line.
    let is_cut =
        fs::metadata(path).is_ok_and(|meta| meta.is_file()) && last().is_ok_and(|byte| byte != *b"\n");
    if is_cut { End::Part } else { End::Line }
}

/// Writes as much as there is room for: how many lines became whole, and what was in the way of the rest.
fn put(file: &mut impl io::Write, text: &[u8], end: &mut End) -> (u64, io::Result<()>) {
    let mut lines = 0;
    if *end != End::Line {
        if let Err(error) = file.write_all(b"\n") {
            return (0, Err(error));
        }
        lines += u64::from(*end == End::Whole);
        *end = End::Line;
    }
    let mut rest = text;
    let result = loop {
        if rest.is_empty() {
            break Ok(());
        }
        match file.write(rest) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => rest = rest.get(length..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    let written = text.get(..text.len() - rest.len()).unwrap_or_default();
    *end = match (written.last(), rest.first()) {
        (None | Some(b'\n'), _) => End::Line,
        (Some(_), Some(b'\n')) => End::Whole,
        (Some(_), _) => End::Part,
    };
    lines += written.iter().filter(|byte| **byte == b'\n').count() as u64;
    (lines, result)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// A disk with room for some bytes.
    struct Small {
        room: usize,
        has: Vec<u8>,
    }

    impl io::Write for Small {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let length = text.len().min(self.room);
            if length == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= length;
            self.has.extend_from_slice(&text[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_costs_whole_lines_and_spoils_none() {
        for room in 0..12 {
            let mut disk = Small { room, has: Vec::new() };
            let mut end = End::Line;
            let (mut written, result) = put(&mut disk, b"abc\ndef\nghi\n", &mut end);
            assert_eq!((written, result.is_ok()), (room as u64 / 4, false), "room for {room}");
            assert_eq!(end == End::Line, room % 4 == 0);
            assert_eq!(end == End::Whole, room % 4 == 3);
            let (lines, result) = put(&mut disk, b"jkl\n", &mut end);
            assert_eq!((lines, result.is_ok()), (0, false));
            disk.room = 100;
            let (lines, result) = put(&mut disk, b"mno\n", &mut end);
            assert_eq!((result.is_ok(), end), (true, End::Line));
            written += lines;
            let text = String::from_utf8(disk.has).unwrap();
            let known = ["abc", "def", "ghi", "mno"];
            let whole = text.lines().filter(|line| known.contains(line)).count();
            assert_eq!(whole as u64, written, "{text:?}");
            assert!(text.ends_with("\nmno\n") || text == "mno\n", "{text:?}");
        }
    }
}
