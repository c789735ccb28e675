//! The last events, and those who wait for the next.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

/// Events that are kept.
const KEPT: usize = 1_000;
/// Events that a client may lag behind before it misses some.
const LAG: usize = 4_096;

/// Shared by the event loop, which publishes, and the connections, which read.
#[derive(Debug, Clone)]
pub struct History {
    kept: Arc<Mutex<VecDeque<Arc<str>>>>,
    sender: broadcast::Sender<Arc<str>>,
}

impl Default for History {
    fn default() -> Self {
        Self { kept: Arc::default(), sender: broadcast::channel(LAG).0 }
    }
}

impl History {
    /// Adds an event, for everybody.
    pub fn publish(&self, line: Arc<str>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&line));
        // Nobody may be listening.
        let _ = self.sender.send(line);
    }

    /// The last events, oldest first, and all that come after them, without a gap between.
    pub fn subscribe(&self, last: usize) -> (Vec<Arc<str>>, broadcast::Receiver<Arc<str>>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let first = kept.len().saturating_sub(last);
        (kept.iter().skip(first).cloned().collect(), self.sender.subscribe())
    }
}
