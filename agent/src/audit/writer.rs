//! A thread that writes the lines: a disk that hangs holds up neither the agent nor its heartbeat.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Entry, Log, Who};

/// Entries that wait for a disk. Changes are made by hand, so that more of them are none.
const WAITING: usize = 1_024;
/// How long an answer waits for its line to be on the disk.
const PATIENCE: Duration = Duration::from_secs(2);
/// Refusals that are recorded in a minute: whoever may do nothing must not fill the disk either.
const REFUSALS: u32 = 30;

/// Records changes. Clones record to the same file.
#[derive(Debug, Clone)]
pub struct Audit {
    sender: SyncSender<Job>,
    unwritten: Arc<AtomicU64>,
    refusals: Arc<Mutex<Minute>>,
}

#[derive(Debug)]
enum Job {
    Entry(Box<Entry>, oneshot::Sender<()>),
    Look,
}

#[derive(Debug)]
struct Minute {
    began: Instant,
    recorded: u32,
}

/// A line on its way.
#[derive(Debug)]
pub struct Written(oneshot::Receiver<()>);

impl Written {
    /// Returns when the line is on the disk, or cannot be written, or the disk takes too long.
    pub async fn wait(self) {
        if tokio::time::timeout(PATIENCE, self.0).await.is_err() {
            tracing::error!("audit: the disk does not answer; the change was made all the same");
        }
    }
}

impl Audit {
    /// Starts the thread. The file need not exist, and is made with the first line.
    ///
    /// # Errors
    /// Where there can be no thread.
    pub fn start(path: &Path) -> std::io::Result<Self> {
        let (sender, jobs) = sync_channel(WAITING);
        let unwritten = Arc::new(AtomicU64::new(0));
        let (log, count) = (Log::new(path), Arc::clone(&unwritten));
        let path = path.display().to_string();
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || work(&jobs, log, &path, &count))?;
        let refusals = Arc::new(Mutex::new(Minute { began: Instant::now(), recorded: 0 }));
        Ok(Self { sender, unwritten, refusals })
    }

    /// Records an entry.
    pub fn record(&self, entry: Entry) -> Written {
        let (sender, receiver) = oneshot::channel();
        if let Err(error) = self.sender.try_send(Job::Entry(Box::new(entry), sender)) {
            self.unwritten.fetch_add(1, Ordering::Relaxed);
            tracing::error!("audit: an entry is lost: {error}");
        }
        Written(receiver)
    }

    /// Records that somebody was refused, unless there were too many of these in the last minute.
    pub fn refuse(&self, entry: Entry) -> Option<Written> {
        let mut minute = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.began.elapsed() > Duration::from_secs(60) {
            *minute = Minute { began: Instant::now(), recorded: 0 };
        }
        minute.recorded += 1;
        if minute.recorded == REFUSALS + 1 {
            tracing::warn!(
                "audit: more than {REFUSALS} refusals in a minute; the others of it are not recorded"
            );
        }
        (minute.recorded <= REFUSALS).then(|| self.record(entry))
    }

    /// Has the thread find out whether the file was renamed, and go on in a new one then.
    pub fn look(&self) {
        // Where the queue is full, the next line looks.
        let _ = self.sender.try_send(Job::Look);
    }

    /// Entries that are in no file, since the start.
    pub fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }
}

fn work(jobs: &Receiver<Job>, mut log: Log, path: &str, unwritten: &AtomicU64) {
    let write = |entry: &Entry, log: &mut Log| {
        if let Err(error) = log.append(entry) {
            unwritten.fetch_add(1, Ordering::Relaxed);
            tracing::error!("audit: cannot write {path}: {error}; what it would have said: {}", entry.line());
        }
    };
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Entry(entry, done) => {
                write(&entry, &mut log);
                // Whoever waited may be gone.
                let _ = done.send(());
            }
            // At once, and not with the next change: until then somebody else may begin another chain there.
            Job::Look if log.has_moved() => {
                let entry = Entry::of(Who::this(), "continue-log", serde_json::Map::new());
                write(&entry, &mut log);
            }
            Job::Look => {}
        }
    }
}
