//! What the captures and a policy say of each other: every packet through the decision of the data plane, counted by
//! flow, by rule and by conduit.
//!
//! Outside of the kernel every question counts as asked, so windows for answers are not tried here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use banchi_common::engine::Decision;
use banchi_common::reason::Reason;
use banchi_common::wire::{Bytes, Content, Headers, parse};

use crate::capture::Captures;
use crate::image::Image;
use crate::learn::flow::{Flow, Ports};
use crate::learn::key::Key;
use crate::learn::verify::walk;
use crate::policy::model::{Addresses, ConduitId, Policy, ZoneId};

/// Nanoseconds of an hour.
const HOUR: u64 = 3_600_000_000_000;
/// Days that are told apart.
const DAYS: usize = 4_096;

/// Packets that would not pass, of one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub packets: u64,
    /// First and last, in nanoseconds since 1970.
    pub first: u64,
    /// See there.
    pub last: u64,
}

impl Count {
    const NONE: Self = Self { packets: 0, first: u64::MAX, last: 0 };

    fn add(&mut self, at: u64) {
        self.packets += 1;
        self.first = self.first.min(at);
        self.last = self.last.max(at);
    }
}

/// What became of the packets of a conduit, or of what belongs to none.
#[derive(Debug, Clone, Default)]
pub struct ConduitFacts {
    /// Packets that pass.
    pub passed: u64,
    /// Packets that would not pass, by reason.
    pub reasons: BTreeMap<&'static str, Count>,
    /// Bits of the hours of the day (UTC) in which something was seen.
    pub hours: u32,
    /// Days on which something was seen, since 1970.
    pub days: BTreeSet<u64>,
}

impl ConduitFacts {
    /// Packets that would not pass.
    pub fn dropped(&self) -> u64 {
        self.reasons.values().map(|count| count.packets).sum()
    }

    fn seen(&mut self, at: u64) {
        let hour = at / HOUR;
        self.hours |= 1 << (hour % 24);
        if self.days.len() < DAYS {
            self.days.insert(hour / 24);
        }
    }
}

/// A flow, and what the policy says of it.
#[derive(Debug, Clone)]
pub struct Line {
    /// The flow.
    pub flow: Flow,
    /// Zones of client and server, where the policy has one for them.
    pub zones: [Option<ZoneId>; 2],
    /// Names of client and server: of an asset that is this one host, or the address.
    pub names: [String; 2],
    /// The conduit that most of its packets belong to.
    pub conduit: Option<ConduitId>,
    /// The rule that most of its packets fit, or fit best.
    pub rule: Option<usize>,
    /// Packets that pass.
    pub passed: u64,
    /// Packets that would not pass, by reason.
    pub reasons: BTreeMap<&'static str, u64>,
}

impl Line {
    /// Packets that would not pass.
    pub fn dropped(&self) -> u64 {
        self.reasons.values().sum()
    }

    /// How it stands.
    pub fn state(&self) -> State {
        match (self.dropped(), self.passed) {
            (0, 0) => State::Unseen,
            (0, _) => State::Passes,
            _ => State::Deviates,
        }
    }
}

/// How a flow stands with the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// All of it passes.
    Passes,
    /// Some of it would not pass.
    Deviates,
    /// The gateway does not see it: both ends are in one zone, or nothing says where it comes in.
    Unseen,
}

impl State {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passes => "passes",
            Self::Deviates => "deviates",
            Self::Unseen => "unseen",
        }
    }
}

/// Everything of the captures, held against a policy.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Flows, most packets first.
    pub lines: Vec<Line>,
    /// By [`ConduitId`]; the last is what belongs to none.
    pub conduits: Vec<ConduitFacts>,
    /// Packets that a rule allowed, by its place in the policy.
    pub rules: Vec<Count>,
    /// Packets between hosts of one zone.
    pub within: u64,
    /// Packets of which nothing says where they come from.
    pub unplaced: u64,
}

impl Gathered {
    /// What no captures say of a policy.
    pub fn none(policy: &Policy) -> Self {
        Self {
            conduits: vec![ConduitFacts::default(); policy.conduits.len() + 1],
            rules: vec![Count::NONE; policy.rules.len()],
            ..Self::default()
        }
    }
}

/// What became of the packets of one tuple.
#[derive(Default)]
struct Judged {
    passed: u64,
    reasons: BTreeMap<&'static str, u64>,
    /// Packets by conduit and rule, from 1, as a decision has them.
    places: BTreeMap<(u16, u32), u64>,
}

impl Judged {
    fn add(&mut self, decision: &Decision) {
        if decision.reason.passes() {
            self.passed += 1;
        } else {
            *self.reasons.entry(decision.reason.about().name).or_default() += 1;
        }
        *self.places.entry((decision.conduit, decision.rule)).or_default() += 1;
    }

    fn absorb(&mut self, other: Self) {
        self.passed += other.passed;
        for (reason, packets) in other.reasons {
            *self.reasons.entry(reason).or_default() += packets;
        }
        for (place, packets) in other.places {
            *self.places.entry(place).or_default() += packets;
        }
    }
}

/// Runs captures through the decision of a policy; at most `limit` tuples are kept apart. `progress` is called now and
/// then.
pub fn gather(
    captures: &mut Captures,
    policy: &Policy,
    image: &Image,
    flows: Vec<Flow>,
    limit: usize,
    progress: impl FnMut(&Captures),
) -> Gathered {
    let mut gathered = Gathered::none(policy);
    let mut tuples: HashMap<Key, Judged> = HashMap::new();
    walk(captures, policy, image, progress, |frame, fate| {
        let decision = match fate {
            Ok(decision) => decision,
            Err(crate::backtest::Way::Within) => return gathered.within += 1,
            Err(_) => return gathered.unplaced += 1,
        };
        let place = usize::from(decision.conduit).checked_sub(1).unwrap_or(policy.conduits.len());
        // Only the kernel remembers first fragments.
        if decision.reason == Reason::OrphanFragment {
            return;
        }
        if let Some(conduit) = gathered.conduits.get_mut(place) {
            if decision.reason.passes() {
                conduit.passed += 1;
            } else {
                conduit.reasons.entry(decision.reason.about().name).or_insert(Count::NONE).add(frame.at);
            }
            conduit.seen(frame.at);
        }
        if decision.reason == Reason::Allowed
            && let Some(rule) =
                (decision.rule as usize).checked_sub(1).and_then(|rule| gathered.rules.get_mut(rule))
        {
            rule.add(frame.at);
        }
        let mut headers = Headers::default();
        if parse(&Bytes(&frame.bytes), &mut headers) == Content::Flow {
            let key = Key::of(&headers).0;
            if tuples.len() < limit || tuples.contains_key(&key) {
                tuples.entry(key).or_default().add(&decision);
            }
        }
    });
    gathered.lines = lines(policy, flows, tuples);
    gathered
}

/// Flows with what became of their tuples, most packets first.
fn lines(policy: &Policy, flows: Vec<Flow>, tuples: HashMap<Key, Judged>) -> Vec<Line> {
    let mut pairs: HashMap<(u8, IpAddr, IpAddr), Vec<usize>> = HashMap::new();
    for (place, flow) in flows.iter().enumerate() {
        let (low, high) = (flow.client.min(flow.server), flow.client.max(flow.server));
        pairs.entry((flow.transport as u8, low, high)).or_default().push(place);
        for other in flow.reply_to.iter().chain(&flow.asked_groups) {
            for end in [flow.client, flow.server] {
                let (low, high) = (end.min(*other), end.max(*other));
                pairs.entry((flow.transport as u8, low, high)).or_default().push(place);
            }
        }
    }
    let mut judged: Vec<Judged> = flows.iter().map(|_| Judged::default()).collect();
    for (key, outcome) in tuples {
        let (a, b) = (key.address(0), key.address(1));
        let known = pairs.get(&(key.transport, a.min(b), a.max(b))).map_or(&[][..], Vec::as_slice);
        let best = known.iter().max_by_key(|place| {
            let fits = flows.get(**place).map_or(0, |flow| fit(flow, &key));
            (fits, std::cmp::Reverse(**place))
        });
        if let Some(row) = best.and_then(|place| judged.get_mut(*place)) {
            row.absorb(outcome);
        }
    }
    let mut known = Known { policy, hosts: HashMap::new() };
    let mut lines: Vec<Line> =
        flows.into_iter().zip(judged).map(|(flow, judged)| line(&mut known, flow, judged)).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.flow.packets));
    lines
}

/// How well a tuple fits a flow of the same hosts.
fn fit(flow: &Flow, key: &Key) -> u32 {
    let holds = |ports: &Ports, port: u16| match ports {
        Ports::Any => 1,
        Ports::Linked(known) if *known == port => 2,
        Ports::Set(ports) if ports.contains(&port) => 2,
        _ => 0,
    };
    let way = |client: usize| {
        if key.address(client) != flow.client && key.address(1 - client) != flow.server {
            return 0;
        }
        let server = key.port(1 - client);
        let server = holds(&flow.server_port, server).max(2 * u32::from(flow.reply_from.contains(&server)));
        let client = holds(&flow.client_port, key.port(client));
        if server == 0 || client == 0 { server + client } else { 10 + server + client }
    };
    way(0).max(way(1))
}

/// Zones and names of hosts, looked for once.
struct Known<'p> {
    policy: &'p Policy,
    hosts: HashMap<IpAddr, (Option<ZoneId>, String)>,
}

impl Known<'_> {
    fn host(&mut self, address: IpAddr) -> (Option<ZoneId>, String) {
        let policy = self.policy;
        self.hosts.entry(address).or_insert_with(|| (home(policy, address), name(policy, address))).clone()
    }
}

fn line(known: &mut Known<'_>, flow: Flow, judged: Judged) -> Line {
    let place = judged.places.iter().max_by_key(|(place, packets)| (**packets, place.1 != 0));
    let (conduit, rule) = place.map_or((0, 0), |(place, _)| *place);
    let conduit = usize::from(conduit).checked_sub(1);
    let (client, client_name) = known.host(flow.client);
    let (mut server, server_name) = known.host(flow.server);
    if flow.to_group {
        // Whoever listens is at the other end of the conduit.
        server = conduit
            .and_then(|at| known.policy.conduits.get(at))
            .map(|conduit| if Some(conduit.zones.0) == client { conduit.zones.1 } else { conduit.zones.0 });
    }
    Line {
        zones: [client, server],
        names: [client_name, server_name],
        conduit,
        rule: (rule as usize).checked_sub(1),
        passed: judged.passed,
        reasons: judged.reasons,
        flow,
    }
}

/// The zone that an address lives in.
pub(crate) fn home(policy: &Policy, address: IpAddr) -> Option<ZoneId> {
    let zones = policy.zones.iter().enumerate();
    let networks = zones.flat_map(|(at, zone)| zone.networks.iter().map(move |network| (at, network)));
    let fitting = networks.filter(|(_, network)| network.contains(&address));
    fitting.max_by_key(|(_, network)| network.prefix_len()).map(|(at, _)| at)
}

/// The asset that is this one host, or the address.
fn name(policy: &Policy, address: IpAddr) -> String {
    let one = policy.assets.iter().find(|asset| asset.addresses == [Addresses::Host(address)]);
    one.map_or_else(|| address.to_string(), |asset| asset.name.clone())
}

/// Whether an address is among those of an asset.
pub(crate) fn holds(addresses: &[Addresses], address: IpAddr) -> bool {
    addresses.iter().any(|addresses| match addresses {
        Addresses::Host(host) => *host == address,
        Addresses::Range(first, last) => (*first..=*last).contains(&address),
        Addresses::Prefix(network) => network.contains(&address),
    })
}

/// How many addresses there are.
pub(crate) fn width(addresses: &Addresses) -> u128 {
    let bits = |address: &IpAddr| match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    match addresses {
        Addresses::Host(_) => 1,
        Addresses::Range(first, last) => bits(last).saturating_sub(bits(first)).saturating_add(1),
        Addresses::Prefix(network) => {
            let free = u32::from(network.max_prefix_len() - network.prefix_len());
            1_u128.checked_shl(free).unwrap_or(u128::MAX)
        }
    }
}
