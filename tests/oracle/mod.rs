//! The oracle: what a policy means, walked as it is written.
//!
//! It shares nothing with the engine or the compiler but the types of the model and the names of reasons. There is
//! no table, no class and no index here: every question walks the policy from its first line, so that it can be
//! read beside `docs/policy.md`. The differential tests hold the engine and the loaded program against it.
//!
//! # Where an address lives
//!
//! An address has a *home*: what the policy says most specifically of it. A single host says most; then a range,
//! whose addresses are hosts that are written together; then the longest prefix, be it an asset's or a zone's
//! network. Of equals the first in the file counts, zones before assets. The home gives the zone.
//! An asset *takes in* an address that it holds if the address is at home in the asset's zone, or if the asset itself names
//! it as a host or prefix and nothing says more: 0.0.0.0/0 and ranges do not take in what other zones claim. An address is
//! *known* if any asset takes it in. It is *bound* to a hardware address if an asset
//! of that single address names one, whichever asset a rule names.
//!
//! # A packet of a conversation
//!
//! 1. Interface and tags give the zone that it came from. Tags with VLAN 0 do not count. No zone is `unlisted-vlan`.
//! 2. The first rule that holds the source as client and the destination as server, and whose service has these
//!    ports, decides; without one, the first rule that does so with roles exchanged, for the way back.
//! 3. A rule decides so: another zone than that of its asking (answering) side is `wrong-zone`; a source that is bound
//!    to another hardware address is `mac-mismatch`; a TCP segment that opens a connection on the way back is
//!    `reversed-direction`; all else is allowed.
//! 4. Without a rule, hosts come first: a source without a home is `unknown-source`, one at home in another zone is
//!    `wrong-zone`, one that no asset holds is `unknown-source`, one bound to another hardware address is
//!    `mac-mismatch`, and a destination that no asset holds is `unknown-destination`.
//! 5. Then the nearest rule is looked for, in this order, and each time the first of the file counts:
//!    - one that fits but for the link between the server's port and its address, where the port is one that the link
//!      gives to *some* address: `address-port-mismatch`; forward, then on the way back;
//!    - one that fits but for the client's port: `source-port-deviation`; forward, then back;
//!    - one whose server asks its client for the rule's own port: `reversed-direction`;
//!    - any between the two hosts: `unlisted-service`; forward, then back;
//!    - none: `unlisted-pair`.
//!
//! # Everything else
//!
//! A frame without IP that belongs to the survival set passes even without a zone. Later fragments pass if the first
//! one was allowed; ICMP errors pass if they go to the sender of a packet that a rule allows, and come from the zone
//! that the packet went to. Neighbour announcements pass unless they claim an address that is at home in another zone,
//! or bound to other hardware; link-local addresses that no asset takes in are at home in every zone.
//!
//! # Verdict
//!
//! What does not pass is dropped in mode `enforce`. The mode is that of the rule, else of its conduit; without a rule,
//! that of the conduit between the zone that the packet came from and the destination's home; else the default.

mod packet;
mod relate;

use std::net::IpAddr;

use banchi::policy::model::{Addresses, Asset, Mode, Policy, Rule, Vlan};
use banchi_common::reason::{Orientation, Reason, Verdict};

pub use packet::{Body, Defect, Flow, Fragment, TestPacket, Way};
use relate::{client_port_fits, linked_port_fits, linked_to_some, port_fits};

/// What the oracle says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// Why.
    pub reason: Reason,
    /// Rule that decides or is nearest, in file order from 0.
    pub rule: Option<usize>,
    /// Which way the packet goes through the rule that matches it.
    pub orientation: Orientation,
    /// Zone that it came from.
    pub zone: Option<usize>,
    /// Conduit that it belongs to.
    pub conduit: Option<usize>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Whether it is dropped.
    pub dropped: bool,
}

/// Walks a policy.
#[derive(Debug, Clone, Copy)]
pub struct Oracle;

/// The two ends of a question: who would be the client, who the server.
#[derive(Debug, Clone, Copy)]
struct Ends {
    client: IpAddr,
    server: IpAddr,
    client_port: u16,
    server_port: u16,
}

/// What is known before verdict and mode.
#[derive(Debug, Clone, Copy)]
struct Finding {
    reason: Reason,
    rule: Option<usize>,
    orientation: Orientation,
    conduit: Option<usize>,
}

impl Finding {
    const fn only(reason: Reason) -> Self {
        Self { reason, rule: None, orientation: Orientation::None, conduit: None }
    }
}

impl Oracle {
    /// Judges a packet. For a later fragment, [`Fragment::Later`] says whether its first one came before.
    pub fn judge(policy: &Policy, packet: &TestPacket) -> Judgement {
        let zone = zone_of(policy, packet);
        let finding = match (zone, &packet.body) {
            (_, Body::Ethertype(kind)) if survives(*kind) => Finding::only(Reason::Survival),
            (None, _) => Finding::only(Reason::UnlistedVlan),
            (Some(zone), _) => Self::in_zone(policy, packet, zone),
        };
        let (verdict, dropped) = if finding.reason.passes() {
            (Verdict::Pass, false)
        } else {
            match mode(policy, finding.rule, finding.conduit) {
                Mode::Alert => (Verdict::WouldDrop, false),
                Mode::Enforce => (Verdict::Drop, true),
            }
        };
        let Finding { reason, rule, orientation, conduit } = finding;
        Judgement { reason, rule, orientation, zone, conduit, verdict, dropped }
    }

    fn in_zone(policy: &Policy, packet: &TestPacket, zone: usize) -> Finding {
        if packet.is_malformed() {
            return Finding::only(Reason::Malformed);
        }
        if let Fragment::Later { after_first, .. } = packet.fragment {
            let first = || Self::judge(policy, &packet.first_fragment());
            let related = after_first && matches!(packet.body, Body::Flow(_)) && first().reason.passes();
            return if related {
                Finding::only(Reason::Related)
            } else {
                hosts_first(policy, packet, zone, || Finding::only(Reason::OrphanFragment))
            };
        }
        match &packet.body {
            Body::Flow(flow) => Self::flow(policy, packet, flow, zone),
            Body::IcmpError { about, from, to, complete, .. } => {
                let went_to = match first_match(policy, *from, *to, about, Way::Forward) {
                    Some((_, rule)) => Some(rule.server_zone),
                    None => {
                        first_match(policy, *from, *to, about, Way::Return).map(|(_, rule)| rule.client_zone)
                    }
                };
                let allowed = went_to == Some(zone);
                if *complete && *from == packet.destination && allowed {
                    Finding::only(Reason::Related)
                } else {
                    hosts_first(policy, packet, zone, || Finding::only(Reason::UnrelatedIcmpError))
                }
            }
            Body::Protocol(_) if packet.is_redundancy_or_membership() => Finding::only(Reason::Survival),
            Body::Icmp(_) if packet.is_redundancy_or_membership() => Finding::only(Reason::Survival),
            Body::Protocol(_) | Body::Icmp(_) => {
                hosts_first(policy, packet, zone, || Finding::only(Reason::UnlistedProtocol))
            }
            Body::Arp { claimed, claimed_mac } => {
                neighbour(policy, packet, zone, IpAddr::V4(*claimed), *claimed_mac)
            }
            Body::Neighbour { advertises } => {
                let claimed = advertises.map_or(packet.source, IpAddr::V6);
                neighbour(policy, packet, zone, claimed, packet.source_mac)
            }
            Body::Ethertype(_) => Finding::only(Reason::UnlistedEthertype),
        }
    }

    fn flow(policy: &Policy, packet: &TestPacket, flow: &Flow, zone: usize) -> Finding {
        for (way, orientation) in [(Way::Forward, Orientation::Forward), (Way::Return, Orientation::Return)] {
            let Some((number, rule)) = first_match(policy, packet.source, packet.destination, flow, way)
            else {
                continue;
            };
            let home = if way == Way::Forward { rule.client_zone } else { rule.server_zone };
            let reason = if home != zone {
                Reason::WrongZone
            } else if is_bound_elsewhere(policy, packet) {
                Reason::MacMismatch
            } else if way == Way::Return && flow.opens() {
                Reason::ReversedDirection
            } else {
                Reason::Allowed
            };
            return Finding { reason, rule: Some(number), orientation, conduit: Some(rule.conduit) };
        }
        hosts_first(policy, packet, zone, || nearest(policy, packet, flow, zone))
    }
}

/// What is wrong with the hosts, and `otherwise` where nothing is.
fn hosts_first(
    policy: &Policy,
    packet: &TestPacket,
    zone: usize,
    otherwise: impl FnOnce() -> Finding,
) -> Finding {
    let known = |address| is_known(policy, address);
    let mut finding = match home(policy, packet.source) {
        None => Finding::only(Reason::UnknownSource),
        Some(home) if home != zone => Finding::only(Reason::WrongZone),
        Some(_) if !known(packet.source) => Finding::only(Reason::UnknownSource),
        Some(_) if is_bound_elsewhere(policy, packet) => Finding::only(Reason::MacMismatch),
        Some(_) if !known(packet.destination) => Finding::only(Reason::UnknownDestination),
        Some(_) => otherwise(),
    };
    if finding.conduit.is_none() {
        let to = home(policy, packet.destination);
        finding.conduit = to.and_then(|to| conduit_between(policy, zone, to));
    }
    finding
}

/// The nearest rule, by what deviates.
fn nearest(policy: &Policy, packet: &TestPacket, flow: &Flow, _zone: usize) -> Finding {
    let way = |way| ends(packet.source, packet.destination, flow, way);
    let (forward, back) = (way(Way::Forward), way(Way::Return));
    // The source is the rule's server, and asks the client's machine for the service.
    let swapped = Ends {
        client: packet.destination,
        server: packet.source,
        client_port: forward.client_port,
        server_port: forward.server_port,
    };
    let find = |ends: Ends, fits: fn(&Policy, &Rule, &Ends) -> bool, same_transport: bool| {
        policy.rules.iter().position(|rule| {
            is_between(policy, rule, &ends)
                && (!same_transport || policy.services[rule.service].transport == flow.transport())
                && fits(policy, rule, &ends)
        })
    };
    let off_link: fn(&Policy, &Rule, &Ends) -> bool = |policy, rule, ends| {
        let service = &policy.services[rule.service];
        linked_to_some(&service.port, ends.server_port)
            && client_port_fits(service, ends.client_port, ends.server_port)
    };
    let any_client_port: fn(&Policy, &Rule, &Ends) -> bool = |policy, rule, ends| {
        let service = &policy.services[rule.service];
        linked_port_fits(service, ends.server, ends.server_port)
            // An echo has no port that could deviate.
            && (service.transport != banchi_common::abi::Transport::Icmp || ends.client_port == 0)
    };
    let anything: fn(&Policy, &Rule, &Ends) -> bool = |_, _, _| true;
    let attempts = [
        (forward, off_link, true, Reason::AddressPortMismatch),
        (back, off_link, true, Reason::AddressPortMismatch),
        (forward, any_client_port, true, Reason::SourcePortDeviation),
        (back, any_client_port, true, Reason::SourcePortDeviation),
        (swapped, any_client_port, true, Reason::ReversedDirection),
        (forward, anything, false, Reason::UnlistedService),
        (back, anything, false, Reason::UnlistedService),
    ];
    for (ends, fits, same_transport, reason) in attempts {
        if let Some(rule) = find(ends, fits, same_transport) {
            let conduit = Some(policy.rules[rule].conduit);
            return Finding { reason, rule: Some(rule), orientation: Orientation::None, conduit };
        }
    }
    Finding::only(Reason::UnlistedPair)
}

/// A claim to own an address.
fn neighbour(
    policy: &Policy,
    packet: &TestPacket,
    zone: usize,
    claimed: IpAddr,
    claimed_mac: [u8; 6],
) -> Finding {
    let elsewhere = home(policy, claimed).is_some_and(|home| home != zone);
    let bound = binding(policy, claimed);
    let forged = bound.is_some_and(|mac| mac != claimed_mac || mac != packet.source_mac);
    // Who asks whether an address is free claims nothing yet; a link-local address is of each zone its own.
    let link_local = matches!(claimed, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let claims = !claimed.is_unspecified() && (!link_local || is_known(policy, claimed));
    Finding::only(if claims && (elsewhere || forged) { Reason::ArpSpoof } else { Reason::Survival })
}

fn zone_of(policy: &Policy, packet: &TestPacket) -> Option<usize> {
    let vids: Vec<u16> = packet.vids.iter().copied().filter(|vid| *vid != 0).collect();
    let vlan = match vids.as_slice() {
        [] => Vlan::Untagged,
        [vid] => Vlan::Tagged(*vid),
        [outer, inner, ..] => Vlan::Double(*outer, *inner),
    };
    policy.zones.iter().position(|zone| {
        let vlans = if zone.vlans.is_empty() { &[Vlan::Untagged] } else { zone.vlans.as_slice() };
        zone.interfaces.iter().any(|interface| interface == packet.interface) && vlans.contains(&vlan)
    })
}

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

fn is_known(policy: &Policy, address: IpAddr) -> bool {
    policy.assets.iter().any(|asset| takes_in(policy, asset, address))
}

fn takes_in(policy: &Policy, asset: &Asset, address: IpAddr) -> bool {
    let holding = || asset.addresses.iter().filter(|addresses| holds(addresses, address));
    let Some((most, zone)) = most_said(policy, address) else { return false };
    let mut named = holding().filter(|addresses| !matches!(addresses, Addresses::Range(..)));
    holding().next().is_some() && zone == asset.zone || named.any(|addresses| says(addresses) >= most)
}

/// Zone of what the policy says most specifically of an address.
fn home(policy: &Policy, address: IpAddr) -> Option<usize> {
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

fn holds(addresses: &Addresses, address: IpAddr) -> bool {
    match addresses {
        Addresses::Host(host) => *host == address,
        Addresses::Range(first, last) => {
            first.is_ipv4() == address.is_ipv4() && *first <= address && address <= *last
        }
        Addresses::Prefix(net) => net.contains(&address),
    }
}

/// The hardware address that an address is bound to.
fn binding(policy: &Policy, address: IpAddr) -> Option<[u8; 6]> {
    let owners = policy.assets.iter().filter(|asset| asset.addresses.iter().any(|a| holds(a, address)));
    owners.filter_map(|asset| asset.mac).next()
}

fn is_bound_elsewhere(policy: &Policy, packet: &TestPacket) -> bool {
    binding(policy, packet.source).is_some_and(|mac| mac != packet.source_mac)
}

fn ends(source: IpAddr, destination: IpAddr, flow: &Flow, way: Way) -> Ends {
    let (from, to) = flow.ports();
    match way {
        Way::Forward => Ends { client: source, server: destination, client_port: from, server_port: to },
        Way::Return => Ends { client: destination, server: source, client_port: to, server_port: from },
    }
}

fn is_between(policy: &Policy, rule: &Rule, ends: &Ends) -> bool {
    let side = |assets: &[usize], address| {
        assets.iter().any(|asset| takes_in(policy, &policy.assets[*asset], address))
    };
    side(&rule.clients, ends.client) && side(&rule.servers, ends.server)
}

fn first_match<'p>(
    policy: &'p Policy,
    source: IpAddr,
    destination: IpAddr,
    flow: &Flow,
    way: Way,
) -> Option<(usize, &'p Rule)> {
    let ends = ends(source, destination, flow, way);
    policy.rules.iter().enumerate().find(|(_, rule)| {
        let service = &policy.services[rule.service];
        service.transport == flow.transport()
            && port_fits(service, ends.server, ends.client_port, ends.server_port)
            && is_between(policy, rule, &ends)
    })
}

fn conduit_between(policy: &Policy, from: usize, to: usize) -> Option<usize> {
    let named = |a, b| policy.conduits.iter().position(|conduit| conduit.zones == (a, b));
    named(from, to).or_else(|| named(to, from))
}

fn mode(policy: &Policy, rule: Option<usize>, conduit: Option<usize>) -> Mode {
    let by_rule = rule.and_then(|rule| policy.rules[rule].mode);
    by_rule.or_else(|| conduit.map(|conduit| policy.conduits[conduit].mode)).unwrap_or(policy.default_mode)
}

/// EtherTypes without which a network does not stay up.
fn survives(kind: u16) -> bool {
    const SURVIVAL: [u16; 10] =
        [0x80e1, 0x8808, 0x8809, 0x888e, 0x88cc, 0x88e3, 0x88f7, 0x88fb, 0x892f, 0x9000];
    SURVIVAL.contains(&kind)
}
