//! YAML text to a tree in which every node knows where it stands.
//!
//! Scalars stay text: `100.20` is two VLANs and not a number, so the reader of a key decides what it means.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, Spanned as YamlSpanned, UserMessageFormatter};

use super::codes;
use super::diagnostic::Diagnostic;
use super::source::{Source, Span};

/// One node of the document.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// `key:` with nothing after it, `null` or `~`.
    Null,
    Scalar(String),
    List(Vec<Node>),
    /// Keys in file order, duplicates included.
    Map(Vec<(Node, Node)>),
}

impl Kind {
    /// What it is, for a message.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Kind::Null => "nothing",
            Kind::Scalar(_) => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// Parses a document.
pub(crate) fn parse(source: &Source<'_>) -> Result<Node, Box<Diagnostic>> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_events: 50_000_000,
            max_nodes: 20_000_000,
            max_documents: 1,
        },
    };
    match serde_saphyr::from_str_with_options::<YamlSpanned<Raw>>(source.text(), options) {
        Ok(raw) if matches!(raw.value, Raw::Null) => Err(Box::new(nothing(source))),
        Ok(raw) => Ok(convert(raw, source)),
        Err(_) if source.text().trim().is_empty() => Err(Box::new(nothing(source))),
        Err(error) => Err(Box::new(syntax_error(&error, source))),
    }
}

fn nothing(source: &Source<'_>) -> Diagnostic {
    Diagnostic::new(&codes::YAML_SYNTAX, "the policy is empty")
        .label(Span::new(0, source.text().len()), "")
        .help("a policy starts with `version: 1`; `banchi schema` and the examples show what follows")
}

fn syntax_error(error: &Error, source: &Source<'_>) -> Diagnostic {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let span = source.first_line(widen(bytes(location, source), source));
    if let Error::Budget { breach, .. } = error {
        let (message, help) = match breach {
            BudgetBreach::Documents { .. } => {
                ("a policy is one YAML document", "remove the line `---` and all that follows it")
            }
            _ => (
                "the file is too large or too deeply nested",
                "no policy needs this; check where it comes from",
            ),
        };
        return Diagnostic::new(&codes::YAML_SYNTAX, message).label(span, "").help(help);
    }
    let rendered = error.without_snippet().render_with_formatter(&UserMessageFormatter);
    let message = rendered.split(" at line ").next().unwrap_or_default();
    Diagnostic::new(&codes::YAML_SYNTAX, format!("this is not valid YAML: {message}"))
        .label(span, "the reader stopped here")
        .help(
            "check the indentation (spaces only), the space after each `:` and that every `[`, `{` and \
             quote is closed; the cause can stand on the line before",
        )
}

/// A point becomes the word that starts there, so that there is something to underline.
fn widen(span: Span, source: &Source<'_>) -> Span {
    if span.end > span.start {
        return span;
    }
    let rest = source.slice(Span::new(span.start, source.text().len()));
    let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
    Span::new(span.start, span.start + word)
}

fn bytes(location: Location, source: &Source<'_>) -> Span {
    let span = location.span();
    match (span.byte_offset(), span.byte_len()) {
        (Some(start), Some(len)) => {
            let start = usize::try_from(start).unwrap_or_default();
            Span::new(start, start.saturating_add(usize::try_from(len).unwrap_or_default()))
        }
        _ => {
            let line = usize::try_from(location.line()).unwrap_or_default().saturating_sub(1);
            let column = usize::try_from(location.column()).unwrap_or_default().saturating_sub(1);
            let start = source.line_start(line);
            let rest = source.slice(Span::new(start, source.text().len()));
            let offset = rest.char_indices().nth(column).map_or(0, |(at, _)| at);
            Span::new(start + offset, start + offset)
        }
    }
}

fn convert(raw: YamlSpanned<Raw>, source: &Source<'_>) -> Node {
    let mut span = bytes(raw.referenced, source);
    let aliased = raw.referenced != raw.defined;
    let kind = match raw.value {
        Raw::Null => Kind::Null,
        Raw::Text(text) => Kind::Scalar(text),
        // A plain number or truth value: the text says what was written, the value does not.
        Raw::Plain => Kind::Scalar(source.slice(bytes(raw.defined, source)).trim().to_owned()),
        Raw::List(items) => Kind::List(items.into_iter().map(|item| convert(item, source)).collect()),
        Raw::Map(pairs) => Kind::Map(
            pairs
                .into_iter()
                .map(|(key, value)| {
                    let (key, mut value) = (convert(key, source), convert(value, source));
                    // Nothing cannot be underlined; the key that has no value can.
                    if matches!(value.kind, Kind::Null) && value.span.range().is_empty() {
                        value.span = key.span;
                    }
                    (key, value)
                })
                .collect(),
        ),
    };
    if !aliased {
        let last = match &kind {
            Kind::List(items) => items.last(),
            Kind::Map(pairs) => pairs.last().map(|(_, value)| value),
            Kind::Null | Kind::Scalar(_) => None,
        };
        if let Some(last) = last {
            span.end = closing_bracket(span.start, last.span.end, source);
        } else if matches!(kind, Kind::List(_) | Kind::Map(_)) {
            span.end = closing_bracket(span.start, span.end, source);
        }
    }
    Node { span, kind }
}

/// The end of a flow collection takes its bracket in; a block collection ends with its last value.
fn closing_bracket(start: usize, end: usize, source: &Source<'_>) -> usize {
    let close = match source.text().as_bytes().get(start) {
        Some(b'{') => '}',
        Some(b'[') => ']',
        _ => return end.max(start),
    };
    let rest = source.slice(Span::new(end, source.text().len()));
    match rest.find(|c: char| !c.is_whitespace() && c != ',') {
        Some(at) if rest.get(at..).is_some_and(|rest| rest.starts_with(close)) => end + at + 1,
        _ => end.max(start),
    }
}

/// A node as `serde-saphyr` hands it over.
enum Raw {
    Null,
    Text(String),
    Plain,
    List(Vec<YamlSpanned<Raw>>),
    Map(Vec<(YamlSpanned<Raw>, YamlSpanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Raw::Map(pairs))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tree(text: &str) -> String {
        fn show(node: &Node, source: &Source<'_>, out: &mut String) {
            match &node.kind {
                Kind::Null => out.push('~'),
                Kind::Scalar(text) => {
                    out.push_str(text);
                    out.push('@');
                    out.push_str(source.slice(node.span));
                }
                Kind::List(items) => {
                    out.push('[');
                    for item in items {
                        show(item, source, out);
                        out.push(';');
                    }
                    out.push_str("]@");
                    out.push_str(source.slice(node.span));
                }
                Kind::Map(pairs) => {
                    out.push('{');
                    for (key, value) in pairs {
                        show(key, source, out);
                        out.push('=');
                        show(value, source, out);
                        out.push(';');
                    }
                    out.push_str("}@");
                    out.push_str(source.slice(node.span));
                }
            }
        }
        let source = Source::new(text);
        let mut out = String::new();
        show(&parse(&source).unwrap(), &source, &mut out);
        out
    }

    #[test]
    fn scalars_keep_their_text_and_place() {
        assert_eq!(tree("a: 100.20"), "{a@a=100.20@100.20;}@a: 100.20");
        assert_eq!(tree("a: \"100.20\""), "{a@a=100.20@\"100.20\";}@a: \"100.20\"");
        assert_eq!(tree("0x40: 0x40"), "{0x40@0x40=0x40@0x40;}@0x40: 0x40");
        assert_eq!(tree("a: yes"), "{a@a=yes@yes;}@a: yes");
        assert_eq!(tree("a:\n"), "{a@a=~;}@a");
    }

    #[test]
    fn collections_end_with_their_bracket() {
        assert_eq!(
            tree("a: [1, {b: 2 } ]"),
            "{a@a=[1@1;{b@b=2@2;}@{b: 2 };]@[1, {b: 2 } ];}@a: [1, {b: 2 } ]"
        );
        assert_eq!(tree("- []\n- {}"), "[[]@[];{}@{};]@- []\n- {}");
    }

    #[test]
    fn duplicate_keys_arrive_twice() {
        assert_eq!(tree("{a: 1, a: 2}"), "{a@a=1@1;a@a=2@2;}@{a: 1, a: 2}");
    }

    #[test]
    fn an_alias_stands_where_it_is_used() {
        assert_eq!(tree("a: &x 7\nb: *x"), "{a@a=7@7;b@b=7@*x;}@a: &x 7\nb: *x");
    }
}
