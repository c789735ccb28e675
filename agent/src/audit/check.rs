//! Whether lines were changed, removed or put in between.

use serde::Deserialize;

use super::Entry;
use crate::plane::hash;

/// Lines as they were found, and where they do not fit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chain {
    /// The entries, oldest first.
    pub entries: Vec<Entry>,
    /// Where a line is not the one after the line before it.
    pub breaks: Vec<Break>,
    /// Lines that are not whole: a full disk or a power cut, unless there is a break after them.
    pub cut: usize,
    /// Entries that could not be written, as later ones say.
    pub unwritten: u64,
    last: Option<String>,
}

/// A place where the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

#[derive(Deserialize)]
struct Line {
    #[serde(flatten)]
    entry: Entry,
    #[serde(default)]
    unwritten: u64,
    previous: Option<String>,
}

/// Reads a file and compares each line with the one before. Files are given oldest first: the chain goes on from one to
/// the next. The first line of all is taken as it is.
pub fn check(chain: &mut Chain, file: &str, text: &str) {
    for (number, text) in (1..).zip(text.lines()) {
        let mut wrong = |what| chain.breaks.push(Break { file: file.to_owned(), line: number, what });
        let before = chain.last.replace(hash(text));
        let Ok(line) = serde_json::from_str::<Line>(text) else {
            chain.cut += 1;
            continue;
        };
        match (before, line.previous) {
            (None, _) => {}
            (Some(before), Some(previous)) if before == previous => {}
            (Some(_), None) => wrong("a new chain begins, without the line before"),
            (Some(_), Some(_)) => wrong("the line before it was changed, or lines between them are missing"),
        }
        chain.unwritten += line.unwritten;
        chain.entries.push(line.entry);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::path::PathBuf;

    use super::super::{Log, Who};
    use super::*;

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("banchi-audit-{}-{name}", std::process::id()));
            Self(path)
        }

        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.0.join(name)).unwrap()
        }
    }

    fn entry(verb: &str) -> Entry {
        Entry::of(Who::this(), verb, serde_json::Map::new())
    }

    fn breaks(text: &str) -> Vec<usize> {
        let mut chain = Chain::default();
        check(&mut chain, "f", text);
        chain.breaks.iter().map(|found| found.line).collect()
    }

    #[test]
    fn what_was_done_to_lines_shows() {
        let scratch = Scratch::new("lines");
        let path = scratch.0.join("a");
        // Two processes, and each goes on where the other ended.
        let (mut one, mut two) = (Log::new(&path), Log::new(&path));
        for turn in 0..4 {
            let log = if turn % 2 == 0 { &mut one } else { &mut two };
            log.append(&entry("mode")).unwrap();
        }
        let text = scratch.read("a");
        assert_eq!(breaks(&text), [0; 0]);
        assert_eq!(breaks(&text.replacen("mode", "made", 1)), [2], "changed");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(breaks(&[lines[0], lines[2], lines[3]].join("\n")), [2], "removed");
        assert_eq!(breaks(&[lines[0], lines[2], lines[1], lines[3]].join("\n")), [2, 3, 4], "exchanged");
        assert_eq!(breaks(&[lines[0], lines[0], lines[1]].join("\n")), [2], "put in between");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn a_renamed_file_is_followed_by_another_of_the_same_chain() {
        let scratch = Scratch::new("renamed");
        let path = scratch.0.join("a");
        let mut log = Log::new(&path);
        log.append(&entry("apply")).unwrap();
        assert!(!log.has_moved());
        std::fs::rename(&path, scratch.0.join("a.1")).unwrap();
        assert!(log.has_moved());
        log.append(&entry("confirm")).unwrap();
        let mut chain = Chain::default();
        check(&mut chain, "a.1", &scratch.read("a.1"));
        check(&mut chain, "a", &scratch.read("a"));
        assert_eq!((chain.breaks.len(), chain.entries.len()), (0, 2));
        let mut chain = Chain::default();
        check(&mut chain, "a", &scratch.read("a"));
        check(&mut chain, "a.1", &scratch.read("a.1"));
        assert_eq!(chain.breaks.len(), 1, "in the wrong order");
    }

    #[test]
    fn a_line_that_was_cut_spoils_no_other() {
        let scratch = Scratch::new("cut");
        let path = scratch.0.join("a");
        Log::new(&path).append(&entry("apply")).unwrap();
        let text = scratch.read("a");
        std::fs::write(&path, format!("{text}{}", &text[..40])).unwrap();
        Log::new(&path).append(&entry("confirm")).unwrap();
        let mut chain = Chain::default();
        check(&mut chain, "a", &scratch.read("a"));
        assert_eq!((chain.breaks.len(), chain.entries.len(), chain.cut), (0, 2, 1));
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_said_later() {
        let scratch = Scratch::new("unwritten");
        std::fs::create_dir_all(&scratch.0).unwrap();
        let path = scratch.0.join("a");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        let mut log = Log::new(&path);
        log.append(&entry("apply")).unwrap_err();
        assert_eq!(log.unwritten(), 1);
        std::fs::remove_file(&path).unwrap();
        log.append(&entry("confirm")).unwrap();
        assert_eq!(log.unwritten(), 0);
        let mut chain = Chain::default();
        check(&mut chain, "a", &scratch.read("a"));
        assert_eq!((chain.entries.len(), chain.unwritten), (1, 1));
    }
}
