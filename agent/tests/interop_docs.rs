//! Troubleshooting and threat model against the code: a section for each reason, and tests that are there.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use banchi_common::reason::REASONS;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn every_reason_has_a_section_and_no_other_has() {
    let text = read("docs/troubleshooting.md");
    let sections: Vec<(&str, &str)> = text
        .split("\n## ")
        .skip(1)
        .map(|section| section.split_once('\n').unwrap())
        .map(|(head, body)| (head.trim_matches('`'), body))
        .collect();
    let found: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
    let reasons: Vec<&str> = REASONS.iter().map(|about| about.name).collect();
    assert_eq!(found, reasons, "sections, in the order of the numbers");
    for (name, body) in sections {
        let at: Vec<Option<usize>> =
            ["**What it means.**", "**Likely causes.**", "**How to check.**", "**How to fix.**"]
                .map(|part| body.find(part))
                .to_vec();
        assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{name}: {at:?}");
    }
}

#[test]
fn what_the_threat_model_names_is_there() {
    let text = read("docs/threat-model.md");
    let mut named = 0;
    // Of each table only the last column names tests.
    for row in text.lines().filter(|line| line.starts_with('|')) {
        let Some(last) = row.trim_end_matches('|').rsplit('|').next() else { continue };
        for name in last.split('`').filter(|part| part.contains("::")) {
            let (test, module) = name.split_once("::").unwrap();
            let path = root().join("tests").join(test).join(format!("{module}.rs"));
            assert!(path.is_file(), "{name} is no test: {}", path.display());
            assert!(std::fs::read_to_string(&path).unwrap().contains("#[test]"), "{name} has no test");
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
    // Each attack on banchi has a test, or the words that say that there is nothing.
    let attacks = text.split_once("## Attacks on banchi").unwrap().1;
    for row in attacks.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| attack")) {
        assert!(row.contains("::") || row.contains("not mitigated"), "neither: {row}");
    }
}

#[test]
fn the_losses_of_a_ruleset_are_described() {
    let text = read("docs/nftables.md");
    let mut found = 0;
    for example in std::fs::read_dir(root().join("examples")).unwrap() {
        let policy = std::fs::read_to_string(example.unwrap().path()).unwrap();
        let policy = banchi::policy::load("example", &policy).policy.unwrap();
        for loss in banchi::nftables::export(&policy, "example").losses {
            assert!(text.contains(&format!("| `{}` |", loss.code)), "{}", loss.code);
            found += 1;
        }
    }
    assert!(found > 20);
}
