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
//! 2. It is held against the rules twice. The first rule that holds the source as client and the destination as
//!    server, and whose service has these ports, would make it a question; the first that does so with roles
//!    exchanged would make it an answer. Groups under `reply_to` count as clients.
//! 3. Behind the rules that are written come those that they imply: first each rule of a `peer` service with its
//!    clients and servers exchanged; then for each rule with `reply_from` one that only answers, from these ports
//!    without the service's own. With `source_port: same` the client's port is then one of the service's own.
//! 4. Its payload has a class under the service of each rule: request, response, notification or undecidable. It is
//!    a question if it could be one, and it could be no answer, or its class is undecidable or one that clients may
//!    send. Else it is an answer, if it could be one.
//! 5. A question from another zone than the clients' is `wrong-zone`; from a source that is bound to another
//!    hardware address `mac-mismatch`; from a group `malformed` (multicast, 255.255.255.255, or a broadcast address that is named); one that shows itself as what clients may not send
//!    `reversed-direction`; all else is allowed. If answers need it, and it is a request or undecidable, it is
//!    remembered.
//! 6. An answer from another zone than the servers' is `wrong-zone`, from other hardware `mac-mismatch`. A TCP segment
//!    that opens a connection, an answer where there are none, and one that shows itself as what servers may not
//!    send are `reversed-direction`. It is allowed if answers are free, or if it is a request or a notification, or
//!    if it is a response and the window is not strict. Else it needs a question no longer ago than the window:
//!    without, it is `unsolicited-reply`.
//! 7. That question went between the same ends: addresses and ports. The server's port does not count where the
//!    service has `reply_from`; the client's address does not count where the rule names a group as a client or under
//!    `reply_to`; and where some rule asks the service of a group, a question to any group counts as one to each
//!    server. Here a group is one that some asset names: as a host, in a range, or as a network of groups. That a
//!    network of hosts ends with its broadcast address names none, and to be in somebody's network makes a group no
//!    client of its rules, where its name does not stand.
//! 8. Grants are rules that hold for a time, and stand behind everything else. What fits one is `granted`, or
//!    `grant-expired` once its time is over. A packet that a grant would make a question, and a rule of the policy an
//!    answer, is that answer if it may be; where the grant is over, it is that answer in any case. On ports that only answers come from, nothing can be granted.
//! 9. Without a rule, hosts come first: a source without a home is `unknown-source`, one at home in another zone is
//!    `wrong-zone`, one that no asset holds is `unknown-source`, one bound to another hardware address is
//!    `mac-mismatch`, and a destination that no asset holds is `unknown-destination`.
//! 10. Then the nearest rule is looked for, in this order, and each time the first counts of those that can be asked:
//!    - one that fits but for the link between the server's port and its address, where the port is one that the link
//!      gives to *some* address: `address-port-mismatch`; forward, then on the way back;
//!    - one that fits but for the client's port: `source-port-deviation`; forward, then back;
//!    - one whose server asks its client for the rule's own port: `reversed-direction`;
//!    - any between the two hosts: `unlisted-service`; forward, then back;
//!    - none: `unlisted-pair`.
//!
//! # Everything else
//!
//! A frame without IP that belongs to the survival set passes even without a zone; another one passes if a conduit
//! lists its protocol and its zone can send there. Later fragments pass if the first one was allowed; ICMP errors pass if they go to the sender of a packet that a rule allows, and come from the zone
//! that the packet went to. Neighbour announcements pass unless they claim an address that is at home in another zone,
//! or bound to other hardware; link-local addresses that no asset takes in are at home in every zone.
//!
//! # Verdict
//!
//! What does not pass is dropped in mode `enforce`. The mode is that of the rule, else of its conduit; without a rule,
//! that of the conduit between the zone that the packet came from and the destination's home; else the default.

mod address;
mod below;
mod class;
mod packet;
mod relate;
mod rules;

use std::net::IpAddr;
use std::time::Duration;

use banchi::policy::model::{Class, Direction, Mode, Policy, Reply, Service, Vlan};
use banchi_common::reason::{Orientation, Reason, Verdict};

use address::{binding, home, is_known, is_named_group};
use below::{below_ip, neighbour, survives};
use class::class_of;
pub use packet::{Body, Defect, Flow, Fragment, TestPacket, Way};
use rules::{Asked, Ends, asked, first_match, nearest};

/// What the oracle says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// Why.
    pub reason: Reason,
    /// Rule that decides or is nearest, in file order from 0.
    pub rule: Option<usize>,
    /// Which way the packet goes through the rule that matches it.
    pub orientation: Orientation,
    /// What its payload shows itself as, under the rule that matches it.
    pub class: Class,
    /// Zone that it came from.
    pub zone: Option<usize>,
    /// Conduit that it belongs to.
    pub conduit: Option<usize>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Whether it is dropped.
    pub dropped: bool,
}

/// How a judgement came about that tells no difference by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Path {
    /// By a rule that stands for answers from other ports.
    pub answers_only: bool,
    /// By a rule with its sides exchanged.
    pub exchanged: bool,
    /// By a rule with a group among its clients.
    pub group_client: bool,
    /// An answer to a question that a group was asked, and not its sender.
    pub asked_of_group: bool,
}

/// Walks a policy, and remembers what was asked.
#[derive(Debug, Clone)]
pub struct Oracle<'p> {
    policy: &'p Policy,
    rules: Vec<Asked<'p>>,
    remembered: Vec<Question>,
    path: Path,
}

/// A question that an answer may need.
#[derive(Debug, Clone, Copy)]
struct Question {
    /// `None` where it does not count.
    client: Option<IpAddr>,
    client_port: u16,
    server: IpAddr,
    /// `None` where it does not count.
    server_port: Option<u16>,
    at: u64,
}

/// What is known before verdict and mode.
#[derive(Debug, Clone, Copy)]
struct Finding {
    reason: Reason,
    rule: Option<usize>,
    orientation: Orientation,
    class: Class,
    conduit: Option<usize>,
}

impl Finding {
    const fn only(reason: Reason) -> Self {
        Self { reason, rule: None, orientation: Orientation::None, class: Class::Undecidable, conduit: None }
    }
}

impl<'p> Oracle<'p> {
    /// Before any packet.
    pub fn new(policy: &'p Policy) -> Self {
        Self { policy, rules: asked(policy), remembered: Vec::new(), path: Path::default() }
    }

    /// Forgets every question.
    pub fn forget(&mut self) {
        self.remembered.clear();
    }

    /// How the last judgement came about.
    pub fn path(&self) -> Path {
        self.path
    }

    /// Judges a packet that comes at a time, in nanoseconds. For a later fragment, [`Fragment::Later`] says whether
    /// its first one comes just before.
    pub fn judge(&mut self, packet: &TestPacket, now: u64) -> Judgement {
        let first_passed = matches!(packet.fragment, Fragment::Later { after_first: true, .. })
            && self.judge(&packet.first_fragment(), now).reason.passes();
        self.path = Path::default();
        let zone = zone_of(self.policy, packet);
        let finding = match (zone, &packet.body) {
            (_, body) if survives(body) => Finding::only(Reason::Survival),
            (None, _) => Finding::only(Reason::UnlistedVlan),
            (Some(zone), _) => self.in_zone(packet, zone, first_passed, now),
        };
        let (verdict, dropped) = if finding.reason.passes() {
            (Verdict::Pass, false)
        } else {
            match mode(self.policy, finding.rule, finding.conduit) {
                Mode::Alert => (Verdict::WouldDrop, false),
                Mode::Enforce => (Verdict::Drop, true),
            }
        };
        let Finding { reason, rule, orientation, class, conduit } = finding;
        Judgement { reason, rule, orientation, class, zone, conduit, verdict, dropped }
    }

    fn in_zone(&mut self, packet: &TestPacket, zone: usize, first_passed: bool, now: u64) -> Finding {
        if packet.is_malformed() {
            return Finding::only(Reason::Malformed);
        }
        if let Fragment::Later { .. } = packet.fragment {
            return if first_passed && matches!(packet.body, Body::Flow(_)) {
                let to = home(self.policy, packet.destination);
                let conduit = to.and_then(|to| conduit_between(self.policy, zone, to));
                Finding { conduit, ..Finding::only(Reason::Related) }
            } else {
                self.hosts_first(packet, zone, || Finding::only(Reason::OrphanFragment))
            };
        }
        match &packet.body {
            Body::Flow(flow) => self.flow(packet, flow, zone, now),
            Body::IcmpError { about, from, to, complete, .. } => {
                let holds = |way| {
                    first_match(&self.rules, *from, *to, about, way).filter(|rule| rule.allows(now).passes())
                };
                let went_to = holds(Way::Forward)
                    .map(|rule| (rule.server_zone(), rule.conduit()))
                    .or_else(|| holds(Way::Return).map(|rule| (rule.client_zone(), rule.conduit())));
                if *complete
                    && *from == packet.destination
                    && let Some((to, conduit)) = went_to
                    && to == zone
                {
                    Finding { conduit: Some(conduit), ..Finding::only(Reason::Related) }
                } else {
                    self.hosts_first(packet, zone, || Finding::only(Reason::UnrelatedIcmpError))
                }
            }
            Body::Protocol(_) if packet.is_redundancy_or_membership() => Finding::only(Reason::Survival),
            Body::Icmp(_) if packet.is_redundancy_or_membership() => Finding::only(Reason::Survival),
            Body::Protocol(_) | Body::Icmp(_) => {
                self.hosts_first(packet, zone, || Finding::only(Reason::UnlistedProtocol))
            }
            Body::Arp { claimed, claimed_mac } => {
                neighbour(self.policy, packet, zone, IpAddr::V4(*claimed), *claimed_mac)
            }
            Body::Neighbour { advertises } => {
                let claimed = advertises.map_or(packet.source, IpAddr::V6);
                neighbour(self.policy, packet, zone, claimed, packet.source_mac)
            }
            Body::Ethertype(kind) => below_ip(self.policy, zone, *kind),
            Body::Llc { destination, .. } => below_ip(self.policy, zone, u16::from(*destination)),
        }
    }

    fn flow(&mut self, packet: &TestPacket, flow: &Flow, zone: usize, now: u64) -> Finding {
        let find = |way| first_match(&self.rules, packet.source, packet.destination, flow, way).cloned();
        let (question, answer) = (find(Way::Forward), find(Way::Return));
        if let (Some(asks), Some(rule)) = (&question, &answer)
            && asks.is_grant()
            && !rule.is_grant()
        {
            let class = class_of(rule.service(), packet.payload(flow), packet.datagram());
            let reason = self.answer(packet, flow, zone, rule, class, now);
            if reason.passes() || asks.allows(now) == Reason::GrantExpired {
                return self.matched(rule, Orientation::Return, class, reason);
            }
        }
        if let Some(rule) = question {
            let class = class_of(rule.service(), packet.payload(flow), packet.datagram());
            if answer.is_none() || class == Class::Undecidable || rule.service().client_may.holds(class) {
                let reason = self.question(packet, flow, zone, &rule, class, now);
                return self.matched(&rule, Orientation::Forward, class, reason);
            }
        }
        if let Some(rule) = answer {
            let class = class_of(rule.service(), packet.payload(flow), packet.datagram());
            let reason = self.answer(packet, flow, zone, &rule, class, now);
            return self.matched(&rule, Orientation::Return, class, reason);
        }
        self.hosts_first(packet, zone, || {
            match nearest(&self.rules, packet.source, packet.destination, flow) {
                Some((rule, reason)) => Finding {
                    rule: Some(rule.number),
                    conduit: Some(rule.conduit()),
                    ..Finding::only(reason)
                },
                None => Finding::only(Reason::UnlistedPair),
            }
        })
    }

    fn matched(
        &mut self,
        rule: &Asked<'_>,
        orientation: Orientation,
        class: Class,
        reason: Reason,
    ) -> Finding {
        self.path.answers_only = rule.answers_only();
        self.path.exchanged = rule.is_exchanged();
        self.path.group_client = rule.names_group_client;
        Finding { reason, rule: Some(rule.number), orientation, class, conduit: Some(rule.conduit()) }
    }

    fn question(
        &mut self,
        packet: &TestPacket,
        flow: &Flow,
        zone: usize,
        rule: &Asked<'_>,
        class: Class,
        now: u64,
    ) -> Reason {
        let service = rule.service();
        if rule.client_zone() != zone {
            return Reason::WrongZone;
        }
        if is_bound_elsewhere(self.policy, packet) {
            return Reason::MacMismatch;
        }
        if is_source_of_none(self.policy, packet.source) || hides(packet, flow, service, class) {
            return Reason::Malformed;
        }
        if class != Class::Undecidable && !service.client_may.holds(class) {
            return Reason::ReversedDirection;
        }
        if rule.allows(now).passes()
            && window(service.reply).is_some()
            && matches!(class, Class::Undecidable | Class::Request)
        {
            let ends = Ends::of(packet.source, packet.destination, flow, Way::Forward);
            self.remembered.push(remembered_as(rule, &ends, now));
        }
        rule.allows(now)
    }

    fn answer(
        &mut self,
        packet: &TestPacket,
        flow: &Flow,
        zone: usize,
        rule: &Asked<'_>,
        class: Class,
        now: u64,
    ) -> Reason {
        let service = rule.service();
        if rule.server_zone() != zone {
            return Reason::WrongZone;
        }
        if is_bound_elsewhere(self.policy, packet) {
            return Reason::MacMismatch;
        }
        if hides(packet, flow, service, class) {
            return Reason::Malformed;
        }
        let may = class == Class::Undecidable || service.server_may.holds(class);
        if flow.opens() || service.reply == Reply::None || !may {
            return Reason::ReversedDirection;
        }
        let allowed = rule.allows(now);
        let Some((window, strict)) = window(service.reply).filter(|_| allowed.passes()) else {
            return allowed;
        };
        let tells = match class {
            Class::Request | Class::Notification => true,
            Class::Response => !strict,
            Class::Undecidable => false,
        };
        if tells {
            return allowed;
        }
        let wanted =
            remembered_as(rule, &Ends::of(packet.source, packet.destination, flow, Way::Return), now);
        let in_time = |question: &Question| u128::from(now - question.at) <= window.as_nanos();
        let same_ends = |question: &Question| {
            question.client == wanted.client
                && question.client_port == wanted.client_port
                && question.server_port == wanted.server_port
        };
        let asked = |by: &dyn Fn(&Question) -> bool| {
            self.remembered.iter().any(|question| same_ends(question) && in_time(question) && by(question))
        };
        let asked_itself = asked(&|question| question.server == wanted.server);
        let asked_a_group =
            rule.asks_groups && asked(&|question| is_named_group(self.policy, question.server));
        self.path.asked_of_group = asked_a_group && !asked_itself;
        if asked_itself || asked_a_group { allowed } else { Reason::UnsolicitedReply }
    }

    /// What is wrong with the hosts, and `otherwise` where nothing is.
    fn hosts_first(&self, packet: &TestPacket, zone: usize, otherwise: impl FnOnce() -> Finding) -> Finding {
        let policy = self.policy;
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
}

/// No host sends from an address of many.
fn is_source_of_none(policy: &Policy, address: IpAddr) -> bool {
    let all = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    all || address.is_multicast() || is_named_group(policy, address)
}

/// The window of a reply, and whether it is strict.
fn window(reply: Reply) -> Option<(Duration, bool)> {
    match reply {
        Reply::Window(window) => Some((window, false)),
        Reply::Strict(window) => Some((window, true)),
        Reply::Free | Reply::None => None,
    }
}

/// A question between two ends, without what does not count under a rule.
fn remembered_as(rule: &Asked<'_>, ends: &Ends, at: u64) -> Question {
    Question {
        client: (!rule.names_group_client).then_some(ends.client),
        client_port: ends.client_port,
        server: ends.server,
        server_port: rule.service().reply_from.is_empty().then_some(ends.server_port),
        at,
    }
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

fn is_bound_elsewhere(policy: &Policy, packet: &TestPacket) -> bool {
    binding(policy, packet.source).is_some_and(|mac| mac != packet.source_mac)
}

fn conduit_between(policy: &Policy, from: usize, to: usize) -> Option<usize> {
    let named = |a, b| policy.conduits.iter().position(|conduit| conduit.zones == (a, b));
    named(from, to).or_else(|| named(to, from))
}

fn mode(policy: &Policy, rule: Option<usize>, conduit: Option<usize>) -> Mode {
    let by_rule = rule.and_then(|rule| policy.rules[rule].mode);
    by_rule.or_else(|| conduit.map(|conduit| policy.conduits[conduit].mode)).unwrap_or(policy.default_mode)
}

/// A first fragment of less than 256 bytes, or without the byte that the service names, that does not show what it is.
fn hides(packet: &TestPacket, flow: &Flow, service: &Service, class: Class) -> bool {
    let enough = match service.direction {
        Some(Direction::Custom { at, .. }) if at >= 256 => usize::from(at) + 1,
        _ => 256,
    };
    matches!(packet.fragment, Fragment::First(_))
        && service.direction.is_some()
        && class == Class::Undecidable
        && packet.payload(flow).len() < enough
}
