//! The policy file as written: its keys, and nothing about what they refer to.
//!
//! These types are the single source of the keys: the reader and the JSON Schema both come from them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use banchi_common::abi::{Mode, Transport};
use banchi_common::direction::{PROTOCOLS, Protocol};

use super::addresses::{Host, Network};
use super::codes;
use super::diagnostic::{Diagnostic, Diagnostics, suggest};
use super::model::{Addresses, Ethertype, Forwarding, OnAgentLoss, Vlan};
use super::parse::{Kind, Node};
use super::ports::{ReplyFrom, ServerPort, SourcePort};
use super::read::{Entries, FromNode, List, OneOrMany, Refusal, Word, record, wrong_type};
use super::source::Spanned;
use super::wires::Wire;
use super::words::{Byte, Interface, Mac, Name, Number, Sent, Time, Version};

record! {
    /// A policy: who may ask whom for what, between the zones of a plant.
    pub struct Policy, "the policy" {
        /// Version of the policy language: 1.
        pub version: Spanned<Version>,
        /// The gateway itself.
        pub gateway: Option<Spanned<Gateway>>,
        /// What conduits get that do not say otherwise.
        pub defaults: Option<Spanned<Defaults>>,
        /// Zones by name: where on the gateway packets come in, and which addresses live there.
        pub zones: Spanned<Entries<Name, Zone>>,
        /// Assets by name: hosts and sets of hosts.
        pub assets: Spanned<Entries<Name, Asset>>,
        /// Services by name: transport, ports and direction. Those of the catalogue need not be defined.
        pub services: Option<Spanned<Entries<Name, Service>>>,
        /// Conduits: pairs of zones, and what may cross between them.
        pub conduits: Spanned<List<Conduit>>,
    }
}

record! {
    /// The gateway on which banchi runs.
    pub struct Gateway, "`gateway`" {
        /// How allowed packets leave the gateway: `stack`, `route` or `wire`. Default `stack`: the kernel routes or bridges
        /// them.
        pub forwarding: Option<Spanned<Forwarding>>,
        /// Pairs of interfaces between which frames cross as they are. Only for `forwarding: wire`.
        pub wires: Option<Spanned<List<Wire>>>,
        /// The gateway's own addresses. They become the zone and the asset `gateway`.
        pub addresses: Option<Spanned<List<Host>>>,
    }
}

record! {
    /// What conduits get that do not say otherwise.
    pub struct Defaults, "`defaults`" {
        /// `alert` (report, let pass) or `enforce` (report, drop). Default `alert`.
        pub mode: Option<Spanned<Mode>>,
        /// What happens when the agent is gone: `keep`, `open` or `closed`. Default `keep`.
        pub on_agent_loss: Option<Spanned<OnAgentLoss>>,
        /// How long the agent is not heard of before that happens, from 5 seconds to 24 hours. Default `30s`.
        pub agent_loss_after: Option<Spanned<Time>>,
    }
}

record! {
    /// A zone: where on the gateway its packets come in, and which addresses live there.
    pub struct Zone, "a zone" {
        /// Network interfaces of the gateway that face the zone.
        pub interfaces: Spanned<List<Interface>>,
        /// VLANs of those interfaces that are this zone. Default: frames without a tag.
        pub vlans: Option<Spanned<List<Vlan>>>,
        /// Networks of the zone. `0.0.0.0/0` and `::/0` mean what no other zone claims.
        pub networks: Spanned<List<Network>>,
    }
}

record! {
    /// A named host or set of hosts in one zone. Has `address` or `addresses`.
    pub struct Asset, "an asset" {
        /// Zone it lives in.
        pub zone: Spanned<Name>,
        /// Its address; a range or a network also counts.
        pub address: Option<Spanned<Addresses>>,
        /// Its addresses: hosts, ranges and networks, IPv4 and IPv6.
        pub addresses: Option<Spanned<List<Addresses>>>,
        /// Its hardware address, where it has one address only.
        pub mac: Option<Spanned<Mac>>,
    }
}

record! {
    /// What a conversation looks like on the wire.
    pub struct Service, "a service" {
        /// A service of the catalogue that gives what is not said here.
        pub like: Option<Spanned<Name>>,
        /// `tcp`, `udp`, `sctp` or `icmp` (echo). Required without `like`.
        pub transport: Option<Spanned<Transport>>,
        /// The server's port: the destination port of a request. Not for icmp.
        pub port: Option<Spanned<ServerPort>>,
        /// The client's port: the source port of a request. Default `any`. Not for icmp.
        pub source_port: Option<Spanned<SourcePort>>,
        /// How requests are told from responses: a protocol by name, or a byte of the payload.
        pub direction: Option<Spanned<Direction>>,
        /// What clients may send besides requests: `response`, `notify`. Default: what `direction` says.
        pub client_may: Option<Spanned<List<Sent>>>,
        /// What servers may send besides responses: `request`, `notify`. Default: what `direction` says.
        pub server_may: Option<Spanned<List<Sent>>>,
        /// What an answer needs: `{ window: 30s }` (the default), `free` or `none`. Only for udp.
        pub reply: Option<Spanned<Reply>>,
        /// Server ports that answers may come from besides the one that was asked. Only for udp.
        pub reply_from: Option<Spanned<ReplyFrom>>,
        /// Whether servers may ask their clients for the same service. Default false.
        pub peer: Option<Spanned<bool>>,
    }
}

record! {
    /// A pair of zones, and what may cross. Has `between`, or `from` and `to`.
    pub struct Conduit, "a conduit" {
        /// Name of the conduit. Default: the names of its zones with `-` between.
        pub name: Option<Spanned<Name>>,
        /// Two zones; clients may be in either.
        pub between: Option<Spanned<List<Name>>>,
        /// Zone of the clients.
        pub from: Option<Spanned<Name>>,
        /// Zone of the servers.
        pub to: Option<Spanned<Name>>,
        /// `alert` or `enforce`. Default: that of `defaults`.
        pub mode: Option<Spanned<Mode>>,
        /// `keep`, `open` or `closed`. Default: that of `defaults`.
        pub on_agent_loss: Option<Spanned<OnAgentLoss>>,
        /// How long the agent is not heard of before that happens. Default: that of `defaults`.
        pub agent_loss_after: Option<Spanned<Time>>,
        /// Protocols below IP that may cross: names, EtherTypes, or SAPs of LLC.
        pub ethertypes: Option<Spanned<List<Ethertype>>>,
        /// The flow rules. The first that matches a packet decides. Without it, nothing is allowed to cross.
        pub allow: Option<Spanned<List<Rule>>>,
    }
}

impl Conduit {
    /// Its rules, as far as they can be read.
    pub fn rules(&self) -> &[Spanned<Rule>] {
        self.allow.as_ref().map_or(&[], |list| &list.value.0)
    }
}

record! {
    /// A flow rule: these clients may ask these servers these services.
    pub struct Rule, "a rule" {
        /// Name of the rule. Default: `client > server : service`.
        pub name: Option<Spanned<Name>>,
        /// Asset or assets that ask.
        pub client: Spanned<OneOrMany<Name>>,
        /// Asset or assets that answer.
        pub server: Spanned<OneOrMany<Name>>,
        /// Service or services that are asked.
        pub service: Spanned<OneOrMany<Name>>,
        /// Group or broadcast addresses that answers may go to as well.
        pub reply_to: Option<Spanned<OneOrMany<Name>>>,
        /// `alert` or `enforce`. Default: that of the conduit.
        pub mode: Option<Spanned<Mode>>,
    }
}

record! {
    /// A byte of the payload that tells requests from responses.
    pub struct Discriminator, "a direction" {
        /// Offset of the byte in the transport payload, from 0.
        pub at: Spanned<Number>,
        /// Bits of it that count.
        pub mask: Spanned<Byte>,
        /// Value of those bits in a request.
        pub request: Spanned<Byte>,
        /// Value of those bits in a response.
        pub response: Spanned<Byte>,
    }
}

/// How requests are told from responses.
#[derive(Debug, Clone)]
pub enum Direction {
    /// A protocol that banchi knows.
    Named(Protocol),
    /// A byte of the payload.
    Custom(Discriminator),
}

impl FromNode for Direction {
    fn from_node(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => Discriminator::from_node(node, diagnostics).map(Direction::Custom),
            _ => Protocol::from_node(node, diagnostics).map(Direction::Named),
        }
    }
}

impl JsonSchema for Direction {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Direction".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let custom = generator.subschema_for::<Discriminator>();
        json_schema!({
            "description": "A protocol by name, or the byte of the payload that tells.",
            "anyOf": [{ "enum": protocols() }, custom]
        })
    }
}

/// Names of the protocols whose direction can be read from their payload.
fn protocols() -> Vec<&'static str> {
    let mut names: Vec<&str> = PROTOCOLS.iter().map(|about| about.name).collect();
    names.sort_unstable();
    names
}

impl Word for Protocol {
    const EXPECTED: &'static str = "a protocol name such as `bacnet`, or `{ at, mask, request, response }`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        Protocol::from_name(text).ok_or_else(|| {
            Refusal::new(
                &codes::INVALID_VALUE,
                format!("`{text}` is not a protocol whose direction is known"),
                suggest(text, "protocols", &protocols()),
            )
        })
    }
}

/// What an answer needs.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A request within this time.
    Window(Window),
    /// Nothing.
    Free,
    /// There are no answers.
    None,
}

record! {
    /// A time within which an answer must follow its request.
    pub struct Window, "`reply`" {
        /// From 1ms to 24h. Default 30s.
        pub window: Spanned<Time>,
        /// Whether an answer that shows itself as one needs a request as well. Default false.
        pub strict: Option<Spanned<bool>>,
    }
}

impl FromNode for Reply {
    fn from_node(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => Window::from_node(node, diagnostics).map(Reply::Window),
            Kind::Scalar(text) if text == "free" => Some(Reply::Free),
            Kind::Scalar(text) if text == "none" => Some(Reply::None),
            Kind::Scalar(text) => {
                let mut diagnostic =
                    Diagnostic::new(&codes::INVALID_VALUE, format!("`{text}` is not a kind of reply"))
                        .label(node.span, "")
                        .help(suggest(text, "expected `{ window: 30s }` or one of", &["free", "none"]));
                if Time::parse(text).is_ok() {
                    diagnostic = diagnostic.help(format!("write `reply: {{ window: {text} }}`"));
                }
                diagnostics.push(diagnostic);
                None
            }
            _ => {
                diagnostics.push(wrong_type(node, "`{ window: 30s }`, `free` or `none`"));
                None
            }
        }
    }
}

impl JsonSchema for Reply {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Reply".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let window = generator.subschema_for::<Window>();
        json_schema!({
            "description": "What an answer needs: a request within a window, nothing (`free`), or there is none.",
            "anyOf": [{ "enum": ["free", "none"] }, window]
        })
    }
}
