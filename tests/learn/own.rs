//! A policy that was learnt from a capture, against that capture: through the loaded program, in the time of the capture.
//!
//! Needs root.

use std::path::{Path, PathBuf};

use banchi::backtest::{Tally, Tested, backtest};
use banchi::capture::{Captures, Frame};
use banchi::learn::draft::{Options, draft};
use banchi::learn::{Table, flows};

/// Captures without any flow between two addresses that a gateway could part, and why.
const NO_POLICY: &[(&str, &str)] = &[
    ("090813_diverse.pcap", "one host talks to itself"),
    ("IEC61850_SV.pcap", "below IP only"),
    ("PROFINET-RT.pcap", "below IP only"),
    ("Sample_File_GOOSE.pcap", "below IP only"),
    ("cc_link_ief.pcap", "below IP only"),
    ("ethercat.pcap", "below IP only"),
    ("modbusSmall.pcap", "one host talks to itself"),
    ("opc-ua.pcap", "one host talks to itself"),
    ("q-in-q.pcap", "two senders to groups, and nobody who is known to listen"),
    ("rtps.pcap", "one host talks to itself"),
];

/// Packets that a learnt policy would drop of its own capture, and why.
const LEFT_OUT: &[(&str, u64, &str)] = &[
    ("dhcp.pcap", 7, "questions of 0.0.0.0, and an answer to all: a gateway does not forward them"),
    ("hart_ip.pcap", 39, "single segments to web servers that never answer: they look like a scan"),
    ("melsoft_UDP_unclean_1.pcap", 93, "SSDP, mDNS, LLMNR, WS-Discovery and NetBIOS"),
    ("modbus_test_data_part1.pcap", 1, "a segment of a server without ACK, which belongs to no connection"),
    ("plc1.pcap", 9, "a station that only looks for others, and of which no other traffic says who listens"),
];

/// The draft of a capture's first packets; `None` without a rule.
fn learn(path: &Path, most: u64) -> Option<String> {
    let mut captures = Captures::open(&[path.to_owned()]).unwrap();
    let (mut table, mut frame, mut count) = (Table::new(100_000), Frame::default(), 0);
    while count < most && captures.next(&mut frame) {
        table.packet(&frame);
        count += 1;
    }
    let traffic = table.finish();
    let draft = draft(&traffic, &flows(&traffic), &Options::default());
    (draft.rules > 0).then_some(draft.text)
}

fn test(path: &Path, text: &str) -> Tally {
    let loaded = banchi::policy::load("draft.yaml", text);
    let policy =
        loaded.policy.unwrap_or_else(|| panic!("{}: {:#?}\n{text}", path.display(), loaded.diagnostics));
    let image = banchi::image::compile(&policy).unwrap();
    let mut captures = Captures::open(&[path.to_owned()]).unwrap();
    // Namespaces belong to threads, and the harness uses its own again.
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let mut tested =
                Tested::load(&policy, &image).expect("the kernel takes the program; this needs root");
            backtest(&mut captures, &mut tested, None, None, |_| {}).unwrap().remove(0)
        });
        run.join().unwrap()
    })
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "pcap" || kind == "pcapng"));
    files.sort();
    files
}

#[test]
fn a_learnt_policy_lets_its_own_capture_pass() {
    let Some(folder) = crate::captures() else { return };
    let mut wrong = String::new();
    for path in files(&folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let without = NO_POLICY.iter().any(|(file, _)| *file == name);
        let Some(text) = learn(&path, u64::MAX) else {
            if !without {
                wrong += &format!("{name}: no rule\n");
            }
            continue;
        };
        let expected = LEFT_OUT.iter().find(|(file, ..)| *file == name).map_or(0, |(_, packets, _)| *packets);
        let tally = test(&path, &text);
        if tally.would_drop != expected || without {
            wrong +=
                &format!("{name}: {} instead of {expected}: {:?}\n{text}", tally.would_drop, tally.reasons);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Plants that have nothing to do with each other, some with VLANs: whatever comes of it, it is a policy. It has few rules,
/// since all that has no tag is one zone.
#[test]
fn all_captures_together_give_a_draft_that_loads() {
    let Some(folder) = crate::captures() else { return };
    let mut captures = Captures::open(&files(&folder)).unwrap();
    let (mut table, mut frame) = (Table::new(1_000_000), Frame::default());
    while captures.next(&mut frame) {
        table.packet(&frame);
    }
    let traffic = table.finish();
    let draft = draft(&traffic, &flows(&traffic), &Options::default());
    let loaded = banchi::policy::load("draft.yaml", &draft.text);
    assert!(draft.rules > 0 && loaded.policy.is_some(), "{} rules: {:#?}", draft.rules, loaded.diagnostics);
}
