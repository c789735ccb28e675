//! Where things stand that outlive an agent: pins in the BPF file system, and a record of each generation.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use banchi_common::abi::STATE_VERSION;
use serde::{Deserialize, Serialize};

use super::error::DatapathError;
use crate::grants::Grant;

/// Maps that all generations share, with the root program: pinned once.
pub(super) const SHARED: [&str; 7] =
    ["ROOT", "PROGRAMS", "ROOT_COUNTERS", "EVENTS", "FRAGMENTS", "WIRES", "FORWARDS"];

/// Two directories, one for pins and one for records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pins: PathBuf,
    records: PathBuf,
}

/// What an agent has to know of a generation that another one loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`STATE_VERSION`] of who wrote it.
    pub version: u64,
    /// Number of the generation, from 1.
    pub id: u32,
    /// The policy file, for people.
    pub policy_path: PathBuf,
    /// Its text as it was loaded.
    pub policy_text: String,
    /// SHA-256 of the text.
    pub policy_hash: String,
    /// Names and indices of the interfaces, in the image's order.
    pub interfaces: Vec<(String, u32)>,
    /// Index and place of interfaces that are being given another index: their rows may be written, or not yet.
    #[serde(default)]
    pub moving: Vec<(u32, u32)>,
    /// Secret of the conversation table.
    pub secret: u32,
    /// Milliseconds between two events of one kind about one flow.
    pub suppress_ms: u32,
    /// SHA-256 of the object that the program is from.
    pub object: String,
    /// When it was loaded, RFC 3339.
    pub loaded: String,
    /// What may pass beside the policy for a time.
    #[serde(default)]
    pub grants: Vec<Grant>,
}

impl Store {
    /// A store in these directories, which need not exist.
    pub fn new(pins: impl Into<PathBuf>, records: impl Into<PathBuf>) -> Self {
        Self { pins: pins.into(), records: records.into() }
    }

    /// The directory of the pins.
    pub fn pins(&self) -> &Path {
        &self.pins
    }

    pub(super) fn shared(&self, map: &str) -> PathBuf {
        self.pins.join("root").join(map)
    }

    /// Links are named by number: a name may have a dot, which the BPF file system does not take.
    pub(super) fn link(&self, interface: u32) -> PathBuf {
        self.pins.join("links").join(format!("if{interface}"))
    }

    pub(super) fn generation(&self, id: u32) -> PathBuf {
        self.pins.join("generations").join(format!("g{id}"))
    }

    fn record(&self, id: u32) -> PathBuf {
        self.records.join(format!("generation-{id}.json"))
    }

    fn counts(&self) -> PathBuf {
        self.records.join("counts.json")
    }

    /// Counts of generations that are gone; `None` where there are none.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read_counts(&self) -> Result<Option<String>, DatapathError> {
        let path = self.counts();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(DatapathError::other(format!("read {}", path.display()), e)),
        }
    }

    /// Writes the counts of generations that are gone: there are the old ones or the new ones, whoever is killed.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write_counts(&self, text: &str) -> Result<(), DatapathError> {
        replace(&self.counts(), text.as_bytes())
    }

    fn promiscuous_note(&self) -> PathBuf {
        self.records.join("promiscuous.json")
    }

    /// Indices of the interfaces that banchi has made promiscuous. A note that cannot be read says none.
    pub(super) fn promiscuous(&self) -> BTreeSet<u32> {
        let text = fs::read_to_string(self.promiscuous_note()).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Notes which interfaces banchi has made promiscuous.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn note_promiscuous(&self, indices: &BTreeSet<u32>) -> Result<(), DatapathError> {
        let path = self.promiscuous_note();
        let failed = |e: io::Error| DatapathError::other(format!("write {}", path.display()), e);
        if indices.is_empty() {
            return match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed(e)),
                _ => Ok(()),
            };
        }
        replace(&path, &serde_json::to_vec(indices).map_err(|e| failed(e.into()))?)
    }

    /// Whether there is a data plane to adopt, whole or in part.
    pub fn exists(&self) -> bool {
        self.pins.join("root").exists() || self.pins.join("links").exists()
    }

    pub(super) fn create(&self) -> Result<(), DatapathError> {
        for name in ["root", "links", "generations"] {
            let path = self.pins.join(name);
            fs::create_dir_all(&path)
                .map_err(|e| DatapathError::other(format!("create {}", path.display()), e))?;
        }
        fs::create_dir_all(&self.records)
            .map_err(|e| DatapathError::other(format!("create {}", self.records.display()), e))
    }

    /// Numbers of the generations that are pinned, ascending.
    pub fn generations(&self) -> Vec<u32> {
        let entries = fs::read_dir(self.pins.join("generations")).into_iter().flatten().flatten();
        let mut ids: Vec<u32> =
            entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix('g')?.parse().ok()).collect();
        ids.sort_unstable();
        ids
    }

    /// Indices of the interfaces that have a pinned link, ascending.
    pub fn links(&self) -> Vec<u32> {
        let entries = fs::read_dir(self.pins.join("links")).into_iter().flatten().flatten();
        let mut ids: Vec<u32> = entries
            .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("if")?.parse().ok())
            .collect();
        ids.sort_unstable();
        ids
    }

    /// Writes a record so that there is the old one or the new one, and never half of one.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, record: &Record) -> Result<(), DatapathError> {
        let path = self.record(record.id);
        let failed = |e: io::Error| DatapathError::other(format!("write {}", path.display()), e);
        replace(&path, &serde_json::to_vec_pretty(record).map_err(|e| failed(e.into()))?)
    }

    /// The record of a generation.
    ///
    /// # Errors
    /// Where it is not there, or is not one of this version.
    pub fn read(&self, id: u32) -> Result<Record, DatapathError> {
        let path = self.record(id);
        let foreign = |found: String| DatapathError::PinnedState {
            what: path.display().to_string(),
            found,
            expected: format!("the record of generation {id}, version {STATE_VERSION}"),
        };
        let text = fs::read_to_string(&path).map_err(|e| foreign(e.to_string()))?;
        let record: Record = serde_json::from_str(&text).map_err(|e| foreign(e.to_string()))?;
        if record.version != STATE_VERSION {
            return Err(foreign(format!("version {}", record.version)));
        }
        Ok(record)
    }

    /// Whether a policy of this hash is loaded.
    pub fn knows(&self, policy_hash: &str) -> bool {
        self.generations()
            .into_iter()
            .any(|id| self.read(id).is_ok_and(|known| known.policy_hash == policy_hash))
    }

    /// Whether pins are there, but certainly no link: of a start that did not get far.
    pub fn is_unfinished(&self) -> bool {
        let none = match fs::read_dir(self.pins.join("links")) {
            Ok(mut links) => links.next().is_none(),
            Err(e) => e.kind() == io::ErrorKind::NotFound,
        };
        self.pins.join("root").exists() && none
    }

    /// Keeps everybody else off these pins for as long as the descriptor is open.
    ///
    /// # Errors
    /// Where somebody has them, or the directory cannot be made.
    pub fn lock(&self) -> Result<OwnedFd, DatapathError> {
        use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
        let failed = |e: io::Error| DatapathError::other(format!("lock {}", self.pins.display()), e);
        fs::create_dir_all(&self.pins).map_err(failed)?;
        let directory = open(&self.pins, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| failed(e.into()))?;
        flock(&directory, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            DatapathError::AlreadyRunning { holder: format!("it holds {}", self.pins.display()) }
        })?;
        Ok(directory)
    }

    /// Takes the program off an interface.
    pub fn unlink(&self, interface: u32) {
        // The pin is all that holds the link.
        let _ = fs::remove_file(self.link(interface));
    }

    /// Forgets a generation: pins first, since a record without pins is only a file.
    pub fn forget(&self, id: u32) {
        // What is gone already need not go.
        let _ = fs::remove_dir_all(self.generation(id));
        let _ = fs::remove_file(self.record(id));
    }

    /// Removes every pin, links first: with them the program leaves the interfaces.
    ///
    /// # Errors
    /// Where something stays behind.
    pub fn remove(&self) -> Result<(), DatapathError> {
        super::promiscuous::release(self);
        for id in self.generations() {
            let _ = fs::remove_file(self.record(id));
        }
        let _ = fs::remove_file(self.counts());
        for name in ["links", "generations", "root"] {
            let path = self.pins.join(name);
            match fs::remove_dir_all(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(DatapathError::other(format!("remove {}", path.display()), e)),
            }
        }
        // The directory itself may be somebody else's.
        let _ = fs::remove_dir(&self.pins);
        Ok(())
    }
}

/// Replaces a file so that there is the old one or the new one, and never half of one.
fn replace(path: &Path, text: &[u8]) -> Result<(), DatapathError> {
    let failed = |e: io::Error| DatapathError::other(format!("write {}", path.display()), e);
    let draft = path.with_extension("draft");
    // A record has the secret of the conversation table.
    let mut options = fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&draft).map_err(failed)?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    written.and_then(|()| fs::rename(&draft, path)).map_err(|error| {
        // A full disk needs what the draft takes.
        let _ = fs::remove_file(&draft);
        failed(error)
    })
}
