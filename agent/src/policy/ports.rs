//! Values that are ports: one, several, ranges, and relations.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::addresses::Host;
use super::codes;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::model::PortRange;
use super::parse::{Kind, Node};
use super::read::{Entries, Fields, FromField, FromNode, OneOrMany, Refusal, Word, record, wrong_type};
use super::source::{Span, Spanned};
use super::words::{Number, word_schema};

/// One port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port(pub u16);

word_schema!(Port, "Port", { "type": "integer", "minimum": 1, "maximum": 65535, "examples": [502] });

impl Word for Port {
    const EXPECTED: &'static str = "a port from 1 to 65535";

    fn parse(text: &str) -> Result<Self, Refusal> {
        text.parse::<u16>().ok().filter(|port| *port > 0).map(Port).ok_or_else(|| {
            Refusal::new(
                &codes::INVALID_PORT,
                format!("`{text}` is not a port"),
                match text {
                    "0" => {
                        "port 0 is reserved and never used on the wire; write `any` where every port is meant"
                    }
                    _ => "expected a port from 1 to 65535",
                },
            )
        })
    }
}

word_schema!(PortRange, "PortOrRange", {
    "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 65535 },
        { "type": "string", "pattern": "^[0-9]{1,5} *(- *[0-9]{1,5})?$" }
    ],
    "examples": [502, "5020-5029"]
});

impl Word for PortRange {
    const EXPECTED: &'static str = "a port (`502`) or a range of ports (`5020-5029`)";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let Some((first, last)) = text.split_once('-') else {
            let port = Port::parse(text)?.0;
            return Ok(PortRange { first: port, last: port });
        };
        let (first, last) = (Port::parse(first.trim())?.0, Port::parse(last.trim())?.0);
        if first > last {
            return Err(Refusal::new(
                &codes::REVERSED_RANGE,
                format!("the range `{text}` starts after its end"),
                format!("write `{last}-{first}`"),
            ));
        }
        Ok(PortRange { first, last })
    }
}

record! {
    /// A server's port that is a function of its address: `base + step * octet`.
    pub struct Linked, "`linked`" {
        /// The port of a server whose octet is 0.
        pub base: Spanned<Number>,
        /// Which byte of the server's address counts, from 1: up to 4 for IPv4, up to 16 for IPv6.
        pub octet: Spanned<Octet>,
        /// Ports from one octet value to the next. Default 1.
        pub step: Option<Spanned<Port>>,
    }
}

/// Which byte of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Octet(pub u8);

word_schema!(Octet, "Octet", { "type": "integer", "minimum": 1, "maximum": 16 });

impl Word for Octet {
    const EXPECTED: &'static str = "a byte of the address, from 1";

    fn parse(text: &str) -> Result<Self, Refusal> {
        text.parse::<u8>().ok().filter(|octet| (1..=16).contains(octet)).map(Octet).ok_or_else(|| {
            Refusal::new(
                &codes::LINKED_OCTET,
                format!("an address has no octet `{text}`"),
                "octets count from 1; the last one of an IPv4 address is 4, of an IPv6 address 16",
            )
        })
    }
}

/// The server's port.
#[derive(Debug, Clone)]
pub enum ServerPort {
    /// `any`.
    Any,
    /// Ports and ranges.
    Set(Vec<Spanned<PortRange>>),
    /// `{ linked: .. }`.
    Linked(Linked),
    /// `{ by_address: .. }`.
    ByAddress(Vec<(Spanned<Host>, Spanned<u16>)>),
}

const SERVER_PORT: &str = "a port, a range, a list of them, `any`, `{ linked: .. }` or `{ by_address: .. }`";

impl FromNode for ServerPort {
    fn from_node(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(text) if text == "any" => Some(ServerPort::Any),
            Kind::Scalar(text) if matches!(text.as_str(), "same" | "ephemeral") => {
                diagnostics.push(
                    Diagnostic::new(&codes::INVALID_PORT, format!("`port` cannot be `{text}`"))
                        .label(node.span, "")
                        .help(format!(
                            "`port` is the server's port; `{text}` describes the client's: write `source_port: {text}`"
                        )),
                );
                None
            }
            Kind::Scalar(_) | Kind::List(_) => ports(node, diagnostics).map(ServerPort::Set),
            Kind::Map(_) => relation(node, diagnostics),
            Kind::Null => {
                diagnostics.push(wrong_type(node, SERVER_PORT));
                None
            }
        }
    }
}

fn ports(node: &Node, diagnostics: &mut Diagnostics) -> Option<Vec<Spanned<PortRange>>> {
    OneOrMany::from_node(node, diagnostics).map(|ports: OneOrMany<PortRange>| ports.0)
}

fn relation(node: &Node, diagnostics: &mut Diagnostics) -> Option<ServerPort> {
    let fields = Fields::open(node, "`port`", &["linked", "by_address"], diagnostics)?;
    let linked = Option::<Spanned<Linked>>::from_field(&fields, "linked", diagnostics)?;
    let table = Option::<Spanned<Entries<Host, Port>>>::from_field(&fields, "by_address", diagnostics)?;
    match (linked, table) {
        (Some(linked), None) => Some(ServerPort::Linked(linked.value)),
        (None, Some(table)) => {
            let entries = table.value.0.into_iter();
            Some(ServerPort::ByAddress(
                entries
                    .filter_map(|(host, port)| {
                        let span = host.span;
                        port.map(|port| (host, Spanned { value: port.0, span }))
                    })
                    .collect(),
            ))
        }
        (Some(_), Some(table)) => {
            diagnostics.push(
                Diagnostic::new(&codes::CONFLICTING_KEYS, "`linked` and `by_address` exclude each other")
                    .label(table.span, "")
                    .help("keep the one that describes how the devices choose their port"),
            );
            None
        }
        (None, None) => {
            if fields.is_empty() {
                diagnostics.push(wrong_type(node, SERVER_PORT));
            }
            None
        }
    }
}

impl JsonSchema for ServerPort {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ServerPort".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = PortRange::json_schema(generator);
        let linked = generator.subschema_for::<Linked>();
        let port = Port::json_schema(generator);
        json_schema!({
            "description": "The server's port: `any`, ports and ranges, or a relation to the server's address.",
            "anyOf": [
                { "const": "any" },
                one,
                { "type": "array", "items": one, "minItems": 1 },
                {
                    "type": "object",
                    "properties": { "linked": linked },
                    "required": ["linked"],
                    "additionalProperties": false
                },
                {
                    "type": "object",
                    "properties": {
                        "by_address": {
                            "type": "object",
                            "description": "One port for each server address.",
                            "additionalProperties": port,
                            "minProperties": 1
                        }
                    },
                    "required": ["by_address"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// The client's port.
#[derive(Debug, Clone)]
pub enum SourcePort {
    /// `any`.
    Any,
    /// `ephemeral`.
    Ephemeral,
    /// `same`.
    Same,
    /// Ports and ranges.
    Set(Vec<Spanned<PortRange>>),
}

impl FromNode for SourcePort {
    fn from_node(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(text) if text == "any" => Some(SourcePort::Any),
            Kind::Scalar(text) if text == "ephemeral" => Some(SourcePort::Ephemeral),
            Kind::Scalar(text) if text == "same" => Some(SourcePort::Same),
            Kind::Scalar(_) | Kind::List(_) => ports(node, diagnostics).map(SourcePort::Set),
            Kind::Map(_) | Kind::Null => {
                diagnostics
                    .push(wrong_type(node, "`any`, `ephemeral`, `same`, a port, a range or a list of them"));
                None
            }
        }
    }
}

impl JsonSchema for SourcePort {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SourcePort".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = PortRange::json_schema(generator);
        json_schema!({
            "description": "The client's port: `any`, `ephemeral`, `same`, or ports and ranges.",
            "anyOf": [
                { "enum": ["any", "ephemeral", "same"] },
                one,
                { "type": "array", "items": one, "minItems": 1 }
            ]
        })
    }
}

/// Server ports that answers come from besides the one that was asked.
#[derive(Debug, Clone)]
pub enum ReplyFrom {
    /// `any`.
    Any,
    /// `ephemeral`.
    Ephemeral,
    /// Ports and ranges.
    Set(Vec<Spanned<PortRange>>),
}

impl FromNode for ReplyFrom {
    fn from_node(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(text) if text == "any" => Some(ReplyFrom::Any),
            Kind::Scalar(text) if text == "ephemeral" => Some(ReplyFrom::Ephemeral),
            Kind::Scalar(_) | Kind::List(_) => ports(node, diagnostics).map(ReplyFrom::Set),
            Kind::Map(_) | Kind::Null => {
                diagnostics.push(wrong_type(node, "`any`, `ephemeral`, a port, a range or a list of them"));
                None
            }
        }
    }
}

impl JsonSchema for ReplyFrom {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ReplyFrom".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = PortRange::json_schema(generator);
        json_schema!({
            "description": "Server ports that answers come from: `any`, `ephemeral`, or ports and ranges.",
            "anyOf": [
                { "enum": ["any", "ephemeral"] },
                one,
                { "type": "array", "items": one, "minItems": 1 }
            ]
        })
    }
}

/// Ranges in ascending order, joined where they meet. Says where one stands twice.
pub(crate) fn merge(ports: &[Spanned<PortRange>], diagnostics: &mut Diagnostics) -> Vec<PortRange> {
    let mut seen: BTreeMap<PortRange, Span> = BTreeMap::new();
    for port in ports {
        if let Some(first) = seen.insert(port.value, port.span) {
            diagnostics.push(
                Diagnostic::new(&codes::REPEATED_ITEM, "this port stands twice in the list")
                    .label(port.span, "again here")
                    .label(first, "first here")
                    .help("remove one of them"),
            );
        }
    }
    let mut merged: Vec<PortRange> = Vec::with_capacity(seen.len());
    for range in seen.into_keys() {
        match merged.last_mut() {
            Some(last) if u32::from(range.first) <= u32::from(last.last) + 1 => {
                last.last = last.last.max(range.last);
            }
            _ => merged.push(range),
        }
    }
    merged
}
