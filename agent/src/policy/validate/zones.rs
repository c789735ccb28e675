//! Zones exclude each other: by interface and VLAN, by network, and by conduit.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::policy::codes;
use crate::policy::diagnostic::{Diagnostic, Diagnostics};
use crate::policy::intervals::{Interval, overlapping_pairs};
use crate::policy::model::{Vlan, Zone};
use crate::policy::resolve::{Resolved, ZoneSite};
use crate::policy::source::Span;

pub(super) fn check(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    interfaces(resolved, diagnostics);
    networks(resolved, diagnostics);
    conduits(resolved, diagnostics);
}

/// Whether a network stands for "what no other zone claims".
pub(super) fn is_default(network: &IpNet) -> bool {
    network.prefix_len() == 0
}

fn sites(resolved: &Resolved) -> impl Iterator<Item = (&Zone, &ZoneSite)> {
    resolved.policy.zones.iter().zip(&resolved.sites.zones)
}

fn vlan_text(vlan: Vlan) -> String {
    match vlan {
        Vlan::Untagged => "without a VLAN tag".to_owned(),
        Vlan::Tagged(vid) => format!("with VLAN {vid}"),
        Vlan::Double(outer, inner) => format!("with VLANs {outer}.{inner}"),
    }
}

fn interfaces(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let mut taken: BTreeMap<(&str, Vlan), (&str, Span)> = BTreeMap::new();
    for (zone, site) in sites(resolved) {
        for (interface, span) in zone.interfaces.iter().zip(&site.interfaces) {
            let untagged = [(Vlan::Untagged, *span)];
            let tagged: Vec<(Vlan, Span)> =
                zone.vlans.iter().copied().zip(site.vlans.iter().copied()).collect();
            let vlans = if tagged.is_empty() { untagged.as_slice() } else { &tagged };
            for (vlan, vlan_span) in vlans {
                let Some((other, first)) = taken.insert((interface, *vlan), (&zone.name, *vlan_span)) else {
                    continue;
                };
                let place = format!("`{interface}` {}", vlan_text(*vlan));
                let diagnostic = if other == zone.name {
                    Diagnostic::new(&codes::REPEATED_ITEM, format!("zone `{other}` names {place} twice"))
                        .help("remove one of them")
                } else {
                    Diagnostic::new(
                        &codes::INTERFACE_IN_TWO_ZONES,
                        format!("frames on {place} belong to zone `{other}` and to zone `{}`", zone.name),
                    )
                    .help("give each zone its own interface, or its own VLAN of the interface")
                };
                diagnostics.push(diagnostic.label(*vlan_span, "again here").label(first, "first here"));
            }
        }
    }
}

fn networks(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let mut items = Vec::new();
    let mut defaults: BTreeMap<bool, (&str, Span)> = BTreeMap::new();
    for (zone, site) in sites(resolved).filter(|(zone, _)| !zone.is_gateway) {
        for (network, span) in zone.networks.iter().zip(&site.networks) {
            if !is_default(network) {
                items.push((Interval::network(network), (zone.name.as_str(), *network, *span)));
                continue;
            }
            if let Some((other, first)) = defaults.insert(network.addr().is_ipv6(), (&zone.name, *span)) {
                diagnostics.push(
                    Diagnostic::new(
                        &codes::OVERLAPPING_NETWORKS,
                        format!("`{network}` stands in zone `{other}` and in zone `{}`", zone.name),
                    )
                    .label(*span, "again here")
                    .label(first, "first here")
                    .help(format!(
                        "`{network}` means what no other zone claims, so one zone only can have it"
                    )),
                );
            }
        }
    }
    overlapping_pairs(&items, |a, b| {
        let (first, second) = if a.2 <= b.2 { (a, b) } else { (b, a) };
        let diagnostic = if first.0 == second.0 {
            Diagnostic::new(
                &codes::REPEATED_ITEM,
                format!("networks {} and {} of zone `{}` overlap", first.1, second.1, first.0),
            )
            .help("keep the larger one only")
        } else {
            Diagnostic::new(
                &codes::OVERLAPPING_NETWORKS,
                format!(
                    "network {} of zone `{}` overlaps {} of zone `{}`",
                    second.1, second.0, first.1, first.0
                ),
            )
            .help(
                "an address belongs to one zone; make the networks smaller, or use `0.0.0.0/0` (`::/0`) for the \
                 zone that has all the rest",
            )
        };
        diagnostics.push(diagnostic.label(second.2, "").label(first.2, "the other one"));
    });
}

fn conduits(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let mut taken: BTreeMap<(usize, usize), Span> = BTreeMap::new();
    for (conduit, site) in resolved.policy.conduits.iter().zip(&resolved.sites.conduits) {
        let (a, b) = conduit.zones;
        let ways = if conduit.ordered { vec![(a, b)] } else { vec![(a, b), (b, a)] };
        if let Some(first) = ways.iter().find_map(|way| taken.get(way)) {
            let name = |id: usize| resolved.policy.zones.get(id).map_or("", |zone| zone.name.as_str());
            diagnostics.push(
                Diagnostic::new(
                    &codes::DUPLICATE_CONDUIT,
                    format!("a conduit between `{}` and `{}` stands here already", name(a), name(b)),
                )
                .label(site.zones, "again here")
                .label(*first, "first here")
                .help("put the rules of both under one conduit; a rule may have its own `mode`"),
            );
        }
        for way in ways {
            taken.entry(way).or_insert(site.zones);
        }
    }
}
