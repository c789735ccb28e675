//! The file: appended to by the agent, and by verbs that work without one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use serde::Serialize;

use super::Entry;
use crate::plane::hash;

/// How long to wait for another process that writes. A process that is stopped just then, or one that may only read the
/// file and holds its lock, must not be in the way for longer.
const PATIENCE: Duration = Duration::from_millis(250);
/// No line is longer, in bytes: what is taken from outside is cut.
const LONGEST: usize = 64 << 10;

/// A file of lines, each with the SHA-256 of the one before.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    open: Option<File>,
    /// SHA-256 of the last line of the file before: where the chain goes on in a new one.
    last: Option<String>,
    /// Lines that could not be written.
    unwritten: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    #[serde(skip_serializing_if = "is_zero")]
    unwritten: u64,
    previous: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Log {
    /// The file need not exist. Nothing is made before there is something to write.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None, last: None, unwritten: 0 }
    }

    /// Lines that could not be written. The next one that can be says so.
    pub fn unwritten(&self) -> u64 {
        self.unwritten
    }

    /// Adds a line, and returns when it is on the disk.
    ///
    /// # Errors
    /// Where the file cannot be opened or written. The line is counted as unwritten then.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let written = self.write(entry);
        match written {
            Ok(()) => self.unwritten = 0,
            Err(_) => self.unwritten += 1,
        }
        written
    }

    /// Whether the file that was written to has been renamed or removed.
    pub fn has_moved(&self) -> bool {
        self.open.as_ref().is_some_and(|file| !is_at(file, &self.path))
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut file = match self.open.take() {
            Some(file) if is_at(&file, &self.path) => file,
            Some(old) => {
                // Others may have written to it since.
                self.last = last_line(&old)?.0.map(|line| hash(&line)).or_else(|| self.last.take());
                open(&self.path)?
            }
            None => open(&self.path)?,
        };
        lock(&file);
        let done = self.write_to(&mut file, entry);
        let _ = rustix::fs::flock(&file, FlockOperation::Unlock);
        self.open = Some(file);
        done
    }

    fn write_to(&mut self, file: &mut File, entry: &Entry) -> io::Result<()> {
        let (last, ended) = last_line(file)?;
        let previous = last.map(|line| hash(&line)).or_else(|| self.last.clone());
        let line = serde_json::to_string(&Line { entry, unwritten: self.unwritten, previous })?;
        // What a full disk or a power cut left of a line gets its end first.
        let end = if ended { "" } else { "\n" };
        file.write_all(format!("{end}{line}\n").as_bytes())?;
        file.sync_data()
    }
}

/// Root writes here as well, and the directory may be another user's: no link is followed, and nothing but a file is
/// written to.
fn open(path: &Path) -> io::Result<File> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o750).create(parent)?;
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(0o640).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = match options.clone().create_new(true).open(path) {
        Ok(file) => {
            // An agent without root has to be able to go on with what `banchi bypass` of root began.
            if rustix::process::geteuid().is_root() {
                let directory = fs::metadata(parent)?;
                std::os::unix::fs::fchown(&file, Some(directory.uid()), Some(directory.gid()))?;
            }
            file
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path)?,
        Err(error) => return Err(error),
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

fn is_at(file: &File, path: &Path) -> bool {
    let Ok(open) = file.metadata() else { return false };
    fs::symlink_metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino()))
}

/// Takes the lock, or does without: two lines that name the same one before them show, a change that is not recorded
/// does not.
fn lock(file: &File) {
    let until = Instant::now() + PATIENCE;
    while rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() > until {
            tracing::warn!("audit: somebody holds the lock of the file; writing without it");
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The last line, if there is one, and whether it has an end.
fn last_line(file: &File) -> io::Result<(Option<String>, bool)> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LONGEST as u64);
    let mut tail = vec![0; (length - start) as usize];
    file.read_exact_at(&mut tail, start)?;
    let text = String::from_utf8_lossy(&tail);
    let ended = text.is_empty() || text.ends_with('\n');
    Ok((text.lines().last().map(str::to_owned), ended))
}
