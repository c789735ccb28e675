//! A valid policy: what the operator wrote, with every name resolved and every rule checked.
//!
//! This is the stage between the policy file ([`super::syntax`]) and the compiled image
//! ([`crate::image`]). It keeps the operator's meaning: sets are sets, relations are relations, rules
//! stand in the order of the file. **The first rule in the file that matches a packet decides.**

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

pub use banchi_common::abi::{Forwarding, Mode, OnAgentLoss, Transport};
pub use banchi_common::direction::{Class, Classes, Protocol};

/// Index into [`Policy::zones`].
pub type ZoneId = usize;
/// Index into [`Policy::assets`].
pub type AssetId = usize;
/// Index into [`Policy::services`].
pub type ServiceId = usize;
/// Index into [`Policy::conduits`].
pub type ConduitId = usize;

/// A whole policy.
#[derive(Debug, Clone, Serialize)]
pub struct Policy {
    /// How allowed packets leave the gateway.
    pub forwarding: Forwarding,
    /// Pairs of interfaces between which frames cross as they are, in file order. Empty but for [`Forwarding::Wire`].
    pub wires: Vec<(String, String)>,
    /// Mode of everything that belongs to no conduit, and of conduits that name none.
    pub default_mode: Mode,
    /// What the data plane does with everything that belongs to no conduit when the agent is gone.
    pub default_agent_loss: AgentLoss,
    /// Zones, in file order. A declared `gateway` becomes the last one.
    pub zones: Vec<Zone>,
    /// Assets, in file order. The gateway's own addresses become the last one.
    pub assets: Vec<Asset>,
    /// Services, in file order.
    pub services: Vec<Service>,
    /// Conduits, in file order.
    pub conduits: Vec<Conduit>,
    /// Flow rules of all conduits, in file order: the first that matches decides.
    pub rules: Vec<Rule>,
}

impl Policy {
    /// The longest time that an answer of any rule may take; zero where none needs a question.
    pub fn longest_window(&self) -> Duration {
        let services = self.rules.iter().filter_map(|rule| self.services.get(rule.service));
        let windows = services.map(|service| match service.reply {
            Reply::Window(window) | Reply::Strict(window) => window,
            Reply::Free | Reply::None => Duration::ZERO,
        });
        windows.max().unwrap_or_default()
    }

    /// Whether several hosts hear what is sent to an address: multicast, 255.255.255.255, or the last address of
    /// an IPv4 network of a zone.
    pub fn is_group(&self, address: IpAddr) -> bool {
        let IpAddr::V4(v4) = address else { return address.is_multicast() };
        let ends_network = |net: &IpNet| match net {
            IpNet::V4(net) => net.prefix_len() <= 30 && net.broadcast() == v4,
            IpNet::V6(_) => false,
        };
        v4.is_multicast()
            || v4.is_broadcast()
            || self.zones.iter().flat_map(|zone| &zone.networks).any(ends_network)
    }
}

/// A zone: where on the gateway its packets come in, and which addresses live there.
#[derive(Debug, Clone, Serialize)]
pub struct Zone {
    /// Name, unique among zones.
    pub name: String,
    /// Network interfaces of the gateway that face this zone. Empty only for the gateway zone.
    pub interfaces: Vec<String>,
    /// VLANs of those interfaces that are this zone. Empty: untagged and priority-tagged frames.
    pub vlans: Vec<Vlan>,
    /// Networks of the zone. `0.0.0.0/0` and `::/0` mean "what no other zone claims".
    pub networks: Vec<IpNet>,
    /// True for the reserved zone of the gateway's own addresses.
    pub is_gateway: bool,
}

/// One VLAN of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Vlan {
    /// Frames without a tag, or with a priority tag (VID 0) only.
    Untagged,
    /// One tag with this VID, 1..=4094.
    Tagged(u16),
    /// Two tags: outer and inner VID, each 1..=4094.
    Double(u16, u16),
}

/// A named host or set of hosts.
#[derive(Debug, Clone, Serialize)]
pub struct Asset {
    /// Name, unique among assets.
    pub name: String,
    /// Zone it lives in.
    pub zone: ZoneId,
    /// Its addresses, as written.
    pub addresses: Vec<Addresses>,
    /// Hardware address, only for an asset of one address.
    pub mac: Option<[u8; 6]>,
}

/// Addresses as written in the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Addresses {
    /// One host.
    Host(IpAddr),
    /// First and last address, same family, first <= last.
    Range(IpAddr, IpAddr),
    /// A network, host bits zero.
    Prefix(IpNet),
}

/// What a conversation looks like on the wire.
#[derive(Debug, Clone, Serialize)]
pub struct Service {
    /// Name, unique among services.
    pub name: String,
    /// Transport protocol.
    pub transport: Transport,
    /// The server's port (the destination port of a request). [`ServerPort::Any`] for ICMP.
    pub port: ServerPort,
    /// The client's port (the source port of a request).
    pub source_port: SourcePort,
    /// How requests are told from responses.
    pub direction: Option<Direction>,
    /// Classes that a client may send. Always holds requests.
    #[serde(serialize_with = "class_names")]
    pub client_may: Classes,
    /// Classes that a server may send. Always holds responses.
    #[serde(serialize_with = "class_names")]
    pub server_may: Classes,
    /// What a return packet of a UDP service needs; [`Reply::Free`] for the others.
    pub reply: Reply,
    /// Server ports that answers may come from besides the one that was asked. Ascending, not touching.
    pub reply_from: Vec<PortRange>,
    /// Whether each side may ask the other.
    pub peer: bool,
}

impl Service {
    /// A service of which only the ports are known: answers are free.
    pub fn of_ports(name: String, transport: Transport, port: ServerPort, source_port: SourcePort) -> Self {
        Self {
            name,
            transport,
            port,
            source_port,
            direction: None,
            client_may: Classes::REQUEST,
            server_may: Classes::RESPONSE,
            reply: Reply::Free,
            reply_from: Vec::new(),
            peer: false,
        }
    }
}

/// The server's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum ServerPort {
    /// Any port.
    Any,
    /// Inclusive ranges, ascending, not touching each other.
    Set(Vec<PortRange>),
    /// `port = base + step * octet`, where `octet` is the address's n-th byte (1 is the first).
    Linked {
        /// Port of a server whose octet is 0.
        base: u16,
        /// Which byte of the server's address, from 1 (to 4 for IPv4, to 16 for IPv6).
        octet: u8,
        /// Ports from one octet value to the next, at least 1.
        step: u16,
    },
    /// One port for each server address.
    ByAddress(BTreeMap<IpAddr, u16>),
}

/// The client's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum SourcePort {
    /// Any port.
    Any,
    /// The dynamic ports of RFC 6335, section 6, widened to Linux's default: 32768-65535.
    Ephemeral,
    /// The same number as the server's port.
    Same,
    /// Inclusive ranges, ascending, not touching each other.
    Set(Vec<PortRange>),
}

/// First and last port of [`SourcePort::Ephemeral`]: what RFC 6335 (49152-65535) and Linux's
/// `ip_local_port_range` (32768-60999) together allow.
pub const EPHEMERAL: PortRange = PortRange { first: 32768, last: 65535 };

/// Inclusive range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port, not below the first.
    pub last: u16,
}

/// How requests are told from responses by the application layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// A protocol that banchi knows.
    #[serde(serialize_with = "by_name")]
    Named(Protocol),
    /// `payload[at] & mask` is `request` or `response`.
    Custom {
        /// Offset in the transport payload.
        at: u16,
        /// Bits that count.
        mask: u8,
        /// Value of a request.
        request: u8,
        /// Value of a response.
        response: u8,
    },
}

/// Every class that a payload can show itself as.
pub const CLASSES: [Class; 3] = [Class::Request, Class::Response, Class::Notification];

fn class_names<S: serde::Serializer>(classes: &Classes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(CLASSES.into_iter().filter(|class| classes.holds(*class)))
}

fn by_name<S: serde::Serializer>(protocol: &Protocol, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(protocol.about().name)
}

/// What a return packet needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// A request within this time. With a direction, only where the payload does not tell.
    Window(Duration),
    /// A request within this time, also where the payload shows itself as a response.
    Strict(Duration),
    /// Nothing: both ways, stateless.
    Free,
    /// There is none: one way only.
    None,
}

/// A pair of zones, and what may cross.
#[derive(Debug, Clone, Serialize)]
pub struct Conduit {
    /// Name, unique among conduits; `a-b` unless the policy gives one.
    pub name: String,
    /// The two zones. Clients of its rules live in either, or, where `ordered`, in the first only.
    pub zones: (ZoneId, ZoneId),
    /// True for `from: .. to: ..`.
    pub ordered: bool,
    /// Alert or enforce.
    pub mode: Mode,
    /// What the data plane does when the agent is gone.
    pub agent_loss: AgentLoss,
    /// Protocols below IP that may cross.
    pub ethertypes: Vec<Ethertype>,
}

/// When the agent counts as gone, and what happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AgentLoss {
    /// How long it is not heard of.
    pub after: Duration,
    /// What happens then.
    pub then: OnAgentLoss,
}

impl Default for AgentLoss {
    fn default() -> Self {
        Self { after: Duration::from_secs(30), then: OnAgentLoss::Keep }
    }
}

/// An EtherType; below 0x100 a destination SAP of LLC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Ethertype(pub u16);

/// One flow rule: these clients may ask these servers this service.
#[derive(Debug, Clone, Serialize)]
pub struct Rule {
    /// Unique; `client > server : service` unless the policy gives one.
    pub name: String,
    /// Conduit it stands in.
    pub conduit: ConduitId,
    /// Zone of all its clients.
    pub client_zone: ZoneId,
    /// Zone of all its servers.
    pub server_zone: ZoneId,
    /// Who may ask. Not empty.
    pub clients: Vec<AssetId>,
    /// Who answers. Not empty.
    pub servers: Vec<AssetId>,
    /// What is asked.
    pub service: ServiceId,
    /// Group and broadcast addresses in the clients' zone that answers may go to as well.
    pub reply_to: Vec<AssetId>,
    /// Overrides the conduit's mode.
    pub mode: Option<Mode>,
    /// Line in the policy file, from 1; 0 for a rule that stands in none.
    pub line: usize,
    /// For a grant: seconds since boot from which on it lets nothing pass any more.
    pub expires_s: Option<u32>,
}
