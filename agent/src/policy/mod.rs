//! The policy: text, syntax, resolved names, a valid [`model::Policy`].
//!
//! [`load`] goes all the way, without any I/O. The stages are types: [`source::Source`] is text,
//! `parse::Node` is YAML, [`syntax::Policy`] has the right keys, `resolve::Resolved` has no dangling name,
//! and only what also passes every check becomes a [`model::Policy`].

pub mod addresses;
pub mod catalogue;
pub mod codes;
pub mod describe;
pub mod diagnostic;
pub mod insert;
mod intervals;
pub mod model;
pub(crate) mod parse;
pub mod ports;
pub(crate) mod read;
pub mod render;
mod resolve;
pub mod schema;
pub mod source;
pub mod syntax;
mod validate;
pub mod wires;
pub mod words;

pub use diagnostic::{Diagnostic, Severity};

pub(crate) use resolve::DEFAULT_WINDOW;

use diagnostic::Diagnostics;
use read::FromNode;
use source::Source;

/// What came out of a policy file.
#[derive(Debug)]
pub struct Loaded {
    /// Name of the file, as it appears in messages.
    pub name: String,
    /// The policy, if it has no error.
    pub policy: Option<model::Policy>,
    /// Every error and warning, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Every diagnostic for people, with the underlined text; `text` is what was loaded.
    pub fn render(&self, text: &str, style: render::Style) -> String {
        render::render(&self.name, text, &self.diagnostics, style)
    }

    /// Every diagnostic for programs.
    pub fn to_json(&self) -> Vec<serde_json::Value> {
        self.diagnostics.iter().map(|diagnostic| diagnostic.to_json(&self.name)).collect()
    }

    /// Number of errors.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// Number of warnings.
    pub fn warnings(&self) -> usize {
        self.diagnostics.len() - self.errors()
    }
}

/// `; did you mean ..?`, where one of the words is close; else nothing.
pub(crate) fn suggestion<'c>(word: &str, words: impl IntoIterator<Item = &'c str>) -> String {
    diagnostic::closest(word, words).map_or_else(String::new, |close| format!("; did you mean `{close}`?"))
}

/// A time as a policy writes it: `500ms`, `30s`, `5m`, `1h`.
///
/// # Errors
/// Says what was expected.
pub fn parse_time(text: &str) -> Result<std::time::Duration, String> {
    use read::Word as _;
    words::Time::parse(text)
        .map(|time| time.0)
        .map_err(|refusal| format!("{}: {}", refusal.message, refusal.help))
}

/// Loads the policy `text`; `name` is the file's name, for messages. It has to allow something.
pub fn load(name: &str, text: &str) -> Loaded {
    let allows = |policy: &model::Policy| {
        !policy.rules.is_empty() || policy.conduits.iter().any(|conduit| !conduit.ethertypes.is_empty())
    };
    load_where(name, text, allows)
}

/// The same for a policy that is to decide: without a rule nothing that has an address passes, so that somebody has to
/// say that it is meant.
pub fn load_for(name: &str, text: &str, allow_empty: bool) -> Loaded {
    load_where(name, text, |policy| allow_empty || !policy.rules.is_empty())
}

fn load_where(name: &str, text: &str, is_enough: impl Fn(&model::Policy) -> bool) -> Loaded {
    let source = Source::new(text);
    let mut diagnostics = Diagnostics::default();
    let policy = match parse::parse(&source) {
        Ok(root) => syntax::Policy::from_node(&root, &mut diagnostics).map(|file| {
            let resolved = resolve::resolve(&file, &source, &mut diagnostics);
            if !diagnostics.has_errors() && !is_enough(&resolved.policy) {
                diagnostics.push(no_rule(file.conduits.span));
            }
            validate::validate(&resolved, &mut diagnostics);
            resolved.policy
        }),
        Err(diagnostic) => {
            diagnostics.push(*diagnostic);
            None
        }
    };
    let policy = policy.filter(|_| !diagnostics.has_errors());
    Loaded { name: name.to_owned(), policy, diagnostics: diagnostics.finish(&source) }
}

fn no_rule(conduits: source::Span) -> Diagnostic {
    Diagnostic::new(&codes::EMPTY_POLICY, "the policy has no rule").label(conduits, "").help(
        "add at least one rule: `allow: [{ client: .., server: .., service: .. }]`; where nothing is meant to be \
         allowed, `banchi run` and `banchi apply` take it with --allow-empty",
    )
}
