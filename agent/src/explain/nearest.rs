//! The nearest rules: a walk over the policy as written, field by field.

use std::net::IpAddr;

use banchi_common::abi::Transport;
use serde::Serialize;

use super::question::Question;
use crate::policy::model::{
    Addresses, AssetId, EPHEMERAL, Policy, PortRange, Rule, ServerPort, Service, SourcePort,
};

/// How a packet fits a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fit {
    /// Name of the rule.
    pub rule: String,
    /// Its line in the policy.
    pub line: usize,
    /// The packet was taken as one from server to client.
    pub returns: bool,
    /// Each field.
    pub fields: Vec<FieldFit>,
}

/// How one field fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldFit {
    /// `client`, `server`, `protocol`, `port`, `source port` or `direction`.
    pub field: &'static str,
    /// Whether it fits.
    pub fits: bool,
    /// What the packet has.
    pub seen: String,
    /// What the rule has.
    pub expected: String,
}

impl FieldFit {
    /// What the packet has, and the rule where that is something else.
    pub fn words(&self) -> String {
        match self.fits {
            true => self.seen.clone(),
            false => format!("{}, the rule has {}", self.seen, self.expected),
        }
    }
}

/// How a packet is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As one from client to server.
    Asks,
    /// As one from server to client.
    Answers,
    /// As a question of the server, to the port where its client should ask it.
    Reversed,
}

/// The rules that miss the fewest fields, best first; rules that share neither host are not near.
pub(super) fn nearest(policy: &Policy, question: &Question, most: usize) -> Vec<Fit> {
    let mut fits: Vec<(usize, Fit)> = Vec::new();
    for rule in &policy.rules {
        let best = best(policy, question, rule);
        if let Some(best) = best.filter(|fit| fit.fields.iter().take(2).any(|field| field.fits)) {
            fits.push((misses(&best), best));
        }
    }
    // Stable: among equals the file's order.
    fits.sort_by_key(|(misses, _)| *misses);
    fits.into_iter().take(most).map(|(_, fit)| fit).collect()
}

/// How a packet fits the rule of a name.
pub fn fit_of(policy: &Policy, question: &Question, name: &str) -> Option<Fit> {
    best(policy, question, policy.rules.iter().find(|rule| rule.name == name)?)
}

/// The way to take the packet in which it fits best.
fn best(policy: &Policy, question: &Question, rule: &Rule) -> Option<Fit> {
    let ways = [Way::Asks, Way::Answers, Way::Reversed].map(|way| fit(policy, question, rule, way));
    ways.into_iter().flatten().min_by_key(misses)
}

fn misses(fit: &Fit) -> usize {
    // A wrong host weighs more than a wrong port.
    let weight =
        |field: &FieldFit| if matches!(field.field, "client" | "server" | "protocol") { 2 } else { 1 };
    fit.fields.iter().filter(|field| !field.fits).map(weight).sum()
}

fn fit(policy: &Policy, question: &Question, rule: &Rule, way: Way) -> Option<Fit> {
    let service = policy.services.get(rule.service)?;
    let ends = [question.source, question.destination];
    let ports = [question.source_port, question.destination_port];
    let ([client, server], [client_port, port]) = match way {
        Way::Asks => (ends, ports),
        Way::Answers => (swapped(ends), swapped(ports)),
        Way::Reversed => (swapped(ends), ports),
    };
    let mut fields = vec![
        field("client", holds(policy, &rule.clients, client), client, names(policy, &rule.clients)),
        field("server", holds(policy, &rule.servers, server), server, names(policy, &rule.servers)),
        field(
            "protocol",
            service.transport == question.transport,
            word(question.transport),
            word(service.transport).to_owned(),
        ),
    ];
    if service.transport != Transport::Icmp && question.transport != Transport::Icmp {
        let (fits, expected) = port_fits(service, port, server);
        fields.push(field("port", fits, port, expected));
        let (fits, expected) = source_fits(service, client_port, port);
        fields.push(field("source port", fits, client_port, expected));
    }
    // Only these say in each packet whether they begin something.
    let tells = matches!(question.transport, Transport::Tcp | Transport::Icmp);
    let opens = way == Way::Answers && tells && question.opens;
    if way == Way::Reversed || opens {
        let seen = if tells { "the server opens" } else { "the server asks" };
        fields.push(field("direction", false, seen, "the client do so".to_owned()));
    }
    Some(Fit { rule: rule.name.clone(), line: rule.line, returns: way == Way::Answers && !opens, fields })
}

fn swapped<T: Copy>([one, other]: [T; 2]) -> [T; 2] {
    [other, one]
}

fn field(field: &'static str, fits: bool, seen: impl ToString, expected: String) -> FieldFit {
    FieldFit { field, fits, seen: seen.to_string(), expected }
}

fn word(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
        Transport::Sctp => "sctp",
        Transport::Icmp => "icmp",
    }
}

fn names(policy: &Policy, assets: &[AssetId]) -> String {
    let names = assets.iter().filter_map(|id| policy.assets.get(*id)).map(|asset| asset.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

fn holds(policy: &Policy, assets: &[AssetId], address: IpAddr) -> bool {
    assets.iter().filter_map(|id| policy.assets.get(*id)).flat_map(|asset| &asset.addresses).any(|known| {
        match known {
            Addresses::Host(host) => *host == address,
            Addresses::Range(first, last) => {
                first.is_ipv4() == address.is_ipv4() && (*first..=*last).contains(&address)
            }
            Addresses::Prefix(network) => network.contains(&address),
        }
    })
}

fn in_ranges(ranges: &[PortRange], port: u16) -> bool {
    ranges.iter().any(|range| (range.first..=range.last).contains(&port))
}

fn list(ranges: &[PortRange]) -> String {
    let parts = ranges.iter().map(|range| match range.first == range.last {
        true => range.first.to_string(),
        false => format!("{}-{}", range.first, range.last),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// Whether the server's port fits, and what would.
fn port_fits(service: &Service, port: u16, server: IpAddr) -> (bool, String) {
    match &service.port {
        ServerPort::Any => (true, "any".to_owned()),
        ServerPort::Set(ranges) => (in_ranges(ranges, port), list(ranges)),
        ServerPort::Linked { base, octet, step } => {
            let octets = match server {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            let byte = usize::from(*octet).checked_sub(1).and_then(|at| octets.get(at));
            let expected = byte.map(|byte| u32::from(*base) + u32::from(*step) * u32::from(*byte));
            let text = expected.map_or("none for this address".to_owned(), |e| format!("{e} for {server}"));
            (expected == Some(u32::from(port)), text)
        }
        ServerPort::ByAddress(table) => match table.get(&server) {
            Some(expected) => (*expected == port, format!("{expected} for {server}")),
            None => (false, format!("none for {server}")),
        },
    }
}

/// Whether the client's port fits, and what would.
fn source_fits(service: &Service, client_port: u16, port: u16) -> (bool, String) {
    match &service.source_port {
        SourcePort::Any => (true, "any".to_owned()),
        SourcePort::Same => (client_port == port, format!("{port}, the same as the server's")),
        SourcePort::Ephemeral => (in_ranges(&[EPHEMERAL], client_port), list(&[EPHEMERAL])),
        SourcePort::Set(ranges) => (in_ranges(ranges, client_port), list(ranges)),
    }
}
