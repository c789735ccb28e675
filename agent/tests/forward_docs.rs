//! What `docs/runbook.md` says of forwarding, against the code.
//!
//! `BLESS=1 cargo test -p banchi --test forward_docs` writes its table anew: read the difference.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use banchi_common::abi::Onward;

#[test]
fn the_runbook_lists_every_cause() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbook.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let head = "| cause | what was left to the stack |\n|---|---|\n";
    let begin = text.find(head).unwrap() + head.len();
    let end = begin + text[begin..].find("\n\n").unwrap() + 1;
    let causes = Onward::ALL.into_iter().filter(|cause| *cause != Onward::Routed);
    let wanted: String =
        causes.map(|cause| format!("| `{}` | {} |\n", cause.name(), cause.meaning())).collect();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{}{wanted}{}", &text[..begin], &text[end..])).unwrap();
        return;
    }
    assert_eq!(&text[begin..end], wanted, "the causes of the runbook");
}
