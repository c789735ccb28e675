//! Loading a policy of ten thousand rules: the checks must not compare all pairs.
//!
//! `cargo test --release -p banchi --test policy_large -- --nocapture` prints the times.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write;
use std::time::{Duration, Instant};

use banchi::policy::render::Style;
use banchi::policy::{Loaded, load};

const RULES: usize = 10_000;

/// Generous: the debug build on a busy machine must pass too.
const BOUND: Duration = Duration::from_secs(20);

fn head() -> String {
    let mut text = String::from(
        "version: 1\n\
         zones:\n  \
           control: { interfaces: [eth1], networks: [10.10.0.0/16] }\n  \
           field: { interfaces: [eth2], networks: [10.128.0.0/10] }\n\
         assets:\n",
    );
    for id in 0..100 {
        writeln!(text, "  client-{id}: {{ zone: control, address: 10.10.1.{id} }}").unwrap();
    }
    for id in 0..2000 {
        let (high, low) = (id / 250, id % 250 + 1);
        writeln!(text, "  plc-{id}: {{ zone: field, address: 10.128.{high}.{low} }}").unwrap();
    }
    text
}

fn services(text: &mut String, count: usize) {
    text.push_str("services:\n");
    for id in 0..count {
        writeln!(text, "  service-{id}: {{ transport: tcp, port: {} }}", 1000 + id).unwrap();
    }
    text.push_str("conduits:\n  - between: [control, field]\n    allow:\n");
}

fn time(name: &str, text: &str) -> Loaded {
    let start = Instant::now();
    let loaded = load("large.yaml", text);
    let taken = start.elapsed();
    println!(
        "{name}: {taken:.1?} for {} KiB, {} rules, {} diagnostics",
        text.len() / 1024,
        loaded.policy.as_ref().map_or(0, |policy| policy.rules.len()),
        loaded.diagnostics.len()
    );
    assert!(taken < BOUND, "{name} took {taken:?}");
    loaded
}

#[test]
fn many_hosts() {
    let mut text = head();
    services(&mut text, 20);
    for id in 0..RULES {
        // Each PLC is asked by five clients; all services are used.
        let (client, server, service) = ((id * 7) % 100, id % 2000, (id / 2000 + id) % 20);
        writeln!(
            text,
            "      - {{ client: client-{client}, server: plc-{server}, service: service-{service} }}"
        )
        .unwrap();
    }
    let loaded = time("many hosts", &text);
    assert_eq!(loaded.policy.unwrap().rules.len(), RULES);
}

#[test]
fn one_pair_and_ten_thousand_services() {
    let mut text = head();
    services(&mut text, RULES);
    for id in 0..RULES {
        writeln!(text, "      - {{ client: client-1, server: plc-1, service: service-{id} }}").unwrap();
    }
    let loaded = time("one pair", &text);
    assert_eq!(loaded.policy.unwrap().rules.len(), RULES);
}

#[test]
fn everybody_asks_the_whole_network_one_by_one() {
    let mut text = head();
    text.push_str("  everything: { zone: field, address: 10.128.0.0/12 }\n");
    services(&mut text, 100);
    for id in 0..RULES {
        let (client, service) = (id % 100, id / 100);
        let server = if id % 2 == 0 { "everything".to_owned() } else { format!("plc-{}", id % 2000) };
        writeln!(text, "      - {{ client: client-{client}, server: {server}, service: service-{service} }}")
            .unwrap();
    }
    let loaded = time("whole network", &text);
    assert_eq!(loaded.policy.unwrap().rules.len(), RULES);
}

#[test]
fn ten_thousand_warnings() {
    let mut text = head();
    services(&mut text, 20);
    for _ in 0..RULES {
        text.push_str("      - { client: client-1, server: plc-1, service: service-1 }\n");
    }
    let loaded = time("all shadowed", &text);
    assert!(loaded.policy.is_some());
    assert!(loaded.diagnostics.len() >= RULES - 1);
    let start = Instant::now();
    let report = loaded.render(&text, Style::Plain);
    println!("all shadowed, rendered: {:.1?}, {} KiB", start.elapsed(), report.len() / 1024);
    assert!(start.elapsed() < BOUND);
}
