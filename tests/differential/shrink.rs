//! Makes a disagreement small: takes away whatever it does not need.

use banchi::policy::model::{Addresses, Classes, Policy, Reply, ServerPort, Service, SourcePort};
use banchi_tests::oracle::{Body, Flow, Fragment, TestPacket};

use super::cases::Case;
use super::packets::span;

/// A smaller policy and case that still disagree. `disagrees` is asked at most `budget` times.
pub(crate) fn shrink(
    policy: &Policy,
    case: &Case,
    mut budget: usize,
    disagrees: &mut dyn FnMut(&Policy, &Case) -> bool,
) -> (Policy, Case) {
    let (mut policy, mut case) = (policy.clone(), case.clone());
    loop {
        let mut smaller = false;
        let mut at = 0;
        while let Some(candidate) = nth_policy(&policy, at) {
            if budget == 0 {
                return (policy, case);
            }
            budget -= 1;
            if disagrees(&candidate, &case) {
                policy = candidate;
                smaller = true;
            } else {
                at += 1;
            }
        }
        for candidate in simpler_cases(&case) {
            if budget == 0 {
                return (policy, case);
            }
            budget -= 1;
            if candidate != case && disagrees(&policy, &candidate) {
                case = candidate;
                smaller = true;
                break;
            }
        }
        if !smaller {
            return (policy, case);
        }
    }
}

/// The policy with its `at`-th part taken away; `None` behind the last part.
fn nth_policy(policy: &Policy, at: usize) -> Option<Policy> {
    let mut next = policy.clone();
    let mut at = at;
    let mut within = |count: usize| {
        if at < count {
            return Some(at);
        }
        at -= count;
        None
    };
    if let Some(rule) = within(policy.rules.len()) {
        next.rules.remove(rule);
        return Some(next);
    }
    if let Some(asset) = within(policy.assets.len()) {
        remove_asset(&mut next, asset);
        return Some(next);
    }
    if let Some(service) = within(policy.services.len()) {
        next.services.remove(service);
        next.rules.retain(|rule| rule.service != service);
        next.rules.iter_mut().for_each(|rule| rule.service -= usize::from(rule.service > service));
        return Some(next);
    }
    if let Some(conduit) = within(policy.conduits.len()) {
        remove_conduit(&mut next, conduit);
        return Some(next);
    }
    if let Some(zone) = within(policy.zones.len()) {
        remove_zone(&mut next, zone);
        return Some(next);
    }
    for (number, rule) in policy.rules.iter().enumerate() {
        if let Some(client) = within(rule.clients.len())
            && rule.clients.len() > 1
        {
            next.rules[number].clients.remove(client);
            return Some(next);
        }
        if let Some(server) = within(rule.servers.len())
            && rule.servers.len() > 1
        {
            next.rules[number].servers.remove(server);
            return Some(next);
        }
        if let Some(group) = within(rule.reply_to.len()) {
            next.rules[number].reply_to.remove(group);
            return Some(next);
        }
        if within(1).is_some() {
            next.rules[number].mode = None;
            return (policy.rules[number].mode.is_some()).then_some(next).or_else(|| Some(empty()));
        }
    }
    for (number, asset) in policy.assets.iter().enumerate() {
        for (piece, addresses) in asset.addresses.iter().enumerate() {
            if within(1).is_some() {
                if asset.addresses.len() == 1 {
                    return Some(empty());
                }
                next.assets[number].addresses.remove(piece);
                return Some(next);
            }
            if within(1).is_some() {
                let (first, last) = span(addresses);
                if first == last {
                    return Some(empty());
                }
                next.assets[number].addresses[piece] = Addresses::Host(last);
                return Some(next);
            }
        }
        if within(1).is_some() {
            next.assets[number].mac = None;
            return Some(if asset.mac.is_some() { next } else { empty() });
        }
    }
    for (number, zone) in policy.zones.iter().enumerate() {
        if let Some(network) = within(zone.networks.len()) {
            next.zones[number].networks.remove(network);
            return Some(next);
        }
        if let Some(vlan) = within(zone.vlans.len()) {
            next.zones[number].vlans.remove(vlan);
            return Some(if zone.vlans.len() > 1 { next } else { empty() });
        }
        if let Some(interface) = within(zone.interfaces.len()) {
            next.zones[number].interfaces.remove(interface);
            return Some(next);
        }
    }
    for (number, conduit) in policy.conduits.iter().enumerate() {
        if let Some(kind) = within(conduit.ethertypes.len()) {
            next.conduits[number].ethertypes.remove(kind);
            return Some(next);
        }
    }
    for (number, service) in policy.services.iter().enumerate() {
        let simpler = simpler_services(service);
        if let Some(at) = within(simpler.len()) {
            let changes = format!("{:?}", simpler[at]) != format!("{service:?}");
            next.services[number] = simpler[at].clone();
            return Some(if changes { next } else { empty() });
        }
        if within(1).is_some() {
            next.services[number].source_port = SourcePort::Any;
            return Some(if service.source_port == SourcePort::Any { empty() } else { next });
        }
        let ports = match &service.port {
            ServerPort::Set(ranges) => ranges.len(),
            ServerPort::ByAddress(table) => table.len(),
            _ => 0,
        };
        if let Some(piece) = within(ports) {
            match &mut next.services[number].port {
                ServerPort::Set(ranges) if ranges.len() > 1 => {
                    ranges.remove(piece);
                }
                ServerPort::ByAddress(table) if table.len() > 1 => {
                    let key = *table.keys().nth(piece).expect("counted above");
                    table.remove(&key);
                }
                _ => return Some(empty()),
            }
            return Some(next);
        }
    }
    None
}

/// A candidate that never disagrees: stands for a part that cannot be taken away.
fn empty() -> Policy {
    Policy {
        forwarding: banchi::policy::model::Forwarding::Stack,
        wires: Vec::new(),
        default_mode: banchi::policy::model::Mode::Alert,
        default_agent_loss: banchi::policy::model::AgentLoss::default(),
        zones: Vec::new(),
        assets: Vec::new(),
        services: Vec::new(),
        conduits: Vec::new(),
        rules: Vec::new(),
    }
}

fn remove_asset(policy: &mut Policy, asset: usize) {
    policy.assets.remove(asset);
    for rule in &mut policy.rules {
        for side in [&mut rule.clients, &mut rule.servers, &mut rule.reply_to] {
            side.retain(|id| *id != asset);
            side.iter_mut().for_each(|id| *id -= usize::from(*id > asset));
        }
    }
    policy.rules.retain(|rule| !rule.clients.is_empty() && !rule.servers.is_empty());
}

fn remove_conduit(policy: &mut Policy, conduit: usize) {
    policy.conduits.remove(conduit);
    policy.rules.retain(|rule| rule.conduit != conduit);
    policy.rules.iter_mut().for_each(|rule| rule.conduit -= usize::from(rule.conduit > conduit));
}

fn remove_zone(policy: &mut Policy, zone: usize) {
    for asset in (0..policy.assets.len()).rev() {
        if policy.assets[asset].zone == zone {
            remove_asset(policy, asset);
        }
    }
    for conduit in (0..policy.conduits.len()).rev() {
        let (a, b) = policy.conduits[conduit].zones;
        if a == zone || b == zone {
            remove_conduit(policy, conduit);
        }
    }
    policy.zones.remove(zone);
    let shift = |id: &mut usize| *id -= usize::from(*id > zone);
    policy.assets.iter_mut().for_each(|asset| shift(&mut asset.zone));
    for conduit in &mut policy.conduits {
        shift(&mut conduit.zones.0);
        shift(&mut conduit.zones.1);
    }
    for rule in &mut policy.rules {
        shift(&mut rule.client_zone);
        shift(&mut rule.server_zone);
    }
}

/// The service without one of the things that only some have.
fn simpler_services(service: &Service) -> Vec<Service> {
    let strict = |reply| if let Reply::Strict(window) = reply { Reply::Window(window) } else { reply };
    let mut found = vec![
        Service { peer: false, ..service.clone() },
        Service { reply_from: Vec::new(), ..service.clone() },
        Service { reply: Reply::Free, ..service.clone() },
        Service { reply: strict(service.reply), ..service.clone() },
        Service {
            direction: None,
            client_may: Classes::REQUEST,
            server_may: Classes::RESPONSE,
            ..service.clone()
        },
        Service { client_may: Classes::REQUEST, ..service.clone() },
        Service { server_may: Classes::RESPONSE, ..service.clone() },
    ];
    for at in 0..service.reply_from.len() {
        let mut fewer = service.clone();
        fewer.reply_from.remove(at);
        found.push(fewer);
    }
    found
}

/// Fewer packets, and simpler ones.
fn simpler_cases(case: &Case) -> Vec<Case> {
    let mut found = Vec::new();
    for at in 0..case.packets.len() {
        if case.packets.len() > 1 {
            let mut fewer = case.clone();
            fewer.packets.remove(at);
            found.push(fewer);
        }
        for packet in simpler_packets(&case.packets[at].packet) {
            let mut simpler = case.clone();
            simpler.packets[at].packet = packet;
            found.push(simpler);
        }
    }
    found
}

fn simpler_packets(packet: &TestPacket) -> Vec<TestPacket> {
    let mut found = vec![
        TestPacket { options: false, ..packet.clone() },
        TestPacket { defect: None, ..packet.clone() },
        TestPacket { fragment: Fragment::Whole, ..packet.clone() },
        TestPacket { vids: packet.vids.iter().copied().filter(|vid| *vid != 0).collect(), ..packet.clone() },
        TestPacket { vids: Vec::new(), ..packet.clone() },
        TestPacket { trailer: 0, ..packet.clone() },
        TestPacket { payload: Vec::new(), trailer: 0, ..packet.clone() },
    ];
    match &packet.body {
        Body::Flow(Flow::Tcp(from, to, _)) => {
            let flow = Flow::Tcp(*from, *to, banchi_tests::packet::flags::ACK);
            found.push(TestPacket { body: Body::Flow(flow), ..packet.clone() });
        }
        Body::IcmpError { about, .. } => {
            found.push(TestPacket { body: Body::Flow(*about), ..packet.clone() });
        }
        _ => {}
    }
    found
}
