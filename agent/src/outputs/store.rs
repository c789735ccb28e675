//! Messages between the queue of an output and its connection: some in memory, the rest on the disk.

use std::collections::VecDeque;
use std::sync::Arc;

use super::counts::Counts;
use super::spool::Spool;
use crate::config;

/// The bytes of a message, without framing.
pub(super) type Message = Arc<[u8]>;

/// Messages in memory, and bytes of them.
const MOST: usize = 1_024;
const BYTES: usize = 1 << 20;

/// Messages that wait to be sent, in order.
pub(super) struct Store {
    memory: VecDeque<Message>,
    bytes: usize,
    /// Whether what is in memory is from the spool, which still has it.
    from_spool: bool,
    spool: Option<Spool>,
    counts: Arc<Counts>,
    name: String,
    /// Whether trouble with the spool was said.
    complained: bool,
}

impl Store {
    /// With what an earlier agent has left. A spool that cannot be opened is said and done without.
    pub(super) fn open(config: Option<config::Spool>, counts: Arc<Counts>, name: &str) -> Self {
        let spool = config.and_then(|config| match Spool::open(&config) {
            Ok(spool) => Some(spool),
            Err(error) => {
                let path = config.path.display();
                tracing::error!("output `{name}` goes on without its spool {path}: {error}");
                None
            }
        });
        if let Some(spool) = &spool {
            counts.restored(spool.waiting());
            counts.spooled(spool.waiting(), spool.bytes());
        }
        let name = name.to_owned();
        Self { memory: VecDeque::new(), bytes: 0, from_spool: false, spool, counts, name, complained: false }
    }

    /// Whether nothing more can be taken in, so that it has to wait in the queue.
    pub(super) fn is_full(&self) -> bool {
        self.spool.is_none() && self.memory_is_full()
    }

    /// Whether nothing is lost when nothing more is sent.
    pub(super) fn may_wait(&self) -> bool {
        self.spool.is_some() || self.memory.is_empty()
    }

    fn memory_is_full(&self) -> bool {
        self.memory.len() >= MOST || self.bytes >= BYTES
    }

    /// Takes a message in. What the spool has no room for is lost and counted.
    pub(super) fn push(&mut self, message: Vec<u8>) {
        let behind = self.from_spool || self.spool.as_ref().is_some_and(|spool| spool.waiting() > 0);
        match &mut self.spool {
            Some(spool) if behind || self.memory.len() >= MOST || self.bytes >= BYTES => {
                let pushed = spool.push(&message);
                self.counts.spooled(spool.waiting(), spool.bytes());
                if !matches!(pushed, Ok(true)) {
                    self.counts.lost_in_spool(1);
                }
                match pushed {
                    Ok(true) => self.complained = false,
                    Ok(false) => self.complain("the spool is full"),
                    Err(error) => self.complain(&format!("the spool cannot be written: {error}")),
                }
            }
            _ => {
                self.bytes += message.len();
                self.memory.push_back(message.into());
            }
        }
    }

    fn complain(&mut self, what: &str) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::error!("output `{}`: {what}; events are lost, and counted", self.name);
        }
    }

    /// The messages that come next, one at least; they stay until they are delivered.
    pub(super) fn batch(&mut self, most: usize, bytes: usize) -> Vec<Message> {
        while self.memory.is_empty() {
            self.from_spool = false;
            let Some(spool) = self.spool.as_mut().filter(|spool| spool.waiting() > 0 || spool.bytes() > 0)
            else {
                break;
            };
            let taken = spool.take(MOST, BYTES);
            self.counts.spooled(spool.waiting(), spool.bytes());
            match taken {
                Ok(taken) if taken.is_empty() => break,
                Ok(taken) => {
                    self.bytes = taken.iter().map(|message| message.len()).sum();
                    self.memory = taken;
                    self.from_spool = true;
                }
                Err((lost, error)) => {
                    self.counts.lost_in_spool(lost);
                    tracing::error!(
                        "output `{}`: {lost} messages of the spool cannot be read: {error}",
                        self.name
                    );
                }
            }
        }
        let mut sum = 0;
        let fits = |message: &&Message| {
            let is_first = sum == 0;
            sum += message.len();
            is_first || sum <= bytes
        };
        self.memory.iter().take(most).take_while(fits).cloned().collect()
    }

    /// The first messages were taken by the other side, but for those that are lost.
    pub(super) fn delivered(&mut self, messages: usize, lost: u64) {
        for message in self.memory.drain(..messages.min(self.memory.len())) {
            self.bytes = self.bytes.saturating_sub(message.len());
        }
        self.counts.delivered(messages as u64, lost);
    }

    /// Keeps on the disk what it has room for. The rest is lost and counted.
    pub(super) fn end(mut self) {
        let memory = std::mem::take(&mut self.memory);
        match &mut self.spool {
            Some(spool) if self.from_spool => spool.give_back(&memory),
            Some(spool) => {
                let kept = memory.iter().filter(|message| matches!(spool.push(message), Ok(true))).count();
                self.counts.lost_in_spool((memory.len() - kept) as u64);
            }
            None => self.counts.failed(memory.len() as u64),
        }
        if let Some(spool) = &mut self.spool {
            spool.end();
            self.counts.spooled(spool.waiting(), spool.bytes());
        }
    }
}
