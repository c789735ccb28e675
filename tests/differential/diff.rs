//! What `banchi diff` says of two policies, against the oracle: a packet that they judge differently is explained by
//! some line, and where nothing differs there is none.

use std::net::IpAddr;

use anyhow::{Result, bail, ensure};
use banchi::diff::{Diff, What, diff};
use banchi::policy::model::{
    Addresses, AgentLoss, Mode, Policy, PortRange, Reply, ServerPort, SourcePort, Transport,
};
use banchi_tests::oracle::{Body, Fragment, Judgement, Oracle, TestPacket};
use fastrand::Rng;

use super::packets::Packets;
use super::{SEED, number, policies, show};

/// Cases for each pair of policies, half of them made for the old one.
const CASES: usize = 300;

/// What came of a pair of policies.
struct Outcome {
    differs: bool,
    /// Packets that are judged differently.
    seen: usize,
    /// The first one that no line explains, with all that repeats it.
    unexplained: Option<String>,
}

#[test]
fn what_a_change_of_policy_does_is_said() -> Result<()> {
    let pairs = number("BANCHI_DIFF_PAIRS")?.unwrap_or(2_000);
    let only = number("BANCHI_POLICY")?;
    let (mut same, mut differing, mut unseen) = (0, 0, 0);
    for pair in only.map_or(0..pairs, |only| only..only + 1) {
        let outcome = compare(pair, |_| true);
        if let Some(found) = outcome.unexplained {
            bail!("{found}\nagain: BANCHI_POLICY={pair} cargo test --test differential -- diff");
        }
        if outcome.differs {
            differing += 1;
            unseen += usize::from(outcome.seen == 0);
        } else {
            same += 1;
        }
    }
    println!("{same} pairs that do not differ, {differing} that do; no packet showed {unseen} of these");
    if only.is_none() {
        ensure!(same > pairs / 20 && differing > pairs / 2, "{same} pairs are the same, {differing} differ");
        ensure!(unseen < differing / 2, "a difference was said of {differing} pairs, and {unseen} show none");
    }
    Ok(())
}

/// A test that cannot fail proves nothing: without the lines about one kind of thing, some packet is unexplained.
#[test]
fn a_difference_that_is_not_said_is_noticed() -> Result<()> {
    for what in [What::Defaults, What::Zone, What::Conduit, What::Addresses, What::Rule] {
        let found = (0..2_000).find(|pair| compare(*pair, |known| known != what).unexplained.is_some());
        println!("without lines about {what:?}: noticed in pair {found:?}");
        ensure!(found.is_some(), "nobody would notice that nothing is said about {what:?}");
    }
    Ok(())
}

/// Makes a pair of policies and holds what is said of them, as far as it is `heard`, against packets.
fn compare(pair: usize, heard: impl Fn(What) -> bool) -> Outcome {
    let mut rng = Rng::with_seed(SEED ^ 0xd1ff ^ (pair as u64) << 20);
    let old = written(policies::policy(&mut rng));
    let mut new = if rng.u8(0..20) == 0 { written(policies::policy(&mut rng)) } else { old.clone() };
    let edits = rng.usize(1..=3);
    let done: Vec<&str> = (0..edits).map(|_| edit(&mut new, &mut rng)).collect();
    let mut said = diff(&old, &new);
    said.changes.retain(|change| heard(change.what));
    let mut outcome = Outcome { differs: said.differs, seen: 0, unexplained: None };
    for made_for in [&old, &new] {
        let mut source = Packets::new(made_for, rng.fork());
        let (mut before, mut after) = (Oracle::new(&old), Oracle::new(&new));
        for _ in 0..CASES / 2 {
            let case = source.case();
            before.forget();
            after.forget();
            let mut judged: Vec<(&TestPacket, Judgement, Judgement)> = Vec::new();
            for timed in &case.packets {
                let (was, is) = (before.judge(&timed.packet, timed.at), after.judge(&timed.packet, timed.at));
                judged.push((&timed.packet, was, is));
                if was.verdict == is.verdict {
                    continue;
                }
                outcome.seen += 1;
                if !is_explained(&said, [&old, &new], &judged) {
                    outcome.unexplained = Some(format!(
                        "pair {pair} ({done:?}): {judged:?}\nwas {was:?}\nis {is:?}\nand this is all that was \
                         said:\n{}\nold:\n{}\nnew:\n{}",
                        said.text(),
                        show::yaml(&old),
                        show::yaml(&new)
                    ));
                    return outcome;
                }
            }
        }
    }
    outcome
}

/// Whether some line is about what decided, or about where the packet came from and whose its addresses are.
fn is_explained(
    said: &Diff,
    [old, new]: [&Policy; 2],
    judged: &[(&TestPacket, Judgement, Judgement)],
) -> bool {
    let mut names: [Vec<(What, String)>; 2] = Default::default();
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut ends: Vec<(IpAddr, IpAddr)> = Vec::new();
    let mut about = |packet: &TestPacket, judgements: [&Judgement; 2]| {
        for ((policy, names), judged) in [old, new].into_iter().zip(&mut names).zip(judgements) {
            names.extend(judged.rule.map(|rule| (What::Rule, policy.rules[rule].name.clone())));
            names.extend(judged.conduit.map(|id| (What::Conduit, policy.conduits[id].name.clone())));
            names.extend(judged.zone.map(|zone| (What::Zone, policy.zones[zone].name.clone())));
        }
        ends.push((packet.source, packet.destination));
        addresses.extend([packet.source, packet.destination]);
        match &packet.body {
            Body::Arp { claimed, .. } => addresses.push((*claimed).into()),
            Body::Neighbour { advertises: Some(claimed) } => addresses.push((*claimed).into()),
            _ => {}
        }
    };
    for (packet, was, is) in judged {
        about(packet, [was, is]);
        // What an error quotes, and the packet that a fragment is of.
        let quoted = match &packet.body {
            Body::IcmpError { from, to, about, .. } => {
                TestPacket { source: *from, destination: *to, body: Body::Flow(*about), ..(*packet).clone() }
            }
            _ if packet.fragment != Fragment::Whole => packet.first_fragment(),
            _ => continue,
        };
        let judgements = [old, new].map(|policy| Oracle::new(policy).judge(&quoted, 1));
        about(&quoted, [&judgements[0], &judgements[1]]);
    }
    said.changes.iter().any(|change| {
        let was = change.was.as_ref().unwrap_or(&change.name);
        change.what == What::Defaults
            || names[0].contains(&(change.what, was.clone()))
            || names[1].contains(&(change.what, change.name.clone()))
            || change.what == What::Rule && (holds(old, was, &ends) || holds(new, &change.name, &ends))
            || addresses.iter().any(|address| change.is_about(*address))
    })
}

/// Whether a rule of this name is about these two hosts: a question that it would have matched decides which rule an
/// answer goes by.
fn holds(policy: &Policy, name: &str, ends: &[(IpAddr, IpAddr)]) -> bool {
    let Some(rule) = policy.rules.iter().find(|rule| rule.name == name) else { return false };
    let side = |assets: &[usize], address: IpAddr| {
        assets.iter().flat_map(|id| &policy.assets[*id].addresses).any(|addresses| {
            let (first, last) = super::packets::span(addresses);
            first.is_ipv4() == address.is_ipv4() && first <= address && address <= last
        })
    };
    let clients = [rule.clients.as_slice(), &rule.reply_to].concat();
    ends.iter().any(|(one, other)| {
        side(&clients, *one) && side(&rule.servers, *other)
            || side(&clients, *other) && side(&rule.servers, *one)
    })
}

/// Changes something, or only the way it is written, and says what.
fn edit(policy: &mut Policy, rng: &mut Rng) -> &'static str {
    let rule = rng.usize(0..policy.rules.len().max(1));
    let (asset, service) = (rng.usize(0..policy.assets.len()), rng.usize(0..policy.services.len()));
    let conduit = rng.usize(0..policy.conduits.len().max(1));
    match rng.u8(0..24) {
        0 => {
            policy.assets[asset].name.push_str("-renamed");
            "an asset's name"
        }
        1 => {
            if let Some(rule) = policy.rules.get_mut(rule) {
                rule.name.push_str("-renamed");
                rule.line += 100;
            }
            "a rule's name"
        }
        2 => {
            for zone in policy.zones.iter_mut().filter(|zone| !zone.is_gateway) {
                zone.name.push_str("-renamed");
            }
            "zones' names"
        }
        3 => {
            for conduit in &mut policy.conduits {
                conduit.name.push_str("-renamed");
            }
            "conduits' names"
        }
        4 => {
            if let Some(rule) = policy.rules.get_mut(rule) {
                rule.clients.reverse();
                rule.servers.reverse();
            }
            "the order of assets in a rule"
        }
        5 | 6 => {
            if !policy.rules.is_empty() {
                policy.rules.remove(rule);
            }
            "a rule less"
        }
        7 => {
            if let Some(known) = policy.rules.get(rule).cloned() {
                let place = rng.usize(0..=policy.rules.len());
                let mut copy = known;
                copy.name.push_str("-copy");
                copy.service = service;
                if policy.services[copy.service].transport != Transport::Udp {
                    copy.reply_to.clear();
                }
                policy.rules.insert(place, copy);
            }
            "a rule more"
        }
        8..=10 => {
            if policy.rules.len() > 1 {
                let moved = policy.rules.remove(rule);
                let place = rng.usize(0..=policy.rules.len());
                policy.rules.insert(place, moved);
            }
            "another order of rules"
        }
        11 | 12 => {
            let zone = policy.assets[asset].zone;
            let more = policies::host4(zone, rng.u8(1..30));
            policy.assets[asset].addresses.push(Addresses::Host(more));
            "an address more"
        }
        13 => {
            if policy.assets[asset].addresses.len() > 1 {
                policy.assets[asset].addresses.pop();
            }
            "an address less"
        }
        14 => {
            // The hosts of a range one by one, or a range of one host: each says as much of an address as before, or
            // not, where somebody else names it.
            let addresses = policy.assets[asset].addresses.clone();
            policy.assets[asset].addresses = addresses
                .into_iter()
                .flat_map(|addresses| match addresses {
                    Addresses::Range(IpAddr::V4(first), IpAddr::V4(last))
                        if last.to_bits() - first.to_bits() < 50 =>
                    {
                        (first.to_bits()..=last.to_bits())
                            .map(|host| Addresses::Host(std::net::Ipv4Addr::from_bits(host).into()))
                            .collect()
                    }
                    other => vec![other],
                })
                .collect();
            "a range as hosts"
        }
        15 => {
            policy.assets[asset].mac =
                match (policy.assets[asset].addresses.as_slice(), policy.assets[asset].mac) {
                    ([Addresses::Host(host)], None) if !host.is_multicast() => {
                        Some(policies::bound_mac(*host))
                    }
                    _ => None,
                };
            "a hardware address"
        }
        16 => {
            if let Some(rule) = policy.rules.get_mut(rule) {
                rule.mode = match rule.mode {
                    None => Some(Mode::Enforce),
                    Some(Mode::Enforce) => Some(Mode::Alert),
                    Some(Mode::Alert) => None,
                };
            }
            "a rule's mode"
        }
        17 => {
            if let Some(conduit) = policy.conduits.get_mut(conduit) {
                conduit.mode = if conduit.mode == Mode::Alert { Mode::Enforce } else { Mode::Alert };
            }
            "a conduit's mode"
        }
        18 => {
            policy.default_mode =
                if policy.default_mode == Mode::Alert { Mode::Enforce } else { Mode::Alert };
            "the mode of the rest"
        }
        19 => {
            if let Some(conduit) = policy.conduits.get_mut(conduit) {
                if rng.bool() {
                    conduit.ethertypes.pop();
                } else {
                    conduit.agent_loss = AgentLoss::default();
                }
            }
            "a protocol less"
        }
        20 => {
            let zone = rng.usize(0..policy.zones.len());
            if policy.zones[zone].networks.len() > 1 && !policy.zones[zone].is_gateway {
                policy.zones[zone].networks.pop();
            }
            "a network less"
        }
        21 => {
            let zone = rng.usize(0..policy.zones.len());
            if policy.zones[zone].interfaces.len() > 1 {
                policy.zones[zone].interfaces.pop();
            }
            "an interface less"
        }
        _ => edit_service(policy, service, rng),
    }
}

fn edit_service(policy: &mut Policy, service: usize, rng: &mut Rng) -> &'static str {
    let service = &mut policy.services[service];
    let is_udp = service.transport == Transport::Udp;
    match rng.u8(0..8) {
        0 => {
            if let ServerPort::Set(ranges) = &mut service.port {
                ranges.pop();
                if ranges.is_empty() {
                    ranges.push(PortRange { first: 502, last: 504 });
                }
            }
            "a port less"
        }
        1 => {
            if service.transport != Transport::Icmp {
                service.source_port = match service.source_port {
                    SourcePort::Any => SourcePort::Ephemeral,
                    SourcePort::Ephemeral => SourcePort::Same,
                    _ => SourcePort::Any,
                };
            }
            "a client's port"
        }
        2 if is_udp => {
            service.reply = match service.reply {
                Reply::Window(window) => Reply::Window(window * 2),
                Reply::Strict(window) => Reply::Window(window),
                other => other,
            };
            "a window"
        }
        3 => {
            service.direction = None;
            "no direction"
        }
        4 => {
            service.server_may = service.server_may.with(banchi::policy::model::Classes::NOTIFY);
            "what servers may send"
        }
        5 if is_udp && !service.reply_from.is_empty() => {
            service.reply_from.pop();
            "answers from fewer ports"
        }
        6 => {
            service.peer = false;
            "only one side may ask"
        }
        _ => {
            if let ServerPort::Linked { base, .. } = &mut service.port {
                *base += 1;
            } else if let (ServerPort::Set(ranges), SourcePort::Same) = (&service.port, &service.source_port)
                && let [PortRange { first, last }] = ranges.as_slice()
                && first == last
            {
                // The same in other words.
                service.source_port = SourcePort::Set(ranges.clone());
            }
            "a link, or the same port in other words"
        }
    }
}

/// Grants stand in no policy file, and a comparison of two files knows none.
fn written(mut policy: Policy) -> Policy {
    policy.rules.iter_mut().for_each(|rule| rule.expires_s = None);
    policy
}
