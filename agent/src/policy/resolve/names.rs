//! Names: which are known, and which are in use.

use std::collections::BTreeMap;

use crate::policy::codes;
use crate::policy::diagnostic::{Diagnostic, Diagnostics, suggest};
use crate::policy::source::{Span, Spanned};
use crate::policy::words::Name;

use super::GATEWAY;

/// Names of one kind. A name whose definition has errors is known, but stands for nothing.
pub(super) struct Names {
    pub(super) kind: &'static str,
    pub(super) ids: BTreeMap<String, Option<usize>>,
}

impl Names {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, ids: BTreeMap::new() }
    }

    pub(super) fn find(&self, name: &Spanned<Name>, diagnostics: &mut Diagnostics) -> Option<usize> {
        let text = name.value.0.as_str();
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let help = if text == GATEWAY {
            "the gateway's own addresses are known by this name once they are declared: \
             `gateway: { addresses: [10.10.0.1] }`"
                .to_owned()
        } else {
            let names: Vec<&str> = self.ids.keys().map(String::as_str).collect();
            suggest(text, &format!("{}s", self.kind), &names)
        };
        diagnostics.push(
            Diagnostic::new(&codes::UNKNOWN_NAME, format!("there is no {} `{text}`", self.kind))
                .label(name.span, "")
                .help(help),
        );
        None
    }
}

/// Names in use, and how far the numbers of repeated ones have come.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) spans: BTreeMap<String, Span>,
    numbers: BTreeMap<String, usize>,
}

impl Taken {
    /// `base`, or `base #2`, `base #3`, .. until it is neither taken nor `also` taken.
    pub(super) fn numbered(&mut self, base: String, also: impl Fn(&str) -> bool) -> String {
        let free = |name: &str| !self.spans.contains_key(name) && !also(name);
        if free(&base) {
            return base;
        }
        let from = self.numbers.get(&base).map_or(2, |last| last + 1);
        let found = (from..).map(|number| (number, format!("{base} #{number}"))).find(|(_, name)| free(name));
        let Some((number, name)) = found else { return base };
        self.numbers.insert(base, number);
        name
    }
}
