//! What was decided about changes: one small file, so that nobody is asked twice.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{Change, Kind};
use crate::control::DEFAULT_SOCKET;

/// Where decisions are kept unless told otherwise.
pub const DEFAULT_FILE: &str = "/var/lib/banchi/review.json";
/// Version of the file.
const VERSION: u32 = 1;
/// Decisions that are kept; beyond that the oldest ones that are neither malicious nor dismissed are forgotten.
const MOST: usize = 100_000;
/// How long to wait for whoever else writes: anybody who may read a folder can hold its lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// What somebody decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// A rule for it was written.
    Accepted,
    /// It may pass for a time.
    Granted,
    /// It is not shown any more.
    Dismissed,
    /// It is never to be accepted.
    Malicious,
}

impl Verdict {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Granted => "granted",
            Self::Dismissed => "dismissed",
            Self::Malicious => "malicious",
        }
    }
}

/// A decision about a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What was decided.
    pub verdict: Verdict,
    /// Who.
    pub by: String,
    /// When, RFC 3339.
    pub time: String,
    /// Why.
    pub reason: String,
    /// The change in a few words, as it was then.
    pub what: String,
    /// Whose it is: where that is malicious, nothing else of this host is accepted either.
    pub source: Option<IpAddr>,
}

/// All decisions, by identity of the change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    decisions: BTreeMap<String, Decision>,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    decisions: BTreeMap<String, Decision>,
}

/// Where decisions are kept for the agent at a socket.
pub fn file_of(given: Option<&Path>, socket: &Path) -> PathBuf {
    match given {
        Some(given) => given.to_owned(),
        None if socket == Path::new(DEFAULT_SOCKET) => PathBuf::from(DEFAULT_FILE),
        None => socket.with_file_name("review.json"),
    }
}

impl Memory {
    /// Reads a file. One that is not there has no decision.
    ///
    /// # Errors
    /// Where it cannot be read, or is none of this version: nobody is to be asked again about what is malicious.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let file: File = serde_json::from_str(&text)?;
        if file.version != VERSION {
            let what = format!("it is of version {}, and this banchi reads version {VERSION}", file.version);
            return Err(io::Error::other(what));
        }
        Ok(Self { decisions: file.decisions })
    }

    /// Changes the file, and leaves the old one or the new one, whoever is killed; two at once wait for each other.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn change<T>(path: &Path, change: impl FnOnce(&mut Self) -> T) -> io::Result<T> {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let _lock = lock(folder)?;
        let mut memory = Self::read(path)?;
        let result = change(&mut memory);
        let decisions = memory.bounded();
        let text = serde_json::to_vec_pretty(&File { version: VERSION, decisions })?;
        let mut draft = tempfile::NamedTempFile::new_in(folder)?;
        draft.write_all(&text)?;
        draft.as_file().sync_all()?;
        draft.persist(path)?;
        Ok(result)
    }

    fn bounded(self) -> BTreeMap<String, Decision> {
        let mut decisions = self.decisions;
        let much = decisions.len().saturating_sub(MOST);
        let may_go = |one: &Decision| matches!(one.verdict, Verdict::Accepted | Verdict::Granted);
        let mut old: Vec<(String, String)> = decisions
            .iter()
            .filter(|(_, one)| may_go(one))
            .map(|(id, one)| (one.time.clone(), id.clone()))
            .collect();
        old.sort_unstable();
        for (_, id) in old.into_iter().take(much) {
            decisions.remove(&id);
        }
        decisions
    }

    /// What was decided about a change.
    pub fn of(&self, change: &Change) -> Option<&Decision> {
        self.at(&change.id)
    }

    /// What was decided about the change of an identity.
    pub fn at(&self, id: &str) -> Option<&Decision> {
        self.decisions.get(id)
    }

    /// Why a change must not be accepted: it is malicious, or something else of the same host is.
    pub fn forbids(&self, change: &Change) -> Option<(&str, &Decision)> {
        let malicious = || self.decisions.iter().filter(|(_, one)| one.verdict == Verdict::Malicious);
        let own = malicious().find(|(id, _)| **id == change.id);
        let other = || malicious().find(|(_, one)| one.source.is_some() && one.source == change.source);
        own.or_else(other).map(|(id, one)| (id.as_str(), one))
    }

    /// Keeps a decision.
    pub fn decide(&mut self, change: &Change, decision: Decision) {
        self.decisions.insert(change.id.clone(), decision);
    }

    /// Takes a decision back.
    ///
    /// # Errors
    /// Where there is none whose identity begins like this, or more than one.
    pub fn forget(&mut self, id: &str) -> Result<(String, Decision), String> {
        let mut fitting = self.decisions.keys().filter(|known| !id.is_empty() && known.starts_with(id));
        match (fitting.next().cloned(), fitting.next()) {
            (Some(id), None) => {
                let known = self.decisions.remove(&id).map(|decision| (id, decision));
                known.ok_or_else(|| "it is gone".to_owned())
            }
            (None, _) => Err(format!("nothing was decided about `{id}`")),
            (Some(_), Some(_)) => Err(format!("more than one decision begins with `{id}`: give more of it")),
        }
    }
}

/// A lock on what is in a folder, until it is dropped; whoever wants it as well waits.
///
/// # Errors
/// Where the folder cannot be opened, or somebody does not let go.
pub fn lock(folder: &Path) -> io::Result<OwnedFd> {
    let lock = open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let until = Instant::now() + PATIENCE;
    while let Err(error) = flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        if error != Errno::WOULDBLOCK && error != Errno::INTR {
            return Err(error.into());
        }
        if Instant::now() > until {
            return Err(io::Error::other(format!("somebody holds the lock of {}", folder.display())));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(lock)
}

/// The host that a malicious change is of. One that uses another's address says nothing of that host.
pub fn culprit(change: &Change) -> Option<IpAddr> {
    change.source.filter(|_| change.kind != Kind::ChangedDevice)
}
