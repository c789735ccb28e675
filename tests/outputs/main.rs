//! Where events go: the same in every output, and no output at the cost of another.
//!
//! `BLESS=1 cargo test -p banchi-tests --test outputs golden` writes the files of `outputs/golden` anew: read the
//! difference. The long run: `cargo test --release -p banchi-tests --test outputs -- --ignored ten_million --nocapture`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

mod configuration;
mod end_to_end;
mod failing;
mod golden;
mod journal;
mod load;
mod metrics;
mod reports;
mod servers;
mod service;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// How long anything may take that is not about time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Held by who measures the memory of this process, and by who fills it: tests run side by side.
fn memory() -> MutexGuard<'static, ()> {
    static MEMORY: Mutex<()> = Mutex::new(());
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until it is so.
fn until(what: &str, mut is: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !is()? {
        ensure!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
