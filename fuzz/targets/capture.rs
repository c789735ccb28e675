//! A capture of any bytes: an error, or frames that become flows in bounded memory.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use banchi::capture::{Captures, Frame};
use banchi::learn::{Table, flows};
use libfuzzer_sys::fuzz_target;

/// Captures are files, so each input becomes one: in memory, and of this process alone.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| PathBuf::from(format!("/dev/shm/banchi-fuzz-{}", std::process::id())));

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).unwrap();
    let Ok(mut captures) = Captures::open(std::slice::from_ref(&*FILE)) else { return };
    let (mut table, mut frame, mut count) = (Table::new(256), Frame::default(), 0);
    while count < 20_000 && captures.next(&mut frame) {
        table.packet(&frame);
        count += 1;
    }
    let traffic = table.finish();
    assert!(traffic.tuples.len() <= 256);
    let _ = flows(&traffic);
});
