//! The match of a flow against the rules.

use super::index::{hash, in_range};
use super::tables::Tables;
use crate::abi::{
    FIRST_FAMILY, Feature, PORT_ROWS, PREFIX_LENGTHS, RELATIONS, RelationKind, RelationRow, Setting, Tag,
};
use crate::wire::Headers;

/// Bits of an IPv4 prefix.
#[inline(always)]
#[must_use]
pub const fn prefix_mask4(length: u32) -> u32 {
    if length == 0 { 0 } else { u32::MAX << (32 - (length & 63)) }
}

/// Bits of an IPv6 prefix, in two words.
#[inline(always)]
#[must_use]
pub const fn prefix_mask6(length: u32) -> (u64, u64) {
    match length {
        0 => (0, 0),
        1..64 => (u64::MAX << (64 - length), 0),
        64 => (u64::MAX, 0),
        _ => (u64::MAX, u64::MAX << ((128 - length) & 63)),
    }
}

/// The most specific host or prefix that the policy knows for an address; 0 is none.
#[inline(always)]
pub fn node_of<T: Tables>(tables: &T, family: u8, hi: u64, lo: u64) -> u32 {
    if family == 4 {
        let host = tables.find(Tag::Host4 as u8, lo, 0);
        if host != 0 {
            return host;
        }
        for at in 0..PREFIX_LENGTHS {
            let length = tables.setting(Setting::Prefix4 as usize + at);
            if length == 0 {
                break;
            }
            let masked = lo as u32 & prefix_mask4(length - 1);
            let node = tables.find(Tag::Prefix4 as u8, u64::from(masked), length);
            if node != 0 {
                return node;
            }
        }
        return 0;
    }
    if !tables.uses(Feature::Ipv6) {
        return 0;
    }
    let host = find6(tables, hi, lo, 129);
    if host != 0 {
        return host;
    }
    for at in 0..PREFIX_LENGTHS {
        let length = tables.setting(Setting::Prefix6 as usize + at);
        if length == 0 {
            break;
        }
        let (mask_hi, mask_lo) = prefix_mask6(length - 1);
        let node = find6(tables, hi & mask_hi, lo & mask_lo, length);
        if node != 0 {
            return node;
        }
    }
    0
}

/// Node of an IPv6 address and a prefix length + 1; 0 is absent.
#[inline(always)]
fn find6<T: Tables>(tables: &T, hi: u64, lo: u64, length: u32) -> u32 {
    let mixed = hash6(tables.setting(Setting::Index6Seed as usize), hi, lo, length);
    let range = tables.setting(Setting::Index6Buckets as usize);
    macro_rules! try_bucket {
        ($half:expr) => {
            if let Some(bucket) = tables.bucket6(in_range($half as u32, range)) {
                if bucket.hi[0] == hi && bucket.lo[0] == lo && bucket.length[0] == length {
                    return bucket.node[0];
                }
                if bucket.hi[1] == hi && bucket.lo[1] == lo && bucket.length[1] == length {
                    return bucket.node[1];
                }
            }
        };
    }
    try_bucket!(mixed);
    try_bucket!(mixed >> 32);
    0
}

/// Mixes a key of the IPv6 address index.
#[inline(always)]
#[must_use]
pub const fn hash6(seed: u32, hi: u64, lo: u64, length: u32) -> u64 {
    hash(seed, 0, hi ^ lo.rotate_left(29), length) ^ hash(0, 1, lo, 0)
}

/// Second field of [`exact_key`]: the source is the lower end.
pub const LOW_SOURCE: bool = true;

/// Key of an exact tuple: the lower end first, so that both directions find the same entry.
///
/// An end is a handle (an IPv4 address, or the node of an IPv6 one) and a port. The last field is
/// [`LOW_SOURCE`] where the source is the lower end.
#[inline(always)]
#[must_use]
pub const fn exact_key(source: u32, source_port: u16, destination: u32, port: u16) -> (u64, u32, bool) {
    let from = (source as u64) << 16 | source_port as u64;
    let to = (destination as u64) << 16 | port as u64;
    let low_source = from <= to;
    let (low, high) = if low_source { (from, to) } else { (to, from) };
    let handles = (low >> 16) << 32 | (high >> 16);
    let ports = (low as u32 & 0xffff) << 16 | (high as u32 & 0xffff);
    (handles, ports, low_source == LOW_SOURCE)
}

/// Rules that a flow matches, from 1; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Matched {
    /// The source as client.
    pub(super) forward: u32,
    /// The source as server.
    pub(super) back: u32,
    /// Place of the exact tuple in the index, from 1; 0 is none.
    pub(super) place: u32,
    /// For an exact tuple: the source is the lower end.
    pub(super) low_source: bool,
    /// Nodes of both addresses, where they were looked up.
    pub(super) nodes: Nodes,
}

/// Nodes of both addresses of a flow; 0 is an address that the policy does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Nodes {
    pub(super) source: u32,
    pub(super) destination: u32,
}

impl Default for Nodes {
    #[inline(always)]
    fn default() -> Self {
        Self::UNASKED
    }
}

impl Nodes {
    /// Nobody has looked them up yet.
    pub(super) const UNASKED: Self = Self { source: u32::MAX, destination: u32::MAX };

    #[inline(always)]
    pub(super) fn of<T: Tables>(tables: &T, headers: &Headers) -> Self {
        let (from, to) = (headers.source, headers.destination);
        Self {
            source: tables.node_of(headers.family, from.hi, from.lo),
            destination: tables.node_of(headers.family, to.hi, to.lo),
        }
    }

    /// These, or where nobody has asked for them those of the packet.
    #[inline(always)]
    pub(super) fn or_of<T: Tables>(self, tables: &T, headers: &Headers) -> Self {
        if self.source == Self::UNASKED.source { Self::of(tables, headers) } else { self }
    }
}

/// The rules of a flow: exact tuples first, then classes. An exact tuple is authoritative for both
/// orientations: the compiler has put the first rule of the file into each.
#[inline(always)]
pub(super) fn match_flow<T: Tables>(tables: &T, headers: &Headers) -> Matched {
    if headers.family == 4 && tables.uses(Feature::Exact) {
        let (from, to) = (headers.source.lo as u32, headers.destination.lo as u32);
        if let Some(matched) = match_exact(tables, headers, from, to, 0) {
            return matched;
        }
    }
    if headers.family != 4 && !tables.uses(Feature::Ipv6)
        || headers.family == 4 && !tables.uses(Feature::Classes)
    {
        return Matched::default();
    }
    let nodes = Nodes::of(tables, headers);
    if nodes.source == 0 || nodes.destination == 0 {
        return Matched { nodes, ..Matched::default() };
    }
    if headers.family != 4
        && tables.uses(Feature::Exact)
        && let Some(matched) = match_exact(tables, headers, nodes.source, nodes.destination, 4)
    {
        return matched;
    }
    if !tables.uses(Feature::Classes) {
        return Matched { nodes, ..Matched::default() };
    }
    Matched {
        forward: rule_of(tables, headers, &nodes, Roles::Forward, Strictness::Exact),
        back: rule_of(tables, headers, &nodes, Roles::Back, Strictness::Exact),
        place: 0,
        low_source: false,
        nodes,
    }
}

/// The rules of an exact tuple between two handles; `tag` is the IP version's, 0 or 4. `None` is no such tuple.
#[inline(always)]
pub(super) fn match_exact<T: Tables>(
    tables: &T,
    headers: &Headers,
    from: u32,
    to: u32,
    tag: u8,
) -> Option<Matched> {
    let (handles, ports, low_source) = exact_key(from, headers.source_port, to, headers.destination_port);
    let found = tables.find_exact(Tag::Exact as u8 + tag + headers.transport, handles, ports);
    if found == 0 {
        return None;
    }
    let flow = tables.flow(found as u32)?;
    let place = (found >> 32) as u32 + 1;
    let (forward, back) =
        if low_source { (flow.low_asks, flow.high_asks) } else { (flow.high_asks, flow.low_asks) };
    Some(Matched { forward, back, place, low_source, nodes: Nodes::UNASKED })
}

/// Who is taken for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Roles {
    /// The source, which asks the destination's port.
    Forward,
    /// The destination, which the source answers from its port.
    Back,
    /// The destination, but the source asks *its* port: roles exchanged.
    Swapped,
}

/// What must fit besides the two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Strictness {
    /// Everything.
    Exact = 0,
    /// Everything but the relation between the server's port and its address.
    AnyLink = 1,
    /// Everything but the client's port.
    AnySourcePort = 2,
    /// Nothing else.
    AnyService = 3,
}

/// Who asks whom for what, as four numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Client port, server port (16 bits each from the top), then IP version, transport, strictness (8 each).
    pub ports: u64,
    /// Client node << 32 | server node.
    pub nodes: u64,
    /// First word of the server's address.
    pub hi: u64,
    /// Second word of the server's address.
    pub lo: u64,
}

impl Question {
    #[inline(always)]
    const fn client_port(&self) -> u16 {
        (self.ports >> 48) as u16
    }
    #[inline(always)]
    const fn port(&self) -> u16 {
        (self.ports >> 32) as u16
    }
    #[inline(always)]
    const fn family(&self) -> u8 {
        (self.ports >> 16) as u8
    }
    #[inline(always)]
    const fn transport(&self) -> u8 {
        (self.ports >> 8) as u8
    }
    #[inline(always)]
    const fn is(&self, strictness: Strictness) -> bool {
        self.ports as u8 == strictness as u8
    }
}

/// First rule that fits a packet, from 1; 0 is none.
#[inline(always)]
pub(super) fn rule_of<T: Tables>(
    tables: &T,
    headers: &Headers,
    nodes: &Nodes,
    roles: Roles,
    strictness: Strictness,
) -> u32 {
    let (client, server, address) = match roles {
        Roles::Forward => (nodes.source, nodes.destination, &headers.destination),
        Roles::Back | Roles::Swapped => (nodes.destination, nodes.source, &headers.source),
    };
    // Swapped roles: what the source asks is the destination's port, as if that were the server's.
    let (client_port, port) = match roles {
        Roles::Back => (headers.destination_port, headers.source_port),
        Roles::Forward | Roles::Swapped => (headers.source_port, headers.destination_port),
    };
    tables.first_rule(Question {
        ports: (client_port as u64) << 48
            | (port as u64) << 32
            | (headers.family as u64) << 16
            | (headers.transport as u64) << 8
            | strictness as u64,
        nodes: (client as u64) << 32 | server as u64,
        hi: address.hi,
        lo: address.lo,
    })
}

/// First rule of the file that answers a question, from 1; 0 is none.
#[inline(always)]
pub fn first_rule<T: Tables>(tables: &T, question: Question) -> u32 {
    let family =
        if question.is(Strictness::AnyService) { FIRST_FAMILY } else { family_of(tables, &question) };
    rule_in(tables, family, (question.nodes >> 32) as u32, question.nodes as u32)
}

/// First rule of a family between two nodes: pairs that the policy names singly, then classes.
#[inline(always)]
fn rule_in<T: Tables>(tables: &T, family: u32, client: u32, server: u32) -> u32 {
    if family == 0 {
        return 0;
    }
    let rule = tables.find(Tag::Pair as u8, u64::from(client) << 32 | u64::from(server), family);
    if rule != 0 {
        return rule;
    }
    let client = tables.find(Tag::Client as u8, u64::from(client), family);
    if client == 0 {
        return 0;
    }
    let server = tables.find(Tag::Server as u8, u64::from(server), family);
    if server == 0 {
        return 0;
    }
    tables.find(Tag::Classes as u8, u64::from(client) << 32 | u64::from(server), family)
}

/// The family of rules that a pair of ports belongs to; 0 is none.
#[inline(always)]
fn family_of<T: Tables>(tables: &T, question: &Question) -> u32 {
    let (client_port, port) = (question.client_port(), question.port());
    let (client_class, server_class) = classes_of(tables, question.transport(), client_port, port);
    let Some(row) = tables.server(server_class) else { return 0 };
    let mut set = row.service;
    if question.is(Strictness::AnySourcePort) {
        set = row.relaxed;
    } else if row.by_client != 0 {
        let key = u64::from(server_class) << 32 | u64::from(client_class);
        let found = tables.find(Tag::Service as u8, key, 0);
        if found != 0 {
            set = found;
        }
    }
    let Some(row) = tables.service(set) else { return 0 };
    let base = if question.is(Strictness::AnyLink) { row.linked } else { row.base };
    if base == 0 {
        return 0;
    }
    let mut held = 0;
    if tables.uses(Feature::Relations) {
        for at in 0..RELATIONS {
            let number = row.relations[at];
            if number == 0 {
                break;
            }
            let Some(relation) = tables.relation(u32::from(number)) else { break };
            let holds = if relation.kind == RelationKind::Same as u8 {
                client_port == port
            } else {
                question.is(Strictness::AnyLink) || link_holds(tables, relation, question)
            };
            held |= u32::from(holds) << at;
        }
    }
    base + held
}

/// Class of a port as a client's, and of another as a server's.
#[inline(always)]
fn classes_of<T: Tables>(tables: &T, transport: u8, client_port: u16, port: u16) -> (u32, u32) {
    if transport > 2 {
        // Echo: requests go to the echo port; everything else has no class.
        let echo = client_port == 0 && port == crate::wire::ECHO_PORT;
        return (0, if echo { tables.setting(Setting::EchoClass as usize) } else { 0 });
    }
    let rows = u32::from(transport) * PORT_ROWS;
    let client = match tables.ports(rows + u32::from(client_port >> 1)) {
        Some(row) => row.client[usize::from(client_port & 1)],
        None => 0,
    };
    let server = match tables.ports(rows + u32::from(port >> 1)) {
        Some(row) => row.server[usize::from(port & 1)],
        None => 0,
    };
    (u32::from(client), u32::from(server))
}

/// Whether a server's port belongs to its address.
#[inline(always)]
fn link_holds<T: Tables>(tables: &T, relation: &RelationRow, question: &Question) -> bool {
    let port = u32::from(question.port());
    if relation.kind == RelationKind::Table as u8 {
        let server = question.nodes & 0xffff_ffff;
        return tables.find(Tag::Port as u8, server, u32::from(relation.table)) == port;
    }
    let octet = u32::from(relation.octet);
    let (word, byte) = match (question.family(), octet) {
        (4, _) => (question.lo, 4u32.wrapping_sub(octet)),
        (_, 0..=8) => (question.hi, 8u32.wrapping_sub(octet)),
        _ => (question.lo, 16u32.wrapping_sub(octet)),
    };
    // An address without that octet gives any value: no rule with such a relation has it for a server.
    let value = (word >> (byte.wrapping_mul(8) & 63)) as u32 & 0xff;
    u32::from(relation.base) + u32::from(relation.step) * value == port
}

/// Rules of a flow in forward and in return orientation, from 1; 0 is none. What [`super::judge`] starts
/// from, for the compiler and for explanations.
pub fn matching_rules<T: Tables>(tables: &T, headers: &Headers) -> (u32, u32) {
    let matched = match_flow(tables, headers);
    (matched.forward, matched.back)
}
