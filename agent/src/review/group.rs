//! From events to what a person decides about: one group for each flow, device, or kind of noise.
//!
//! A group is known by addresses, ports and hardware addresses, and by nothing that a policy names, so that it is the same
//! one in the next run and under the next policy.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use banchi_common::reason::Reason;

use super::event::{Event, Kind};
use super::talk::{End, Talk, Talks, Why};
use crate::policy::model::{Policy, ServerPort};
use crate::report::gather::holds;

/// Ports of clients that are told apart.
const PORTS: usize = 64;
/// Packets that are kept of a group.
const SAMPLES: usize = 8;
/// Groups of devices and noise that are kept apart.
const OTHERS: usize = 10_000;
/// What one host asks beyond which it may be a scan.
const SCAN: usize = 10;
/// Packets each way from which on two hosts talk with each other, and do not only try.
const TALKS: u64 = 3;

/// What a group is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// One host asks another one.
    Flow {
        transport: String,
        client: IpAddr,
        server: IpAddr,
        /// The server's port; with `from` the client's.
        port: Option<u16>,
        from: bool,
        /// Both ports are the same, so that they do not show who asks.
        same: bool,
    },
    /// An address speaks with a hardware address that is not its own.
    Station { address: IpAddr, mac: [u8; 6] },
    /// An address speaks where it does not live.
    Place { address: IpAddr, zone: Option<String> },
    /// One host asks many.
    Scan { source: IpAddr },
    /// Anything else, by reason and where it is from.
    Other { reason: Reason, from: String, to: String },
}

/// Events about one subject.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) subject: Subject,
    /// From the one that asks, and from the other one.
    pub(super) packets: [u64; 2],
    pub(super) talks: u64,
    pub(super) first: String,
    pub(super) last: String,
    pub(super) client_ports: BTreeSet<u16>,
    pub(super) server_ports: BTreeSet<u16>,
    pub(super) reasons: BTreeSet<Reason>,
    pub(super) latest: Event,
    pub(super) samples: Vec<Event>,
    pub(super) why: Option<Why>,
    /// Groups that are a part of it.
    pub(super) members: Vec<Group>,
}

/// Everything that was read.
#[derive(Debug, Clone, Default)]
pub struct Heap {
    talks: Talks,
    others: BTreeMap<Subject, Group>,
    left_out: u64,
    /// Events that were taken in.
    pub events: u64,
}

impl Heap {
    /// Takes an event in.
    pub fn add(&mut self, event: Event) {
        use Reason as R;
        let subject = match event.reason {
            // No anomaly of whoever sent it.
            R::Allowed | R::Survival | R::Related | R::ListedEthertype | R::AgentLost | R::Island => return,
            R::UnknownSource
            | R::UnknownDestination
            | R::UnlistedPair
            | R::UnlistedService
            | R::SourcePortDeviation
            | R::AddressPortMismatch
            | R::ReversedDirection
            | R::Granted
            | R::GrantExpired => None,
            R::MacMismatch | R::ArpSpoof => station(&event).or_else(|| Some(other(&event))),
            R::WrongZone => event
                .speaker()
                .map(|address| Subject::Place { address, zone: event.zone.clone() })
                .or_else(|| Some(other(&event))),
            R::UnsolicitedReply
            | R::UnlistedEthertype
            | R::UnlistedProtocol
            | R::OrphanFragment
            | R::Malformed
            | R::UnlistedVlan
            | R::UnrelatedIcmpError => Some(other(&event)),
        };
        self.events += 1;
        match subject {
            Some(subject) => self.other(subject, event),
            None if self.is_of_flow(&event) => self.talks.add(event),
            None => self.other(other(&event), event),
        }
    }

    /// Whether somebody asks or answers: an ICMP error only speaks of something else.
    fn is_of_flow(&self, event: &Event) -> bool {
        if event.src.is_none() || event.dst.is_none() || event.transport.is_none() {
            return false;
        }
        if !matches!(event.transport.as_deref(), Some("icmp" | "icmpv6")) {
            return true;
        }
        match event.kind {
            Kind::Repeats => !self.others.contains_key(&other(event)),
            Kind::Deviation => {
                let (_, headers) = event.headers();
                matches!((headers.protocol, headers.icmp_type), (1, 0 | 8) | (58, 128 | 129))
            }
        }
    }

    fn other(&mut self, subject: Subject, event: Event) {
        if self.others.len() >= OTHERS && !self.others.contains_key(&subject) {
            self.left_out = self.left_out.saturating_add(event.packets());
            return;
        }
        match self.others.get_mut(&subject) {
            Some(group) => group.take(&event),
            None => {
                self.others.insert(subject.clone(), Group::of(subject, &event));
            }
        }
    }

    /// Packets of events for which there was no room.
    pub fn left_out(&self) -> u64 {
        self.left_out.saturating_add(self.talks.left_out)
    }

    /// Groups, in the order of what they are about.
    pub(super) fn groups(self, policy: &Policy) -> Vec<Group> {
        let mut groups = self.others;
        for (talk, server, why) in self.talks.decided(policy) {
            let Some(latest) = talk.latest() else { continue };
            let (asks, answers) = talk.ends_by_role(server);
            let subject = flow(policy, &talk, asks, answers);
            let group = groups.entry(subject.clone()).or_insert_with(|| Group::empty(subject, latest));
            group.converse(&talk, server, why);
        }
        scans(groups.into_values().collect())
    }
}

/// The hardware address that speaks for an address.
fn station(event: &Event) -> Option<Subject> {
    Some(Subject::Station { address: event.speaker()?, mac: event.mac()? })
}

fn other(event: &Event) -> Subject {
    let mac = || event.mac().map_or_else(|| "?".to_owned(), |mac| super::words::mac(&mac));
    let place = || event.interface.clone().unwrap_or_default();
    let to = match event.reason {
        Reason::UnlistedEthertype => event.ethertype.clone(),
        Reason::UnlistedVlan => {
            let vlans: Vec<String> = event.vlans.iter().map(u16::to_string).collect();
            format!("{} vlan {}", place(), if vlans.is_empty() { "none".to_owned() } else { vlans.join(".") })
        }
        _ => match (event.dst, &event.transport) {
            (Some(dst), Some(transport)) => format!("{dst} {transport}"),
            (Some(dst), None) => dst.to_string(),
            (None, _) => event.ethertype.clone(),
        },
    };
    // Whoever is plugged in at the wrong place is one thing, however many speak there.
    let from = if event.reason == Reason::UnlistedVlan {
        place()
    } else {
        event.src.map_or_else(mac, |src| src.to_string())
    };
    Subject::Other { reason: event.reason, from, to }
}

/// What a conversation is about. A port from which a server opens connections is its own; the other one is noise then.
fn flow(policy: &Policy, talk: &Talk, asks: End, answers: End) -> Subject {
    let serves = |(address, port): End, other: IpAddr| {
        port.is_some_and(|port| {
            policy.rules.iter().any(|rule| {
                let has = |assets: &[usize], address| {
                    let mut known = assets.iter().filter_map(|id| policy.assets.get(*id));
                    known.any(|asset| holds(&asset.addresses, address))
                };
                let service = policy.services.get(rule.service);
                let port = service.is_some_and(|service| match &service.port {
                    ServerPort::Set(ranges) => ranges.iter().any(|r| (r.first..=r.last).contains(&port)),
                    _ => false,
                });
                port && has(&rule.servers, address) && has(&rule.clients, other)
            })
        })
    };
    let reversed = talk.reasons().contains(&Reason::ReversedDirection);
    let from = reversed && serves(asks, answers.0) && asks.1 != answers.1;
    Subject::Flow {
        transport: talk.transport.clone(),
        client: asks.0,
        server: answers.0,
        port: if from { asks.1 } else { answers.1 },
        from,
        same: asks.1.is_some() && asks.1 == answers.1,
    }
}

impl Group {
    fn empty(subject: Subject, latest: &Event) -> Self {
        Self {
            subject,
            packets: [0, 0],
            talks: 0,
            first: latest.time.clone(),
            last: latest.time.clone(),
            client_ports: BTreeSet::new(),
            server_ports: BTreeSet::new(),
            reasons: BTreeSet::new(),
            latest: latest.clone(),
            samples: Vec::new(),
            why: None,
            members: Vec::new(),
        }
    }

    fn of(subject: Subject, event: &Event) -> Self {
        let mut group = Self::empty(subject, event);
        group.take(event);
        group
    }

    fn take(&mut self, event: &Event) {
        self.packets[0] = self.packets[0].saturating_add(event.packets());
        self.span(&event.time, &event.time);
        self.note(event);
    }

    fn span(&mut self, first: &str, last: &str) {
        if first < self.first.as_str() {
            first.clone_into(&mut self.first);
        }
        if last > self.last.as_str() {
            last.clone_into(&mut self.last);
        }
    }

    /// Takes note of a packet.
    fn note(&mut self, event: &Event) {
        self.reasons.insert(event.reason);
        if event.kind == Kind::Deviation && self.samples.len() < SAMPLES {
            self.samples.push(event.clone());
        }
        if event.time >= self.latest.time {
            self.latest = event.clone();
        }
    }

    fn converse(&mut self, talk: &Talk, server: usize, why: Why) {
        let (asks, answers) = talk.ends_by_role(server);
        let put = |ports: &mut BTreeSet<u16>, port: Option<u16>| {
            if ports.len() < PORTS {
                ports.extend(port);
            }
        };
        put(&mut self.client_ports, asks.1);
        put(&mut self.server_ports, answers.1);
        let [low, high] = &talk.sides;
        let (asking, answering) = if server == 1 { (low, high) } else { (high, low) };
        self.packets[0] = self.packets[0].saturating_add(asking.packets);
        self.packets[1] = self.packets[1].saturating_add(answering.packets);
        self.talks += 1;
        self.span(&talk.first, &talk.last);
        self.why = Some(self.why.map_or(why, |known| known.min(why)));
        // The one that asks is what the group is about; it comes last, so that it is the latest of two at one time.
        for event in [answering, asking].into_iter().filter_map(|side| side.latest.as_deref()) {
            self.note(event);
        }
        if let Some(event) = asking.latest.as_deref() {
            self.latest = event.clone();
        }
    }

    /// Whether both hosts speak, so that nobody only tries.
    fn is_talk(&self) -> bool {
        self.packets.iter().all(|packets| *packets >= TALKS)
    }
}

/// Puts together what one host asks, where it asks much and hardly anybody speaks with it.
fn scans(groups: Vec<Group>) -> Vec<Group> {
    let asker = |group: &Group| match &group.subject {
        Subject::Flow { client, from: false, .. } if !group.reasons.contains(&Reason::Granted) => {
            Some(*client)
        }
        _ => None,
    };
    let mut asked: BTreeMap<IpAddr, (usize, usize)> = BTreeMap::new();
    for (group, client) in groups.iter().filter_map(|group| Some((group, asker(group)?))) {
        let (all, talks) = asked.entry(client).or_default();
        *all += 1;
        *talks += usize::from(group.is_talk());
    }
    asked.retain(|_, (all, talks)| *all >= SCAN && *talks * 2 < *all);
    let mut found: BTreeMap<IpAddr, Group> = BTreeMap::new();
    let mut kept = Vec::new();
    for group in groups {
        // Whoever talks while it scans is looked at for that as well.
        let Some(source) = asker(&group).filter(|client| asked.contains_key(client) && !group.is_talk())
        else {
            kept.push(group);
            continue;
        };
        let scan =
            found.entry(source).or_insert_with(|| Group::empty(Subject::Scan { source }, &group.latest));
        for (sum, packets) in scan.packets.iter_mut().zip(group.packets) {
            *sum = sum.saturating_add(packets);
        }
        scan.talks += group.talks;
        scan.span(&group.first, &group.last);
        scan.reasons.extend(&group.reasons);
        if group.latest.time > scan.latest.time {
            scan.latest = group.latest.clone();
        }
        if scan.samples.len() < SAMPLES {
            scan.samples.extend(group.samples.first().cloned());
        }
        scan.members.push(group);
    }
    kept.extend(found.into_values());
    kept
}
