//! Addresses of assets: in their zone, in one zone only, with one hardware address.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::policy::codes;
use crate::policy::diagnostic::{Diagnostic, Diagnostics};
use crate::policy::intervals::{AddressSet, Interval, overlapping_pairs};
use crate::policy::model::{Addresses, Asset, Policy, Zone};
use crate::policy::resolve::{AssetSite, Resolved};
use crate::policy::source::Span;

use super::zones::is_default;

pub(super) fn check(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let claims: Vec<Claim<'_>> = resolved.policy.zones.iter().map(Claim::new).collect();
    for (asset, site) in assets(resolved) {
        hardware(asset, site, diagnostics);
        let known = resolved.sites.zones.get(asset.zone).is_some_and(|site| !site.refused);
        let Some(claim) = claims.get(asset.zone).filter(|claim| known && !claim.zone.is_gateway) else {
            continue;
        };
        for (addresses, span) in asset.addresses.iter().zip(&site.addresses) {
            if !is_destination(&resolved.policy, addresses) {
                inside(asset, addresses, *span, claim, &claims, diagnostics);
            }
        }
        repeated(asset, site, diagnostics);
    }
    shared(resolved, diagnostics);
}

fn assets(resolved: &Resolved) -> impl Iterator<Item = (&Asset, &AssetSite)> {
    resolved.policy.assets.iter().zip(&resolved.sites.assets)
}

/// What a zone claims: its networks, and whether it has what nobody else claims.
struct Claim<'p> {
    zone: &'p Zone,
    networks: AddressSet,
    rest_v4: bool,
    rest_v6: bool,
}

impl<'p> Claim<'p> {
    fn new(zone: &'p Zone) -> Self {
        let (rest, networks): (Vec<_>, Vec<_>) =
            zone.networks.iter().partition(|network| is_default(network));
        Self {
            zone,
            networks: networks.into_iter().map(Interval::network).collect(),
            rest_v4: rest.iter().any(|network| network.addr().is_ipv4()),
            rest_v6: rest.iter().any(|network| network.addr().is_ipv6()),
        }
    }

    fn has_rest(&self, interval: &Interval) -> bool {
        if interval.is_v6() { self.rest_v6 } else { self.rest_v4 }
    }
}

/// Group addresses (multicast and limited broadcast) belong to no zone's networks.
pub(super) fn is_group(addresses: &Addresses) -> bool {
    let group = |address: IpAddr| {
        address.is_multicast() || matches!(address, IpAddr::V4(address) if address.is_broadcast())
    };
    let interval = Interval::of(addresses);
    group(interval.first()) && group(interval.last())
}

/// Whether no single host has any of the addresses.
pub(super) fn is_destination(policy: &Policy, addresses: &Addresses) -> bool {
    is_group(addresses) || matches!(addresses, Addresses::Host(host) if policy.is_group(*host))
}

fn inside(
    asset: &Asset,
    addresses: &Addresses,
    span: Span,
    claim: &Claim<'_>,
    claims: &[Claim<'_>],
    diagnostics: &mut Diagnostics,
) {
    let interval = Interval::of(addresses);
    if claim.networks.contains(&interval) {
        return;
    }
    let zone = &claim.zone.name;
    let owner = claims
        .iter()
        .filter(|other| other.zone.name != *zone && !other.zone.is_gateway)
        .find(|other| other.networks.contains(&interval));
    if claim.has_rest(&interval) && owner.is_none() {
        return;
    }
    let text = show(addresses);
    let networks = claim.zone.networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if claim.networks.overlaps(&interval) && matches!(addresses, Addresses::Prefix(_)) {
        diagnostics.push(
            Diagnostic::new(
                &codes::BROAD_ASSET,
                format!("asset `{}` has {text}, which is larger than its zone `{zone}`", asset.name),
            )
            .label(span, "")
            .help(format!("the networks of `{zone}` are {networks}; write the part that is meant")),
        );
        return;
    }
    let plural = claim.zone.networks.len() > 1;
    let message = match addresses {
        Addresses::Host(_) if claim.has_rest(&interval) => {
            format!("{text} is not left for zone `{zone}`: another zone claims it")
        }
        _ => format!(
            "zone `{zone}` has no network that contains {text}; its network{} {networks}",
            if plural { "s are" } else { " is" }
        ),
    };
    let help = match owner {
        Some(owner) => format!(
            "{text} lies in zone `{}`: write `zone: {}`, or correct the address",
            owner.zone.name, owner.zone.name
        ),
        None => format!("correct the address, or add its network to zone `{zone}`"),
    };
    diagnostics.push(Diagnostic::new(&codes::ADDRESS_OUTSIDE_ZONE, message).label(span, "").help(help));
}

fn show(addresses: &Addresses) -> String {
    match addresses {
        Addresses::Host(address) => address.to_string(),
        Addresses::Range(first, last) => format!("{first}-{last}"),
        Addresses::Prefix(network) => network.to_string(),
    }
}

fn repeated(asset: &Asset, site: &AssetSite, diagnostics: &mut Diagnostics) {
    let items: Vec<(Interval, (usize, Span))> = asset
        .addresses
        .iter()
        .zip(&site.addresses)
        .enumerate()
        .map(|(at, (addresses, span))| (Interval::of(addresses), (at, *span)))
        .collect();
    overlapping_pairs(&items, |a, b| {
        let (first, second) = if a.0 <= b.0 { (a, b) } else { (b, a) };
        diagnostics.push(
            Diagnostic::new(
                &codes::REPEATED_ITEM,
                format!("asset `{}` has some addresses twice", asset.name),
            )
            .label(second.1, "again here")
            .label(first.1, "first here")
            .help("keep one of them"),
        );
    });
}

fn hardware(asset: &Asset, site: &AssetSite, diagnostics: &mut Diagnostics) {
    let (Some(_), Some(span)) = (asset.mac, site.mac) else { return };
    let single = matches!(asset.addresses.as_slice(), [Addresses::Host(_)]);
    if !single {
        diagnostics.push(
            Diagnostic::new(
                &codes::MAC_NEEDS_HOST,
                format!("asset `{}` has a hardware address, but not one single address", asset.name),
            )
            .label(span, "")
            .help("`mac` binds one address to one station; write one asset for each station"),
        );
    }
}

/// One address in two assets: fine within a zone, an error across zones. One hardware address for each.
fn shared(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let mut hosts: BTreeMap<IpAddr, Vec<(&Asset, &AssetSite, Span)>> = BTreeMap::new();
    let mut wide = Vec::new();
    let mut gateway = Vec::new();
    for (asset, site) in assets(resolved) {
        let is_gateway = resolved.policy.zones.get(asset.zone).is_some_and(|zone| zone.is_gateway);
        for (addresses, span) in asset.addresses.iter().zip(&site.addresses) {
            match addresses {
                Addresses::Host(address) => {
                    hosts.entry(*address).or_default().push((asset, site, *span));
                    if is_gateway {
                        gateway.push((Interval::host(*address), *span));
                    }
                }
                Addresses::Range(..) if !is_group(addresses) => {
                    wide.push((Interval::of(addresses), asset, *span));
                }
                Addresses::Range(..) | Addresses::Prefix(_) => {}
            }
        }
    }
    for (address, owners) in &mut hosts {
        owners.sort_by_key(|(_, _, span)| *span);
        let group = resolved.policy.is_group(*address);
        let Some(((first, first_site, first_span), others)) = owners.split_first() else { continue };
        let mut known = first.mac.zip(first_site.mac).map(|mac| (mac, first));
        for (other, site, span) in others {
            if !group && other.zone != first.zone {
                diagnostics.push(
                    Diagnostic::new(
                        &codes::ADDRESS_IN_TWO_ZONES,
                        format!(
                            "{address} belongs to asset `{}` and, in another zone, to `{}`",
                            first.name, other.name
                        ),
                    )
                    .label(*span, "again here")
                    .label(*first_span, "first here")
                    .help("an address is in one zone; correct one of the two assets"),
                );
            }
            let Some((mac, mac_span)) = other.mac.zip(site.mac) else { continue };
            match known {
                Some(((known_mac, known_span), owner)) if known_mac != mac => diagnostics.push(
                    Diagnostic::new(
                        &codes::CONFLICTING_MAC,
                        format!(
                            "assets `{}` and `{}` give {address} different hardware addresses",
                            owner.name, other.name
                        ),
                    )
                    .label(mac_span, "this one")
                    .label(known_span, "and this one")
                    .help(
                        "correct one of them; where a pair of stations shares the address, leave `mac` out",
                    ),
                ),
                Some(_) => {}
                None => known = Some(((mac, mac_span), other)),
            }
        }
    }
    for (interval, asset, span) in wide {
        for (own, own_span) in gateway.iter().filter(|(own, _)| interval.contains(own)) {
            diagnostics.push(
                Diagnostic::new(
                    &codes::BROAD_ASSET,
                    format!(
                        "a range of asset `{}` takes in {}, which is the gateway",
                        asset.name,
                        own.first()
                    ),
                )
                .label(span, "")
                .label(*own_span, "the gateway")
                .help("packets to the gateway follow the rules of `gateway` only; leave its address out"),
            );
        }
    }
}
