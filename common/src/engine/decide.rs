//! From a packet to a reason, and from a reason to a verdict.

use super::admit::{admit, is_over};
use super::diagnose::diagnose;
use super::hold::{Hold, hold_back, hold_of};
use super::lookup::{Nodes, match_flow};
use super::tables::{FragmentKey, Tables};
use crate::abi::{Feature, MODE_INHERIT, Mode, NODE_ASSET, NODE_MAC, RULE_ANSWERS_ONLY, RuleRow, Tag, VIDS};
use crate::direction::Class;
use crate::reason::{Orientation, Reason, Verdict};
use crate::wire::{self, Content, FIRST_FRAGMENT, Headers, Packet};

/// First ten bits of fe80::/10.
const LINK_LOCAL: u64 = 0xfe80 >> 6;

/// Why a packet passes or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
#[must_use]
pub struct Decision {
    /// The reason.
    pub reason: Reason,
    /// Which way it goes through its rule.
    pub orientation: Orientation,
    /// Zone that the packet came from, from 1; 0 is none.
    pub zone: u16,
    /// Zone of the destination address, from 1; 0 is none or not asked for.
    pub destination_zone: u16,
    /// Conduit, from 1; 0 is none.
    pub conduit: u16,
    /// Rule that decided, or that fits best, from 1; 0 is none.
    pub rule: u32,
    /// What the payload shows itself as, where a rule with a direction matched.
    pub class: Class,
    /// [`Mode`] of the rule, or [`MODE_INHERIT`].
    pub mode: u8,
    /// Zero: the verifier takes no padding that nobody wrote.
    pub reserved: u16,
}

/// What is known of the packet at hand, as the data plane keeps it for a CPU.
#[derive(Debug)]
#[repr(C)]
pub struct Scratch {
    /// The decision.
    pub decision: Decision,
    /// How far it has come: a [`super::Step`], when one program hands the packet to the next.
    pub step: u32,
    /// Zero.
    pub reserved: u32,
    /// Nodes of its addresses, as far as it has come.
    pub nodes: Nodes,
    /// What the headers say.
    pub headers: Headers,
}

/// A [`Decision`] as bytes, for who reads the scratch of a CPU from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct ScratchBytes {
    /// [`Reason`].
    pub reason: u8,
    /// [`Orientation`].
    pub orientation: u8,
    /// Zone that the packet came from, from 1.
    pub zone: u16,
    /// Zone of the destination address, from 1.
    pub destination_zone: u16,
    /// Conduit, from 1.
    pub conduit: u16,
    /// Rule, from 1.
    pub rule: u32,
    /// [`Class`].
    pub class: u8,
    /// [`Mode`], or [`MODE_INHERIT`].
    pub mode: u8,
    /// Zero.
    pub reserved: u16,
    /// The rest of the scratch.
    pub rest: [u64; size_of::<Headers>() / 8 + 2],
}

const _: () = {
    assert!(size_of::<ScratchBytes>() == size_of::<Scratch>());
    assert!(core::mem::offset_of!(Decision, rule) == core::mem::offset_of!(ScratchBytes, rule));
    assert!(core::mem::offset_of!(Decision, class) == core::mem::offset_of!(ScratchBytes, class));
    assert!(core::mem::offset_of!(Decision, conduit) == core::mem::offset_of!(ScratchBytes, conduit));
};

impl Decision {
    #[inline(always)]
    pub(super) const fn new(reason: Reason, zone: u32) -> Self {
        Self {
            reason,
            orientation: Orientation::None,
            zone: zone as u16,
            destination_zone: 0,
            conduit: 0,
            rule: 0,
            class: Class::Undecidable,
            mode: MODE_INHERIT,
            reserved: 0,
        }
    }

    #[inline(always)]
    pub(super) fn by_rule(
        reason: Reason,
        orientation: Orientation,
        zone: u32,
        row: &RuleRow,
        class: Class,
    ) -> Self {
        let forward = matches!(orientation, Orientation::Forward);
        Self {
            reason,
            orientation,
            zone: zone as u16,
            destination_zone: if forward { row.server_zone } else { row.client_zone },
            conduit: row.conduit,
            rule: row.of,
            class,
            mode: row.mode,
            reserved: 0,
        }
    }
}

/// Judges one packet that came in by an interface.
#[inline(always)]
pub fn judge<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    interface: u32,
    headers: &mut Headers,
) -> Decision {
    let content = wire::parse(packet, headers);
    let zone = zone_of(tables, interface, headers);
    let mut nodes = Nodes::UNASKED;
    if content == Content::Flow && zone != 0 {
        let matched = match_flow(tables, headers);
        nodes = matched.nodes;
        if let Some(mut decision) = admit(packet, tables, headers, zone, &matched) {
            hold_back(tables, &mut decision);
            if headers.fragment == FIRST_FRAGMENT && decision.reason.passes() {
                tables.allow_fragments(&FragmentKey::of(headers, zone as u16));
            }
            return decision;
        }
    }
    let mut decision = Decision::new(Reason::Malformed, zone);
    unmatched(packet, tables, headers, (content, nodes), &mut decision);
    decision
}

/// Decides on everything but a flow that a rule matches. `decision` comes with its zone, and `nodes` with what was looked
/// up to match it.
///
/// What deviates is looked for from here and not from where the reason was found, because the kernel counts the stack of
/// functions that wait for each other.
#[inline(always)]
pub(super) fn unmatched<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    headers: &Headers,
    (content, nodes): (Content, Nodes),
    decision: &mut Decision,
) {
    if unusual(packet, tables, headers, content, decision) {
        hosts(packet, tables, headers, nodes, decision);
    }
    hold_back(tables, decision);
}

/// The reason of [`unmatched`], and whether its hosts may be a better one; [`Reason::Allowed`] asks for a diagnosis of
/// ports.
#[inline(always)]
fn unusual<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    headers: &Headers,
    content: Content,
    decision: &mut Decision,
) -> bool {
    let zone = u32::from(decision.zone);
    if content == Content::Flow && zone != 0 {
        decision.reason = Reason::Allowed;
        return true;
    }
    if content == Content::IcmpError && zone != 0 {
        decision.conduit = related_to(packet, tables, headers, zone);
        let related = decision.conduit != 0;
        decision.reason = if related { Reason::Related } else { Reason::UnrelatedIcmpError };
        return !related;
    }
    no_flow(packet, tables, headers, content, decision)
}

/// The same for what is neither a flow nor an ICMP error.
#[inline(never)]
fn no_flow<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    headers: &Headers,
    content: Content,
    decision: &mut Decision,
) -> bool {
    let zone = u32::from(decision.zone);
    if content == Content::Survival && headers.family == 0 {
        decision.reason = Reason::Survival;
        return false;
    }
    if zone == 0 {
        decision.reason = Reason::UnlistedVlan;
        return false;
    }
    let (reason, ask) = match content {
        Content::Survival => (Reason::Survival, false),
        Content::Malformed => (Reason::Malformed, false),
        Content::OtherEthertype => (below_ip(packet, tables, headers, decision), false),
        Content::Arp | Content::Neighbour => (neighbour(packet, tables, headers, content, zone), false),
        Content::LaterFragment if tables.fragment_allowed(&FragmentKey::of(headers, zone as u16)) => {
            (later_fragment(tables, headers, decision), false)
        }
        Content::LaterFragment => (Reason::OrphanFragment, true),
        Content::OtherProtocol => (Reason::UnlistedProtocol, true),
        // Both are asked elsewhere.
        Content::IcmpError => (Reason::UnrelatedIcmpError, true),
        Content::Flow => (Reason::Allowed, true),
    };
    decision.reason = reason;
    ask
}

/// Protocols below IP cross where a conduit of the zone lists them.
#[inline(always)]
fn below_ip<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    headers: &Headers,
    decision: &mut Decision,
) -> Reason {
    if !tables.uses(Feature::Ethertypes) {
        return Reason::UnlistedEthertype;
    }
    let kind = wire::rule_ethertype(packet, headers);
    let key = u64::from(decision.zone) << 32 | u64::from(kind);
    let conduit = tables.find(Tag::Ethertype as u8, key, 0);
    if conduit == 0 {
        return Reason::UnlistedEthertype;
    }
    decision.conduit = conduit as u16;
    Reason::ListedEthertype
}

/// What deviates: the hosts first, then what `decision` says already.
#[inline(never)]
fn hosts<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    headers: &Headers,
    nodes: Nodes,
    decision: &mut Decision,
) {
    let nodes = nodes.or_of(tables, headers);
    let mac = source_mac(packet).unwrap_or_default();
    let otherwise = decision.reason;
    decision.reason = diagnose(tables, headers, &nodes, decision, otherwise, mac);
    if decision.conduit == 0 && decision.destination_zone != 0 {
        decision.conduit = conduit_between(tables, decision.zone, decision.destination_zone);
    }
}

/// The zone of an interface and its tags, from 1; 0 is none.
#[inline(always)]
pub(super) fn zone_of<T: Tables>(tables: &T, interface: u32, headers: &Headers) -> u32 {
    let place = tables.interface(interface);
    if place == 0 {
        return 0;
    }
    if headers.inner_vid != 0 {
        if !tables.uses(Feature::DoubleVlan) {
            return 0;
        }
        let key = u64::from(headers.outer_vid) << 32 | u64::from(headers.inner_vid);
        return tables.find(Tag::DoubleVlan as u8, key, place);
    }
    if !tables.uses(Feature::Vlan) {
        return if headers.outer_vid == 0 { tables.zone(place - 1) } else { 0 };
    }
    tables.zone((place - 1) * VIDS + u32::from(headers.outer_vid & 0xfff))
}

/// A fragment whose first one was allowed: it belongs to the conduit between the zones of both ends.
#[inline(always)]
fn later_fragment<T: Tables>(tables: &T, headers: &Headers, decision: &mut Decision) -> Reason {
    let node = tables.node_of(headers.family, headers.destination.hi, headers.destination.lo);
    if node != 0
        && let Some(row) = tables.node(node)
    {
        decision.destination_zone = row.zone;
        decision.conduit = conduit_between(tables, decision.zone, row.zone);
    }
    Reason::Related
}

/// The conduit that what no rule matches belongs to; 0 is none.
#[inline(always)]
fn conduit_between<T: Tables>(tables: &T, from: u16, to: u16) -> u16 {
    tables.find(Tag::Conduit as u8, u64::from(from) << 32 | u64::from(to), 0) as u16
}

/// The conduit of an ICMP error that quotes a packet of a permitted flow, goes back to its sender, and comes from the
/// zone that the packet went to: elsewhere nobody has seen it. 0 is no such error.
///
/// Apart, because the stack of its caller and of what else that calls has no room for a second packet's headers.
#[inline(never)]
fn related_to<P: Packet, T: Tables>(packet: &P, tables: &T, outer: &Headers, zone: u32) -> u16 {
    let mut inner = Headers::default();
    if wire::quoted(packet, outer, &mut inner).is_none() || inner.source != outer.destination {
        return 0;
    }
    let matched = match_flow(tables, &inner);
    // Nobody asks the ports that only answer.
    if matched.forward != 0
        && let Some(row) = tables.rule(matched.forward)
        && row.flags & RULE_ANSWERS_ONLY == 0
        && !is_over(tables, row)
    {
        return if u32::from(row.server_zone) == zone { row.conduit } else { 0 };
    }
    match tables.rule(matched.back) {
        Some(row) if matched.back != 0 && u32::from(row.client_zone) == zone && !is_over(tables, row) => {
            row.conduit
        }
        _ => 0,
    }
}

/// ARP and neighbour discovery pass unless they claim an address of another zone or another device.
#[inline(never)]
fn neighbour<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    headers: &Headers,
    content: Content,
    zone: u32,
) -> Reason {
    let claim = if content == Content::Arp {
        wire::arp_claim(packet, headers.l3())
    } else {
        wire::neighbour_claim(packet, headers)
            .map(|address| (address, source_mac(packet).unwrap_or_default()))
    };
    let Some((address, mac)) = claim else { return Reason::Malformed };
    let family = if content == Content::Arp { 4 } else { 6 };
    let node = tables.node_of(family, address.hi, address.lo);
    // Link-local addresses are of each zone its own, also where a zone has ::/0.
    let link_local = family == 6 && address.hi >> 54 == LINK_LOCAL;
    let spoofed = match tables.node(node) {
        Some(row) if node != 0 && !(link_local && row.flags & NODE_ASSET == 0) => {
            u32::from(row.zone) != zone
                || row.flags & NODE_MAC != 0 && (row.mac != mac || source_mac(packet) != Some(mac))
        }
        _ => false,
    };
    // A probe for a free address claims nothing (RFC 5227); the unspecified address of IPv6 likewise.
    let claims = address.hi | address.lo != 0;
    if spoofed && claims { Reason::ArpSpoof } else { Reason::Survival }
}

/// Whether the source hardware address is the one that the policy binds to the source address, if any.
#[inline(never)]
pub(super) fn mac_fits<P: Packet, T: Tables>(packet: &P, tables: &T, headers: &Headers) -> bool {
    let node = tables.node_of(headers.family, headers.source.hi, headers.source.lo);
    match tables.node(node) {
        Some(row) if node != 0 && row.flags & NODE_MAC != 0 => source_mac(packet) == Some(row.mac),
        _ => true,
    }
}

#[inline(always)]
fn source_mac<P: Packet>(packet: &P) -> Option<[u8; 6]> {
    let high = packet.u16(6)?.to_be_bytes();
    let low = packet.u32(8)?.to_be_bytes();
    Some([high[0], high[1], low[0], low[1], low[2], low[3]])
}

/// The verdict on a decision, and the mode that gave it.
#[inline(always)]
pub fn verdict<T: Tables>(tables: &T, decision: &Decision) -> (Verdict, Mode) {
    if decision.reason.passes() {
        return (Verdict::Pass, Mode::Alert);
    }
    let (reason, conduit) = (decision.reason as u32, u32::from(decision.conduit));
    if tables.drops(reason, conduit, u32::from(decision.mode)) != 0 {
        (Verdict::Drop, Mode::Enforce)
    } else {
        (Verdict::WouldDrop, Mode::Alert)
    }
}

/// 1 where a packet is dropped that deviates for a reason, by number; 0 where that is reported only. `of_rule` is
/// [`Decision::mode`].
#[inline(always)]
pub fn drops<T: Tables>(tables: &T, reason: u32, conduit: u32, of_rule: u32) -> u32 {
    let (mut mode, mut by_hand) = (Mode::Alert as u8, 0);
    if let Some(row) = tables.conduit(conduit) {
        mode = row.mode;
        by_hand = row.by_hand;
    }
    if by_hand == 0 && of_rule != u32::from(MODE_INHERIT) {
        mode = of_rule as u8;
    }
    match hold_of(tables, conduit as u16) {
        Hold::Island => return 1,
        Hold::Open => return 0,
        Hold::None | Hold::Closed => {}
    }
    // Answers to what was asked before the program ran cannot be known.
    let unsure = reason == Reason::UnsolicitedReply as u32;
    (mode == Mode::Enforce as u8 && !(unsure && tables.in_grace())) as u32
}
