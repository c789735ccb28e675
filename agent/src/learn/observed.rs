//! What was observed of live traffic so far. It lasts in a file, so that a run that ends early or is killed goes on.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use banchi_common::abi::{Sight, SightKey, Sighted};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::asks::LATEST;
use super::counted::Counted;
use super::table::{Table, Traffic};
use crate::capture::Frame;
use crate::events::Clock;

/// How long a round lasts, in nanoseconds. The first packets of each side of a tuple are shown in every round, so that
/// an answer from elsewhere finds the question that it answers.
pub const ROUND: u64 = LATEST;

/// What a state file begins with: what it is, and the version of what follows. The version changes whenever anything that
/// is in it does.
const MAGIC: [u8; 16] = *b"banchi observed\x01";
/// Bytes of the digest behind it.
const DIGEST: usize = 32;

/// Everything that a run needs to go on.
#[derive(Serialize, Deserialize)]
pub struct Observed {
    /// Names of the interfaces, in the order that [`Frame::interface`] counts.
    pub interfaces: Vec<String>,
    /// Nanoseconds that were observed, in all runs.
    pub watched: u64,
    /// Runs, this one included.
    pub runs: u32,
    /// Packets of tuples that found no room in the kernel.
    pub no_room: u64,
    /// Packets that were counted and should have been shown.
    pub ring_full: u64,
    table: Table,
}

/// Why a state file is of no use.
#[derive(Debug, Error)]
pub enum StateError {
    /// It cannot be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else, of another version, or broken.
    #[error("{} {why}; name another file, or remove it to begin anew", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: &'static str,
    },
    /// It is about other interfaces.
    #[error(
        "{} has what was observed on {known}, and not on {asked}; name the same interfaces, or another file",
        path.display()
    )]
    Interfaces {
        /// The file.
        path: PathBuf,
        /// Those of the file.
        known: String,
        /// Those that were asked for.
        asked: String,
    },
}

impl Observed {
    /// Nothing yet, of these interfaces; at most so many tuples are kept apart.
    pub fn new(interfaces: Vec<String>, limit: usize) -> Self {
        Self { interfaces, watched: 0, runs: 1, no_room: 0, ring_full: 0, table: Table::new(limit) }
    }

    /// What a file has, to go on with; nothing yet where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read, is no state of this version, or is about other interfaces.
    pub fn resume(path: &Path, interfaces: Vec<String>, limit: usize) -> Result<Self, StateError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::new(interfaces, limit)),
            Err(source) => return Err(StateError::File { what: "read", path: path.to_owned(), source }),
        };
        let foreign = |why| StateError::Foreign { path: path.to_owned(), why };
        let mut observed = Self::decode(&bytes).map_err(foreign)?;
        if observed.interfaces != interfaces {
            return Err(StateError::Interfaces {
                path: path.to_owned(),
                known: observed.interfaces.join(", "),
                asked: interfaces.join(", "),
            });
        }
        observed.table.set_limit(limit);
        observed.runs += 1;
        Ok(observed)
    }

    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let (name, _) = MAGIC.split_at(MAGIC.len() - 1);
        let rest = bytes.strip_prefix(name).ok_or("is no state of `banchi learn --live`")?;
        let [version] = rest.first_chunk().ok_or("is cut short")?;
        if MAGIC.last() != Some(version) {
            return Err("is of another version of banchi");
        }
        let (digest, body) =
            rest.get(1..).and_then(|rest| rest.split_at_checked(DIGEST)).ok_or("is cut short")?;
        if Sha256::digest(body).as_slice() != digest {
            return Err("is broken");
        }
        postcard::from_bytes(body).map_err(|_| "is of another build of banchi")
    }

    /// Writes it so that there is the old file or the new one, and never half of one.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), StateError> {
        let written = || -> io::Result<()> {
            let body = postcard::to_stdvec(self).map_err(io::Error::other)?;
            let mut draft = path.as_os_str().to_owned();
            draft.push(".draft");
            let mut file = File::create(&draft)?;
            file.write_all(&MAGIC)?;
            file.write_all(&Sha256::digest(&body))?;
            file.write_all(&body)?;
            file.sync_all()?;
            std::fs::rename(&draft, path)
        };
        written().map_err(|source| StateError::File { what: "write", path: path.to_owned(), source })
    }

    /// Takes in a packet that was shown. `place` is that of its interface.
    pub fn shown(&mut self, sight: &Sight, clock: &Clock, place: Option<usize>) {
        let mut bytes = sight.bytes().to_vec();
        let length = (sight.length as usize).max(bytes.len());
        let missing = length - bytes.len();
        bytes.resize(length, 0);
        let frame =
            Frame { at: clock.unix_ns(sight.time_ns), file: 0, number: 0, interface: place, bytes, missing };
        self.table.packet_after(&frame, sight.told_ns.map(|at| time(clock, at)));
    }

    /// Takes in what was counted.
    pub fn counted(&mut self, key: &SightKey, sighted: &Sighted, clock: &Clock) {
        let mut sides = sighted.sides;
        for side in &mut sides {
            side.last_ns = time(clock, side.last_ns);
            side.told_ns = time(clock, side.told_ns);
        }
        self.table.counted(&Counted { key: *key, sides, first: clock.unix_ns(sighted.first_ns) });
    }

    /// Takes in how many packets found no room, and how many were not shown, since the last time.
    pub fn missed(&mut self, no_room: u64, ring_full: u64) {
        self.no_room += no_room;
        self.ring_full += ring_full;
        self.table.missed(no_room);
    }

    /// Packets so far, and tuples.
    pub fn size(&self) -> (u64, usize) {
        self.table.size()
    }

    /// All that was seen.
    pub fn finish(self) -> Traffic {
        self.table.finish()
    }
}

/// A time since boot as one since 1970; never stays 0.
fn time(clock: &Clock, since_boot: u64) -> u64 {
    if since_boot == 0 { 0 } else { clock.unix_ns(since_boot) }
}
