//! Families: the rules that a set of services leads to. Within a family a packet's two nodes find the first
//! rule of the file that holds them, by their pair or by their classes, and never by a walk.

use std::collections::BTreeMap;

use banchi_common::abi::{FIRST_FAMILY, RELATIONS, ServiceRow, Tag};

use super::MAX_ENTRIES;
use super::entries::Entries;
use super::error::CompileError;
use super::exact::Plan;
use super::nodes::Nodes;
use super::services::{Services, Set};
use crate::policy::model::{Policy, ServiceId};

/// A rule between at most this many pairs of nodes is listed pair by pair.
const PAIRS: usize = 256;

/// Rules as a family needs them.
struct Rules {
    clients: Vec<Vec<u32>>,
    servers: Vec<Vec<u32>>,
    by_service: BTreeMap<ServiceId, Vec<usize>>,
}

/// Emits every family, and returns the rows of the service sets; row 0 is none.
pub(super) fn emit(
    policy: &Policy,
    nodes: &Nodes,
    services: &Services,
    plan: &Plan,
    entries: &mut Entries,
) -> Result<Vec<ServiceRow>, CompileError> {
    let mut by_service: BTreeMap<ServiceId, Vec<usize>> = BTreeMap::new();
    for (number, rule) in policy.rules.iter().enumerate() {
        by_service.entry(rule.service).or_default().push(number);
    }
    let rules = Rules {
        clients: policy.rules.iter().map(|rule| nodes.of_assets(&rule.clients)).collect(),
        servers: policy.rules.iter().map(|rule| nodes.of_assets(&rule.servers)).collect(),
        by_service,
    };
    let everything: Vec<usize> = (0..policy.rules.len()).collect();
    emit_family(&rules, FIRST_FAMILY, &everything, entries)?;
    let mut next = FIRST_FAMILY + 1;
    let mut rows = Vec::new();
    for set in &services.sets {
        let exact = |rule: &usize| plan.is_exact(*rule);
        let mut row = ServiceRow { base: 0, linked: 0, relations: [0; RELATIONS] };
        for (slot, relation) in row.relations.iter_mut().zip(&set.relations) {
            *slot = *relation;
        }
        let variants = 1u32 << set.relations.len();
        let links = set.relations.iter().any(|relation| services.is_link(*relation));
        // Exact rules are found before any family; they are here only for what is told about deviations.
        let main: Vec<Vec<usize>> = (0..variants)
            .map(|held| {
                let mut fitting = rules_of(&rules, services, set, held);
                if !set.any_source {
                    fitting.retain(|rule| !exact(rule));
                }
                fitting
            })
            .collect();
        if main.iter().any(|fitting| !fitting.is_empty()) {
            row.base = next;
            for (family, fitting) in (next..).zip(&main) {
                emit_family(&rules, family, fitting, entries)?;
            }
            next += variants;
        }
        if links && !set.any_source {
            row.linked = next;
            for (family, held) in (next..).zip(0..variants) {
                let mut fitting = rules_of(&rules, services, set, held);
                fitting.retain(|rule| {
                    let service = policy.rules.get(*rule).map(|rule| rule.service);
                    let mut carried = set.relations.iter().filter(|relation| services.is_link(**relation));
                    service
                        .is_some_and(|service| carried.any(|relation| services.carries(service, *relation)))
                });
                emit_family(&rules, family, &fitting, entries)?;
            }
            next += variants;
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Rules of the services of a set whose relations all hold, in the order of the file.
fn rules_of(rules: &Rules, services: &Services, set: &Set, held: u32) -> Vec<usize> {
    let fits = |service: &ServiceId| {
        set.relations
            .iter()
            .enumerate()
            .all(|(bit, relation)| held >> bit & 1 == 1 || !services.carries(*service, *relation))
    };
    let chosen = set.services.iter().filter(|service| fits(service));
    let mut fitting: Vec<usize> =
        chosen.filter_map(|service| rules.by_service.get(service)).flatten().copied().collect();
    fitting.sort_unstable();
    fitting
}

/// Emits the rules of one family.
fn emit_family(
    rules: &Rules,
    family: u32,
    members: &[usize],
    entries: &mut Entries,
) -> Result<(), CompileError> {
    let empty = Vec::new();
    let sides =
        |rule: usize| (rules.clients.get(rule).unwrap_or(&empty), rules.servers.get(rule).unwrap_or(&empty));
    let (narrow, wide): (Vec<usize>, Vec<usize>) = members.iter().partition(|rule| {
        let (clients, servers) = sides(**rule);
        clients.len().saturating_mul(servers.len()) <= PAIRS
    });
    let clients = classes(wide.iter().map(|rule| (*rule, sides(*rule).0)));
    let servers = classes(wide.iter().map(|rule| (*rule, sides(*rule).1)));
    let budget = |more: usize, entries: &Entries| {
        let needed = entries.len() + more;
        if needed > MAX_ENTRIES {
            return Err(CompileError::TooLarge { entries: needed, limit: MAX_ENTRIES });
        }
        Ok(())
    };

    let mut pairs: Vec<(u64, usize)> = Vec::new();
    for rule in &wide {
        let (of_clients, of_servers) =
            (clients.by_rule.get(rule).unwrap_or(&empty), servers.by_rule.get(rule).unwrap_or(&empty));
        budget(pairs.len() + of_clients.len().saturating_mul(of_servers.len()), entries)?;
        pairs.extend(product(of_clients, of_servers).map(|key| (key, *rule)));
    }
    let of_classes = first_rules(pairs);
    for (node, class) in &clients.by_node {
        entries.push(Tag::Client, u64::from(*node), family, *class);
    }
    for (node, class) in &servers.by_node {
        entries.push(Tag::Server, u64::from(*node), family, *class);
    }
    for (key, rule) in &of_classes {
        entries.push(Tag::Classes, *key, family, *rule as u32 + 1);
    }

    let mut pairs: Vec<(u64, usize)> = Vec::new();
    for rule in &narrow {
        let (of_clients, of_servers) = sides(*rule);
        budget(pairs.len(), entries)?;
        pairs.extend(product(of_clients, of_servers).map(|key| (key, *rule)));
    }
    for (key, rule) in first_rules(pairs) {
        // A wide rule that stands earlier in the file decides, though the pair is found first.
        let class = |side: &Classes, node: u32| side.by_node.get(&node).copied();
        let earlier = class(&clients, (key >> 32) as u32)
            .zip(class(&servers, key as u32))
            .map(|(client, server)| u64::from(client) << 32 | u64::from(server))
            .and_then(|key| of_classes.binary_search_by_key(&key, |(known, _)| *known).ok())
            .and_then(|at| of_classes.get(at))
            .map_or(rule, |(_, wide)| rule.min(*wide));
        entries.push(Tag::Pair, key, family, earlier as u32 + 1);
    }
    budget(0, entries)
}

fn product<'a>(clients: &'a [u32], servers: &'a [u32]) -> impl Iterator<Item = u64> + 'a {
    clients
        .iter()
        .flat_map(|client| servers.iter().map(|server| u64::from(*client) << 32 | u64::from(*server)))
}

/// The first rule of each key, in the order of the keys.
fn first_rules(mut pairs: Vec<(u64, usize)>) -> Vec<(u64, usize)> {
    pairs.sort_unstable();
    pairs.dedup_by_key(|(key, _)| *key);
    pairs
}

/// Nodes that the same rules hold share a class.
struct Classes {
    /// Class of each node, from 1.
    by_node: BTreeMap<u32, u32>,
    /// Classes of each rule, ascending.
    by_rule: BTreeMap<usize, Vec<u32>>,
}

fn classes<'a>(sides: impl Iterator<Item = (usize, &'a Vec<u32>)>) -> Classes {
    let mut rules_of: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (rule, side) in sides {
        for node in side {
            rules_of.entry(*node).or_default().push(rule);
        }
    }
    let mut numbers: BTreeMap<&[usize], u32> = BTreeMap::new();
    let mut by_node = BTreeMap::new();
    let mut by_rule: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for (node, rules) in &rules_of {
        let next = numbers.len() as u32 + 1;
        let class = *numbers.entry(rules).or_insert(next);
        if class == next {
            for rule in rules {
                by_rule.entry(*rule).or_default().push(class);
            }
        }
        by_node.insert(*node, class);
    }
    Classes { by_node, by_rule }
}
