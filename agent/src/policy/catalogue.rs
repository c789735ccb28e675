//! The catalogue: services of OT protocols as they usually are, with where the fact is from.
//!
//! It is written in the policy language itself, in `catalogue.yaml`, and ships in the binary. A policy names an
//! entry without defining it, or starts from it with `like` and says otherwise where its plant does.

use std::sync::LazyLock;

use super::diagnostic::Diagnostics;
use super::parse;
use super::read::{Entries, FromNode, Refusal, Word, choose, record};
use super::resolve::define;
use super::source::{Source, Spanned};
use super::words::{Name, word_schema};
use super::{model, syntax};

const TEXT: &str = include_str!("catalogue.yaml");

/// A service of the catalogue, and what is known of it.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Entry {
    /// The service; its name is that of the entry.
    pub service: model::Service,
    /// Name of the protocol, for people.
    pub title: String,
    /// How its ports behave.
    pub idiom: Idiom,
    /// What to know before using it.
    pub note: String,
    /// Where the facts are from.
    pub source: String,
    /// How sure they are.
    pub evidence: Evidence,
}

/// How the ports of a protocol behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Idiom {
    /// A client's port is noise, and the server's is known.
    Ordinary,
    /// Both ports are the same.
    SamePort,
    /// The client's port is fixed, and the servers' differ.
    PinnedSource,
    /// The server's port follows from its address.
    AddressLinked,
    /// Answers come from another port, or go to another address, than the question's.
    WanderingAnswer,
    /// Nobody answers.
    OneWay,
    /// Both sides ask.
    Peer,
}

/// How sure a fact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// Seen in captures of real devices.
    Captured,
    /// Read in a manual or a specification.
    Documented,
    /// General knowledge: look at your own traffic first.
    Unconfirmed,
}

impl Word for Idiom {
    const EXPECTED: &'static str = "an idiom";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let known = [
            ("ordinary", Self::Ordinary),
            ("same-port", Self::SamePort),
            ("pinned-source", Self::PinnedSource),
            ("address-linked", Self::AddressLinked),
            ("wandering-answer", Self::WanderingAnswer),
            ("one-way", Self::OneWay),
            ("peer", Self::Peer),
        ];
        choose(text, "an idiom", &known)
    }
}

impl Word for Evidence {
    const EXPECTED: &'static str = "how sure it is";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let known = [
            ("captured", Self::Captured),
            ("documented", Self::Documented),
            ("unconfirmed", Self::Unconfirmed),
        ];
        choose(text, "how sure a fact is", &known)
    }
}

/// Any text.
#[derive(Debug, Clone)]
struct Text(String);

impl Word for Text {
    const EXPECTED: &'static str = "a text";

    fn parse(text: &str) -> Result<Self, Refusal> {
        Ok(Self(text.trim().to_owned()))
    }
}

word_schema!(Text, "Text", { "type": "string" });
word_schema!(Idiom, "Idiom", { "type": "string" });
word_schema!(Evidence, "Evidence", { "type": "string" });

record! {
    /// An entry as written.
    struct Written, "an entry" {
        /// Name of the protocol.
        title: Spanned<Text>,
        /// How its ports behave.
        idiom: Spanned<Idiom>,
        /// What to know before using it.
        note: Option<Spanned<Text>>,
        /// Where the facts are from.
        source: Spanned<Text>,
        /// How sure they are.
        evidence: Spanned<Evidence>,
        /// The service, in the words of a policy.
        service: Spanned<syntax::Service>,
    }
}

/// All entries, in the order of their names.
pub fn entries() -> &'static [Entry] {
    // The text is part of the binary, and a test says that it has no error.
    static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| read(TEXT, &mut Diagnostics::default()));
    &ENTRIES
}

/// The entry of a name.
pub fn find(name: &str) -> Option<&'static Entry> {
    entries().iter().find(|entry| entry.service.name == name)
}

fn read(text: &str, diagnostics: &mut Diagnostics) -> Vec<Entry> {
    let written = match parse::parse(&Source::new(text)) {
        Ok(root) => Entries::<Name, Written>::from_node(&root, diagnostics),
        Err(diagnostic) => {
            diagnostics.push(*diagnostic);
            None
        }
    };
    let mut entries: Vec<Entry> = Vec::new();
    for (name, written) in written.into_iter().flat_map(|written| written.0) {
        let Some(written) = written else { continue };
        let like = written.service.value.like.as_ref();
        let base = like.and_then(|like| entries.iter().find(|known| known.service.name == like.value.0));
        let base = base.map(|entry| entry.service.clone());
        let Some(service) = define(&name, &written.service.value, base.as_ref(), diagnostics) else {
            continue;
        };
        entries.push(Entry {
            service,
            title: written.title.value.0,
            idiom: written.idiom.value,
            note: written.note.map_or_else(String::new, |note| note.value.0),
            source: written.source.value.0,
            evidence: written.evidence.value,
        });
    }
    entries.sort_by(|a, b| a.service.name.cmp(&b.service.name));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_has_no_error() {
        let mut diagnostics = Diagnostics::default();
        let entries = read(TEXT, &mut diagnostics);
        let found = diagnostics.finish(&Source::new(TEXT));
        assert!(found.is_empty(), "{found:#?}");
        assert!(entries.len() > 2, "{}", entries.len());
    }
}
