//! What `banchi explain` says for every reason that a single packet can have.
//!
//! The texts are in `explain/expected.txt`. After an intended change: `BLESS=1 cargo test -p banchi --test
//! explain`, and read the difference.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::Path;

use banchi::explain::{Question, explain};
use banchi::image::compile;
use banchi::policy::load;
use banchi_common::reason::REASONS;

const POLICY: &str = include_str!("explain/policy.yaml");

/// A packet, its zone, and its hardware address.
type Asked = (&'static str, Option<&'static str>, Option<[u8; 6]>);

/// Packets, the zone that they come from where it is not that of their source, and their hardware address.
const QUESTIONS: &[Asked] = &[
    ("tcp 10.10.1.5:40000 > 10.20.0.11:502", None, None),
    ("tcp 10.20.0.11:502 > 10.10.1.5:40000 ack", None, None),
    ("tcp [fd00:10::5]:40000 > [fd00:20::11]:502", None, None),
    ("icmp 10.10.1.5 > 10.20.0.80", None, None),
    ("icmp 10.10.1.5 > 10.10.0.1", None, None),
    ("tcp 10.10.9.99:40000 > 10.20.0.11:502", None, None),
    ("tcp 10.10.1.5:40000 > 10.20.0.99:502", None, None),
    ("udp 10.10.1.6:47808 > 10.20.0.80:47808", None, None),
    ("tcp 10.10.1.5:40000 > 10.20.0.11:22", None, None),
    ("udp 10.10.1.6:5010 > 10.20.0.12:5013", None, None),
    ("udp 10.10.1.5:47809 > 10.20.0.80:47808", None, None),
    ("udp 10.10.1.6:5009 > 10.20.0.11:5011", None, None),
    ("udp 10.20.0.11:5011 > 10.10.1.6:5009", None, None),
    ("tcp 10.10.1.5:1024 > 10.20.0.11:502", None, None),
    ("udp 10.10.1.5:6000 > 10.20.0.11:6012", None, None),
    ("udp 10.20.0.11:6012 > 10.10.1.5:6000", None, None),
    ("tcp 10.20.0.12:40000 > 10.10.1.5:502", None, None),
    ("tcp 10.20.0.12:502 > 10.10.1.5:40000", None, None),
    ("icmp 10.20.0.80 > 10.10.1.5", None, None),
    ("tcp 10.10.1.5:40000 > 10.20.0.11:502", Some("line-a"), None),
    ("udp 10.20.0.80:47808 > 10.10.1.5:47808", None, Some([2, 0, 0, 0, 0, 9])),
];

/// What no question of `explain` can have: it takes a frame that is broken or no flow, or a flow's past.
const OTHERS: &[&str] = &[
    "unsolicited-reply",
    "arp-spoof",
    "unlisted-ethertype",
    "unlisted-protocol",
    "orphan-fragment",
    "malformed",
    "grant-expired",
    "unlisted-vlan",
    "unrelated-icmp-error",
    "survival",
    "related",
    "listed-ethertype",
    "agent-lost",
    "island",
    "granted",
];

#[test]
fn every_reason_is_explained() {
    let policy = load("explain/policy.yaml", POLICY).policy.unwrap();
    let image = compile(&policy).unwrap();
    let mut text = String::new();
    let mut reasons = BTreeSet::new();
    for (packet, zone, mac) in QUESTIONS {
        let mut question: Question = packet.parse().unwrap();
        question.mac = *mac;
        let explanation = explain(&policy, &image, &question, *zone).unwrap();
        let lines = explanation.lines();
        assert!(lines.lines().all(|line| line.chars().count() <= 80), "wider than 80 columns:\n{lines}");
        // The first of the nearest rules is the one that the data plane names, and misses something.
        if let (Some(rule), Some(first)) = (&explanation.rule, explanation.nearest.first()) {
            assert_eq!(&first.rule, rule, "{lines}");
            let ends = matches!(explanation.reason, "wrong-zone" | "mac-mismatch");
            assert!(ends || first.fields.iter().any(|field| !field.fits), "nothing misses:\n{lines}");
        }
        reasons.insert(explanation.reason);
        text.push_str(&format!("{lines}\n{}\n\n", "=".repeat(80)));
    }
    for about in REASONS {
        assert_ne!(reasons.contains(about.name), OTHERS.contains(&about.name), "{}", about.name);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain/expected.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap();
    assert!(text == expected, "the texts differ from {}; they are now:\n{text}", file.display());
}
