//! Zones: from a file of assets, from VLANs, from interfaces, from networks, or from who asks whom.
//!
//! A gateway judges only what crosses it. Where most traffic stays within one network, that network is split: those who
//! ask on one side, those who answer on the other, so that the policy has something to say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::Options;
use super::assets::Known;
use super::sort::Flag;
use crate::learn::hosts::{Host, Station};
use crate::learn::{Flow, Traffic};
use crate::policy::model::Vlan;

/// Shortest prefixes of a zone's networks, unless hosts of other zones make them longer.
const V4: u8 = 24;
const V6: u8 = 64;
/// Zones that one network is split into at most.
const COLOURS: usize = 8;
/// Networks of the internet that make one zone.
const FEW: usize = 3;

/// How the zones were found, for the head of the draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    File,
    Vlans,
    Interfaces,
    Networks,
    Roles,
}

/// A zone.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) interface: String,
    /// The interface is the capture's own.
    pub(super) is_known: bool,
    pub(super) vlans: BTreeSet<[u16; 2]>,
    pub(super) networks: BTreeSet<IpNet>,
}

/// Zones, and which host is where.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) basis: Basis,
    pub(super) zones: Vec<Zone>,
    pub(super) homes: BTreeMap<IpAddr, usize>,
    pub(super) names: BTreeMap<IpAddr, Known>,
    pub(super) macs: BTreeMap<IpAddr, [u8; 6]>,
}

impl Site {
    pub(super) fn of(traffic: &Traffic, kept: &[(Flow, BTreeSet<Flag>)], options: &Options) -> Self {
        let flows: Vec<&Flow> = kept.iter().map(|(flow, _)| flow).collect();
        let ends = flows.iter().flat_map(|flow| {
            let server = (!flow.to_group).then_some(flow.server);
            server.into_iter().chain([flow.client])
        });
        let hosts: BTreeSet<IpAddr> = ends.collect();
        let senders = traffic.hosts.senders();
        let stations = stations(&senders);
        let (basis, cells) = cells(&hosts, &flows, &stations, options);
        let mut names: Vec<String> = Vec::new();
        let mut homes = BTreeMap::new();
        for (host, cell) in &cells {
            let place = names.iter().position(|name| name == cell).unwrap_or_else(|| {
                names.push(cell.clone());
                names.len() - 1
            });
            homes.insert(*host, place);
        }
        let shared = stations.values().filter_map(|station| station.interface).collect::<BTreeSet<_>>().len();
        let zones = names.iter().enumerate().map(|(place, name)| {
            let members = || homes.iter().filter(move |(_, home)| **home == place).map(|(host, _)| *host);
            let seen = || members().filter_map(|host| stations.get(&host));
            let interfaces: BTreeSet<usize> = seen().filter_map(|station| station.interface).collect();
            let known = interfaces.first().filter(|_| interfaces.len() == 1 && shared > 1);
            let known = known.and_then(|at| options.interfaces.get(*at)).cloned();
            let number = match basis {
                // One trunk. Whoever was never seen to send has no VLAN, so its zone is behind another port.
                Basis::Vlans if seen().next().is_some() => 1,
                Basis::Vlans => place + 2,
                _ => place + 1,
            };
            Zone {
                name: name.clone(),
                is_known: known.is_some(),
                interface: known.unwrap_or_else(|| format!("port{number}")),
                vlans: seen().map(|station| station.vlans).collect(),
                networks: BTreeSet::new(),
            }
        });
        let zones = zones.collect();
        let mut site = Self { basis, zones, homes, names: options.assets.0.clone(), macs: BTreeMap::new() };
        site.macs = macs(&site, &stations, options);
        site.spread(&flows);
        for known in &options.zones {
            if let Some(zone) = site.zones.iter_mut().find(|zone| zone.name == known.name) {
                *zone = written(known);
            }
        }
        site
    }

    /// Networks of the zones: as wide as no host of another zone is in them.
    fn spread(&mut self, flows: &[&Flow]) {
        let broadcasts: BTreeSet<IpAddr> =
            flows.iter().filter(|flow| flow.to_group).map(|flow| flow.server).filter(is_directed).collect();
        let mut members = self.homes.clone();
        let mut groups = BTreeSet::new();
        for broadcast in broadcasts {
            if let Some(home) = self.listeners(flows, broadcast) {
                members.insert(broadcast, home);
                groups.insert(broadcast);
            }
        }
        let outside = self.zones.iter().position(|zone| zone.name == OUTSIDE);
        for (host, home) in &members {
            let Some(zone) = self.zones.get_mut(*home) else { continue };
            let network =
                if Some(*home) == outside { any(*host) } else { widest(*host, *home, &members, &groups) };
            zone.networks.insert(network);
        }
        for zone in &mut self.zones {
            let all = zone.networks.clone();
            zone.networks.retain(|one| !all.iter().any(|other| other != one && other.contains(one)));
        }
    }

    /// The zone whose hosts hear a broadcast address: not that of most of those who send to it.
    fn listeners(&self, flows: &[&Flow], broadcast: IpAddr) -> Option<usize> {
        let senders: BTreeSet<IpAddr> =
            flows.iter().filter(|flow| flow.server == broadcast).map(|flow| flow.client).collect();
        let near = |host: &IpAddr| widen(*host).contains(&broadcast);
        let answered =
            flows.iter().filter(|flow| flow.asked_groups.contains(&broadcast)).map(|flow| flow.server);
        let mut count: BTreeMap<usize, usize> = BTreeMap::new();
        for host in answered.chain(self.homes.keys().copied().filter(near)) {
            if let Some(home) = self.homes.get(&host) {
                *count.entry(*home).or_default() += if senders.contains(&host) { 0 } else { 1 };
            }
        }
        count.into_iter().max_by_key(|(home, count)| (*count, std::cmp::Reverse(*home))).map(|(home, _)| home)
    }

    /// Whether a policy with these zones takes an address for that of a group.
    pub(super) fn is_group(&self, address: IpAddr) -> bool {
        let IpAddr::V4(v4) = address else { return address.is_multicast() };
        let mut networks = self.zones.iter().flat_map(|zone| &zone.networks);
        v4.is_multicast()
            || v4.is_broadcast()
            || networks.any(|network| network.prefix_len() <= 30 && network.broadcast() == address)
    }

    /// Name of a host's asset.
    pub(super) fn name(&self, host: IpAddr) -> String {
        let known = self.names.get(&host).and_then(|known| known.name.clone());
        known.unwrap_or_else(|| format!("host-{}", dashed(host)))
    }
}

/// A zone of another policy, as it is there.
fn written(zone: &crate::policy::model::Zone) -> Zone {
    let vlans = zone.vlans.iter().map(|vlan| match vlan {
        Vlan::Untagged => [0, 0],
        Vlan::Tagged(vlan) => [*vlan, 0],
        Vlan::Double(outer, inner) => [*outer, *inner],
    });
    Zone {
        name: zone.name.clone(),
        interface: zone.interfaces.join(", "),
        is_known: true,
        vlans: vlans.collect(),
        networks: zone.networks.iter().copied().collect(),
    }
}

/// The zone of the internet.
const OUTSIDE: &str = "outside";

/// An address as a part of a name.
pub(super) fn dashed(address: IpAddr) -> String {
    let text = address.to_string().replace([':', '.'], "-");
    text.trim_matches('-').to_owned()
}

fn any(host: IpAddr) -> IpNet {
    let unspecified = if host.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
    unspecified.parse().unwrap_or_else(|_| IpNet::from(host))
}

fn is_directed(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if !v4.is_multicast() && !v4.is_broadcast())
}

fn widen(host: IpAddr) -> IpNet {
    let length = if host.is_ipv4() { V4 } else { V6 };
    IpNet::new(host, length).map_or_else(|_| IpNet::from(host), |network| network.trunc())
}

/// The widest network around a host that has no host of another zone, and does not end at a host: its last address would
/// count as a group.
fn widest(host: IpAddr, home: usize, homes: &BTreeMap<IpAddr, usize>, groups: &BTreeSet<IpAddr>) -> IpNet {
    let (shortest, longest) = if host.is_ipv4() { (V4, 32) } else { (V6, 128) };
    for length in shortest..longest {
        let Ok(network) = IpNet::new(host, length).map(|network| network.trunc()) else { break };
        let inside = homes.range(network.network()..=network.broadcast());
        let end = network.broadcast();
        let ends_at_host = length <= 30 && homes.contains_key(&end) && !groups.contains(&end);
        if inside.into_iter().all(|(_, other)| *other == home) && !ends_at_host {
            return network;
        }
    }
    IpNet::from(host)
}

/// The station of each host that is most its own: whose hardware address the fewest others share.
fn stations(senders: &BTreeMap<IpAddr, &Host>) -> BTreeMap<IpAddr, Station> {
    let mut shared: BTreeMap<Option<[u8; 6]>, usize> = BTreeMap::new();
    for station in senders.values().flat_map(|host| &host.stations) {
        *shared.entry(station.mac).or_default() += 1;
    }
    let own = |host: &Host| {
        let rank = |station: &&Station| (shared.get(&station.mac).copied().unwrap_or(0), **station);
        host.stations.iter().min_by_key(rank).copied()
    };
    senders.iter().filter_map(|(address, host)| Some((*address, own(host)?))).collect()
}

/// Hardware addresses that belong to one host alone, or that the file names.
fn macs(site: &Site, stations: &BTreeMap<IpAddr, Station>, options: &Options) -> BTreeMap<IpAddr, [u8; 6]> {
    let written = |host: &IpAddr| site.names.get(host).and_then(|known| known.mac);
    let mut count: BTreeMap<[u8; 6], usize> = BTreeMap::new();
    for mac in stations.values().filter_map(|station| station.mac) {
        *count.entry(mac).or_default() += 1;
    }
    let seen = |host: &IpAddr| {
        let mac = stations.get(host).and_then(|station| station.mac)?;
        (options.macs && mac.first().is_some_and(|first| first & 1 == 0) && count.get(&mac) == Some(&1))
            .then_some(mac)
    };
    site.homes.keys().filter_map(|host| Some((*host, written(host).or_else(|| seen(host))?))).collect()
}

/// Which group of hosts each is in, by name.
fn cells(
    hosts: &BTreeSet<IpAddr>,
    flows: &[&Flow],
    stations: &BTreeMap<IpAddr, Station>,
    options: &Options,
) -> (Basis, BTreeMap<IpAddr, String>) {
    let by_file = |host: &IpAddr| options.assets.0.get(host).and_then(|known| known.zone.clone());
    let networks = by_networks(hosts);
    if hosts.iter().any(|host| by_file(host).is_some()) {
        // Hosts that the file does not know go where the others of their network are.
        let of_network = |host: &IpAddr| {
            let known = hosts.iter().filter(|other| widen(**other) == widen(*host)).find_map(by_file);
            known.or_else(|| networks.get(host).cloned()).unwrap_or_default()
        };
        let cells =
            hosts.iter().map(|host| (*host, by_file(host).unwrap_or_else(|| of_network(host)))).collect();
        return (Basis::File, cells);
    }
    let vlans: BTreeSet<[u16; 2]> =
        hosts.iter().filter_map(|host| stations.get(host)).map(|station| station.vlans).collect();
    if vlans.len() > 1 {
        let name = |host: &IpAddr| match stations.get(host).map(|station| station.vlans) {
            Some([0, 0]) => "untagged".to_owned(),
            Some([vlan, 0]) => format!("vlan-{vlan}"),
            Some([outer, inner]) => format!("vlan-{outer}.{inner}"),
            None => networks.get(host).cloned().unwrap_or_default(),
        };
        return (Basis::Vlans, hosts.iter().map(|host| (*host, name(host))).collect());
    }
    if let Some(cells) = by_interfaces(hosts, &networks, stations, options) {
        return (Basis::Interfaces, cells);
    }
    let within = |flow: &&&Flow| networks.get(&flow.client) == networks.get(&flow.server);
    let unicast = || flows.iter().filter(|flow| !flow.to_group);
    let all: u64 = unicast().map(|flow| flow.packets).sum();
    let local: u64 = unicast().filter(within).map(|flow| flow.packets).sum();
    if local * 2 <= all && all > 0 {
        return (Basis::Networks, networks);
    }
    (Basis::Roles, by_roles(&networks, flows))
}

/// What lies behind each interface, where hosts were seen on several. Hosts that never sent anything are where the others
/// of their network are.
fn by_interfaces(
    hosts: &BTreeSet<IpAddr>,
    networks: &BTreeMap<IpAddr, String>,
    stations: &BTreeMap<IpAddr, Station>,
    options: &Options,
) -> Option<BTreeMap<IpAddr, String>> {
    let seen = |host: &IpAddr| {
        let name = options.interfaces.get(stations.get(host)?.interface?)?;
        // An interface may have a name that no zone can have.
        let word = |c: char| if c.is_ascii_alphanumeric() || "_.".contains(c) { c } else { '-' };
        let name: String = name.chars().map(word).collect();
        Some(name.trim_start_matches(['-', '_', '.']).to_owned()).filter(|name| !name.is_empty())
    };
    let behind: BTreeSet<String> = hosts.iter().filter_map(seen).collect();
    if behind.len() < 2 {
        return None;
    }
    let near = |host: &IpAddr| hosts.iter().filter(|other| widen(**other) == widen(*host)).find_map(seen);
    let cell = |host: &IpAddr| seen(host).or_else(|| near(host)).or_else(|| networks.get(host).cloned());
    Some(hosts.iter().map(|host| (*host, cell(host).unwrap_or_default())).collect())
}

fn by_networks(hosts: &BTreeSet<IpAddr>) -> BTreeMap<IpAddr, String> {
    let public = |host: &&IpAddr| matches!(host, IpAddr::V4(v4) if is_public(*v4));
    let mut count: BTreeMap<IpNet, usize> = BTreeMap::new();
    for host in hosts.iter().filter(public) {
        *count.entry(widen(*host)).or_default() += 1;
    }
    let few: BTreeSet<IpNet> =
        count.into_iter().filter(|(_, hosts)| *hosts <= 2).map(|(net, _)| net).collect();
    let name = |host: &IpAddr| {
        let network = widen(*host);
        if few.len() > FEW && few.contains(&network) {
            OUTSIDE.to_owned()
        } else {
            format!("net-{}", dashed(network.network()))
        }
    };
    hosts.iter().map(|host| (*host, name(host))).collect()
}

fn is_public(address: Ipv4Addr) -> bool {
    !(address.is_private() || address.is_link_local() || address.is_loopback())
}

/// Splits networks so that who speaks with each other is in different zones: askers first.
fn by_roles(networks: &BTreeMap<IpAddr, String>, flows: &[&Flow]) -> BTreeMap<IpAddr, String> {
    let mut peers: BTreeMap<IpAddr, BTreeSet<IpAddr>> = BTreeMap::new();
    let mut asks: BTreeMap<IpAddr, i64> = BTreeMap::new();
    for flow in flows.iter().filter(|flow| !flow.to_group) {
        *asks.entry(flow.client).or_default() += 1;
        *asks.entry(flow.server).or_default() -= 1;
        if networks.get(&flow.client) == networks.get(&flow.server) {
            peers.entry(flow.client).or_default().insert(flow.server);
            peers.entry(flow.server).or_default().insert(flow.client);
        }
    }
    // Of those who only send to groups, the payload may tell; else they are devices that announce themselves.
    for flow in flows.iter().filter(|flow| flow.to_group) {
        let [[_, requests, others @ ..], _] = flow.classes;
        let announces = others.iter().any(|count| *count > 0);
        *asks.entry(flow.client).or_default() += i64::from(requests > 0) - i64::from(announces);
    }
    let alone = |host: &IpAddr| !peers.contains_key(host);
    let asks_most = |host: &IpAddr| match asks.get(host) {
        Some(0) | None if alone(host) => -1,
        Some(asks) => *asks,
        None => 0,
    };
    let mut order: Vec<IpAddr> = networks.keys().copied().collect();
    // Those with most peers first; of equals, those who ask.
    let degree = |host: &IpAddr| peers.get(host).map_or(0, BTreeSet::len);
    order.sort_by_key(|host| (std::cmp::Reverse(degree(host)), std::cmp::Reverse(asks_most(host)), *host));
    let mut colours: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for host in &order {
        let taken: BTreeSet<usize> =
            peers.get(host).into_iter().flatten().filter_map(|peer| colours.get(peer).copied()).collect();
        let wish = usize::from(asks_most(host) < 0);
        let free = [wish, 1 - wish].into_iter().chain(2..COLOURS).find(|colour| !taken.contains(colour));
        colours.insert(*host, free.unwrap_or(wish));
    }
    let cells: BTreeSet<&String> = networks.values().collect();
    let name = |host: &IpAddr, cell: &String| {
        if cell == OUTSIDE {
            return cell.clone();
        }
        let role = match colours.get(host) {
            Some(0) | None => "control".to_owned(),
            Some(1) => "devices".to_owned(),
            Some(colour) => format!("devices-{colour}"),
        };
        let place = cell.strip_prefix("net-").unwrap_or(cell);
        if cells.len() == 1 { role } else { format!("{role}-{place}") }
    };
    networks.iter().map(|(host, cell)| (*host, name(host, cell))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn networks_grow_until_they_meet_others() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let homes = BTreeMap::from([
            (at("10.0.0.1"), 0),
            (at("10.0.0.255"), 1),
            (at("10.0.0.9"), 1),
            (at("10.0.1.7"), 1),
            (at("10.0.1.255"), 1),
            (at("10.0.2.9"), 1),
        ]);
        let groups = BTreeSet::from([at("10.0.0.255")]);
        let widest = |text: &str, home| widest(at(text), home, &homes, &groups).to_string();
        assert_eq!(widest("10.0.0.1", 0), "10.0.0.0/29");
        assert_eq!(widest("10.0.0.9", 1), "10.0.0.8/29");
        assert_eq!(widest("10.0.0.255", 1), "10.0.0.128/25");
        // The /24 ends at a host, and so does each network around it down to its half.
        assert_eq!(widest("10.0.1.7", 1), "10.0.1.0/25");
        assert_eq!(widest("10.0.2.9", 1), "10.0.2.0/24");
    }
}
