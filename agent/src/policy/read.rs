//! From the tree to the syntax: every key is read, every mistake is kept, nothing stops at the first.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::codes::{self, Code};
use super::diagnostic::{Diagnostic, Diagnostics, closest, suggest};
use super::parse::{Kind, Node};
use super::source::{Span, Spanned};

/// Something that can stand in a policy.
pub(crate) trait FromNode: Sized {
    /// Reads it. `None` after at least one error was kept.
    fn from_node(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self>;
}

/// Why a word is refused.
pub(crate) struct Refusal {
    pub(crate) code: &'static Code,
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Refusal {
    pub(crate) fn new(code: &'static Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: help.into() }
    }
}

/// A value that is one word: a name, a port, an address.
pub(crate) trait Word: Sized {
    /// What is expected, with an article and an example.
    const EXPECTED: &'static str;

    /// Reads it.
    fn parse(text: &str) -> Result<Self, Refusal>;
}

impl<T: Word> FromNode for T {
    fn from_node(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Kind::Scalar(text) = &node.kind else {
            diagnostics.push(wrong_type(node, T::EXPECTED));
            return None;
        };
        match T::parse(text) {
            Ok(word) => Some(word),
            Err(refusal) => {
                diagnostics.push(
                    Diagnostic::new(refusal.code, refusal.message).label(node.span, "").help(refusal.help),
                );
                None
            }
        }
    }
}

/// The words of a closed choice.
pub(crate) fn choose<T: Copy>(text: &str, what: &str, choices: &[(&'static str, T)]) -> Result<T, Refusal> {
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    Err(Refusal::new(
        &codes::INVALID_VALUE,
        format!("`{text}` is not {what}"),
        suggest(text, "expected one of", &words),
    ))
}

/// "expected .., found ..".
pub(crate) fn wrong_type(node: &Node, expected: &str) -> Diagnostic {
    Diagnostic::new(&codes::WRONG_TYPE, format!("expected {expected}, found {}", node.kind.describe()))
        .label(node.span, "")
        .help(format!("write {expected}"))
}

impl<T: FromNode> FromNode for Spanned<T> {
    fn from_node(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        T::from_node(node, diagnostics).map(|value| Spanned { value, span: node.span })
    }
}

/// A list of one or more. Items with errors are left out, the errors are kept.
#[derive(Debug, Clone)]
pub struct List<T>(pub Vec<Spanned<T>>);

impl<T: FromNode> FromNode for List<T> {
    fn from_node(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Kind::List(items) = &node.kind else {
            let mut diagnostic = wrong_type(node, "a list");
            if let Kind::Scalar(text) = &node.kind {
                diagnostic = diagnostic.help(format!("write it as a list of one: `[{text}]`"));
            }
            diagnostics.push(diagnostic);
            return None;
        };
        if items.is_empty() {
            diagnostics.push(empty(node, "this list is empty"));
        }
        Some(List(items.iter().filter_map(|item| Spanned::from_node(item, diagnostics)).collect()))
    }
}

/// One value, or a list of one or more.
#[derive(Debug, Clone)]
pub struct OneOrMany<T>(pub Vec<Spanned<T>>);

impl<T: FromNode> FromNode for OneOrMany<T> {
    fn from_node(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match &node.kind {
            Kind::List(_) => List::from_node(node, diagnostics).map(|list: List<T>| OneOrMany(list.0)),
            _ => Spanned::from_node(node, diagnostics).map(|one| OneOrMany(vec![one])),
        }
    }
}

/// A mapping from names to definitions, in file order. A definition with errors keeps its name, so that
/// whoever refers to it is not reported as well.
#[derive(Debug, Clone)]
pub struct Entries<K, V>(pub Vec<(Spanned<K>, Option<V>)>);

impl<K: FromNode + Ord + Clone, V: FromNode> FromNode for Entries<K, V> {
    fn from_node(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Kind::Map(pairs) = &node.kind else {
            diagnostics.push(wrong_type(node, "a mapping of names to definitions, `name: { .. }`"));
            return None;
        };
        if pairs.is_empty() {
            diagnostics.push(empty(node, "nothing is defined here"));
        }
        let mut seen: BTreeMap<K, Span> = BTreeMap::new();
        let mut entries = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let Some(name) = Spanned::<K>::from_node(key, diagnostics) else {
                V::from_node(value, diagnostics);
                continue;
            };
            let value = V::from_node(value, diagnostics);
            if let Some(first) = seen.insert(name.value.clone(), name.span) {
                diagnostics.push(duplicate(&codes::DUPLICATE_NAME, key, first));
                continue;
            }
            entries.push((name, value));
        }
        Some(Entries(entries))
    }
}

fn duplicate(code: &'static Code, key: &Node, first: Span) -> Diagnostic {
    let name = match &key.kind {
        Kind::Scalar(text) => text.as_str(),
        _ => "",
    };
    Diagnostic::new(code, format!("`{name}` is defined twice"))
        .label(key.span, "again here")
        .label(first, "first here")
        .help("remove one of them, or rename it")
}

fn empty(node: &Node, message: &str) -> Diagnostic {
    Diagnostic::new(&codes::EMPTY_SET, message)
        .label(node.span, "")
        .help("an empty set would match nothing; fill it, or remove what uses it")
}

/// The keys of a mapping that is a record.
pub(crate) struct Fields<'n> {
    what: &'static str,
    span: Span,
    found: BTreeMap<&'n str, &'n Node>,
    /// Keys that an unknown key was most likely meant to be.
    misspelt: Vec<&'n str>,
}

impl<'n> Fields<'n> {
    /// Opens a record: refuses keys that it does not have, and keys that stand twice.
    pub(crate) fn open(
        node: &'n Node,
        what: &'static str,
        keys: &[&'static str],
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let Kind::Map(pairs) = &node.kind else {
            diagnostics.push(wrong_type(node, what).help(format!(
                "write {what} as a mapping, with the keys {}",
                keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
            )));
            return None;
        };
        let mut found: BTreeMap<&'n str, &'n Node> = BTreeMap::new();
        let mut places: BTreeMap<&'n str, Span> = BTreeMap::new();
        let mut misspelt = Vec::new();
        for (key, value) in pairs {
            let Kind::Scalar(name) = &key.kind else {
                diagnostics.push(wrong_type(key, "a key"));
                continue;
            };
            if let Some(first) = places.insert(name, key.span) {
                diagnostics.push(duplicate(&codes::DUPLICATE_KEY, key, first).help("keep one of them"));
            } else if keys.contains(&name.as_str()) {
                found.insert(name, value);
            } else {
                misspelt.extend(closest(name, keys.iter().copied()));
                diagnostics.push(
                    Diagnostic::new(&codes::UNKNOWN_KEY, format!("{what} has no key `{name}`"))
                        .label(key.span, "")
                        .help(suggest(name, "keys", keys)),
                );
            }
        }
        Some(Self { what, span: node.span, found, misspelt })
    }

    /// Whether none of the known keys is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

/// A key of a record: required, or optional where it is an [`Option`].
pub(crate) trait FromField: Sized {
    /// Reads the key `key`.
    fn from_field(fields: &Fields<'_>, key: &str, diagnostics: &mut Diagnostics) -> Option<Self>;
}

impl<T: FromNode> FromField for Spanned<T> {
    fn from_field(fields: &Fields<'_>, key: &str, diagnostics: &mut Diagnostics) -> Option<Self> {
        match fields.found.get(key) {
            Some(node) => Spanned::from_node(node, diagnostics),
            None if fields.misspelt.contains(&key) => None,
            None => {
                diagnostics.push(
                    Diagnostic::new(&codes::MISSING_KEY, format!("{} needs the key `{key}`", fields.what))
                        .label(fields.span, "")
                        .help(format!("add `{key}: ..`")),
                );
                None
            }
        }
    }
}

impl<T: FromNode> FromField for Option<Spanned<T>> {
    fn from_field(fields: &Fields<'_>, key: &str, diagnostics: &mut Diagnostics) -> Option<Self> {
        Some(fields.found.get(key).and_then(|node| Spanned::from_node(node, diagnostics)))
    }
}

/// Declares a record: the type, its JSON Schema and its reader, from one list of keys.
macro_rules! record {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident, $what:literal {
            $( $(#[$field_meta:meta])* $field_vis:vis $field:ident: $ty:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        $vis struct $name {
            $( $(#[$field_meta])* $field_vis $field: $ty, )*
            /// Whether a key of it was refused, so that what seems to be missing may be there.
            #[schemars(skip)]
            #[allow(dead_code, reason = "not every record is asked")]
            $vis refused: bool,
        }

        impl $crate::policy::read::FromNode for $name {
            fn from_node(
                node: &$crate::policy::parse::Node,
                diagnostics: &mut $crate::policy::diagnostic::Diagnostics,
            ) -> Option<Self> {
                let errors = diagnostics.errors();
                let keys = &[$(stringify!($field)),*];
                let fields = $crate::policy::read::Fields::open(node, $what, keys, diagnostics)?;
                $(
                    let $field = <$ty as $crate::policy::read::FromField>::from_field(
                        &fields, stringify!($field), diagnostics,
                    );
                )*
                Some(Self { $( $field: $field?, )* refused: diagnostics.errors() > errors })
            }
        }
    };
}

pub(crate) use record;

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("List_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": generator.subschema_for::<T>(), "minItems": 1 })
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

impl<K: JsonSchema, V: JsonSchema> JsonSchema for Entries<K, V> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Entries_{}", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "propertyNames": generator.subschema_for::<K>(),
            "additionalProperties": generator.subschema_for::<V>(),
            "minProperties": 1
        })
    }
}
