//! What is wrong with a policy, where, and what to do about it.

use serde::Serialize;

use super::codes::Code;
use super::source::{Source, Span};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// The policy loads; somebody should look at it.
    Warning,
}

/// A place in the file, and what it has to do with the matter.
#[derive(Debug, Clone, Serialize)]
pub struct Label {
    /// Bytes of the underlined text. Never more than one line.
    #[serde(skip)]
    pub span: Span,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Number of characters underlined.
    pub length: usize,
    /// The underlined text.
    pub text: String,
    /// What this place has to do with it; empty where the message says all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// One error or warning.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where. The first one is the place itself, others are related.
    pub labels: Vec<Label>,
    /// What was expected, and what to write instead.
    pub help: Option<String>,
}

/// A diagnostic as a line of JSON.
#[derive(Debug, Serialize)]
struct Json<'d> {
    severity: Severity,
    code: &'static str,
    message: &'d str,
    file: &'d str,
    line: usize,
    column: usize,
    length: usize,
    text: &'d str,
    help: Option<&'d str>,
    related: &'d [Label],
}

impl Diagnostic {
    /// A diagnostic without a place yet.
    pub fn new(code: &'static Code, message: impl Into<String>) -> Self {
        Self {
            severity: code.severity,
            code: code.name,
            message: message.into(),
            labels: Vec::new(),
            help: None,
        }
    }

    /// Adds a place. The first one is where it happened.
    #[must_use]
    pub fn label(mut self, span: Span, note: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            line: 0,
            column: 0,
            length: 0,
            text: String::new(),
            note: note.into(),
        });
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Line of the first place, from 1.
    pub fn line(&self) -> usize {
        self.labels.first().map_or(1, |label| label.line)
    }

    /// As a JSON value: severity, code, message, file, line, column, length, text, help, related.
    pub fn to_json(&self, file: &str) -> serde_json::Value {
        let (first, related) = match self.labels.split_first() {
            Some((first, related)) => (Some(first), related),
            None => (None, [].as_slice()),
        };
        let json = Json {
            severity: self.severity,
            code: self.code,
            message: &self.message,
            file,
            line: first.map_or(1, |label| label.line),
            column: first.map_or(1, |label| label.column),
            length: first.map_or(0, |label| label.length),
            text: first.map_or("", |label| &label.text),
            help: self.help.as_deref(),
            related,
        };
        serde_json::to_value(json).unwrap_or_default()
    }

    fn locate(&mut self, source: &Source<'_>) {
        for label in &mut self.labels {
            label.span = source.first_line(label.span);
            let position = source.position(label.span.start);
            label.line = position.line;
            label.column = position.column;
            label.text = source.slice(label.span).to_owned();
            label.length = label.text.chars().count();
        }
    }
}

/// Diagnostics as they are found.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    found: Vec<Diagnostic>,
    errors: usize,
}

impl Diagnostics {
    /// Keeps a diagnostic.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if diagnostic.severity == Severity::Error {
            self.errors += 1;
        }
        self.found.push(diagnostic);
    }

    /// Number of errors found so far.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// Whether an error was found so far.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether the last one found is an error.
    pub(crate) fn last_is_error(&self) -> bool {
        self.found.last().is_some_and(|found| found.severity == Severity::Error)
    }

    /// Everything found, in the order of the file, each place with its line and column.
    pub(crate) fn finish(mut self, source: &Source<'_>) -> Vec<Diagnostic> {
        for diagnostic in &mut self.found {
            diagnostic.locate(source);
        }
        self.found.sort_by_key(|found| found.labels.first().map(|label| label.span));
        self.found
    }
}

/// The candidate that `word` was most likely meant to be.
pub(crate) fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            *distance <= 1 + candidate.chars().count().max(word.chars().count()) / 4
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean .." where something is close, and always what is there.
pub(crate) fn suggest(word: &str, what: &str, candidates: &[&str]) -> String {
    const SHOWN: usize = 12;
    let mut help = String::new();
    if let Some(candidate) = closest(word, candidates.iter().copied()) {
        help.push_str(&format!("did you mean `{candidate}`? "));
    }
    match candidates {
        [] => help.push_str(&format!("there is no {what}")),
        _ => {
            let shown: Vec<_> =
                candidates.iter().take(SHOWN).map(|candidate| format!("`{candidate}`")).collect();
            help.push_str(&format!("{what}: {}", shown.join(", ")));
            if candidates.len() > SHOWN {
                help.push_str(&format!(" and {} more", candidates.len() - SHOWN));
            }
        }
    }
    help
}
