//! From tuples to flows: what belongs to one client, one server and one service.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use banchi_common::abi::Transport;

use super::asks::{Elsewhere, How};
use super::evidence::{Kind, Weights, about, votes};
use super::flow::{Flow, Idiom, Ports};
use super::key::{End, Key};
use super::linked::Link;
use super::ports;
use super::say;
use super::spread::{Pinned, Spread, links, spread};
use super::table::{Traffic, Tuple};

/// Weight from which a direction counts as known.
const DECIDED: f32 = 0.45;
/// Server ports of one pair, each used once, that make a range allotted per session.
const ALLOTTED: usize = 6;

/// A tuple with its direction.
#[derive(Clone, Copy)]
pub(super) struct Directed<'t> {
    pub(super) tuple: &'t Tuple,
    pub(super) weights: &'t Weights,
    /// Side of the client.
    pub(super) client: usize,
    pub(super) verdict: Verdict,
    /// It only answers what was asked elsewhere.
    pub(super) answers_only: bool,
    /// The port under which its service was asked first: a session may go on from the port that answered.
    pub(super) asked: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Decided,
    Peer,
    Undecided,
}

impl Directed<'_> {
    pub(super) fn client_port(&self) -> u16 {
        self.tuple.key.port(self.client)
    }

    pub(super) fn server_port(&self) -> u16 {
        self.tuple.key.port(1 - self.client)
    }

    fn client(&self) -> IpAddr {
        self.tuple.key.address(self.client)
    }

    fn server(&self) -> IpAddr {
        self.tuple.key.address(1 - self.client)
    }
}

/// Who, whom, over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bundle {
    pub(super) verdict: Verdict,
    pub(super) client: IpAddr,
    pub(super) server: IpAddr,
    pub(super) transport: Transport,
    pub(super) protocol: u8,
}

/// All flows, in order of client, server and ports.
pub(super) fn flows(traffic: &Traffic, weights: &[Weights], only: Option<&HashSet<Key>>) -> Vec<Flow> {
    let speaks = Speaks::of(traffic);
    let mut bundles: BTreeMap<Bundle, Vec<Directed<'_>>> = BTreeMap::new();
    let rows = traffic.tuples.iter().zip(weights);
    for (tuple, weights) in rows.filter(|(tuple, _)| only.is_none_or(|only| only.contains(&tuple.key))) {
        let (bundle, directed) = direct(traffic, &speaks, tuple, weights);
        bundles.entry(bundle).or_default().push(directed);
    }
    adopt(&mut bundles);
    let pinned = Pinned::of(&bundles);
    let links = links(&bundles, &pinned);
    let mut flows = Vec::new();
    for (bundle, members) in &bundles {
        for part in parts(traffic, bundle, members, &pinned, &links) {
            flows.push(say::flow(traffic, part));
        }
    }
    flows.sort_by(|a, b| {
        let key = |flow: &Flow| {
            (flow.client, flow.server, flow.transport, flow.server_port.clone(), flow.client_port.clone())
        };
        key(a).cmp(&key(b))
    });
    flows
}

fn direct<'t>(
    traffic: &Traffic,
    speaks: &Speaks,
    tuple: &'t Tuple,
    weights: &'t Weights,
) -> (Bundle, Directed<'t>) {
    let sum = weights.sum();
    let elsewhere = |side: usize| traffic.elsewhere.get(&(tuple.key, side));
    let verdict = if is_peer(tuple, weights) {
        Verdict::Peer
    } else if sum.abs() >= DECIDED {
        Verdict::Decided
    } else {
        Verdict::Undecided
    };
    let to_group = |side: &usize| elsewhere(*side).is_some_and(|found| found.how == How::ToGroup);
    let client = match ([0, 1].iter().find(|side| to_group(side)), verdict) {
        // A server answers its client through a group.
        (Some(server), _) => 1 - server,
        (None, Verdict::Undecided) if sum == 0.0 => tuple.starter,
        _ => usize::from(sum < 0.0),
    };
    let verdict = if to_group(&(1 - client)) { Verdict::Decided } else { verdict };
    let silent = tuple.sides.get(client).is_some_and(|side| side.packets == 0);
    let answered = elsewhere(1 - client).filter(|_| silent);
    let server_port = tuple.key.port(1 - client);
    let asked = match elsewhere(1 - client).map(|found| found.how) {
        Some(How::OtherPort(port)) => port,
        _ => server_port,
    };
    let directed = Directed {
        asked,
        tuple,
        weights,
        client,
        verdict,
        answers_only: answered.is_some_and(|e| !matches!(e.how, How::AskedGroup(_))),
    };
    // What a server sends to a group, it answers to whoever asked.
    let asker = answered.filter(|e| e.how == How::ToGroup);
    let client_address = asker.map_or(directed.client(), |e| super::key::ip(tuple.key.family, e.asker));
    let bundle = Bundle {
        verdict,
        client: client_address,
        server: directed.server(),
        transport: tuple.key.transport(),
        protocol: speaks.of_tuple(tuple, 1 - client, answered),
    };
    (bundle, directed)
}

/// What each end speaks: the protocol of most of its tuples that have one.
struct Speaks(HashMap<(u8, End), u8>);

impl Speaks {
    fn of(traffic: &Traffic) -> Self {
        let mut counts: HashMap<(u8, End), BTreeMap<u8, u32>> = HashMap::new();
        for tuple in traffic.tuples.iter().filter(|tuple| tuple.protocol != 0) {
            for side in [0, 1] {
                let row = counts.entry((tuple.key.transport, tuple.key.end(side))).or_default();
                *row.entry(tuple.protocol).or_default() += 1;
            }
        }
        let most = |counts: BTreeMap<u8, u32>| counts.into_iter().max_by_key(|(_, count)| *count);
        Self(counts.into_iter().filter_map(|(end, counts)| Some((end, most(counts)?.0))).collect())
    }

    /// The protocol of a tuple: its own, or that of the port that was asked, or where that is not known, of its ends.
    fn of_tuple(&self, tuple: &Tuple, server: usize, asked: Option<&Elsewhere>) -> u8 {
        if tuple.protocol != 0 {
            return tuple.protocol;
        }
        let end = tuple.key.end(server);
        let asked = match asked.map(|asked| asked.how) {
            Some(How::OtherPort(port)) => End { port, ..end },
            _ => end,
        };
        let speaks = |end: End| self.0.get(&(tuple.key.transport, end)).copied();
        speaks(asked).or_else(|| speaks(tuple.key.end(1 - server))).unwrap_or(0)
    }
}

/// Both sides ask, or each sends at its own pace, and nothing else tells them apart.
fn is_peer(tuple: &Tuple, weights: &Weights) -> bool {
    if tuple.key.transport() != Transport::Udp || weights.of(Kind::Group) != 0.0 {
        return false;
    }
    let [low, high] = votes(tuple);
    let (few, many) = (low.min(high), low.max(high));
    let may_ask = about(tuple.protocol)
        .is_some_and(|about| about.server.holds(banchi_common::direction::Class::Request));
    let both_ask = few >= 2 && few * 8 >= many && !may_ask;
    let [a, b] = &tuple.sides;
    let streams = a.payloads.min(b.payloads) >= 10
        && many == 0
        && weights.of(Kind::Timing).abs() < 0.5
        && weights.of(Kind::Elsewhere) == 0.0
        && weights.of(Kind::Reputation).abs() < 1.0;
    both_ask || streams
}

/// Undecided tuples follow decided ones of the same two hosts and service.
fn adopt(bundles: &mut BTreeMap<Bundle, Vec<Directed<'_>>>) {
    let undecided: Vec<Bundle> =
        bundles.keys().filter(|bundle| bundle.verdict == Verdict::Undecided).copied().collect();
    for bundle in undecided {
        let turned = Bundle { client: bundle.server, server: bundle.client, ..bundle };
        let Some(members) = bundles.remove(&bundle) else { continue };
        for mut member in members {
            let fits = |bundle: &Bundle, port: u16| {
                let decided = Bundle { verdict: Verdict::Decided, ..*bundle };
                let known = bundles.get(&decided);
                known.is_some_and(|known| known.iter().any(|known| known.server_port() == port))
            };
            let (way, flip) = match (fits(&bundle, member.server_port()), fits(&turned, member.client_port()))
            {
                (true, false) => (Bundle { verdict: Verdict::Decided, ..bundle }, false),
                (false, true) => (Bundle { verdict: Verdict::Decided, ..turned }, true),
                _ => (bundle, false),
            };
            if flip {
                member.client = 1 - member.client;
            }
            member.verdict = way.verdict;
            bundles.entry(way).or_default().push(member);
        }
    }
}

/// A part of a bundle that becomes one flow.
pub(super) struct Part<'t> {
    pub(super) client: IpAddr,
    pub(super) server: IpAddr,
    pub(super) transport: Transport,
    pub(super) protocol: u8,
    pub(super) members: Vec<Directed<'t>>,
    pub(super) idiom: Idiom,
    pub(super) client_port: Ports,
    pub(super) server_port: Ports,
    pub(super) link: Option<Link>,
    pub(super) allotted: bool,
    pub(super) exception: bool,
}

fn parts<'t>(
    traffic: &Traffic,
    bundle: &Bundle,
    members: &[Directed<'t>],
    pinned: &Pinned,
    links: &BTreeMap<Spread, (Link, BTreeMap<IpAddr, u16>)>,
) -> Vec<Part<'t>> {
    let (answers, asked): (Vec<_>, Vec<_>) = members.iter().copied().partition(|member| member.answers_only);
    // First by the client's port where it is kept, then by what that is linked to.
    let mut sets: BTreeMap<(Option<u16>, Option<bool>), Vec<Directed<'t>>> = BTreeMap::new();
    for member in asked {
        let spread = spread(bundle, &member, pinned);
        let linked = links.get(&spread).filter(|_| bundle.verdict == Verdict::Decided);
        let linked = linked.map(|(_, stations)| stations.get(&bundle.server) == Some(&member.server_port()));
        let diverges = pinned.diverges(bundle.client, bundle.transport, member.client_port());
        sets.entry((spread.3.filter(|_| linked.is_some() || diverges), linked)).or_default().push(member);
    }
    let part = |members: Vec<Directed<'t>>| Part {
        client: bundle.client,
        server: bundle.server,
        transport: bundle.transport,
        protocol: bundle.protocol,
        client_port: Ports::Set(members.iter().map(Directed::client_port).collect()),
        server_port: Ports::Set(members.iter().map(Directed::server_port).collect()),
        members,
        idiom: Idiom::Ordinary,
        link: None,
        allotted: false,
        exception: false,
    };
    let mut parts: Vec<Part<'t>> = Vec::new();
    let mut rest: Vec<Directed<'t>> = Vec::new();
    for ((port, linked), members) in sets {
        match linked {
            Some(true) => {
                let Some(first) = members.first() else { continue };
                let link = links.get(&spread(bundle, first, pinned)).map(|(link, _)| link.clone());
                let server_port = first.server_port();
                let off = matches!(&link, Some(Link::Linear { exceptions, .. }) if exceptions.contains_key(&bundle.server));
                let mut part = part(members);
                part.idiom = Idiom::AddressLinked;
                part.server_port = Ports::Linked(server_port);
                (part.link, part.exception) = (link, off);
                if port.is_none() && !same(&part) {
                    part.client_port = Ports::Any;
                }
                parts.push(part);
            }
            Some(false) => {
                let mut part = part(members);
                part.exception = true;
                parts.push(part);
            }
            None => rest.extend(members),
        }
    }
    parts.extend(unlinked(bundle, rest, pinned).into_iter().map(|(members, allotted)| {
        let mut part = part(members);
        part.allotted = allotted;
        part
    }));
    for part in parts.iter_mut().filter(|part| part.link.is_none()) {
        ordinary(traffic, bundle, part, pinned);
    }
    give(answers, &mut parts, part, |part| ordinary(traffic, bundle, part, pinned));
    parts
}

/// Answers go to the flow with the port that was asked; else they are a flow of their own.
fn give<'t>(
    answers: Vec<Directed<'t>>,
    parts: &mut Vec<Part<'t>>,
    part: impl Fn(Vec<Directed<'t>>) -> Part<'t>,
    finish: impl Fn(&mut Part<'t>),
) {
    for answer in answers {
        let fits = parts.iter().position(|part| {
            part.client_port == Ports::Any
                || matches!(&part.client_port, Ports::Set(ports) if ports.contains(&answer.client_port()))
        });
        match fits.and_then(|at| parts.get_mut(at)) {
            Some(part) => part.members.push(answer),
            None => {
                let mut alone = part(vec![answer]);
                finish(&mut alone);
                parts.push(alone);
            }
        }
    }
}

fn same(part: &Part<'_>) -> bool {
    part.members.iter().all(|member| member.client_port() == member.server_port())
}

/// Splits what is not linked: one pinned port with many servers' ports stays together, a range allotted per session
/// does, and everything else is one flow for each port of the server.
fn unlinked<'t>(
    bundle: &Bundle,
    members: Vec<Directed<'t>>,
    pinned: &Pinned,
) -> Vec<(Vec<Directed<'t>>, bool)> {
    let diverges =
        |member: &Directed<'_>| pinned.diverges(bundle.client, bundle.transport, member.client_port());
    let mut whole: BTreeMap<bool, Vec<Directed<'t>>> = BTreeMap::new();
    for member in members {
        whole.entry(diverges(&member)).or_default().push(member);
    }
    let mut sets = Vec::new();
    if let Some(together) = whole.remove(&true) {
        // Several pinned ports with the same servers' ports are one set.
        let mut by_port: BTreeMap<u16, BTreeSet<u16>> = BTreeMap::new();
        for member in &together {
            by_port.entry(member.client_port()).or_default().insert(member.server_port());
        }
        let mut by_ports: BTreeMap<&BTreeSet<u16>, Vec<Directed<'t>>> = BTreeMap::new();
        for member in together {
            if let Some(ports) = by_port.get(&member.client_port()) {
                by_ports.entry(ports).or_default().push(member);
            }
        }
        sets.extend(by_ports.into_values().map(|members| (members, false)));
    }
    let rest = whole.remove(&false).unwrap_or_default();
    let mut by_server: BTreeMap<u16, Vec<Directed<'t>>> = BTreeMap::new();
    for member in rest {
        by_server.entry(member.asked).or_default().push(member);
    }
    let (once, often): (Vec<_>, Vec<_>) = by_server.into_iter().partition(|(port, members)| {
        let accepted = members.iter().all(|m| m.tuple.sides.iter().all(|side| side.packets > 0));
        members.len() == 1 && accepted && ports::entries(bundle.transport, *port).is_empty() && *port >= 1024
    });
    if once.len() >= ALLOTTED {
        sets.push((once.into_iter().flat_map(|(_, members)| members).collect(), true));
    } else {
        sets.extend(once.into_iter().map(|(_, members)| (members, false)));
    }
    sets.extend(often.into_iter().map(|(_, members)| (members, false)));
    sets
}

/// Idiom and ports of a part that is not linked.
fn ordinary(traffic: &Traffic, bundle: &Bundle, part: &mut Part<'_>, pinned: &Pinned) {
    let several = matches!(&part.server_port, Ports::Set(ports) if ports.len() > 1) && !part.allotted;
    let Ports::Set(clients) = &part.client_port else { return };
    let fixed = clients.len() <= 4
        && clients.iter().all(|port| pinned.is_pinned(bundle.client, bundle.transport, *port));
    let same = same(part);
    let server_silent = part
        .members
        .iter()
        .all(|member| member.tuple.sides.get(1 - member.client).is_some_and(|side| side.packets == 0));
    let answered = bundle.verdict == Verdict::Decided
        && (!server_silent
            || part.members.iter().any(|m| m.answers_only)
            || part.members.iter().any(|m| is_answered(traffic, m)));
    part.idiom = match bundle.verdict {
        Verdict::Undecided => Idiom::Undecided,
        Verdict::Peer => Idiom::Peer,
        Verdict::Decided if fixed && several => Idiom::PinnedSource,
        Verdict::Decided if bundle.transport == Transport::Udp && !answered => Idiom::OneWay,
        Verdict::Decided if same && bundle.transport != Transport::Icmp => Idiom::SamePort,
        Verdict::Decided if fixed => Idiom::PinnedSource,
        Verdict::Decided => Idiom::Ordinary,
    };
    if !fixed && !same || bundle.transport == Transport::Icmp {
        part.client_port = Ports::Any;
    }
}

/// Whether a question to a group or to another port was answered.
fn is_answered(traffic: &Traffic, member: &Directed<'_>) -> bool {
    let key = &member.tuple.key;
    let asked = key.end(1 - member.client);
    let asker = key.end(member.client);
    traffic.answered.contains(&(asker.address, asker.port, asked.address, asked.port))
}
