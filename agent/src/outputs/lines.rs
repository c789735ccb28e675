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

use crate::config::Rotation;

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
pub(super) struct Batch {
    pub(super) text: Vec<u8>,
    pub(super) lines: u64,
}

impl Batch {
    /// Adds a line, without its end.
    pub(super) fn push(&mut self, line: &str) {
        self.text.extend_from_slice(line.as_bytes());
        self.text.push(b'\n');
        self.lines += 1;
    }
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
        open(path)?;
        let mut disk = Disk::new(path, None, Arc::clone(&unwritten));
        std::thread::Builder::new().name("events".to_owned()).spawn(move || {
            batches.iter().for_each(|batch: Batch| {
                disk.write(&batch);
            });
            // Whoever waited may have waited long enough.
            let _ = end.send(());
        })?;
        Ok(Self { batch: Batch::default(), sender, ended, unwritten })
    }

    /// Adds a line, without its end.
    pub(crate) fn push(&mut self, line: &str) {
        self.batch.push(line);
    }

    /// Hands the lines over. Without lines this finds out whether the file was renamed.
    pub(crate) fn flush(&mut self) {
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
        tracing::error!("the disk of the events does not answer: {} lines are lost", batch.lines);
    }

    /// Lines that are in no file.
    pub(crate) fn unwritten(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.unwritten)
    }

    /// Writes what is left, unless the disk takes too long.
    pub(crate) fn end(mut self) {
        let until = Instant::now() + PATIENCE;
        self.flush();
        while self.batch.lines > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            self.flush();
        }
        drop(self.sender);
        let left = until.saturating_duration_since(Instant::now());
        if self.batch.lines > 0 || self.ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the disk of the events does not answer: the last lines are lost");
        }
    }
}

/// What the thread has.
pub(super) struct Disk {
    path: PathBuf,
    file: Option<File>,
    end: End,
    /// When it is renamed here; `None` leaves that to others.
    rotation: Option<Rotation>,
    unwritten: Arc<AtomicU64>,
    /// What is in the way, once it was said.
    trouble: Option<String>,
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
    /// A file that is opened, or made, with the first batch.
    pub(super) fn new(path: &Path, rotation: Option<Rotation>, unwritten: Arc<AtomicU64>) -> Self {
        Self { path: path.to_owned(), file: None, end: End::Line, rotation, unwritten, trouble: None }
    }

    /// Writes what there is room for: how many lines became whole, an earlier one among them where that lacked its end.
    pub(super) fn write(&mut self, batch: &Batch) -> u64 {
        self.follow();
        if batch.lines == 0 {
            return 0;
        }
        let result = self.make_room(batch.text.len() as u64);
        let (written, result) = match (&mut self.file, result) {
            (_, Err(error)) => (0, Err(error)),
            (Some(file), Ok(())) => put(file, &batch.text, &mut self.end),
            (None, Ok(())) => (0, Err(io::ErrorKind::NotFound.into())),
        };
        self.unwritten.fetch_add(batch.lines, Ordering::Relaxed);
        self.unwritten.fetch_sub(written, Ordering::Relaxed);
        self.note(result);
        written
    }

    /// What is in the way of writing, if anything.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Renames the file where what comes would make it too large. One that cannot be renamed takes no more: its size is
    /// a promise.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let (Some(rotation), Some(file)) = (self.rotation, &self.file) else { return Ok(()) };
        let length = file.metadata()?.len();
        if length == 0 || length.saturating_add(bytes) <= rotation.size {
            return Ok(());
        }
        rotate(&self.path, rotation.keep)?;
        self.follow();
        Ok(())
    }

    /// Goes on in a new file where the old one was renamed or removed. One look at the directory a batch.
    pub(super) fn follow(&mut self) {
        if self.file.as_ref().is_some_and(|file| is_at(file, &self.path)) {
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
            Ok(()) if self.trouble.is_some() => {
                self.trouble = None;
                let lost = self.unwritten.load(Ordering::Relaxed);
                tracing::warn!("events are written to {path} again; {lost} were not, since the start");
            }
            Err(error) if self.trouble.is_none() => {
                self.trouble = Some(error.to_string());
                tracing::error!("cannot write events to {path}: {error}; they are counted until it can be");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// Whether an open file still stands at its path.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let Ok(open) = file.metadata() else { return false };
    fs::metadata(path).is_ok_and(|at| (at.dev(), at.ino()) == (open.dev(), open.ino()))
}

/// Renames `path` to `path.1`, that to `path.2`, and so on; the one beyond `keep` is gone.
pub(super) fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..keep).rev() {
        match fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    fs::rename(path, numbered(1))
}

pub(super) fn open(path: &Path) -> io::Result<File> {
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
    lines += memchr::memchr_iter(b'\n', written).count() as u64;
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
