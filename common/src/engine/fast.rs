//! The way of nearly all packets: plain ones, which a rule lets pass.

use super::admit::admit;
use super::decide::{Decision, judge, unmatched, zone_of};
use super::hold::hold_back;
use super::lookup::{Nodes, match_flow};
use super::tables::Tables;
use crate::reason::Reason;
use crate::wire::{self, Headers, Packet};

/// How far the decision on a packet has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Step {
    /// Nothing is known of it.
    Start = 0,
    /// Its headers and its zone are, and no rule matches.
    Unmatched = 1,
    /// It is decided.
    Decided = 2,
}

/// Goes the steps of [`judge`] with a packet as far as they are those of a plain one. [`go_on`] goes the rest.
#[inline(always)]
pub fn set_out<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    interface: u32,
    headers: &mut Headers,
    (decision, nodes): (&mut Decision, &mut Nodes),
) -> Step {
    if wire::parse_plain(packet, headers).is_none() {
        return Step::Start;
    }
    let zone = zone_of(tables, interface, headers);
    if zone == 0 {
        return Step::Start;
    }
    let matched = match_flow(tables, headers);
    match admit(packet, tables, headers, zone, &matched) {
        Some(decided) => {
            *decision = decided;
            hold_back(tables, decision);
            Step::Decided
        }
        None => {
            *decision = Decision::new(Reason::Malformed, zone);
            *nodes = matched.nodes;
            Step::Unmatched
        }
    }
}

/// The rest of the way, from a step on: to the decision that [`judge`] comes to.
#[inline(always)]
pub fn go_on<P: Packet, T: Tables>(
    step: u32,
    packet: &P,
    tables: &T,
    interface: u32,
    (headers, decision, nodes): (&mut Headers, &mut Decision, Nodes),
) {
    if step == Step::Start as u32 {
        *headers = Headers::default();
        *decision = judge(packet, tables, interface, headers);
    } else if step == Step::Unmatched as u32 {
        unmatched(packet, tables, headers, (wire::Content::Flow, nodes), decision);
    }
}
