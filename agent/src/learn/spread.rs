//! Which ports belong together: those that a client keeps, and those that servers have by their addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use banchi_common::abi::Transport;

use super::group::{Bundle, Directed, Verdict};
use super::linked::{FEWEST, Link, fit};
use super::ports;

/// Ports that clients keep: by client, transport and port.
pub(super) struct Pinned(HashMap<(IpAddr, Transport, u16), BTreeSet<(IpAddr, u16)>>);

impl Pinned {
    pub(super) fn of(bundles: &BTreeMap<Bundle, Vec<Directed<'_>>>) -> Self {
        let mut found: HashMap<(IpAddr, Transport, u16), BTreeSet<(IpAddr, u16)>> = HashMap::new();
        for (bundle, members) in bundles {
            for member in members.iter().filter(|member| !member.answers_only) {
                let row = found.entry((bundle.client, bundle.transport, member.client_port())).or_default();
                row.insert((bundle.server, member.asked));
            }
        }
        Self(found)
    }

    /// Whether one port of a client is used for several of its servers' ports.
    pub(super) fn diverges(&self, client: IpAddr, transport: Transport, port: u16) -> bool {
        let servers = self.0.get(&(client, transport, port));
        servers.is_some_and(|servers| {
            let ports: BTreeSet<u16> = servers.iter().map(|(_, port)| *port).collect();
            ports.len() > 1
        })
    }

    /// Whether a port is set for the client, as far as one can see.
    pub(super) fn is_pinned(&self, client: IpAddr, transport: Transport, port: u16) -> bool {
        port != 0
            && (ports::is_set(port)
                || ports::is_clients(transport, port)
                || self.diverges(client, transport, port))
    }
}

/// Client, transport, protocol and pinned port of stations that one service is spread over.
pub(super) type Spread = (IpAddr, Transport, u8, Option<u16>);

/// Stations with their ports, and who asks them.
type Chain = (BTreeMap<IpAddr, u16>, Vec<Spread>);

pub(super) fn spread(bundle: &Bundle, member: &Directed<'_>, pinned: &Pinned) -> Spread {
    let port = member.client_port();
    let pinned = pinned.is_pinned(bundle.client, bundle.transport, port).then_some(port);
    // Where both ports are the same they vary together.
    let pinned = pinned.filter(|_| member.server_port() != port);
    (bundle.client, bundle.transport, bundle.protocol, pinned)
}

/// Relations of ports to addresses, with the station's port.
pub(super) fn links(
    bundles: &BTreeMap<Bundle, Vec<Directed<'_>>>,
    pinned: &Pinned,
) -> BTreeMap<Spread, (Link, BTreeMap<IpAddr, u16>)> {
    let mut spreads: BTreeMap<Spread, BTreeMap<IpAddr, BTreeMap<u16, u64>>> = BTreeMap::new();
    for (bundle, members) in bundles.iter().filter(|(bundle, _)| bundle.verdict == Verdict::Decided) {
        for member in members.iter().filter(|member| !member.answers_only && member.tuple.key.transport != 3)
        {
            let packets: u64 = member.tuple.sides.iter().map(|side| side.packets).sum();
            let stations = spreads.entry(spread(bundle, member, pinned)).or_default();
            *stations.entry(bundle.server).or_default().entry(member.server_port()).or_default() += packets;
        }
    }
    let mut found = BTreeMap::new();
    // Stations that ask each other: of each client too few, of all together enough for a line.
    let mut chains: BTreeMap<(Transport, u8), Chain> = BTreeMap::new();
    for (spread, stations) in &spreads {
        let [(station, ports)] = stations.iter().collect::<Vec<_>>()[..] else { continue };
        let Some(port) = dominant(ports).filter(|port| ports::entries(spread.1, *port).is_empty()) else {
            continue;
        };
        let chain = chains.entry((spread.1, spread.2)).or_default();
        chain.0.insert(*station, port);
        chain.1.push(*spread);
    }
    for (stations, members) in chains.into_values() {
        let Some(link @ Link::Linear { .. }) = fit(&stations, false).filter(|_| stations.len() > FEWEST)
        else {
            continue;
        };
        found.extend(members.into_iter().map(|spread| (spread, (link.clone(), stations.clone()))));
    }
    for (spread, stations) in spreads {
        let singles: BTreeMap<IpAddr, u16> =
            stations.iter().filter_map(|(at, ports)| Some((*at, dominant(ports)?))).collect();
        if singles.len() < FEWEST || singles.len() * 5 < stations.len() * 4 {
            continue;
        }
        let (_, transport, protocol, port) = spread;
        let known = singles.values().filter(|port| !ports::entries(transport, **port).is_empty()).count();
        let alike = (port.is_some() || protocol != 0) && known * 2 < singles.len();
        if let Some(link) = fit(&singles, alike) {
            let table = link == Link::Table;
            // Different services of the catalogue are no table.
            if !table || known * 2 < singles.len() {
                found.insert(spread, (link, singles));
            }
        }
    }
    found
}

/// The one port of a station, or that of nine in ten of its packets.
fn dominant(ports: &BTreeMap<u16, u64>) -> Option<u16> {
    let all: u64 = ports.values().sum();
    ports.iter().find(|(_, packets)| **packets * 10 >= all * 9).map(|(port, _)| *port)
}
