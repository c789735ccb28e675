//! Whose an address is.

use std::net::IpAddr;

use banchi::policy::model::{Addresses, Asset, Policy};
use ipnet::IpNet;

/// How much is said of an address by a range, and by a single host; less than both by the length of a prefix.
const RANGE: u16 = 1000;
const HOST: u16 = 1001;

fn says(addresses: &Addresses) -> u16 {
    match addresses {
        Addresses::Host(_) => HOST,
        Addresses::Range(..) => RANGE,
        Addresses::Prefix(net) if net.prefix_len() == net.max_prefix_len() => HOST,
        Addresses::Prefix(net) => u16::from(net.prefix_len()),
    }
}

pub(super) fn is_known(policy: &Policy, address: IpAddr) -> bool {
    policy.assets.iter().any(|asset| takes_in(policy, asset, address))
}

pub(super) fn takes_in(policy: &Policy, asset: &Asset, address: IpAddr) -> bool {
    let holding = || asset.addresses.iter().filter(|addresses| holds(addresses, address));
    if holding().next().is_none() {
        return false;
    }
    let Some((most, zone)) = most_said(policy, address) else { return false };
    let mut named = holding().filter(|addresses| !matches!(addresses, Addresses::Range(..)));
    zone == asset.zone || named.any(|addresses| says(addresses) >= most)
}

/// Zone of what the policy says most specifically of an address.
pub(super) fn home(policy: &Policy, address: IpAddr) -> Option<usize> {
    most_said(policy, address).map(|(_, zone)| zone)
}

/// How much is said of an address at most, and the zone of what says it.
fn most_said(policy: &Policy, address: IpAddr) -> Option<(u16, usize)> {
    let networks = policy.zones.iter().enumerate().flat_map(|(zone, row)| {
        row.networks
            .iter()
            .filter(|net| net.contains(&address))
            .map(move |net| (says(&Addresses::Prefix(*net)), zone))
    });
    let assets = policy.assets.iter().flat_map(|asset| {
        let holding = asset.addresses.iter().filter(|addresses| holds(addresses, address));
        holding.map(|addresses| (says(addresses), asset.zone))
    });
    let mut best: Option<(u16, usize)> = None;
    for (says, zone) in networks.chain(assets) {
        if best.is_none_or(|(most, _)| says > most) {
            best = Some((says, zone));
        }
    }
    best
}

pub(super) fn holds(addresses: &Addresses, address: IpAddr) -> bool {
    match addresses {
        Addresses::Host(host) => *host == address,
        Addresses::Range(first, last) => {
            first.is_ipv4() == address.is_ipv4() && *first <= address && address <= *last
        }
        Addresses::Prefix(net) => net.contains(&address),
    }
}

/// Whether an address is a group that the policy names: as a host or in a range of an asset, or by a network of
/// nothing but groups. That a network of hosts ends with its own broadcast address names none.
pub(super) fn is_named_group(policy: &Policy, address: IpAddr) -> bool {
    let names = |addresses: &Addresses| match addresses {
        Addresses::Prefix(net) if net.prefix_len() != net.max_prefix_len() => is_of_groups(net),
        _ => true,
    };
    let mut named = policy.assets.iter().flat_map(|asset| &asset.addresses);
    policy.is_group(address) && named.any(|addresses| names(addresses) && holds(addresses, address))
}

fn is_of_groups(net: &IpNet) -> bool {
    net.network().is_multicast() && net.broadcast().is_multicast()
}

/// Groups among the addresses of an asset: as hosts, in ranges, and one for each network of groups.
fn groups_of(policy: &Policy, asset: &Asset) -> Vec<IpAddr> {
    let ends: Vec<IpAddr> =
        policy.zones.iter().flat_map(|zone| &zone.networks).map(IpNet::broadcast).collect();
    let written = asset.addresses.iter().flat_map(|addresses| match addresses {
        Addresses::Host(host) => vec![*host],
        Addresses::Prefix(net) => vec![net.network()],
        Addresses::Range(first, last) => {
            [*first, *last].iter().chain(&ends).copied().filter(|at| holds(addresses, *at)).collect()
        }
    });
    written.filter(|address| is_named_group(policy, *address)).collect()
}

/// Whether an asset names a group itself.
pub(super) fn names_group(policy: &Policy, asset: &Asset) -> bool {
    !groups_of(policy, asset).is_empty()
}

/// Whether an asset takes in a group that the policy names, whichever asset that is the name of.
pub(super) fn takes_in_group(policy: &Policy, asset: &Asset) -> bool {
    let mut groups = policy.assets.iter().flat_map(|asset| groups_of(policy, asset));
    groups.any(|address| takes_in(policy, asset, address))
}

/// The hardware address that an address is bound to.
pub(super) fn binding(policy: &Policy, address: IpAddr) -> Option<[u8; 6]> {
    let owners = policy.assets.iter().filter(|asset| asset.addresses.iter().any(|a| holds(a, address)));
    owners.filter_map(|asset| asset.mac).next()
}
