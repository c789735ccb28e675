//! A flow and its evidence in words.

use std::collections::BTreeSet;
use std::net::IpAddr;

use banchi_common::abi::Transport;
use banchi_common::direction::{Class, Protocol};

use super::asks::How;
use super::evidence::{KINDS, Kind, Weights, about};
use super::flow::{Flow, Ports};
use super::group::{Directed, Part, Verdict};
use super::key::ip;
use super::linked::Link;
use super::ports;
use super::side::Side;
use super::table::Traffic;

/// Evidence below this weight is not worth a sentence.
const FAINT: f32 = 0.2;

/// The flow of a part.
pub(super) fn flow(traffic: &Traffic, part: Part<'_>) -> Flow {
    let sum = |of: &dyn Fn(&Side) -> u64, client: bool| -> u64 {
        part.members.iter().filter_map(|m| m.tuple.sides.get(side(m, client))).map(of).sum()
    };
    let packets = |client| sum(&|side| side.packets, client);
    let classes = [true, false].map(|client| {
        let mut all = [0_u32; 4];
        for side in part.members.iter().filter_map(|m| m.tuple.sides.get(side(m, client))) {
            for (count, more) in all.iter_mut().zip(side.classes) {
                *count = count.saturating_add(more);
            }
        }
        all
    });
    let tuples = || part.members.iter().map(|member| member.tuple);
    let elsewhere = |m: &Directed<'_>| traffic.elsewhere.get(&(m.tuple.key, 1 - m.client)).copied();
    let family = part.members.first().map_or(4, |m| m.tuple.key.family);
    let asked_ports: BTreeSet<u16> =
        part.members.iter().filter(|m| !m.answers_only).map(Directed::server_port).collect();
    let mut reply_from = BTreeSet::new();
    let mut reply_to = BTreeSet::new();
    let mut asked_groups = BTreeSet::new();
    for member in &part.members {
        match elsewhere(member).map(|elsewhere| elsewhere.how) {
            Some(How::OtherPort(_)) => {
                reply_from.insert(member.server_port());
            }
            Some(How::AskedGroup(group)) => {
                asked_groups.insert(ip(family, group));
            }
            Some(How::ToGroup) => {
                reply_to.insert(member.tuple.key.address(member.client));
            }
            None => {}
        }
    }
    if part.server == part.client {
        reply_to.clear();
    }
    let mut server_port = part.server_port;
    if asked_ports.is_empty() {
        // Only the answers were seen: what was asked is what they answer to.
        let asked = part.members.iter().filter_map(|m| match elsewhere(m)?.how {
            How::OtherPort(port) => Some(port),
            _ => Some(m.server_port()),
        });
        let asked: BTreeSet<u16> = asked.collect();
        if !asked.is_empty() {
            server_port = Ports::Set(asked);
        }
    }
    // Where nothing was said, the port alone names the service.
    let spoken = tuples().any(|tuple| tuple.sides.iter().any(|side| side.payloads > 0));
    let service = name(part.transport, part.protocol, spoken, &server_port);
    let verdict = part.members.first().map_or(Verdict::Undecided, |m| m.verdict);
    let weights = total(&part.members);
    let period =
        part.members.iter().filter_map(|m| m.tuple.sides.get(m.client)).max_by_key(|side| side.packets);
    let period = period.and_then(|side| side.rhythm.period());
    let mut flow = Flow {
        client: part.client,
        server: part.server,
        transport: part.transport,
        client_port: part.client_port,
        server_port,
        idiom: part.idiom,
        protocol: about(part.protocol).map(|about| about.protocol),
        service,
        evidence: Vec::new(),
        confidence: confidence(verdict, &weights),
        packets: packets(true) + packets(false),
        answers: packets(false),
        bytes: sum(&|side| side.bytes, true) + sum(&|side| side.bytes, false),
        first: tuples().map(|tuple| tuple.first).min().unwrap_or(0),
        last: tuples().map(|tuple| tuple.last).max().unwrap_or(0),
        hours: tuples().fold(0, |hours, tuple| hours | tuple.hours),
        days: tuples().map(|tuple| tuple.days).max().unwrap_or(0),
        link: part.link,
        to_group: traffic.hosts.group(part.server),
        reply_from,
        reply_to,
        asked_groups,
        classes,
        client_ports: part.members.iter().map(Directed::client_port).collect::<BTreeSet<_>>().len(),
        tuples: part.members.len(),
        period,
        longest_wait: part
            .members
            .iter()
            .filter_map(|m| m.tuple.sides.get(1 - m.client))
            .map(|side| side.longest_wait)
            .max()
            .unwrap_or(0),
        server_first: part.members.iter().any(|m| m.tuple.starter != m.client && !m.answers_only),
        allotted: part.allotted,
        unanswered: packets(false) == 0,
        refused: sum(&|side| u64::from(side.opened), true) > 0
            && sum(&|side| u64::from(side.accepted), false) == 0
            && sum(&|side| side.payloads, true) == 0,
        exception: part.exception,
    };
    flow.evidence = evidence(&flow, verdict, &weights, &part.members);
    flow
}

fn side(member: &Directed<'_>, client: bool) -> usize {
    if client { member.client } else { 1 - member.client }
}

/// Weights of all members, each turned so that positive speaks for the client; `openings` and the like add up, but no
/// kind counts for more than its strongest member and a little.
fn total(members: &[Directed<'_>]) -> Vec<(Kind, f32)> {
    let turned = |member: &Directed<'_>, kind: Kind| {
        let weight = |weights: &Weights| weights.of(kind);
        if member.client == 0 { weight(member.weights) } else { -weight(member.weights) }
    };
    KINDS
        .iter()
        .map(|kind| {
            let all: Vec<f32> = members.iter().map(|member| turned(member, *kind)).collect();
            let sum: f32 = all.iter().sum();
            let spread: f32 = all.iter().map(|weight| weight.abs()).sum();
            let most = all.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
            let agreement = if spread == 0.0 { 0.0 } else { sum / spread };
            (*kind, (most * (1.0 + (spread / most.max(0.01)).ln().max(0.0) / 4.0)) * agreement)
        })
        .collect()
}

fn confidence(verdict: Verdict, weights: &[(Kind, f32)]) -> f64 {
    let sum: f32 = weights.iter().map(|(_, weight)| weight).sum();
    let decided = 1.0 - 0.5 * f64::from(-sum.max(0.0) / 2.0).exp();
    match verdict {
        Verdict::Decided => decided,
        Verdict::Peer => 0.8,
        Verdict::Undecided => 0.5,
    }
}

/// Name of a service: that of the catalogue whose ports fit, else of the protocol, else of the IT service.
fn name(transport: Transport, protocol: u8, spoken: bool, ports: &Ports) -> Option<String> {
    if transport == Transport::Icmp {
        return Some("ping".to_owned());
    }
    let protocol = about(protocol);
    let port = match ports {
        Ports::Set(ports) => ports.first().copied(),
        _ => None,
    };
    let known = port.into_iter().flat_map(|port| ports::entries(transport, port));
    let fits = |entry: &&&crate::policy::catalogue::Entry| match (&entry.service.direction, protocol) {
        (Some(crate::policy::model::Direction::Named(named)), Some(about)) => *named == about.protocol,
        (_, None) => !spoken || entry.service.direction.is_none(),
        _ => false,
    };
    let mut known: Vec<_> = known.collect();
    known.sort_by_key(|entry| (entry.evidence, entry.service.name.len(), entry.service.name.clone()));
    let entry = known.iter().find(|entry| fits(entry)).map(|entry| entry.service.name.clone());
    let it = || port.and_then(ports::it).map(str::to_owned);
    entry.or_else(|| protocol.map(|about| about.name.to_owned())).or_else(it)
}

fn evidence(flow: &Flow, verdict: Verdict, weights: &[(Kind, f32)], members: &[Directed<'_>]) -> Vec<String> {
    let mut rows: Vec<(Kind, f32)> = weights.to_vec();
    rows.retain(|(_, weight)| weight.abs() >= FAINT);
    rows.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
    let mut lines: Vec<String> = rows
        .iter()
        .map(|(kind, weight)| {
            let text = words(*kind, *weight > 0.0, flow, members);
            if *weight < 0.0 { format!("against it: {text}") } else { text }
        })
        .collect();
    match verdict {
        Verdict::Decided => {}
        Verdict::Peer => lines.insert(0, "both sides ask, or each sends at its own pace".to_owned()),
        Verdict::Undecided => {
            lines.insert(0, "undecided: no opening, no payload that tells, no timing that tells".to_owned());
        }
    }
    if let Some(link) = &flow.link {
        lines.push(relation(link, flow));
    }
    if let Some(period) = flow.period {
        lines.push(format!("cyclic: one packet of the client every {}", seconds(period)));
    }
    lines
}

/// A relation in words.
pub(super) fn relation(link: &Link, flow: &Flow) -> String {
    let Ports::Linked(port) = flow.server_port else { return String::new() };
    match link {
        Link::Linear { base, octet, step, exceptions } => match exceptions.get(&flow.server) {
            None => format!("port {port} is {base} + {step} x octet {octet} of the server's address"),
            Some(_) => format!(
                "port {port} is off the relation of the others: {base} + {step} x octet {octet} would be {}",
                link.port(flow.server).map_or_else(|| "no port".to_owned(), |port| port.to_string())
            ),
        },
        Link::Table => format!("port {port} belongs to this address: each server has one of its own"),
    }
}

/// A time in its unit.
pub(crate) fn seconds(seconds: f32) -> String {
    if seconds >= 1.0 { format!("{seconds:.1} s") } else { format!("{:.0} ms", seconds * 1000.0) }
}

fn words(kind: Kind, for_client: bool, flow: &Flow, members: &[Directed<'_>]) -> String {
    let (who, other) = if for_client { (flow.client, flow.server) } else { (flow.server, flow.client) };
    let count = |of: &dyn Fn(&Side) -> u32, client: bool| -> u32 {
        let sides = members.iter().filter_map(|m| m.tuple.sides.get(side(m, client)));
        sides.map(of).fold(0, u32::saturating_add)
    };
    match kind {
        Kind::Group => format!("{other} is a group, which {who} sends to"),
        Kind::Opening => {
            let opened = count(&|side| side.opened, for_client);
            match flow.transport {
                Transport::Icmp => format!("{who} sent the echo requests"),
                _ if opened > 0 => format!("{opened} opening SYN of {who}"),
                _ => format!("{other} accepted a connection that {who} had opened"),
            }
        }
        Kind::Class if flow.transport == Transport::Icmp => format!("echo requests of {who}"),
        Kind::Class => {
            let [client, server] = flow.classes;
            let (mine, others) = if for_client { (client, server) } else { (server, client) };
            let of = |row: [u32; 4], class: Class| row.get(class as usize).copied().unwrap_or(0);
            let protocol = flow.protocol.map_or("payload", Protocol::name_of);
            format!(
                "{protocol}: {} requests of {who}, {} responses and {} notifications of {other}",
                of(mine, Class::Request),
                of(others, Class::Response),
                of(others, Class::Notification)
            )
        }
        Kind::Elsewhere => elsewhere(flow, who, other),
        Kind::Timing => {
            let waits = |client: bool| -> f32 {
                let sides: Vec<&Side> =
                    members.iter().filter_map(|m| m.tuple.sides.get(side(m, client))).collect();
                let turns: u32 = sides.iter().map(|side| side.turns).sum();
                let waits: f32 = sides.iter().map(|side| side.waits).sum();
                if turns == 0 { 0.0 } else { (waits / turns as f32).exp2() / 1e6 }
            };
            format!(
                "timing: {who} breaks the silence (after {}), {other} follows (after {})",
                seconds(waits(for_client)),
                seconds(waits(!for_client))
            )
        }
        Kind::Alone => format!("{who} alone sends"),
        Kind::Reputation => format!("{who} asks, or {other} answers, in other conversations on these ports"),
        Kind::Kept => format!("{other} keeps its port while those of its peers come and go"),
        Kind::FanOut => format!("{who} speaks with several hosts from one port"),
        Kind::FirstWord => format!("{who} spoke first"),
        Kind::Catalogue => format!("the port of {other} is that of a known service"),
    }
}

fn elsewhere(flow: &Flow, who: IpAddr, other: IpAddr) -> String {
    let list = |ports: &BTreeSet<u16>| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let addresses = |set: &BTreeSet<IpAddr>| set.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    if !flow.reply_from.is_empty() {
        format!("{other} answers {who} from another port than it was asked on: {}", list(&flow.reply_from))
    } else if !flow.reply_to.is_empty() {
        format!("{other} answers {who} to {}", addresses(&flow.reply_to))
    } else {
        format!("{who} asked {}, and {other} answered", addresses(&flow.asked_groups))
    }
}

/// Names of protocols, in the words of a policy.
trait NameOf {
    fn name_of(self) -> &'static str;
}

impl NameOf for Protocol {
    fn name_of(self) -> &'static str {
        self.about().name
    }
}
