//! Who asks, tuple by tuple: everything that speaks for one side or the other, with its weight.
//!
//! Weights are logarithms of odds, more or less: +1 is a hint for side 0 as the one that asks, -7 is as good as proof for
//! side 1. Ports that look ephemeral are no evidence of anything.

use std::collections::{BTreeMap, HashMap};

use banchi_common::abi::Transport;
use banchi_common::direction::{About, Class, PROTOCOLS};

use super::asks::{Elsewhere, How};
use super::key::{End, Key};
use super::ports;
use super::table::{Traffic, Tuple};

/// Kinds of evidence, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Kind {
    /// A group never asks.
    Group,
    /// Who opened the connection.
    Opening,
    /// What the payloads show themselves as.
    Class,
    /// An answer that went another way than its question.
    Elsewhere,
    /// Who breaks the silence, and who follows at once.
    Timing,
    /// One side alone sends.
    Alone,
    /// What each end does in its other conversations.
    Reputation,
    /// Who keeps a port while the others' change.
    Kept,
    /// Who speaks with many of a kind.
    FanOut,
    /// Who spoke first.
    FirstWord,
    /// Ports of known services.
    Catalogue,
}

/// All kinds.
pub const KINDS: [Kind; 11] = [
    Kind::Group,
    Kind::Opening,
    Kind::Class,
    Kind::Elsewhere,
    Kind::Timing,
    Kind::Alone,
    Kind::Reputation,
    Kind::Kept,
    Kind::FanOut,
    Kind::FirstWord,
    Kind::Catalogue,
];

/// Weights by kind; positive is for side 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Weights([f32; KINDS.len()]);

impl Weights {
    /// The weight of one kind.
    pub fn of(&self, kind: Kind) -> f32 {
        self.0.get(kind as usize).copied().unwrap_or(0.0)
    }

    /// All together.
    pub fn sum(&self) -> f32 {
        self.0.iter().sum()
    }

    fn set(&mut self, kind: Kind, weight: f32) {
        if let Some(row) = self.0.get_mut(kind as usize) {
            *row = weight;
        }
    }

    /// Only the one side can ask: what speaks against it says something else.
    fn ask_group(&mut self, sign: f32) {
        for weight in self.0.iter_mut().filter(|weight| **weight * sign < 0.0) {
            *weight = 0.0;
        }
        self.set(Kind::Group, 8.0 * sign);
        self.set(Kind::Alone, 0.0);
    }

    /// An answer that goes to a group: whoever sends it did not ask.
    fn answer_group(&mut self) {
        for kind in [Kind::Alone, Kind::Kept, Kind::FanOut, Kind::FirstWord] {
            self.set(kind, 0.0);
        }
    }

    /// What the tuple itself shows.
    fn own(&self) -> f32 {
        self.of(Kind::Opening)
            + self.of(Kind::Class)
            + self.of(Kind::Elsewhere)
            + self.of(Kind::Timing)
            + self.of(Kind::FirstWord)
    }
}

/// Time in nanoseconds within which a first word may be the second.
const BEGINNING: u64 = 2_000_000_000;
/// Most that the conversations of others say.
const REPUTATION: f32 = 3.0;

/// Weighs every tuple, in the order of [`Traffic::tuples`].
pub fn weigh(traffic: &Traffic) -> Vec<Weights> {
    let mut all: Vec<Weights> = traffic.tuples.iter().map(|tuple| direct(traffic, tuple)).collect();
    let uses = Uses::of(traffic, &all);
    for (tuple, weights) in traffic.tuples.iter().zip(&mut all) {
        let own = weights.own();
        let [mine, others] = [0, 1].map(|side| uses.reputation(&tuple.key, side, own));
        weights.set(Kind::Reputation, (mine - others).clamp(-REPUTATION, REPUTATION));
        weights.set(Kind::Kept, uses.kept(&tuple.key));
        weights.set(Kind::FanOut, uses.fan_out(&tuple.key));
        weights.set(Kind::Catalogue, ports::hint(&tuple.key));
        let groups = [0, 1].map(|side| traffic.hosts.group(tuple.key.address(side)));
        let answers = |side: usize| {
            traffic.elsewhere.get(&(tuple.key, side)).is_some_and(|found| found.how == How::ToGroup)
        };
        match groups {
            [false, true] if answers(0) => weights.answer_group(),
            [true, false] if answers(1) => weights.answer_group(),
            [false, true] => weights.ask_group(1.0),
            [true, false] => weights.ask_group(-1.0),
            _ => {}
        }
    }
    all
}

fn direct(traffic: &Traffic, tuple: &Tuple) -> Weights {
    let mut weights = Weights::default();
    weights.set(Kind::Opening, opening(tuple));
    weights.set(Kind::Class, class(tuple));
    let elsewhere = [0, 1].map(|side| traffic.elsewhere.get(&(tuple.key, side)));
    weights.set(Kind::Elsewhere, answers(elsewhere));
    weights.set(Kind::Timing, timing(tuple));
    let decided = weights.of(Kind::Class) != 0.0 || weights.of(Kind::Elsewhere) != 0.0;
    if !decided {
        weights.set(Kind::Alone, alone(tuple));
    }
    weights.set(Kind::FirstWord, first_word(tuple, traffic.span.0));
    weights
}

fn opening(tuple: &Tuple) -> f32 {
    let [low, high] = &tuple.sides;
    match (low.opened > 0, high.opened > 0) {
        (true, false) => 7.0,
        (false, true) => -7.0,
        _ => match (low.accepted > 0, high.accepted > 0) {
            (false, true) => 6.0,
            (true, false) => -6.0,
            _ => 0.0,
        },
    }
}

/// What is known of the protocol with a number.
pub fn about(protocol: u8) -> Option<&'static About> {
    PROTOCOLS.iter().find(|about| about.protocol as u8 == protocol)
}

/// Payloads that show side 0 as the one that asks, and those that show side 1.
pub fn votes(tuple: &Tuple) -> [u32; 2] {
    let [low, high] = &tuple.sides;
    // Where servers notify and clients do not, a notification shows a server.
    let server_notifies = about(tuple.protocol).is_some_and(|about| {
        about.server.holds(Class::Notification) && !about.client.holds(Class::Notification)
    });
    let votes = |asks: &super::side::Side, answers: &super::side::Side| {
        let told = if server_notifies { answers.class(Class::Notification) } else { 0 };
        asks.class(Class::Request).saturating_add(answers.class(Class::Response)).saturating_add(told)
    };
    [votes(low, high), votes(high, low)]
}

fn class(tuple: &Tuple) -> f32 {
    if tuple.key.transport() == Transport::Icmp {
        return echo(tuple);
    }
    let [low, high] = votes(tuple).map(|votes| votes as f32);
    let all = low + high;
    if all == 0.0 { 0.0 } else { 5.0 * (low - high) / all * (1.0 - 0.3 / all) }
}

/// An echo goes to the port that stands for it.
fn echo(tuple: &Tuple) -> f32 {
    let asked = tuple.key.port(1) == banchi_common::wire::ECHO_PORT;
    if asked { 7.0 } else { -7.0 }
}

fn answers([low, high]: [Option<&Elsewhere>; 2]) -> f32 {
    let weight = |elsewhere: Option<&Elsewhere>| match elsewhere.map(|elsewhere| elsewhere.how) {
        Some(How::OtherPort(_)) => 3.0,
        Some(How::AskedGroup(_) | How::ToGroup) => 2.5,
        None => 0.0,
    };
    weight(high) - weight(low)
}

/// Who asks breaks the silence; who answers does not wait.
fn timing(tuple: &Tuple) -> f32 {
    let [low, high] = &tuple.sides;
    let turns = low.turns.min(high.turns);
    if turns < 3 {
        return 0.0;
    }
    let octaves = low.mean_wait() - high.mean_wait();
    let longest = (low.longest_wait as f32 + 1.0).log2() - (high.longest_wait as f32 + 1.0).log2();
    if octaves.abs() < 1.0 || octaves.signum() != longest.signum() || longest.abs() < 1.0 {
        return 0.0;
    }
    // Whoever asks again at once cannot be told from whoever answers slowly.
    let patient = low.mean_wait().max(high.mean_wait());
    let most = if patient >= PATIENT { 2.5 } else { 0.8 };
    let turns = turns as f32;
    (octaves * 0.6).clamp(-most, most) * turns / (turns + 2.0)
}

/// Log2 of the microseconds of a wait that is a pause and not a turnaround: 16 ms.
const PATIENT: f32 = 14.0;

/// Over UDP a side that sends alone is the one that asks or reports.
fn alone(tuple: &Tuple) -> f32 {
    if tuple.key.transport() != Transport::Udp {
        return 0.0;
    }
    let [low, high] = &tuple.sides;
    let weight = |packets: u64| if packets > 2 { 1.2 } else { 0.8 };
    match (low.packets, high.packets) {
        (packets, 0) => weight(packets),
        (0, packets) => -weight(packets),
        _ => 0.0,
    }
}

fn first_word(tuple: &Tuple, start: u64) -> f32 {
    let [low, high] = &tuple.sides;
    if low.packets == 0 || high.packets == 0 || tuple.folded > 0 {
        return 0.0;
    }
    let weight = if tuple.first.saturating_sub(start) > BEGINNING { 0.8 } else { 0.4 };
    if tuple.starter == 0 { weight } else { -weight }
}

/// What each end does in all of its conversations.
struct Uses {
    ends: HashMap<(u8, End), Use>,
}

#[derive(Default)]
struct Use {
    tuples: u32,
    /// Sum of own weights that its host asks, and of their absolute values.
    asks: f32,
    certain: f32,
    peers: BTreeMap<u16, u32>,
    hosts: u32,
    last_host: Option<End>,
    /// Sum of the times for which its tuples lasted, first and last time of all.
    lasted: u64,
    first: u64,
    last: u64,
}

/// Ports of peers that are told apart.
const PEERS: usize = 64;

impl Uses {
    fn of(traffic: &Traffic, weights: &[Weights]) -> Self {
        let mut ends: HashMap<(u8, End), Use> = HashMap::new();
        for (tuple, weights) in traffic.tuples.iter().zip(weights) {
            let own = weights.own();
            for side in [0, 1] {
                let (end, peer) = (tuple.key.end(side), tuple.key.end(1 - side));
                let row = ends.entry((tuple.key.transport, end)).or_default();
                row.first = if row.tuples == 0 { tuple.first } else { row.first.min(tuple.first) };
                row.last = row.last.max(tuple.last);
                row.lasted = row.lasted.saturating_add(tuple.last - tuple.first);
                row.tuples += tuple.folded.max(1);
                row.asks += if side == 0 { own } else { -own };
                row.certain += own.abs();
                if row.peers.len() < PEERS || row.peers.contains_key(&peer.port) {
                    *row.peers.entry(peer.port).or_default() += 1;
                }
                let host = End { port: 0, ..peer };
                if row.last_host != Some(host) {
                    row.last_host = Some(host);
                    row.hosts += 1;
                }
            }
        }
        Self { ends }
    }

    fn get(&self, key: &Key, side: usize) -> Option<&Use> {
        self.ends.get(&(key.transport, key.end(side)))
    }

    /// Whether the end of a side asks in its other conversations, where they agree.
    fn reputation(&self, key: &Key, side: usize, own: f32) -> f32 {
        let Some(row) = self.get(key, side).filter(|row| row.tuples > 1) else { return 0.0 };
        let own = if side == 0 { own } else { -own };
        let (asks, certain) = (row.asks - own, row.certain - own.abs());
        if asks.abs() < 0.8 * certain { 0.0 } else { (0.5 * asks).clamp(-REPUTATION, REPUTATION) }
    }

    /// One side keeps its port while others come and go.
    fn kept(&self, key: &Key) -> f32 {
        let kept = [0, 1].map(|side| self.get(key, side).is_some_and(Use::is_visited));
        match kept {
            [true, false] => -1.2,
            [false, true] => 1.2,
            _ => 0.0,
        }
    }

    /// One side speaks with many others who all have one port.
    fn fan_out(&self, key: &Key) -> f32 {
        let hub =
            [0, 1].map(|side| self.get(key, side).is_some_and(|row| row.hosts >= 3 && row.peers.len() == 1));
        match hub {
            [true, false] => 0.6,
            [false, true] => -0.6,
            _ => 0.0,
        }
    }
}

impl Use {
    /// Many ports spoke with this one, each for a while only.
    fn is_visited(&self) -> bool {
        let visits = self.peers.len() as u64;
        let span = self.last.saturating_sub(self.first).max(1);
        visits >= 3 && self.lasted / u64::from(self.tuples.max(1)) < span / 3
    }
}
