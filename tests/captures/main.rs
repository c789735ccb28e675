//! Real captures through the loaded program: does it see who asks? Held against the ports, and against tshark.
//!
//! The captures are no part of the repository: they lie in `../shared/pcaps`, or where `BANCHI_PCAPS` says. Needs
//! root. `BLESS=1 cargo test -p banchi-tests --test captures` writes the table of `docs/direction.md` anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a broken expectation should stop the test right where it is"
)]

mod compare;
mod dissector;
mod document;
mod packet;
mod program;
mod replay;
mod table;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use replay::Replay;
use table::CAPTURES;

#[test]
fn captures_show_who_asks() {
    let folder = folder();
    if !folder.is_dir() {
        skipped(&format!("no captures in {} (BANCHI_PCAPS names the folder)", folder.display()));
        return;
    }
    let version = dissector::version();
    if version.is_none() {
        skipped("the comparison with tshark, which is not installed");
    }
    program::interfaces();
    let (mut rows, mut exchanged, mut wrong) = (String::new(), String::new(), String::new());
    for capture in CAPTURES {
        let replay = Replay::read(&folder.join(capture.file), capture);
        let tally = replay.run(version.is_some());
        rows += &tally.row(capture);
        let mut problems = tally.problems(capture, version.is_some());
        if let Some((row, problem)) = replay.run_exchanged() {
            exchanged += &row;
            problems += &problem;
        }
        if !problems.is_empty() {
            wrong += &format!("{}, {}:\n{problems}", capture.file, capture.protocol);
        }
    }
    assert!(wrong.is_empty(), "with tshark {version:?}:\n{wrong}");
    if version.is_some() {
        document::check("captures", &format!("{ROWS}{rows}\n{}", compare::explanations(CAPTURES)));
    }
    document::check("exchanged", &format!("{EXCHANGED}{exchanged}"));
}

const ROWS: &str = "\
| capture | protocol | server's ports | packets | request | response | notification | undecidable | the ports | tshark |
|---|---|---|---|---|---|---|---|---|---|
";
const EXCHANGED: &str = "\
| capture | protocol | packets between two hosts | requests | requests reported | all reported |
|---|---|---|---|---|---|
";

fn folder() -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let beside = || checkout.join("shared/pcaps");
    std::env::var_os("BANCHI_PCAPS").map_or_else(beside, PathBuf::from)
}

/// Past the harness, which keeps what passing tests print to itself.
fn skipped(what: &str) {
    writeln!(std::io::stderr(), "\nNOT RUN: {what}").expect("standard error is open");
}
