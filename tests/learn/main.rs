//! Learning: real captures against a table that tshark agrees with, traffic made for the idioms that no public capture
//! shows, deviations that a learnt policy has to find, and files that are broken.
//!
//! The captures are no part of the repository: they lie in `../shared/pcaps`, or where `BANCHI_PCAPS` says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a broken expectation should stop the test right where it is"
)]

mod again;
mod deviations;
#[path = "../captures/dissector.rs"]
#[allow(dead_code, reason = "shared with the other test")]
mod dissector;
mod fuzzed;
mod golden;
mod halves;
mod hostile;
mod idioms;
mod live;
mod own;
mod recorded;

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Where the captures are, if they are.
fn captures() -> Option<PathBuf> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let folder =
        std::env::var_os("BANCHI_PCAPS").map_or_else(|| checkout.join("shared/pcaps"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    skipped(&format!("no captures in {} (BANCHI_PCAPS names the folder)", folder.display()));
    None
}

/// Past the harness, which keeps what passing tests print to itself.
fn skipped(what: &str) {
    writeln!(std::io::stderr(), "\nNOT RUN: {what}").expect("standard error is open");
}
