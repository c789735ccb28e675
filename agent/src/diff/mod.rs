//! What a change of policy means: what may cross afterwards that may not now, and the other way round.
//!
//! Rules are compared by what they say, and not by how they are written: as sets of clients, servers and ports, of what
//! each side may send, and of what answers need. A name that changes says nothing by itself. Where nothing differs
//! here, no packet is judged differently; the tests hold that against the oracle.

pub(crate) mod ground;
mod ports;
mod rules;
mod surroundings;
mod words;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::policy::model::{Policy, Reply, ServerPort, ZoneId};
use ground::{Said, Span, piece_of, pieces, said};

/// What differs between two policies.
#[derive(Debug, Clone, Serialize)]
pub struct Diff {
    /// Whether any packet may be judged differently.
    pub differs: bool,
    /// What makes it so.
    pub changes: Vec<Change>,
    /// What is written differently, and by itself changes nothing of what may cross.
    pub notes: Vec<Change>,
}

/// One thing that differs.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// What became of it.
    pub kind: Kind,
    /// What kind of thing it is.
    pub what: What,
    /// Its name, in the new policy where it is there.
    pub name: String,
    /// Its name in the old policy, where that is another one.
    pub was: Option<String>,
    /// What exactly, in words.
    pub details: Vec<String>,
    /// Addresses that it is about, where it is about nothing else.
    #[serde(skip)]
    spans: Vec<Span>,
}

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It allows more, and nothing less.
    Widened,
    /// It allows less, and nothing more.
    Narrowed,
    /// It allows something else, or what it allows more and less cannot be told apart.
    Changed,
    /// Deviations are dropped that were reported only, or the other way round.
    Mode,
    /// It stands at another place among rules that decide about the same packets.
    Moved,
    /// It has another name.
    Renamed,
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// How allowed packets leave the gateway.
    Forwarding,
    /// The defaults of the policy.
    Defaults,
    /// A zone.
    Zone,
    /// A conduit.
    Conduit,
    /// Addresses, whatever they are called.
    Addresses,
    /// A rule.
    Rule,
    /// A service.
    Service,
    /// An asset.
    Asset,
}

impl Change {
    fn new(kind: Kind, what: What, name: impl Into<String>) -> Self {
        Self { kind, what, name: name.into(), was: None, details: Vec::new(), spans: Vec::new() }
    }

    fn was(mut self, name: &str) -> Self {
        self.was = (name != self.name).then(|| name.to_owned());
        self
    }

    fn detail(mut self, text: impl Into<String>) -> Self {
        self.details.push(text.into());
        self
    }

    /// Whether it is about an address.
    pub fn is_about(&self, address: IpAddr) -> bool {
        self.spans.iter().any(|span| span.holds(address))
    }
}

/// What a part of a rule became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Wider,
    Narrower,
    Other,
}

/// A part of a rule that differs.
#[derive(Debug, Clone)]
struct Delta {
    effect: Effect,
    text: String,
}

/// A policy, and what it says of each piece.
struct Side<'p> {
    policy: &'p Policy,
    said: Vec<Said>,
    /// Zones by numbers that both sides share.
    zones: Vec<usize>,
    /// Whether each asset names a group itself.
    names_group: Vec<bool>,
    /// Whether some rule asks each service of a group.
    asks_groups: Vec<bool>,
}

/// Both policies on common ground.
struct Both<'p> {
    pieces: Vec<Span>,
    old: Side<'p>,
    new: Side<'p>,
}

/// Compares two policies.
pub fn diff(old: &Policy, new: &Policy) -> Diff {
    let pieces = pieces([old, new]);
    let (old_zones, new_zones) = surroundings::pair_zones(old, new);
    let both =
        Both { old: Side::of(old, &pieces, old_zones), new: Side::of(new, &pieces, new_zones), pieces };
    let (mut changes, mut notes) = (Vec::new(), Vec::new());
    surroundings::compare(&both, &mut changes, &mut notes);
    rules::compare(&both, &mut changes, &mut notes);
    Diff { differs: !changes.is_empty(), changes, notes }
}

impl Diff {
    /// For people.
    pub fn text(&self) -> String {
        words::text(self)
    }
}

impl<'p> Side<'p> {
    fn of(policy: &'p Policy, pieces: &[Span], zones: Vec<usize>) -> Self {
        let said = said(policy, pieces);
        let mut side = Self { policy, said, zones, names_group: Vec::new(), asks_groups: Vec::new() };
        let groups: Vec<Vec<usize>> =
            (0..policy.assets.len()).map(|asset| side.groups_of(asset, pieces)).collect();
        side.names_group = groups.iter().map(|groups| !groups.is_empty()).collect();
        let mut all: Vec<usize> = groups.into_iter().flatten().collect();
        all.sort_unstable();
        all.dedup();
        let mut takes_in = vec![false; policy.assets.len()];
        for asset in all.iter().filter_map(|piece| side.said.get(*piece)).flat_map(|said| &said.assets) {
            if let Some(takes_in) = takes_in.get_mut(*asset) {
                *takes_in = true;
            }
        }
        side.asks_groups = vec![false; policy.services.len()];
        for rule in &policy.rules {
            let peer = policy.services.get(rule.service).is_some_and(|service| service.peer);
            let asked = rule.servers.iter().chain(rule.clients.iter().filter(|_| peer));
            let asks = asked.into_iter().any(|asset| takes_in.get(*asset) == Some(&true));
            if let (true, Some(known)) = (asks, side.asks_groups.get_mut(rule.service)) {
                *known = true;
            }
        }
        side
    }

    /// Pieces with the groups that an asset names: as hosts, in ranges, and one for each network of groups.
    fn groups_of(&self, asset: usize, pieces: &[Span]) -> Vec<usize> {
        use crate::policy::model::Addresses;
        let Some(asset) = self.policy.assets.get(asset) else { return Vec::new() };
        let ends = || self.policy.zones.iter().flat_map(|zone| &zone.networks).map(ipnet::IpNet::broadcast);
        let written = asset.addresses.iter().flat_map(|addresses| match addresses {
            Addresses::Host(host) => vec![*host],
            Addresses::Prefix(net) => vec![net.network()],
            Addresses::Range(first, last) => {
                let span = Span::of(addresses);
                [*first, *last].into_iter().chain(ends()).filter(|end| span.holds(*end)).collect()
            }
        });
        let found = written.filter_map(|address| piece_of(pieces, address));
        found.filter(|piece| self.said.get(*piece).is_some_and(|said| said.named_group)).collect()
    }

    fn zone(&self, zone: ZoneId) -> usize {
        self.zones.get(zone).copied().unwrap_or(usize::MAX)
    }

    fn zone_name(&self, zone: Option<ZoneId>) -> &str {
        zone.and_then(|zone| self.policy.zones.get(zone)).map_or("no zone", |zone| zone.name.as_str())
    }
}

/// Numbers in `old` of items of `new` with the same key; both sides' items that have none are left out.
fn by_name<'k>(
    old: impl Iterator<Item = &'k str>,
    new: impl Iterator<Item = &'k str>,
) -> BTreeMap<usize, usize> {
    let names: BTreeMap<&str, usize> = old.enumerate().map(|(at, name)| (name, at)).collect();
    new.enumerate().filter_map(|(at, name)| Some((at, *names.get(name)?))).collect()
}

/// `reply` and ports of a service in short, for those that nothing but a name refers to.
fn in_short(service: &crate::policy::model::Service) -> String {
    let ports = crate::policy::describe::relation(service);
    let reply = if service.reply == Reply::None { ", no answers" } else { "" };
    let linked = match &service.port {
        ServerPort::Linked { base, octet, step } => format!(" (base {base}, octet {octet}, step {step})"),
        _ => String::new(),
    };
    format!("{} {ports}{linked}{reply}", service.transport.name())
}
