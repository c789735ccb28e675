//! Wires: every end is an interface of a zone, and belongs to one wire.

use std::collections::BTreeMap;

use crate::policy::codes;
use crate::policy::diagnostic::{Diagnostic, Diagnostics, suggest};
use crate::policy::model::Forwarding;
use crate::policy::resolve::Resolved;
use crate::policy::source::Span;

pub(super) fn check(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    is_asked_for(resolved, diagnostics);
    ends(resolved, diagnostics);
    others(resolved, diagnostics);
}

/// Wires stand where they are used, and only there.
fn is_asked_for(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let (policy, sites) = (&resolved.policy, &resolved.sites);
    let is_wire = policy.forwarding == Forwarding::Wire;
    match (sites.wires_key, sites.forwarding) {
        (None, Some(forwarding)) if is_wire && !sites.refused_wires => diagnostics.push(
            Diagnostic::new(&codes::MISSING_KEY, "`forwarding: wire` needs to know its wires")
                .label(forwarding, "")
                .help("add the pairs of interfaces: `wires: [[eth1, eth2]]`"),
        ),
        (Some(wires), forwarding) if !is_wire => {
            let named = policy.forwarding.name();
            let mut diagnostic = Diagnostic::new(
                &codes::KEY_NOT_APPLICABLE,
                format!("`wires` have no meaning with `forwarding: {named}`"),
            )
            .label(wires, "")
            .help("write `forwarding: wire`, or remove the wires");
            if let Some(forwarding) = forwarding {
                diagnostic = diagnostic.label(forwarding, "this decides");
            }
            diagnostics.push(diagnostic);
        }
        _ => {}
    }
}

fn ends(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let (policy, sites) = (&resolved.policy, &resolved.sites);
    let zoned: Vec<&str> =
        policy.zones.iter().flat_map(|zone| &zone.interfaces).map(String::as_str).collect();
    let is_whole = !sites.lost_zones && !sites.zones.iter().any(|zone| zone.refused);
    let mut taken: BTreeMap<&str, Span> = BTreeMap::new();
    for ((one, other), spans) in policy.wires.iter().zip(&sites.wires) {
        if one == other {
            diagnostics.push(
                Diagnostic::new(&codes::INVALID_WIRE, format!("a wire joins `{one}` with itself"))
                    .label(spans[1], "again here")
                    .label(spans[0], "first here")
                    .help("name the interface at the other end"),
            );
            taken.entry(one).or_insert(spans[0]);
            continue;
        }
        for (end, span) in [(one, spans[0]), (other, spans[1])] {
            if let Some(first) = taken.get(end.as_str()) {
                diagnostics.push(
                    Diagnostic::new(
                        &codes::INTERFACE_IN_TWO_WIRES,
                        format!("`{end}` is an end of two wires"),
                    )
                    .label(span, "again here")
                    .label(*first, "first here")
                    .help(
                        "a wire joins two interfaces; where more are to be joined, a bridge does it with \
                               `forwarding: stack`",
                    ),
                );
                continue;
            }
            taken.insert(end, span);
            if is_whole && !zoned.contains(&end.as_str()) {
                diagnostics.push(
                    Diagnostic::new(
                        &codes::WIRE_WITHOUT_ZONE,
                        format!("`{end}` is an end of a wire, and of no zone"),
                    )
                    .label(span, "")
                    .help(suggest(end, "zones have the interfaces", &zoned))
                    .help("nothing is decided about frames from an interface without a zone"),
                );
            }
        }
    }
}

/// What comes in by an interface without a wire crosses nothing.
fn others(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let (policy, sites) = (&resolved.policy, &resolved.sites);
    if policy.forwarding != Forwarding::Wire || policy.wires.is_empty() || diagnostics.has_errors() {
        return;
    }
    let mut said = Vec::new();
    for (zone, site) in policy.zones.iter().zip(&sites.zones) {
        for (interface, span) in zone.interfaces.iter().zip(&site.interfaces) {
            let is_end = policy.wires.iter().any(|(one, other)| one == interface || other == interface);
            if is_end || said.contains(&interface) {
                continue;
            }
            said.push(interface);
            diagnostics.push(
                Diagnostic::new(
                    &codes::UNWIRED_INTERFACE,
                    format!("`{interface}` of zone `{}` is an end of no wire", zone.name),
                )
                .label(*span, "")
                .help("what is allowed from there reaches the gateway itself, and crosses to no other zone"),
            );
        }
    }
}
