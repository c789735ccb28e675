//! Whatever the file contains, loading and rendering it ends without a panic.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use banchi::policy::load;
use banchi::policy::render::Style;

fn texts() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["tests/policies/invalid", "tests/policies/valid", "../examples"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

fn survives(text: &str) {
    let loaded = load("x.yaml", text);
    let report = loaded.render(text, Style::Plain);
    assert_eq!(report.is_empty(), loaded.diagnostics.is_empty());
    assert_eq!(loaded.policy.is_none(), loaded.errors() > 0, "{text}");
    assert_eq!(loaded.to_json().len(), loaded.diagnostics.len());
}

/// A small generator of numbers (xorshift), so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }
}

#[test]
fn a_file_cut_off_anywhere() {
    for text in texts() {
        for end in (0..text.len()).step_by(7).filter(|end| text.is_char_boundary(*end)) {
            survives(&text[..end]);
        }
    }
}

#[test]
fn characters_lost_swapped_and_added() {
    const ADDED: &[char] =
        &['{', '}', '[', ']', ':', ',', '-', '\n', ' ', '"', '&', '*', '!', '0', 'é', '\t', '\r'];
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for text in texts() {
        for _ in 0..40 {
            let mut characters: Vec<char> = text.chars().collect();
            for _ in 0..=numbers.below(3) {
                let at = numbers.below(characters.len());
                match numbers.below(3) {
                    0 if !characters.is_empty() => drop(characters.remove(at)),
                    1 if characters.len() > 1 => {
                        let other = numbers.below(characters.len());
                        characters.swap(at, other);
                    }
                    _ => characters.insert(at, ADDED[numbers.below(ADDED.len())]),
                }
            }
            survives(&characters.into_iter().collect::<String>());
        }
    }
}

#[test]
fn odd_files() {
    for text in [
        "",
        "\n",
        "\r\n",
        "\u{feff}",
        "- 1",
        "42",
        "null",
        "{}",
        "[]",
        "? [a]\n: b",
        "a: *b",
        "&a [*a]",
        "{? {a: 1}: 2}",
        "\0",
        "version: 1\nzones: &z {}\nassets: *z\nservices: *z\nconduits: []",
        "version: !!binary aGk=",
        "<<: {version: 1}",
        "version: .inf",
        "version: 1\r\nzones:\r\n  a: {}\r\n",
    ] {
        survives(text);
    }
}
