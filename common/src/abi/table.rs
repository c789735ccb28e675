//! Rows of the tables that a policy compiles to. See `docs/adr/0001-lookup.md` for the structure.

use bytemuck::{Pod, Zeroable};

/// Slots of a [`Bucket`].
pub const SLOTS: usize = 4;

/// One cache line of the index: a static two-choice hash table from (tag, 96-bit key) to a 24-bit value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Bucket {
    /// First 64 bits of each key.
    pub k0: [u64; SLOTS],
    /// Last 32 bits of each key.
    pub k1: [u32; SLOTS],
    /// Tag in the top byte, value below; 0 is an empty slot.
    pub tag_value: [u32; SLOTS],
}

/// What a key in the index means. The tag is part of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Tag {
    /// k0 = IPv4 address: node of a host.
    Host4 = 1,
    /// k0 = masked IPv4 address, k1 = length: node of a prefix.
    Prefix4 = 2,
    /// k0 = server class << 32 | client class: row of a service set.
    Service = 3,
    /// k0 = client node << 32 | server node, k1 = family: rule.
    Pair = 4,
    /// k0 = node, k1 = family: client class.
    Client = 5,
    /// k0 = node, k1 = family: server class.
    Server = 6,
    /// k0 = client class << 32 | server class, k1 = family: rule.
    Classes = 7,
    /// k0 = node, k1 = table: port of a `by_address` relation.
    Port = 8,
    /// k0 = source zone << 32 | destination zone: conduit.
    Conduit = 9,
    /// k0 = outer VID << 32 | inner VID, k1 = place of the interface, from 1: zone.
    DoubleVlan = 10,
    /// k0 = zone << 32 | EtherType (below 0x100 a SAP of LLC): conduit that lets it cross.
    Ethertype = 11,
    /// Low handle << 32 | high handle, ports likewise: flow. Plus the transport (0..=3), plus 4 for IPv6.
    Exact = 16,
}

/// Bits of a value in the index.
pub const VALUE_BITS: u32 = 24;
/// Largest value in the index.
pub const VALUE_MAX: u32 = (1 << VALUE_BITS) - 1;

/// One cache line of the IPv6 address index: from (address, prefix length) to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Bucket6 {
    /// First 64 bits of each address.
    pub hi: [u64; 2],
    /// Last 64 bits of each address.
    pub lo: [u64; 2],
    /// Prefix length + 1; 0 is an empty slot.
    pub length: [u32; 2],
    /// Node.
    pub node: [u32; 2],
    /// Zero.
    pub reserved: [u64; 2],
}

/// A host, an asset's prefix or a zone's network: the most specific one that holds an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct NodeRow {
    /// Zone, from 1.
    pub zone: u16,
    /// [`NODE_ASSET`], [`NODE_MAC`].
    pub flags: u16,
    /// Hardware address, where [`NODE_MAC`] is set.
    pub mac: [u8; 6],
    /// Zero.
    pub reserved: [u8; 6],
}

/// The node belongs to an asset.
pub const NODE_ASSET: u16 = 1;
/// The node has a hardware address.
pub const NODE_MAC: u16 = 2;
/// The node is a group or broadcast address: no single host has it.
pub const NODE_GROUP: u16 = 4;

/// Classes of two neighbouring ports (even, odd), for one transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct PortRow {
    /// Class of the port as a client's, for the even and the odd port.
    pub client: [u16; 2],
    /// Class of the port as a server's.
    pub server: [u16; 2],
}

/// Rows of [`PortRow`] a transport.
pub const PORT_ROWS: u32 = 1 << 15;

/// One class of server ports: ports that no service tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ServerRow {
    /// Service set where the client's port is of no particular class; 0 is none.
    pub service: u32,
    /// Service set whatever the client's port is; 0 is none.
    pub relaxed: u32,
    /// 1: the client's class must be looked up.
    pub by_client: u32,
    /// Zero.
    pub reserved: u32,
}

/// Relations that one service set can carry.
pub const RELATIONS: usize = 4;

/// A set of services that fit a pair of ports. With the relations that hold it names a *family* of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ServiceRow {
    /// Family = `base` + one bit for each relation that holds; 0 is none.
    pub base: u32,
    /// The same with address relations taken as given: to tell a wrong port from an unlisted one. 0 is none.
    pub linked: u32,
    /// Rows of relations, from 1; 0 ends the list.
    pub relations: [u16; RELATIONS],
}

/// Kind of a [`RelationRow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RelationKind {
    /// Both ports are equal.
    Same = 1,
    /// Server port = `base` + `step` * octet of the server's address.
    Linked = 2,
    /// Server port = the table's entry for the server's node.
    Table = 3,
}

/// A relation between ports, or between a port and an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct RelationRow {
    /// [`RelationKind`].
    pub kind: u8,
    /// Byte of the address, from 1.
    pub octet: u8,
    /// Port of octet 0.
    pub base: u16,
    /// Ports from one octet to the next.
    pub step: u16,
    /// Number of the table.
    pub table: u16,
}

/// The rules of one exact tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Pod, Zeroable)]
#[repr(C)]
pub struct FlowRow {
    /// Rule whose client is the lower end, from 1; 0 is none.
    pub low_asks: u32,
    /// Rule whose client is the higher end, from 1; 0 is none.
    pub high_asks: u32,
}

/// What the data plane needs to know of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Pod, Zeroable)]
#[repr(C)]
pub struct RuleRow {
    /// Conduit, from 1.
    pub conduit: u16,
    /// Zone of its clients, from 1.
    pub client_zone: u16,
    /// Zone of its servers, from 1.
    pub server_zone: u16,
    /// `RULE_..` bits.
    pub flags: u16,
    /// [`super::Mode`], or [`MODE_INHERIT`].
    pub mode: u8,
    /// [`super::Transport`].
    pub transport: u8,
    /// [`crate::direction::Protocol`], [`CUSTOM`], or 0 where the payload does not count.
    pub protocol: u8,
    /// [`crate::direction::Classes`] that its clients may send.
    pub client_may: u8,
    /// [`crate::direction::Classes`] that its servers may send.
    pub server_may: u8,
    /// For [`CUSTOM`]: bits of the byte that count.
    pub mask: u8,
    /// For [`CUSTOM`]: value of a request.
    pub request: u8,
    /// For [`CUSTOM`]: value of a response.
    pub response: u8,
    /// For [`CUSTOM`]: offset of the byte in the payload.
    pub at: u16,
    /// Zero.
    pub reserved: u16,
    /// Rule of the policy that this row belongs to, from 1.
    pub of: u32,
    /// Milliseconds within which an answer must follow its question; 0 is no limit.
    pub window_ms: u32,
    /// Where [`RULE_GRANT`] is set: seconds since boot from which on the row lets nothing pass any more.
    pub expires_s: u32,
}

impl RuleRow {
    /// Nanoseconds within which an answer must follow its question; 0 is no limit.
    #[inline(always)]
    #[must_use]
    pub const fn window_ns(&self) -> u64 {
        self.window_ms as u64 * 1_000_000
    }
}

/// The rule has no mode of its own.
pub const MODE_INHERIT: u8 = 255;
/// [`RuleRow::protocol`] of a service that names the byte itself.
pub const CUSTOM: u8 = 255;

/// Some client of the rule has a hardware address.
pub const RULE_CLIENT_MAC: u16 = 1;
/// Some server of the rule has a hardware address.
pub const RULE_SERVER_MAC: u16 = 2;
/// Some client of the rule is a group address: answers go there, but it cannot ask.
pub const RULE_GROUP_CLIENT: u16 = 4;
/// Some server of the service is a group address: what it is asked, any server may answer.
pub const RULE_GROUP_SERVER: u16 = 8;
/// Answers may come from another port than the one that was asked.
pub const RULE_REPLY_FROM: u16 = 16;
/// The row stands for answers from other ports; nothing can be asked there.
pub const RULE_ANSWERS_ONLY: u16 = 32;
/// An answer that shows itself as one needs a question all the same.
pub const RULE_STRICT: u16 = 64;
/// There are no answers.
pub const RULE_ONE_WAY: u16 = 128;
/// The rule names a group that answers may go to, so that nobody can tell whose question they answer.
pub const RULE_ANY_CLIENT: u16 = 256;
/// The row is of a grant, and holds until [`RuleRow::expires_s`].
pub const RULE_GRANT: u16 = 512;

/// A conduit's mode: a row that changes while a generation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct ConduitRow {
    /// [`super::Mode`].
    pub mode: u8,
    /// 1: set by hand; the modes of single rules do not count.
    pub by_hand: u8,
    /// [`super::OnAgentLoss`].
    pub on_agent_loss: u8,
    /// 1: goes on while the gateway is an island.
    pub kept: u8,
    /// The agent counts as lost when it was not heard of for longer than this, in milliseconds.
    pub agent_loss_ms: u32,
}

/// Number of VIDs of an interface in the zone table.
pub const VIDS: u32 = 4096;

/// Rows of the interface table: the largest interface index plus one that it can hold.
pub const INTERFACES: u32 = 65536;

/// The family of all rules, whatever their service. Families are numbered from 1.
pub const FIRST_FAMILY: u32 = 1;
