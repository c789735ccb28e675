//! What `docs/direction.md` repeats from `banchi_common::direction`.
//!
//! `BLESS=1 cargo test -p banchi --test direction_docs` writes it anew: read the difference. The table of captures there
//! is that of `tests/captures`.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use banchi_common::abi::Transport;
use banchi_common::direction::{Class, Classes, PROTOCOLS, samples};

/// Bytes of an example that are shown.
const SHOWN: usize = 24;

#[test]
fn the_table_of_protocols_is_that_of_the_code() {
    let mut table =
        "| word | protocol | over | how it is decided | what stays undecidable | the client also sends | \
                     the server also sends | source |\n|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for about in PROTOCOLS {
        let over = about.transports.iter().map(|transport| word(*transport)).collect::<Vec<_>>().join(", ");
        let cells = [
            &format!("`{}`", about.name),
            about.title,
            &over,
            about.rule,
            about.undecidable,
            &classes(about.client),
            &classes(about.server),
            about.source,
        ];
        writeln!(table, "| {} |", cells.map(cell).join(" | ")).unwrap();
    }
    check("protocols", &table);
}

#[test]
fn the_examples_are_those_of_the_code() {
    let mut text = String::new();
    for about in PROTOCOLS {
        write!(
            text,
            "\n### {}\n\n| message | over | class | bytes | decided from byte |\n|---|---|---|---|---|\n",
            about.title
        )
        .unwrap();
        for sample in samples().filter(|sample| sample.protocol == about.protocol) {
            let from =
                if sample.class == Class::Undecidable { String::new() } else { sample.needed.to_string() };
            let cells = [
                sample.what,
                word(sample.transport),
                sample.class.name(),
                &format!("`{}`", hex(sample.bytes)),
                &from,
            ];
            writeln!(text, "| {} |", cells.map(cell).join(" | ")).unwrap();
        }
    }
    check("examples", &text);
}

/// Compares a part of the document, or writes it with `BLESS=1`.
fn check(name: &str, part: &str) {
    let start = format!("<!-- {name}: written by agent/tests/direction_docs.rs -->\n");
    let end = format!("<!-- end of {name} -->\n");
    let path = document();
    // Both tests write the same file.
    let lock = fs::File::open(&path).unwrap();
    lock.lock().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(&start).unwrap_or_else(|| panic!("no {start}"));
    let (found, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{head}{start}{part}{end}{tail}")).unwrap();
    } else {
        assert_eq!(
            found, part,
            "docs/direction.md is stale: BLESS=1 cargo test -p banchi --test direction_docs"
        );
    }
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/direction.md")
}

fn word(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
        other => panic!("{other:?} carries no protocol that is told apart"),
    }
}

fn classes(set: Classes) -> String {
    let all = [Class::Request, Class::Response, Class::Notification];
    let names = all.into_iter().filter(|class| set.holds(*class)).map(|class| format!("{}s", class.name()));
    names.collect::<Vec<_>>().join(", ")
}

/// In groups of four bytes.
fn hex(bytes: &[u8]) -> String {
    let groups = bytes.iter().take(SHOWN).collect::<Vec<_>>();
    let groups =
        groups.chunks(4).map(|group| group.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let text = groups.collect::<Vec<_>>().join(" ");
    if bytes.len() > SHOWN { format!("{text} …") } else { text }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
