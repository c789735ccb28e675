//! Lines into the text of a policy: where they go. No other byte changes.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::parse::{self, Kind};
use super::source::{Source, Span};

/// Why no line can be added.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlaceError {
    /// A section is not written line by line.
    #[error(
        "line {line}: `{key}` is written in brackets, and rules can only be added to one that has a line for each entry"
    )]
    Shape {
        /// The section.
        key: &'static str,
        /// Where it begins, from 1.
        line: usize,
    },
    /// A section is missing.
    #[error("the policy has no `{0}` at the beginning of a line")]
    Missing(&'static str),
}

/// Lines behind those with these numbers, with the ends that the text has.
pub(crate) fn insert(text: &str, places: &BTreeMap<usize, Vec<String>>) -> String {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut merged = String::with_capacity(text.len() + 4_096);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        merged.push_str(line);
        let Some(added) = places.get(&number) else { continue };
        if !line.ends_with('\n') {
            merged.push_str(end);
        }
        for line in added {
            merged.push_str(line);
            merged.push_str(end);
        }
    }
    merged
}

/// A name that is not taken: the wish, or with a number.
pub(crate) fn free(name: &str, taken: &BTreeSet<&str>) -> String {
    let numbered = (2..).map(|number| format!("{}-{number}", name.get(..58).unwrap_or(name)));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| !taken.contains(name.as_str()))
        .unwrap_or_default()
}

/// A section at the left margin: its first and last line with something in it, and how far its entries are set in.
pub(crate) struct Block {
    pub(crate) first: usize,
    pub(crate) last: usize,
    pub(crate) indent: usize,
}

pub(crate) fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn is_content(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with('#')
}

fn is_open(line: &str, key: &str) -> bool {
    let rest = line.trim_start().trim_start_matches("- ").trim_start().strip_prefix(key);
    rest.and_then(|rest| rest.strip_prefix(':')).is_some_and(|rest| !is_content(rest))
}

impl Block {
    /// Finds the section of a key.
    ///
    /// # Errors
    /// Where it is not there, or not written line by line.
    pub(crate) fn find(lines: &[&str], key: &'static str) -> Result<Self, PlaceError> {
        let begins = |line: &&str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
        let at = lines.iter().position(begins).ok_or(PlaceError::Missing(key))?;
        let rest = lines.iter().enumerate().skip(at + 1).filter(|(_, line)| is_content(line));
        // A list may stand at the margin of its key.
        let own: Vec<(usize, &&str)> =
            rest.take_while(|(_, line)| indent(line) > 0 || line.starts_with('-')).collect();
        let open = lines.get(at).is_some_and(|line| is_open(line, key));
        match (own.first(), own.last()) {
            (Some((first, line)), Some((last, _))) if open => {
                Ok(Self { first: *first, last: *last, indent: indent(line) })
            }
            _ => Err(PlaceError::Shape { key, line: at + 1 }),
        }
    }
}

/// The line behind which rules go, and whether an `allow:` has to be written first.
pub(crate) struct After {
    pub(crate) line: usize,
    pub(crate) opens: bool,
}

/// Where rules of a conduit go, by its place in the policy, and how far they are set in.
///
/// # Errors
/// Where nothing can be added line by line.
pub(crate) fn allow(lines: &[&str], conduit: usize) -> Result<(After, usize), PlaceError> {
    let block = Block::find(lines, "conduits")?;
    let content = || (block.first..=block.last).filter_map(|at| Some((at, *lines.get(at)?)));
    let starts: Vec<usize> = content()
        .filter(|(_, line)| indent(line) == block.indent && line.trim_start().starts_with('-'))
        .map(|(at, _)| at)
        .collect();
    let shape = |at: usize| PlaceError::Shape { key: "conduits", line: at + 1 };
    let start = *starts.get(conduit).ok_or(shape(block.first))?;
    let end = starts.get(conduit + 1).copied().unwrap_or(block.last + 1);
    let item = || content().filter(|(at, line)| (start..end).contains(at) && is_content(line));
    let keys = block.indent + 2;
    let column = |at: usize, line: &str| if at == start { keys } else { indent(line) };
    let word = |line: &str| line.trim_start().trim_start_matches("- ").trim_start().starts_with("allow:");
    let Some((at, line)) = item().find(|(at, line)| column(*at, line) == keys && word(line)) else {
        let last = item().next_back().map_or(start, |(at, _)| at);
        return Ok((After { line: last, opens: true }, keys + 2));
    };
    if !is_open(line, "allow") {
        return Err(PlaceError::Shape { key: "allow", line: at + 1 });
    }
    let rest = item().filter(|(place, _)| *place > at);
    let list: Vec<(usize, &str)> = rest
        .take_while(|(_, line)| {
            indent(line) > keys || indent(line) == keys && line.trim_start().starts_with('-')
        })
        .collect();
    let set_in = list.first().map_or(keys + 2, |(_, line)| indent(line));
    Ok((After { line: list.last().map_or(at, |(at, _)| *at), opens: false }, set_in))
}

/// Where the value stands that is reached by these keys.
pub(crate) fn scalar(text: &str, keys: &[&str]) -> Option<Span> {
    let root = parse::parse(&Source::new(text)).ok()?;
    let found = keys.iter().try_fold(&root, |node, key| {
        let Kind::Map(pairs) = &node.kind else { return None };
        let named = pairs.iter().find(|(name, _)| matches!(&name.kind, Kind::Scalar(word) if word == key));
        named.map(|(_, value)| value)
    })?;
    matches!(found.kind, Kind::Scalar(_)).then_some(found.span)
}
