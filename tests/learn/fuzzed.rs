//! What the fuzz targets found worth keeping, replayed; and mutations of it, as many every time and the same ones.

use std::path::{Path, PathBuf};

use banchi::capture::{Captures, Frame};
use banchi::learn::{Table, flows};
use banchi_common::direction::{PROTOCOLS, Payload, classify};
use banchi_common::wire::{Bytes, Content, Headers, parse};

/// Tuples of a table, and frames that are read of a file.
const TUPLES: usize = 256;
const FRAMES: u64 = 20_000;
/// Mutations of captures, and of packets.
const MUTATIONS: u64 = 20_000;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{}: {} files", folder.display(), files.len());
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Reads a capture as the fuzz target does: an error with words, or a bounded table.
fn capture(path: &PathBuf, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    let mut captures = match Captures::open(std::slice::from_ref(path)) {
        Ok(captures) => captures,
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains(&path.display().to_string()) && said.len() < 400, "{said}");
            return;
        }
    };
    let (mut table, mut frame, mut count) = (Table::new(TUPLES), Frame::default(), 0);
    while count < FRAMES && captures.next(&mut frame) {
        assert!(frame.bytes.len() <= 1 << 19, "{} bytes in a frame", frame.bytes.len());
        table.packet(&frame);
        count += 1;
    }
    let traffic = table.finish();
    assert!(traffic.tuples.len() <= TUPLES);
    assert_eq!(traffic.packets, count);
    assert!(flows(&traffic).len() <= 2 * TUPLES);
}

/// Parses a frame as the fuzz target does.
fn packet(bytes: &[u8]) {
    let frame = Bytes(bytes);
    let mut headers = Headers::default();
    if parse(&frame, &mut headers) == Content::Flow {
        assert!(headers.l3() <= bytes.len() && headers.l4() <= bytes.len());
        let payload = Payload::of(&frame, &headers);
        for about in PROTOCOLS {
            for transport in 0..2 {
                let _ = classify(&payload, transport, about.protocol as u8, u32::MAX);
            }
        }
    }
}

fn policy(text: &str) {
    let loaded = banchi::policy::load("fuzz.yaml", text);
    let _ = loaded.render(text, banchi::policy::render::Style::Plain);
    assert!(loaded.policy.is_some() || !loaded.diagnostics.is_empty());
    if let Some(policy) = &loaded.policy {
        let _ = banchi::image::compile(policy);
    }
}

/// A change as fuzzers make it: bytes, lengths, pieces twice, pieces gone, an end anywhere, a piece of another file.
fn mutate(random: &mut fastrand::Rng, mut bytes: Vec<u8>, other: &[u8]) -> Vec<u8> {
    for _ in 0..random.usize(1..5) {
        if bytes.is_empty() {
            return bytes;
        }
        let at = random.usize(..bytes.len());
        let end = (at + random.usize(1..64)).min(bytes.len());
        match random.u8(..7) {
            0 => bytes[at] = random.u8(..),
            1 => bytes[at] ^= 1 << random.u8(..8),
            2 => bytes[at] = *random.choice(&[0, 1, 0x7f, 0x80, 0xff]).unwrap(),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let from = random.usize(..other.len().max(1)).min(other.len());
                let to = (from + random.usize(1..64)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

/// A file in memory.
fn place() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

#[test]
fn what_the_fuzzers_kept_is_read_without_a_crash() {
    let folder = place();
    let path = folder.path().join("capture");
    corpus("capture").iter().for_each(|bytes| capture(&path, bytes));
    corpus("packet").iter().for_each(|bytes| packet(bytes));
    corpus("policy").iter().filter_map(|bytes| std::str::from_utf8(bytes).ok()).for_each(policy);
}

#[test]
fn mutated_captures_are_errors_or_bounded() {
    let folder = place();
    let path = folder.path().join("capture");
    let (corpus, mut random) = (corpus("capture"), fastrand::Rng::with_seed(20_26));
    for _ in 0..MUTATIONS {
        let (one, other) = (random.choice(&corpus).unwrap(), random.choice(&corpus).unwrap());
        let mutated = mutate(&mut random, one.clone(), other);
        capture(&path, &mutated);
    }
}

#[test]
fn mutated_packets_are_parsed() {
    let (corpus, mut random) = (corpus("packet"), fastrand::Rng::with_seed(20_26));
    for _ in 0..10 * MUTATIONS {
        let (one, other) = (random.choice(&corpus).unwrap(), random.choice(&corpus).unwrap());
        packet(&mutate(&mut random, one.clone(), other));
    }
}
