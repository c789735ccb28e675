//! A wire as it is written: two interfaces.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::codes;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::parse::{Kind, Node};
use super::read::{FromNode, wrong_type};
use super::source::Spanned;
use super::words::Interface;

/// The two ends of a wire.
#[derive(Debug, Clone)]
pub struct Wire(pub [Spanned<Interface>; 2]);

impl FromNode for Wire {
    fn from_node(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Kind::List(items) = &node.kind else {
            let mut diagnostic = wrong_type(node, "two interfaces, such as `[eth1, eth2]`");
            if matches!(node.kind, Kind::Scalar(_)) {
                diagnostic = diagnostic.help("each wire is a list of its own: `wires: [[eth1, eth2]]`");
            }
            diagnostics.push(diagnostic);
            return None;
        };
        let count = items.len();
        let ends: Vec<Option<Spanned<Interface>>> =
            items.iter().map(|item| Spanned::from_node(item, diagnostics)).collect();
        let Ok(ends) = <[Option<Spanned<Interface>>; 2]>::try_from(ends) else {
            diagnostics.push(
                Diagnostic::new(
                    &codes::INVALID_WIRE,
                    format!("a wire has two ends, and this one has {count}"),
                )
                .label(node.span, "")
                .help("write two interfaces: `[eth1, eth2]`; each further wire is a list of its own"),
            );
            return None;
        };
        let [Some(one), Some(other)] = ends else { return None };
        Some(Self([one, other]))
    }
}

impl JsonSchema for Wire {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Wire".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let interface = generator.subschema_for::<Interface>();
        json_schema!({
            "description": "The two interfaces of the gateway between which frames cross as they are.",
            "type": "array",
            "items": interface,
            "minItems": 2,
            "maxItems": 2,
            "examples": [["eth1", "eth2"]]
        })
    }
}
