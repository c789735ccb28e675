//! Exact tuples: rules between single hosts with pinned ports need one lookup.

use std::collections::BTreeMap;
use std::net::IpAddr;

use banchi_common::abi::{Feature, FlowRow, Tag, Transport, VALUE_MAX};
use banchi_common::engine::{exact_key, matching_rules};
use banchi_common::wire::{Address, ECHO_PORT, Headers};

use super::entries::{Entries, Entry};
use super::error::CompileError;
use super::nodes::Nodes;
use super::{Image, index};
use crate::policy::model::{Policy, PortRange, Rule, ServerPort, SourcePort};

/// A rule with more tuples than this goes through classes.
const TUPLES: usize = 1024;

/// Which rules are exact, and with how many tuples; 0 goes through classes.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) tuples: Vec<u32>,
}

impl Plan {
    pub(super) fn of(policy: &Policy, nodes: &Nodes) -> Self {
        let tuples = policy
            .rules
            .iter()
            .map(|rule| tuples_of(policy, nodes, rule).map_or(0, |tuples| tuples.len() as u32));
        Self { tuples: tuples.collect() }
    }

    pub(super) fn is_exact(&self, rule: usize) -> bool {
        self.tuples.get(rule).is_some_and(|count| *count > 0)
    }

    pub(super) fn any_classes(&self) -> bool {
        self.tuples.contains(&0)
    }
}

/// Client node, server node and both ports.
type Tuple = (u32, u32, u16, u16);

/// Tag and key of a tuple, the rules that it leads to, and the tuple itself.
type Found = (u8, u64, u32, FlowRow, Tuple);

/// Tuples of a rule, or `None` where it is too wide for them.
fn tuples_of(policy: &Policy, nodes: &Nodes, rule: &Rule) -> Option<Vec<Tuple>> {
    let service = policy.services.get(rule.service)?;
    let clients = nodes.of_assets(&rule.clients);
    let servers = nodes.of_assets(&rule.servers);
    if clients.len().saturating_mul(servers.len()) > TUPLES {
        return None;
    }
    let mut tuples = Vec::new();
    for server in &servers {
        let address = nodes.host(*server)?;
        let ports = server_ports(&service.port, service.transport, address)?;
        for client in &clients {
            if nodes.host(*client)?.is_ipv4() != address.is_ipv4() {
                continue;
            }
            for port in &ports {
                let sources = match (&service.source_port, service.transport) {
                    (_, Transport::Icmp) => vec![0],
                    (SourcePort::Same, _) => vec![*port],
                    (SourcePort::Set(ranges), _) => expand(ranges)?,
                    (SourcePort::Any | SourcePort::Ephemeral, _) => return None,
                };
                if tuples.len() + sources.len() > TUPLES {
                    return None;
                }
                tuples.extend(sources.into_iter().map(|source| (*client, *server, source, *port)));
            }
        }
    }
    (!tuples.is_empty()).then_some(tuples)
}

fn server_ports(port: &ServerPort, transport: Transport, server: IpAddr) -> Option<Vec<u16>> {
    if transport == Transport::Icmp {
        return Some(vec![ECHO_PORT]);
    }
    match port {
        ServerPort::Any => None,
        ServerPort::Set(ranges) => expand(ranges),
        ServerPort::Linked { base, octet, step } => {
            Some(linked_port(*base, *octet, *step, server).into_iter().collect())
        }
        ServerPort::ByAddress(table) => Some(table.get(&server).copied().into_iter().collect()),
    }
}

/// The port that belongs to an address, where there is one.
pub(super) fn linked_port(base: u16, octet: u8, step: u16, server: IpAddr) -> Option<u16> {
    let at = usize::from(octet).checked_sub(1)?;
    let byte = match server {
        IpAddr::V4(v4) => v4.octets().get(at).copied(),
        IpAddr::V6(v6) => v6.octets().get(at).copied(),
    }?;
    u16::try_from(u32::from(base) + u32::from(step) * u32::from(byte)).ok()
}

fn expand(ranges: &[PortRange]) -> Option<Vec<u16>> {
    let count: usize = ranges.iter().map(|range| usize::from(range.last - range.first) + 1).sum();
    (count <= TUPLES).then(|| ranges.iter().flat_map(|range| range.first..=range.last).collect())
}

/// Emits the tuples. Each carries the first rule of the file for both orientations, also where that rule goes
/// through classes.
pub(super) fn emit(
    policy: &Policy,
    nodes: &Nodes,
    plan: &Plan,
    image: &mut Image,
    entries: &mut Entries,
) -> Result<(), CompileError> {
    let mut found: Vec<Found> = Vec::new();
    for (number, rule) in (1u32..).zip(&policy.rules) {
        if !plan.is_exact(number as usize - 1) {
            continue;
        }
        let Some(service) = policy.services.get(rule.service) else { continue };
        for (client, server, source_port, port) in tuples_of(policy, nodes, rule).unwrap_or_default() {
            let (Some(from), Some(to)) = (nodes.host(client), nodes.host(server)) else { continue };
            let (tag, from, to) = match (from, to) {
                (IpAddr::V4(from), IpAddr::V4(to)) => (0, from.to_bits(), to.to_bits()),
                _ => (4, client, server),
            };
            let (k0, k1, client_low) = exact_key(from, source_port, to, port);
            let flow = if (from, source_port) == (to, port) {
                // Both zones name the group: who asks it from itself also answers itself.
                FlowRow { low_asks: number, high_asks: number }
            } else if client_low {
                FlowRow { low_asks: number, high_asks: 0 }
            } else {
                FlowRow { low_asks: 0, high_asks: number }
            };
            let tuple = (client, server, source_port, port);
            found.push((Tag::Exact as u8 + tag + service.transport as u8, k0, k1, flow, tuple));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    if plan.any_classes() {
        complete(nodes, image, entries, &mut found);
    }
    found.sort_unstable_by_key(|(tag, k0, k1, ..)| (*tag, *k0, *k1));
    let mut numbers: BTreeMap<FlowRow, u32> = BTreeMap::new();
    let mut at = 0;
    while let Some((tag, k0, k1, ..)) = found.get(at).copied() {
        let mut merged = FlowRow { low_asks: 0, high_asks: 0 };
        while let Some((.., flow, _)) = found.get(at).filter(|next| (next.0, next.1, next.2) == (tag, k0, k1))
        {
            merged.low_asks = first_of(merged.low_asks, flow.low_asks);
            merged.high_asks = first_of(merged.high_asks, flow.high_asks);
            at += 1;
        }
        let value = *numbers.entry(merged).or_insert_with(|| {
            image.flows.push(merged);
            image.flows.len() as u32 - 1
        });
        entries.all.push(Entry { tag, k0, k1, value });
    }
    if image.flows.len() > VALUE_MAX as usize {
        let (found, limit) = (image.flows.len(), VALUE_MAX as usize);
        return Err(CompileError::TooMany { what: "different pairs of rules", found, limit });
    }
    image.enable(Feature::Exact, true);
    Ok(())
}

/// Adds the rules that go through classes: asks the engine itself, over an image without exact tuples.
fn complete(nodes: &Nodes, image: &mut Image, entries: &Entries, found: &mut [Found]) {
    index::build(image, entries);
    for (tag, _, _, flow, (client, server, source_port, port)) in found {
        let (Some(from), Some(to)) = (nodes.host(*client), nodes.host(*server)) else { continue };
        let transport = (*tag - Tag::Exact as u8) & 3;
        let (forward, back) = matching_rules(&*image, &headers(from, *source_port, to, *port, transport));
        let (low, high) = if flow.low_asks != 0 { (forward, back) } else { (back, forward) };
        flow.low_asks = first_of(flow.low_asks, low);
        flow.high_asks = first_of(flow.high_asks, high);
    }
}

/// The rule that stands first in the file; 0 is none.
fn first_of(a: u32, b: u32) -> u32 {
    match (a, b) {
        (0, other) | (other, 0) => other,
        _ => a.min(b),
    }
}

/// Headers of a packet from client to server.
fn headers(from: IpAddr, source_port: u16, to: IpAddr, port: u16, transport: u8) -> Headers {
    let word = |address: IpAddr| match address {
        IpAddr::V4(v4) => Address { hi: 0, lo: u64::from(v4.to_bits()) },
        IpAddr::V6(v6) => Address { hi: (v6.to_bits() >> 64) as u64, lo: v6.to_bits() as u64 },
    };
    Headers {
        source: word(from),
        destination: word(to),
        source_port,
        destination_port: port,
        family: if from.is_ipv4() { 4 } else { 6 },
        transport,
        ..Headers::default()
    }
}
