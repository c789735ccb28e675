//! What became of the events of an output.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Counted by the event loop and by the thread of the output, read by `status`.
#[derive(Debug, Default)]
pub(super) struct Counts {
    offered: AtomicU64,
    restored: AtomicU64,
    sent: AtomicU64,
    lost_queue: AtomicU64,
    lost_spool: AtomicU64,
    lost_failed: Arc<AtomicU64>,
    spooled: AtomicU64,
    spooled_bytes: AtomicU64,
    failures: AtomicU64,
    state: Mutex<(OutputState, Option<String>)>,
}

/// Whether an output works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputState {
    /// It was not tried yet.
    #[default]
    Starting,
    /// It takes what comes.
    Up,
    /// It does not, and is tried again.
    Down,
}

/// How an output is. `offered + restored = sent + lost + waiting + spooled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputStatus {
    /// Its name in the configuration.
    pub name: String,
    /// `json`, `eve`, `pcapng`, `syslog`, `mqtt` or `journal`.
    pub kind: String,
    /// File or target.
    pub to: String,
    /// Whether it works.
    pub state: OutputState,
    /// Why not, or null.
    pub error: Option<String>,
    /// Events that it should have got since the start.
    pub offered: u64,
    /// Messages of an earlier agent that were in the spool at the start.
    pub restored: u64,
    /// Events that were written, or taken by the other side.
    pub sent: u64,
    /// Events that it will never get: the sum of the next three.
    pub lost: u64,
    /// Its queue was full.
    pub lost_queue: u64,
    /// The spool had no room, or cannot be written or read.
    pub lost_spool: u64,
    /// They could not be written, or were refused, or were left at the end.
    pub lost_failed: u64,
    /// Events that wait in memory.
    pub waiting: u64,
    /// Messages that wait on the disk.
    pub spooled: u64,
    /// Bytes of them.
    pub spooled_bytes: u64,
    /// Attempts to send or to connect that failed.
    pub failures: u64,
}

impl Counts {
    pub(super) fn offered(&self) {
        self.offered.fetch_add(1, Relaxed);
    }

    pub(super) fn no_room_in_queue(&self) {
        self.lost_queue.fetch_add(1, Relaxed);
    }

    pub(super) fn restored(&self, events: u64) {
        self.restored.fetch_add(events, Relaxed);
    }

    pub(super) fn sent(&self, events: u64) {
        self.sent.fetch_add(events, Relaxed);
    }

    pub(super) fn lost_in_spool(&self, events: u64) {
        self.lost_spool.fetch_add(events, Relaxed);
    }

    pub(super) fn failed(&self, events: u64) {
        self.lost_failed.fetch_add(events, Relaxed);
    }

    /// So many were sent, but for those of them, or of what seemed to be sent before, that are lost.
    pub(super) fn delivered(&self, events: u64, lost: u64) {
        // It wraps round, as the sum does: fewer than were lost may be new.
        self.sent.fetch_add(events.wrapping_sub(lost), Relaxed);
        self.failed(lost);
    }

    /// The counter of what could not be written, for who counts it by itself.
    pub(super) fn unwritten(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost_failed)
    }

    pub(super) fn spooled(&self, events: u64, bytes: u64) {
        self.spooled.store(events, Relaxed);
        self.spooled_bytes.store(bytes, Relaxed);
    }

    /// Whether this is news.
    pub(super) fn up(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *state, (OutputState::Up, None)).0 == OutputState::Down
    }

    /// The same.
    pub(super) fn down(&self, error: &str) -> bool {
        self.failures.fetch_add(1, Relaxed);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *state, (OutputState::Down, Some(error.to_owned()))).0 != OutputState::Down
    }

    pub(super) fn status(&self, name: &str, kind: &str, to: &str) -> OutputStatus {
        let (state, error) = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // What an event becomes is read before that it was offered: the difference is never below zero for long.
        let [sent, queue, spool, failed, spooled] =
            [&self.sent, &self.lost_queue, &self.lost_spool, &*self.lost_failed, &self.spooled]
                .map(|count| count.load(Relaxed));
        let lost = queue + spool + failed;
        let (offered, restored) = (self.offered.load(Relaxed), self.restored.load(Relaxed));
        OutputStatus {
            name: name.to_owned(),
            kind: kind.to_owned(),
            to: to.to_owned(),
            state,
            error,
            offered,
            restored,
            sent,
            lost,
            lost_queue: queue,
            lost_spool: spool,
            lost_failed: failed,
            waiting: (offered + restored).saturating_sub(sent + lost + spooled),
            spooled,
            spooled_bytes: self.spooled_bytes.load(Relaxed),
            failures: self.failures.load(Relaxed),
        }
    }
}
