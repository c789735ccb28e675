//! What a tuple costs in the index. `docs/adr/0001-lookup.md` states figures of this file.
//!
//! `cargo test -p banchi --test lookup_cost -- --ignored --nocapture` prints the table for large policies.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::time::Instant;

use banchi::image::{Image, compile, summarize};
use banchi::policy::load;
use banchi_common::abi::Bucket;

/// Servers of one rule.
const SERVERS: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One pinned port on both sides; every rule asks the same servers.
    SharedServers,
    /// One pinned port on both sides; every rule has servers of its own.
    OwnServers,
}

fn policy(tuples: usize, shape: Shape) -> String {
    let rules = tuples.div_ceil(SERVERS);
    let mut text = "version: 1\nzones:\n  control: { interfaces: [eth1], networks: [10.0.0.0/16] }\n  \
                    line: { interfaces: [eth2], networks: [11.0.0.0/8] }\nassets:\n"
        .to_owned();
    let address = |at: usize| format!("11.{}.{}.{}", at >> 16, at >> 8 & 255, at & 255);
    for rule in 0..rules {
        writeln!(text, "  c{rule}: {{ zone: control, address: 10.0.{}.{} }}", rule >> 8, rule & 255).unwrap();
        if shape == Shape::OwnServers || rule == 0 {
            let (first, last) = (address(rule * 1024), address(rule * 1024 + SERVERS - 1));
            writeln!(text, "  s{rule}: {{ zone: line, addresses: [{first}-{last}] }}").unwrap();
        }
    }
    text += "services:\n  io: { transport: udp, port: 9600, source_port: same }\n";
    text += "conduits:\n  - between: [control, line]\n    allow:\n";
    for rule in 0..rules {
        let servers = if shape == Shape::OwnServers { rule } else { 0 };
        writeln!(text, "      - {{ client: c{rule}, server: s{servers}, service: io }}").unwrap();
    }
    text
}

fn entries(image: &Image) -> usize {
    image.entries.iter().map(|(_, count)| count).sum()
}

fn compiled(text: &str) -> (Image, u64) {
    let policy = load("policy", text).policy.unwrap();
    let image = compile(&policy).unwrap();
    let bytes = summarize(&policy, &image, 1).kernel_bytes;
    (image, bytes)
}

#[test]
fn an_entry_costs_less_than_twenty_bytes() {
    for shape in [Shape::SharedServers, Shape::OwnServers] {
        let (image, _) = compiled(&policy(20 * SERVERS, shape));
        let bytes = image.index.len() * size_of::<Bucket>();
        let each = bytes as f64 / entries(&image) as f64;
        assert!(each < 20.0, "{shape:?}: {each:.1} bytes an entry");
    }
}

#[test]
fn wide_rules_cost_their_hosts_and_not_their_pairs() {
    let text = "version: 1\nzones:\n  a: { interfaces: [eth1], networks: [10.0.0.0/16] }\n  \
                b: { interfaces: [eth2], networks: [11.0.0.0/16] }\nassets:\n  \
                as: { zone: a, addresses: [10.0.0.0-10.0.3.231] }\n  bs: { zone: b, addresses: [11.0.0.0-11.0.3.231] }\n\
                services:\n  s: { transport: tcp, port: 502, source_port: ephemeral }\n\
                conduits:\n  - between: [a, b]\n    allow:\n      - { client: as, server: bs, service: s }\n";
    let (image, _) = compiled(text);
    let found = entries(&image);
    // A million pairs of hosts. Each host is an entry, and has a class in three families: that of its service, that of
    // its service from any port, and that of all rules.
    assert!(found < 4 * 2000 + 50, "{found} entries");
}

#[test]
#[ignore = "prints a table; large"]
fn table() {
    println!("shape          tuples    entries  index bytes/entry  kernel bytes/tuple  compile");
    for shape in [Shape::SharedServers, Shape::OwnServers] {
        for tuples in [1_000, 100_000, 1_000_000] {
            let text = policy(tuples, shape);
            let began = Instant::now();
            let (image, bytes) = compiled(&text);
            let index = (image.index.len() * size_of::<Bucket>()) as f64 / entries(&image) as f64;
            println!(
                "{:<13} {tuples:>7} {:>10} {index:>18.1} {:>19.1} {:>6.2} s",
                format!("{shape:?}"),
                entries(&image),
                bytes as f64 / tuples as f64,
                began.elapsed().as_secs_f64()
            );
        }
    }
}
