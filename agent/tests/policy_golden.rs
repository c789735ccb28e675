//! Policies and what is said about them.
//!
//! `policies/valid/*.yaml` load; their warnings are in the `.txt` beside them, if there are any.
//! `policies/invalid/*.yaml` do not; what is said is in the `.txt` beside them.
//! `BLESS=1 cargo test -p banchi --test policy_golden` writes the texts anew: read the difference.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use banchi::policy::render::Style;
use banchi::policy::{Loaded, Severity, codes, load};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies").join(name)
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

fn load_file(path: &Path) -> (Loaded, String) {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    (load(&name, &text), text)
}

/// Compares what is said about each policy of `folder` with its golden text.
fn compare(folder: &Path) -> Vec<String> {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for path in files(folder, "yaml") {
        let golden = path.with_extension("txt");
        let (loaded, text) = load_file(&path);
        let said = loaded.render(&text, Style::Plain);
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if said == expected {
            continue;
        }
        if !bless {
            wrong.push(format!("{}\n--- expected\n{expected}\n--- found\n{said}", path.display()));
        } else if said.is_empty() {
            std::fs::remove_file(&golden).unwrap();
        } else {
            std::fs::write(&golden, said).unwrap();
        }
    }
    for golden in files(folder, "txt") {
        if !golden.with_extension("yaml").exists() {
            wrong.push(format!("{} belongs to no policy", golden.display()));
        }
    }
    wrong
}

#[test]
fn invalid_policies_say_what_they_said() {
    let wrong = compare(&folder("invalid"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn valid_policies_say_what_they_said() {
    let wrong = compare(&folder("valid"));
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn invalid_policies_are_refused_and_valid_ones_are_not() {
    let invalid = files(&folder("invalid"), "yaml");
    assert!(invalid.len() >= 40, "only {} invalid policies", invalid.len());
    for path in invalid {
        assert!(load_file(&path).0.policy.is_none(), "{} loads", path.display());
    }
    for path in files(&folder("valid"), "yaml") {
        assert!(load_file(&path).0.policy.is_some(), "{} does not load", path.display());
    }
}

#[test]
fn every_diagnostic_has_a_place_a_text_and_help() {
    for path in ["invalid", "valid"].iter().flat_map(|name| files(&folder(name), "yaml")) {
        let (loaded, text) = load_file(&path);
        for diagnostic in &loaded.diagnostics {
            let json = diagnostic.to_json("x.yaml");
            let at = format!("{}: {json:#}", path.display());
            assert!(!diagnostic.message.is_empty(), "{at}");
            assert!(diagnostic.help.as_ref().is_some_and(|help| !help.is_empty()), "{at}");
            assert!(!diagnostic.labels.is_empty(), "{at}");
            for label in &diagnostic.labels {
                assert_eq!(text.get(label.span.range()), Some(label.text.as_str()), "{at}");
                let line = text.lines().nth(label.line - 1).unwrap_or_default();
                let found: String = line.chars().skip(label.column - 1).take(label.length).collect();
                assert_eq!(found, label.text, "{at}");
                // A file without a character has nothing to underline.
                assert!(!label.text.is_empty() || text.trim().is_empty(), "{at}");
            }
            for key in ["severity", "code", "message", "file", "line", "column", "length", "text", "help"] {
                assert!(json.get(key).is_some(), "{at}");
            }
        }
    }
}

#[test]
fn every_code_has_a_policy_that_causes_it() {
    let seen: BTreeSet<&str> = ["invalid", "valid"]
        .iter()
        .flat_map(|name| files(&folder(name), "yaml"))
        .flat_map(|path| load_file(&path).0.diagnostics)
        .map(|diagnostic| diagnostic.code)
        .collect();
    let missing: Vec<&str> =
        codes::ALL.iter().map(|code| code.name).filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "no policy causes {missing:?}");
}

#[test]
fn policies_named_after_a_code_cause_it() {
    for (name, severity) in [("invalid", Severity::Error), ("valid", Severity::Warning)] {
        for path in files(&folder(name), "yaml") {
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            let code = codes::ALL
                .iter()
                .filter(|code| code.severity == severity && stem.starts_with(code.name))
                .max_by_key(|code| code.name.len());
            if let Some(code) = code {
                let found = load_file(&path).0.diagnostics.iter().any(|found| found.code == code.name);
                assert!(found, "{} does not cause {}", path.display(), code.name);
            }
        }
    }
}
