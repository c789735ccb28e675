//! The decision on what nearly all packets are, by the same steps as [`super::judge`] and none that they do not need.

use super::admit::admit;
use super::decide::{Decision, zone_of};
use super::hold::hold_back;
use super::lookup::match_exact;
use super::tables::Tables;
use crate::abi::Feature;
use crate::wire::{self, Headers, Packet};

/// Judges a plain packet of an exact tuple that passes. `None` says nothing of a packet but that [`super::judge`] has to
/// look at it, from the start; a decision is the one that it would come to.
#[inline(always)]
pub fn fast<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    interface: u32,
    headers: &mut Headers,
) -> Option<Decision> {
    if !tables.uses(Feature::Exact) {
        return None;
    }
    wire::parse_plain(packet, headers)?;
    let zone = zone_of(tables, interface, headers);
    if zone == 0 {
        return None;
    }
    let (from, to) = (headers.source.lo as u32, headers.destination.lo as u32);
    let matched = match_exact(tables, headers, from, to, 0)?;
    let mut decision = admit(packet, tables, headers, zone, &matched)?;
    hold_back(tables, &mut decision);
    if decision.reason.passes() { Some(decision) } else { None }
}
