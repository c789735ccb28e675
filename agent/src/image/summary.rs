//! What each rule became, and what the image costs.

use std::net::IpAddr;

use banchi_common::abi::{
    Asked, Bucket, Bucket6, ConduitRow, Conversations, Counter, FlowRow, NodeRow, PortRow, RelationRow,
    RuleRow, ServerRow, ServiceRow, Setting, Tag, Transport,
};
use banchi_common::reason::REASON_ROWS;
use serde::Serialize;

use super::Image;
use crate::policy::model::{Addresses, AssetId, Policy, Rule, ServerPort, SourcePort};

/// How the data plane finds a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RulePath {
    /// By one lookup of the whole tuple.
    Exact,
    /// By the classes of its addresses and ports.
    Classes,
}

/// What one rule became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleSummary {
    /// Name of the rule.
    pub name: String,
    /// Line in the policy.
    pub line: usize,
    /// How it is found.
    pub path: RulePath,
    /// Pairs of hosts and ports that it allows.
    pub tuples: u128,
    /// Entries of its own in the index: exact tuples. Rules in classes share theirs.
    pub exact_entries: u32,
}

/// What a policy became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Rules, in file order.
    pub rules: Vec<RuleSummary>,
    /// Pairs of hosts and ports that all rules allow together, overlaps counted twice.
    pub tuples: u128,
    /// Entries of the index, by what they are for.
    pub entries: Vec<(String, usize)>,
    /// Bytes of kernel memory that the tables take, counters for `cpus` CPUs included.
    pub kernel_bytes: u64,
    /// CPUs that the counters are for.
    pub cpus: u32,
}

/// Sums up an image.
pub fn summarize(policy: &Policy, image: &Image, cpus: u32) -> Summary {
    let rules: Vec<RuleSummary> = policy
        .rules
        .iter()
        .zip(&image.exact_tuples)
        .map(|(rule, exact)| RuleSummary {
            name: rule.name.clone(),
            line: rule.line,
            path: if *exact > 0 { RulePath::Exact } else { RulePath::Classes },
            tuples: tuples(policy, rule),
            exact_entries: *exact,
        })
        .collect();
    Summary {
        tuples: rules.iter().fold(0, |sum, rule| sum.saturating_add(rule.tuples)),
        entries: image.entries.iter().map(|(tag, count)| (tag_name(*tag).to_owned(), *count)).collect(),
        kernel_bytes: kernel_bytes(image, cpus),
        rules,
        cpus,
    }
}

fn tag_name(tag: Tag) -> &'static str {
    match tag {
        Tag::Host4 => "IPv4 hosts",
        Tag::Prefix4 => "IPv4 prefixes",
        Tag::Service => "pairs of port classes",
        Tag::Pair => "pairs of hosts",
        Tag::Client => "client classes",
        Tag::Server => "server classes",
        Tag::Classes => "pairs of classes",
        Tag::Port => "ports by address",
        Tag::Conduit => "conduits",
        Tag::DoubleVlan => "double-tagged VLANs",
        Tag::Ethertype => "protocols below IP",
        Tag::Exact => "exact tuples",
    }
}

/// Bytes of all array maps but the table of interfaces, which has 8 for each index of the machine's interfaces. An
/// element takes a multiple of 8 bytes.
fn kernel_bytes(image: &Image, cpus: u32) -> u64 {
    fn array<T>(rows: usize) -> u64 {
        (size_of::<T>().next_multiple_of(8) * rows) as u64
    }
    let counters = image.rules.len() * 2 + image.conduits.len() * REASON_ROWS;
    array::<Bucket>(image.index.len())
        + array::<Bucket6>(image.index6.len())
        + array::<PortRow>(image.ports.len())
        + array::<ServerRow>(image.servers.len())
        + array::<ServiceRow>(image.services.len())
        + array::<RelationRow>(image.relations.len())
        + array::<NodeRow>(image.nodes.len())
        + array::<FlowRow>(image.flows.len())
        + array::<RuleRow>(image.rules.len())
        + array::<ConduitRow>(image.conduits.len())
        + array::<u32>(image.zones.len())
        + array::<Asked>(image.slots())
        + array::<Conversations>(image.setting(Setting::ConversationBuckets) as usize)
        + array::<Counter>(counters * cpus as usize)
}

/// Pairs of hosts times pairs of ports, each family for itself.
fn tuples(policy: &Policy, rule: &Rule) -> u128 {
    let Some(service) = policy.services.get(rule.service) else { return 0 };
    let ports = |ranges: &[crate::policy::model::PortRange]| {
        ranges.iter().map(|range| u128::from(range.last - range.first) + 1).sum::<u128>()
    };
    let servers = match &service.port {
        _ if service.transport == Transport::Icmp => 1,
        ServerPort::Any => 65536,
        ServerPort::Set(ranges) => ports(ranges),
        ServerPort::Linked { .. } | ServerPort::ByAddress(_) => 1,
    };
    // Any client port counts once: it is one entry that does not look at the port.
    let clients = match &service.source_port {
        SourcePort::Set(ranges) => ports(ranges),
        SourcePort::Any | SourcePort::Same | SourcePort::Ephemeral => 1,
    };
    [true, false]
        .into_iter()
        .map(|v4| hosts(policy, &rule.clients, v4).saturating_mul(hosts(policy, &rule.servers, v4)))
        .fold(0u128, u128::saturating_add)
        .saturating_mul(servers)
        .saturating_mul(clients)
}

/// Addresses of one family, overlaps counted twice.
fn hosts(policy: &Policy, assets: &[AssetId], v4: bool) -> u128 {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let addresses = assets.iter().filter_map(|id| policy.assets.get(*id)).flat_map(|asset| &asset.addresses);
    addresses
        .map(|addresses| match addresses {
            Addresses::Host(host) if host.is_ipv4() == v4 => 1,
            Addresses::Range(first, last) if first.is_ipv4() == v4 => {
                (bits(*last) - bits(*first)).saturating_add(1)
            }
            Addresses::Prefix(net) if net.addr().is_ipv4() == v4 => {
                1u128.checked_shl(u32::from(net.max_prefix_len() - net.prefix_len())).unwrap_or(u128::MAX)
            }
            _ => 0,
        })
        .fold(0u128, u128::saturating_add)
}
