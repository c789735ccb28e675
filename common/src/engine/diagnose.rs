//! What deviates, where no rule matches: a bounded number of relaxed lookups.

use super::decide::Decision;
use super::lookup::{Nodes, Roles, Strictness, rule_of};
use super::tables::Tables;
use crate::abi::{Feature, NODE_ASSET, NODE_MAC};
use crate::reason::Reason;
use crate::wire::Headers;

/// Finds the first of: unknown source, wrong zone, wrong hardware address, unknown destination,
/// `otherwise`, and for a flow (`otherwise` is [`Reason::Allowed`]) the field of the nearest rule that
/// deviates.
#[inline(always)]
pub(super) fn diagnose<T: Tables>(
    tables: &T,
    headers: &Headers,
    nodes: &Nodes,
    decision: &mut Decision,
    otherwise: Reason,
    mac: [u8; 6],
) -> Reason {
    let mut destination_known = false;
    if nodes.destination != 0
        && let Some(row) = tables.node(nodes.destination)
    {
        decision.destination_zone = row.zone;
        destination_known = row.flags & NODE_ASSET != 0;
    }
    let source = if nodes.source == 0 { None } else { tables.node(nodes.source) };
    match source {
        None => Reason::UnknownSource,
        Some(row) if row.zone != decision.zone => Reason::WrongZone,
        Some(row) if row.flags & NODE_ASSET == 0 => Reason::UnknownSource,
        Some(row) if row.flags & NODE_MAC != 0 && row.mac != mac => Reason::MacMismatch,
        Some(_) if !destination_known => Reason::UnknownDestination,
        Some(_) if otherwise == Reason::Allowed => nearest(tables, headers, nodes, decision),
        Some(_) => otherwise,
    }
}

/// The nearest rule: one that fits in all but one field, in a fixed order of fields.
///
/// What a pair has at all is asked first, since most pairs that deviate have nothing, and no pair has anything that this
/// does not find.
#[inline(always)]
fn nearest<T: Tables>(tables: &T, headers: &Headers, nodes: &Nodes, decision: &mut Decision) -> Reason {
    use {Reason as R, Roles as Q, Strictness as S};
    let forward = rule_of(tables, headers, nodes, Q::Forward, S::AnyService);
    let back = rule_of(tables, headers, nodes, Q::Back, S::AnyService);
    if forward | back == 0 {
        return R::UnlistedPair;
    }
    macro_rules! found {
        ($rule:expr, $reason:expr) => {
            let rule = $rule;
            if rule != 0
                && let Some(row) = tables.rule(rule)
            {
                decision.rule = row.of;
                decision.conduit = row.conduit;
                decision.mode = row.mode;
                return $reason;
            }
        };
    }
    macro_rules! attempt {
        ($pair:expr, $roles:expr, $strictness:expr, $reason:expr) => {
            if $pair != 0 {
                found!(rule_of(tables, headers, nodes, $roles, $strictness), $reason);
            }
        };
    }
    if tables.uses(Feature::Relations) {
        attempt!(forward, Q::Forward, S::AnyLink, R::AddressPortMismatch);
        attempt!(back, Q::Back, S::AnyLink, R::AddressPortMismatch);
    }
    attempt!(forward, Q::Forward, S::AnySourcePort, R::SourcePortDeviation);
    attempt!(back, Q::Back, S::AnySourcePort, R::SourcePortDeviation);
    attempt!(back, Q::Swapped, S::AnySourcePort, R::ReversedDirection);
    found!(forward, R::UnlistedService);
    found!(back, R::UnlistedService);
    R::UnlistedPair
}
