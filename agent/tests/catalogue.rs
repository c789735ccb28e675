//! The catalogue against the policy language and `docs/catalogue.md`.
//!
//! `BLESS=1 cargo test -p banchi --test catalogue` writes the page anew: read the difference.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use banchi::image::compile;
use banchi::policy::catalogue::{Entry, Evidence, Idiom, entries};
use banchi::policy::model::{Reply, Service, SourcePort};
use banchi::policy::render::Style;
use banchi::policy::{describe, load};
use serde_json::json;

/// A policy whose only rule asks `name`.
fn policy(services: &str, name: &str) -> String {
    format!(
        "version: 1\n\
         zones:\n  \
           a: {{ interfaces: [eth1], networks: [10.10.0.0/16] }}\n  \
           b: {{ interfaces: [eth2], networks: [10.20.0.0/24] }}\n\
         assets:\n  \
           x: {{ zone: a, address: 10.10.1.5 }}\n  \
           y: {{ zone: b, address: 10.20.0.11 }}\n\
         {services}\
         conduits:\n  \
           - between: [a, b]\n    \
             allow: [{{ client: x, server: y, service: {name} }}]\n"
    )
}

fn only_service(text: &str) -> Service {
    let loaded = load("catalogue", text);
    let said = loaded.render(text, Style::Plain);
    let policy = loaded.policy.unwrap_or_else(|| panic!("{text}\n{said}"));
    compile(&policy).unwrap_or_else(|error| panic!("{text}\n{error}"));
    policy.services.into_iter().next().unwrap()
}

#[test]
fn every_entry_works_by_its_name_by_like_and_copied() {
    for entry in entries() {
        let name = &entry.service.name;
        let expected = json!(entry.service);
        assert_eq!(json!(only_service(&policy("", name))), expected);
        let like = format!("services:\n  {name}: {{ like: {name} }}\n");
        assert_eq!(json!(only_service(&policy(&like, name))), expected);
        let copied = format!("services:\n{}", describe::definition(&entry.service));
        assert_eq!(json!(only_service(&policy(&copied, name))), expected);
    }
}

#[test]
fn a_definition_writes_every_port_relation_and_direction() {
    let services = "services:\n  \
        s: { transport: udp, port: { linked: { base: 6000, octet: 4, step: 2 } }, source_port: 6000, \
        reply: { window: 1500ms, strict: true }, \
        direction: { at: 3, mask: 0x40, request: 0, response: 0x40 }, client_may: [response], \
        server_may: [notify] }\n";
    let tables = "services:\n  \
        s: { transport: udp, port: { by_address: { 10.20.0.11: 7001 } }, source_port: ephemeral, \
        reply_from: ephemeral }\n";
    for services in [services, tables] {
        let service = only_service(&policy(services, "s"));
        let copied = format!("services:\n{}", describe::definition(&service));
        assert_eq!(json!(only_service(&policy(&copied, "s"))), json!(service), "{copied}");
    }
}

#[test]
fn the_catalogue_has_every_idiom_but_linked_ports() {
    let idioms: BTreeSet<Idiom> = entries().iter().map(|entry| entry.idiom).collect();
    // A linked port needs the base of a plant, so the catalogue cannot know one.
    let expected = [
        Idiom::Ordinary,
        Idiom::SamePort,
        Idiom::PinnedSource,
        Idiom::WanderingAnswer,
        Idiom::OneWay,
        Idiom::Peer,
    ];
    assert_eq!(idioms, expected.into_iter().collect());
}

#[test]
fn idioms_are_those_of_the_services() {
    for Entry { service, idiom, .. } in entries() {
        let name = &service.name;
        let same = service.source_port == SourcePort::Same;
        assert!(!same || matches!(idiom, Idiom::SamePort | Idiom::OneWay), "{name}");
        assert_eq!(*idiom == Idiom::Peer, service.peer, "{name}");
        assert_eq!(*idiom == Idiom::OneWay, service.reply == Reply::None && !service.peer, "{name}");
    }
}

#[test]
fn the_page_is_that_of_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/catalogue.md");
    let page = page();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/catalogue.md is stale: BLESS=1 cargo test -p banchi --test catalogue");
}

const HEAD: &str = "\
# The catalogue of services

<!-- Written by agent/tests/catalogue.rs from agent/src/policy/catalogue.yaml. -->

A policy may name these services without defining them, or start from one with [`like`](policy.md#like).
`banchi services` shows the same table, and `banchi services NAME` says everything about one of them, also how its
direction is read.

`client > server` are the ports of a question. *Evidence* is about them: *captured* in traffic of real devices,
*documented* in a manual or a specification, or *unconfirmed*: general knowledge that nobody has checked. Nothing here
replaces a look at your own traffic.

";

fn page() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("| name | protocol | over | client > server | idiom | direction | evidence |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    for entry in entries() {
        let service = &entry.service;
        let name = &service.name;
        let _ = writeln!(
            text,
            "| [`{name}`](#{name}) | {} | {} | {} | {} | {} | {} |",
            entry.title,
            service.transport.name(),
            describe::relation(service),
            entry.idiom.name(),
            describe::direction(service),
            entry.evidence.name(),
        );
    }
    text.push_str("\nIdioms:\n\n");
    let idioms: BTreeSet<Idiom> = entries().iter().map(|entry| entry.idiom).collect();
    for idiom in idioms {
        let _ = writeln!(text, "- *{}*: {}", idiom.name(), idiom.text());
    }
    entries().iter().for_each(|entry| section(entry, &mut text));
    text
}

fn section(entry: &Entry, text: &mut String) {
    let service = &entry.service;
    let _ = write!(
        text,
        "\n## {}\n\n{}.\n\n```yaml\nservices:\n{}```\n\n",
        service.name,
        entry.title,
        describe::definition(service)
    );
    if !entry.note.is_empty() {
        let _ = write!(text, "{}\n\n", entry.note);
    }
    let mark = if entry.evidence == Evidence::Unconfirmed { "**Unconfirmed.** " } else { "" };
    let _ = writeln!(text, "{}\n\n{mark}Source: {}.", describe::answers(service), entry.source);
}
