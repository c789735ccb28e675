//! The thread of an output.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::counts::Counts;
use super::deliver::deliver;
use super::evidence::Evidence;
use super::lines::{Batch, Disk};
use super::link::Route;
use super::store::Store;
use super::syslog::Syslog;
use super::{alert, journal, mqtt};
use crate::config::{Destination, LineFormat, Output, Rotation};
use crate::events::Report;

/// Bytes that are written at once.
const WRITE: usize = 256 << 10;
/// How often a file is looked for where nothing comes.
const LOOK: Duration = Duration::from_secs(1);

pub(super) type Events = mpsc::Receiver<Arc<Report>>;
/// When to give up, once the agent ends.
pub(super) type Stop = watch::Receiver<Option<Instant>>;

/// Starts the thread. What is yielded hears when it has ended.
pub(super) fn start(
    output: &Output,
    events: Events,
    counts: Arc<Counts>,
    stop: Stop,
) -> io::Result<Receiver<()>> {
    let (end, ended) = sync_channel(1);
    let output = output.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let name: String = format!("out-{}", output.name).chars().take(15).collect();
    std::thread::Builder::new().name(name).spawn(move || {
        runtime.block_on(work(output, events, counts, stop));
        // A look-up of a name may hang.
        runtime.shutdown_background();
        // Whoever waited may have waited long enough.
        let _ = end.send(());
    })?;
    Ok(ended)
}

async fn work(output: Output, mut events: Events, counts: Arc<Counts>, stop: Stop) {
    let name = output.name;
    match output.to {
        Destination::Lines { format, path, rotation } => {
            lines(format, &path, rotation, &mut events, &counts).await;
        }
        Destination::Pcapng { path, rotation } => {
            let mut evidence = Evidence::new(&path, rotation);
            while let Some(batch) = gather(&mut events).await {
                let (written, result) = evidence.write(&batch);
                counts.sent(written);
                counts.failed(batch.len() as u64 - written);
                note(&counts, &name, result.map_err(|e| e.to_string()));
            }
        }
        Destination::Syslog { to, facility, tls, spool } => {
            let syslog = Syslog::new(facility);
            let encode = move |report: &Report| syslog.message(report).into_bytes();
            let store = Store::open(spool, Arc::clone(&counts), &name);
            deliver(&name, Route::syslog(to, tls), encode, store, events, &counts, stop).await;
        }
        Destination::Mqtt { to, topic, client_id, login, tls, spool } => {
            let encode = |report: &Report| report.json().unwrap_or_default().into_bytes();
            let store = Store::open(spool, Arc::clone(&counts), &name);
            let route = Route::Mqtt(mqtt::Broker { to, topic, client_id, login, tls });
            deliver(&name, route, encode, store, events, &counts, stop).await;
        }
        Destination::Journal { path, spool } => {
            let store = Store::open(spool, Arc::clone(&counts), &name);
            let route = Route::Journal(journal::Journal { path });
            deliver(&name, route, journal::entry, store, events, &counts, stop).await;
        }
    }
}

async fn lines(
    format: LineFormat,
    path: &Path,
    rotation: Option<Rotation>,
    events: &mut Events,
    counts: &Counts,
) {
    let mut disk = Disk::new(path, rotation, counts.unwritten());
    while let Some(reports) = gather(events).await {
        let mut batch = Batch::default();
        for report in &reports {
            match format {
                LineFormat::Json => batch.push(&report.json().unwrap_or_default()),
                LineFormat::Eve => batch.push(&alert(report).to_string()),
            }
        }
        counts.sent(disk.write(&batch));
        // The disk says itself what is in the way.
        match disk.trouble() {
            Some(error) => counts.down(error),
            None => counts.up(),
        };
    }
}

/// Events that wait; none of them after a while, so that a file that was renamed is there again. `None` at the end.
async fn gather(events: &mut Events) -> Option<Vec<Arc<Report>>> {
    let mut batch = Vec::new();
    match tokio::time::timeout(LOOK, events.recv()).await {
        Err(_) => return Some(batch),
        Ok(None) => return None,
        Ok(Some(report)) => batch.push(report),
    }
    // An event is about 1 kB as a line.
    while batch.len() < WRITE / 1_024 {
        match events.try_recv() {
            Ok(report) => batch.push(report),
            Err(_) => break,
        }
    }
    Some(batch)
}

/// Says what has changed, once.
pub(super) fn note(counts: &Counts, name: &str, result: Result<(), String>) {
    match result {
        Ok(()) => {
            if counts.up() {
                tracing::warn!("output `{name}` works again");
            }
        }
        Err(error) => {
            if counts.down(&error) {
                tracing::error!("output `{name}`: {error}; it is tried again, and what is lost is counted");
            }
        }
    }
}
