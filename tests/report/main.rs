//! Reports, opened in a browser: what is drawn, what filters and searches do, that nothing leaves the file, and that a
//! name is a name whatever stands in it.
//!
//! Pictures and a PDF are left in `target/tmp/report`, for a person to look at.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a broken expectation should stop the test right where it is"
)]

mod bounded;
mod browser;
mod hostile;
mod live;
mod page;
mod plant;
#[path = "../learn/recorded.rs"]
#[allow(dead_code, reason = "shared with the other test")]
mod recorded;

use std::io::Write as _;
use std::path::PathBuf;

use banchi::capture::Captures;
use banchi::learn::{Traffic, flows};
use banchi::policy::model::Policy;
use banchi::report::gather::{Gathered, gather};
use browser::Browser;

/// The browser, or a word that there is none.
fn browser() -> Option<Browser> {
    let browser = Browser::start();
    if browser.is_none() {
        let what = "no Chromium (Debian: apt-get install chromium; BANCHI_CHROMIUM names another)";
        writeln!(std::io::stderr(), "\nNOT RUN: {what}").expect("standard error is open");
    }
    browser
}

/// Where pictures go.
fn pictures() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn policy(text: &str) -> Policy {
    let loaded = banchi::policy::load("policy.yaml", text);
    loaded.policy.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

/// Traffic and a policy, held against each other.
fn held(recorded: &recorded::Recorded, policy: &Policy) -> (Traffic, Gathered) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plant.pcap");
    recorded.write(&path);
    let traffic = recorded.traffic();
    let image = banchi::image::compile(policy).unwrap();
    let mut captures = Captures::open(&[path]).unwrap();
    let gathered = gather(&mut captures, policy, &image, flows(&traffic), 100_000, |_| {});
    (traffic, gathered)
}
