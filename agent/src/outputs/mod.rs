//! Where events go besides the agent's own clients: files, syslog, MQTT, the journal, several at once.
//!
//! Each output has a thread, a bounded queue and counters of its own. The event loop puts an event into every queue that
//! has room, and never waits ([ADR 11](../../../docs/adr/0011-outputs.md)).

mod community;
mod counts;
mod deliver;
mod eve;
mod evidence;
mod journal;
mod lines;
mod link;
mod meaning;
mod mqtt;
mod spool;
mod store;
mod syslog;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use crate::config::{Config, Destination, Output};
use crate::events::{Kind, Report};
pub use community::community_id;
use counts::Counts;
pub use counts::{OutputState, OutputStatus};
pub use eve::alert;
pub use lines::LineFile;
pub use syslog::Syslog;

/// How long outputs may go on sending when the agent ends, and how long it waits for them after that.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(2));

/// Every output of a configuration.
#[derive(Debug)]
pub struct Outputs {
    lanes: Vec<Lane>,
    stop: watch::Sender<Option<Instant>>,
}

/// The way to one output.
#[derive(Debug)]
struct Lane {
    name: String,
    kind: &'static str,
    place: String,
    /// Whether counts of repeats are of no use to it.
    packets_only: bool,
    queue: mpsc::Sender<Arc<Report>>,
    counts: Arc<Counts>,
    ended: Receiver<()>,
}

impl Outputs {
    /// Starts a thread for each output. What cannot be opened or reached is tried again: it does not keep the agent from
    /// its work.
    ///
    /// # Errors
    /// Where a thread cannot be started.
    pub fn start(config: &Config) -> io::Result<Self> {
        let (stop, stopping) = watch::channel(None);
        let lanes = config.outputs.iter().map(|output| lane(output, stopping.clone()));
        Ok(Self { lanes: lanes.collect::<io::Result<_>>()?, stop })
    }

    /// Hands an event to every output that has room for it. The others count it as lost.
    pub fn publish(&self, report: &Arc<Report>) {
        for lane in &self.lanes {
            if lane.packets_only && report.kind == Kind::Repeats {
                continue;
            }
            lane.counts.offered();
            match lane.queue.try_send(Arc::clone(report)) {
                Ok(()) => {}
                Err(TrySendError::Full(_) | TrySendError::Closed(_)) => lane.counts.no_room_in_queue(),
            }
        }
    }

    /// How each output is.
    pub fn status(&self) -> Vec<OutputStatus> {
        let lanes = self.lanes.iter();
        lanes.map(|lane| lane.counts.status(&lane.name, lane.kind, &lane.place)).collect()
    }

    /// Sends what waits, for a few seconds; what is left then goes to the spool, or is lost and counted.
    pub fn end(self) -> Vec<OutputStatus> {
        let now = Instant::now();
        let until = now + PATIENCE.0 + PATIENCE.1;
        let _ = self.stop.send(Some(now + PATIENCE.0));
        let mut statuses = Vec::new();
        for Lane { name, kind, place, queue, counts, ended, .. } in self.lanes {
            drop(queue);
            let left = until.saturating_duration_since(Instant::now());
            if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                tracing::error!("output `{name}` does not answer: what it had waiting is lost");
            }
            let status = counts.status(&name, kind, &place);
            if status.lost > 0 {
                tracing::warn!("output `{name}`: {} of {} events were lost", status.lost, status.offered);
            }
            statuses.push(status);
        }
        statuses
    }
}

fn lane(output: &Output, stop: watch::Receiver<Option<Instant>>) -> io::Result<Lane> {
    let (queue, events) = mpsc::channel(output.queue);
    let counts = Arc::new(Counts::default());
    let ended = worker::start(output, events, Arc::clone(&counts), stop)?;
    Ok(Lane {
        name: output.name.clone(),
        kind: output.to.kind().name(),
        place: output.to.place(),
        packets_only: matches!(output.to, Destination::Pcapng { .. }),
        queue,
        counts,
        ended,
    })
}
