//! Changes that a verb makes by itself, in the audit log.

use std::path::Path;

use serde_json::{Map, Value};

use super::{AuditFile, Pins, Socket};
use crate::audit::{Entry, Log, Outcome, Who};
use crate::datapath::{DatapathError, Store, missing_capabilities};
use crate::plane::{deciding_policy, store_of};

/// Where a verb finds what it changes by itself, and where it says so.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    #[command(flatten)]
    pub(super) socket: Socket,
    #[command(flatten)]
    pins: Pins,
    #[command(flatten)]
    audit: AuditFile,
}

impl Place {
    pub(super) fn pins(&self) -> &Pins {
        &self.pins
    }

    pub(super) fn store(&self) -> Store {
        store_of(&self.pins.pins, &self.socket.socket)
    }
}

/// A change that is about to be made.
pub(super) struct Change {
    entry: Entry,
    log: Log,
    file: String,
}

impl Change {
    /// What is wanted, and what decides before it.
    pub(super) fn begin(verb: &str, arguments: &[(&str, Value)], place: &Place, store: &Store) -> Self {
        let arguments: Map<_, _> =
            arguments.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let file = place.audit.of(&place.socket);
        let before = deciding_policy(store);
        let entry = Entry::of(Who::this(), verb, arguments).between(before, None);
        Self { entry, log: Log::new(&file), file: file.display().to_string() }
    }

    /// What became of it. Called when it is done: whatever is wrong with the log, the change is not undone.
    pub(super) fn end(mut self, failed: Option<&str>, store: &Store) {
        let Entry { old_policy, .. } = &self.entry;
        let old_policy = old_policy.clone();
        let entry = self.entry.between(old_policy, deciding_policy(store));
        let entry = match failed {
            None => entry,
            Some(why) => entry.not_done(Outcome::Failed, why),
        };
        if let Err(error) = self.log.append(&entry) {
            eprintln!("banchi: the change is not in the audit log: cannot write {}: {error}", self.file);
        }
    }
}

/// Who may not look does not see what is there: says so instead of that nothing is.
pub(super) fn with_privilege(error: DatapathError) -> DatapathError {
    let missing = missing_capabilities();
    if missing.is_empty() { error } else { DatapathError::NoPrivilege { missing: missing.join(", ") } }
}

impl AuditFile {
    /// The file, given or the one that belongs to the socket.
    pub(super) fn of(&self, socket: &Socket) -> std::path::PathBuf {
        crate::audit::file_of(self.audit.as_deref().map(Path::new), &socket.socket)
    }
}
