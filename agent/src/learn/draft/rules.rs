//! Rules: flows of one service whose clients and servers form whole sets, so that a rule admits no pair that was not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::services::Services;
use super::site::Site;
use super::sort::{Flag, LeftOut};
use crate::learn::Flow;

/// A flow between two zones.
pub(super) struct Pair {
    pub(super) flow: Flow,
    pub(super) flags: BTreeSet<Flag>,
    pub(super) zones: [usize; 2],
}

/// A rule.
pub(super) struct Rule<'p> {
    pub(super) zones: [usize; 2],
    pub(super) clients: BTreeSet<IpAddr>,
    pub(super) servers: BTreeSet<IpAddr>,
    pub(super) reply_to: BTreeSet<IpAddr>,
    pub(super) services: BTreeSet<usize>,
    pub(super) flags: BTreeSet<Flag>,
    pub(super) pairs: Vec<&'p Pair>,
}

/// Finds the zones of both ends, and leaves out what does not cross.
pub(super) fn place(site: &Site, kept: Vec<(Flow, BTreeSet<Flag>)>) -> (Vec<Pair>, Vec<(Flow, LeftOut)>) {
    let homes = |flow: &Flow| [site.homes.get(&flow.client).copied(), site.homes.get(&flow.server).copied()];
    // Where a client's own traffic goes to, in case nobody answered a group.
    let mut visits: BTreeMap<IpAddr, BTreeMap<usize, u64>> = BTreeMap::new();
    let mut answers: BTreeMap<(IpAddr, IpAddr), BTreeSet<usize>> = BTreeMap::new();
    for (flow, _) in kept.iter().filter(|(flow, _)| !flow.to_group) {
        let [Some(client), Some(server)] = homes(flow) else { continue };
        if client != server {
            *visits.entry(flow.client).or_default().entry(server).or_default() += flow.packets;
            *visits.entry(flow.server).or_default().entry(client).or_default() += flow.packets;
            for group in &flow.asked_groups {
                answers.entry((flow.client, *group)).or_default().insert(server);
            }
        }
    }
    let listeners = |flow: &Flow| -> BTreeSet<usize> {
        let answered = answers.get(&(flow.client, flow.server)).cloned().unwrap_or_default();
        let visited = || visits.get(&flow.client).into_iter().flatten().max_by_key(|(_, packets)| **packets);
        if answered.is_empty() { visited().map(|(zone, _)| *zone).into_iter().collect() } else { answered }
    };
    // Who only sends to a group is heard where the group's other senders of its zone are.
    let mut heard: BTreeMap<(usize, IpAddr), BTreeSet<usize>> = BTreeMap::new();
    for (flow, _) in kept.iter().filter(|(flow, _)| flow.to_group) {
        if let Some(client) = site.homes.get(&flow.client) {
            heard.entry((*client, flow.server)).or_default().extend(listeners(flow));
        }
    }
    let (mut pairs, mut left_out) = (Vec::new(), Vec::new());
    for (flow, flags) in kept {
        let Some(client) = site.homes.get(&flow.client).copied() else {
            left_out.push((flow, LeftOut::NoHost));
            continue;
        };
        let servers: BTreeSet<usize> = if flow.to_group {
            let own = listeners(&flow);
            if own.is_empty() { heard.get(&(client, flow.server)).cloned().unwrap_or_default() } else { own }
        } else {
            site.homes.get(&flow.server).copied().into_iter().collect()
        };
        let why = if servers.is_empty() {
            Some(LeftOut::NobodyListens)
        } else if flow.to_group && !site.is_group(flow.server) {
            Some(LeftOut::Unstatable)
        } else if servers.iter().all(|server| *server == client) {
            Some(LeftOut::WithinZone)
        } else {
            None
        };
        match why {
            Some(why) => left_out.push((flow, why)),
            None => {
                for server in servers.into_iter().filter(|server| *server != client) {
                    pairs.push(Pair { flow: flow.clone(), flags: flags.clone(), zones: [client, server] });
                }
            }
        }
    }
    (pairs, left_out)
}

/// Client and server of a rule before their sets are known.
type Column = ([usize; 2], BTreeSet<Flag>, BTreeSet<IpAddr>);

/// Servers with the same clients, and their flows.
type Row<'p> = (BTreeSet<IpAddr>, Vec<&'p Pair>);

/// Puts pairs together: servers with the same clients, then services with the same hosts.
pub(super) fn rules<'p>(pairs: &'p [Pair], services: &Services) -> Vec<Rule<'p>> {
    let mut cells: BTreeMap<(usize, Column, IpAddr), BTreeMap<IpAddr, Vec<&'p Pair>>> = BTreeMap::new();
    for pair in pairs {
        let column = (pair.zones, pair.flags.clone(), pair.flow.reply_to.clone());
        let key = (services.place(pair), column, pair.flow.server);
        cells.entry(key).or_default().entry(pair.flow.client).or_default().push(pair);
    }
    let mut rows: BTreeMap<(usize, Column, BTreeSet<IpAddr>), Row<'p>> = BTreeMap::new();
    for ((service, column, server), clients) in cells {
        let set: BTreeSet<IpAddr> = clients.keys().copied().collect();
        let row = rows.entry((service, column, set)).or_default();
        row.0.insert(server);
        row.1.extend(clients.into_values().flatten());
    }
    let mut found: BTreeMap<(Column, BTreeSet<IpAddr>, BTreeSet<IpAddr>), Rule<'p>> = BTreeMap::new();
    for ((service, column, clients), (servers, members)) in rows {
        let (zones, flags, reply_to) = column.clone();
        let rule = found.entry((column, clients.clone(), servers.clone())).or_insert(Rule {
            zones,
            clients,
            servers,
            reply_to,
            services: BTreeSet::new(),
            flags,
            pairs: Vec::new(),
        });
        rule.services.insert(service);
        rule.pairs.extend(members);
    }
    let mut rules: Vec<Rule<'p>> = found.into_values().collect();
    // What needs no look first, and of that the most.
    let packets = |rule: &Rule<'_>| rule.pairs.iter().map(|pair| pair.flow.packets).sum::<u64>();
    rules.sort_by_key(|rule| (!rule.flags.is_empty(), std::cmp::Reverse(packets(rule))));
    rules
}
