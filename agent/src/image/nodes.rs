//! Nodes: every host, every prefix of an asset and every network of a zone gets a number, and an address
//! belongs to the most specific one that holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use banchi_common::abi::{NODE_ASSET, NODE_GROUP, NODE_MAC, NodeRow, Tag, VALUE_MAX};
use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::entries::Entries;
use super::error::CompileError;
use super::index::Entry6;
use crate::policy::model::{Addresses, Asset, AssetId, Policy, ServerPort};

/// A range of at most this many addresses becomes hosts; a larger one becomes prefixes.
const HOSTS: u128 = 4096;

/// First and last address of a node. Ordered by family, then from the first host on, larger blocks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Block {
    v6: bool,
    first: u128,
    length: u8,
}

impl Block {
    const fn bits(self) -> u8 {
        if self.v6 { 128 } else { 32 }
    }
    const fn is_host(self) -> bool {
        self.length == self.bits()
    }
    /// The block of this length around the first address.
    fn truncate(self, length: u8) -> Self {
        let free = u32::from(self.bits() - length);
        let first = self.first.checked_shr(free).and_then(|high| high.checked_shl(free)).unwrap_or(0);
        Self { first, length, ..self }
    }
    fn last(self) -> u128 {
        let free = u32::from(self.bits() - self.length);
        self.first | 1u128.checked_shl(free).map_or(u128::MAX, |size| size - 1)
    }
}

#[derive(Debug, Clone, Copy)]
struct About {
    zone: usize,
    asset: bool,
    mac: Option<[u8; 6]>,
    group: bool,
}

/// All nodes of a policy. Numbers start at 1, in the order of the blocks.
#[derive(Debug)]
pub(super) struct Nodes {
    blocks: Vec<(Block, About)>,
    by_asset: Vec<Vec<u32>>,
    /// Lengths of IPv4 prefixes, longest first.
    pub(super) lengths4: Vec<u8>,
    /// Lengths of IPv6 prefixes, longest first.
    pub(super) lengths6: Vec<u8>,
}

impl Nodes {
    pub(super) fn of(policy: &Policy) -> Result<Self, CompileError> {
        let mut blocks: BTreeMap<Block, About> = BTreeMap::new();
        for (zone, row) in policy.zones.iter().enumerate() {
            for network in &row.networks {
                blocks.insert(block(*network), About { zone, asset: false, mac: None, group: false });
            }
        }
        for asset in &policy.assets {
            for block in asset.addresses.iter().flat_map(blocks_of) {
                let about = blocks.entry(block).or_insert(About {
                    zone: asset.zone,
                    asset: true,
                    mac: None,
                    group: false,
                });
                about.asset = true;
                about.mac = about.mac.or(asset.mac);
            }
        }
        split_by_tables(policy, &mut blocks);
        for (block, about) in &mut blocks {
            let ends = [block.first, block.last()];
            about.group = ends.into_iter().all(|bits| policy.is_group(address(block.v6, bits)));
        }
        let mut nodes = Self {
            blocks: blocks.into_iter().collect(),
            by_asset: Vec::new(),
            lengths4: Vec::new(),
            lengths6: Vec::new(),
        };
        if nodes.blocks.len() >= VALUE_MAX as usize {
            return Err(CompileError::TooMany {
                what: "hosts and prefixes",
                found: nodes.blocks.len(),
                limit: VALUE_MAX as usize,
            });
        }
        nodes.by_asset = policy.assets.iter().map(|asset| nodes.inside(asset)).collect();
        // A block inside an asset's prefix belongs to the asset, whatever it was made for.
        for list in nodes.by_asset.clone() {
            for node in list {
                if let Some((_, about)) = nodes.blocks.get_mut(node as usize - 1) {
                    about.asset = true;
                }
            }
        }
        nodes.lengths4 = nodes.lengths(false);
        nodes.lengths6 = nodes.lengths(true);
        Ok(nodes)
    }

    /// Nodes of some assets, ascending, each once.
    pub(super) fn of_assets(&self, assets: &[AssetId]) -> Vec<u32> {
        let mut all: Vec<u32> =
            assets.iter().filter_map(|asset| self.by_asset.get(*asset)).flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The address of a node that is one host.
    pub(super) fn host(&self, node: u32) -> Option<IpAddr> {
        let (block, _) = self.blocks.get((node as usize).checked_sub(1)?)?;
        block.is_host().then(|| address(block.v6, block.first))
    }

    /// The node of a host that has one.
    pub(super) fn node(&self, host: IpAddr) -> Option<u32> {
        let key = block(IpNet::from(host));
        self.blocks.binary_search_by_key(&key, |(block, _)| *block).ok().map(|at| at as u32 + 1)
    }

    /// Nodes whose block lies inside the asset's addresses, and in its zone: a prefix or a range does not take in
    /// what other zones claim. A host or prefix that the asset itself names counts anyway, since zones may share
    /// group addresses.
    fn inside(&self, asset: &Asset) -> Vec<u32> {
        let named = asset.addresses.iter().filter(|addresses| !matches!(addresses, Addresses::Range(..)));
        let own: BTreeSet<Block> = named.flat_map(blocks_of).collect();
        let belongs = |block: &Block, about: &About| about.zone == asset.zone || own.contains(block);
        let mut found = Vec::new();
        for (v6, first, last) in asset.addresses.iter().map(span) {
            let start = self.blocks.partition_point(|(block, _)| (block.v6, block.first) < (v6, first));
            let rest = self.blocks.iter().enumerate().skip(start);
            let within = rest.take_while(|(_, (block, _))| block.v6 == v6 && block.first <= last);
            let whole = within.filter(|(_, (block, about))| block.last() <= last && belongs(block, about));
            found.extend(whole.map(|(at, _)| at as u32 + 1));
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn lengths(&self, v6: bool) -> Vec<u8> {
        let prefixes = self.blocks.iter().filter(|(block, _)| block.v6 == v6 && !block.is_host());
        let mut lengths: Vec<u8> = prefixes.map(|(block, _)| block.length).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        lengths
    }

    /// Whether some node is bound to a hardware address.
    pub(super) fn any_mac(&self) -> bool {
        self.blocks.iter().any(|(_, about)| about.mac.is_some())
    }

    /// Whether one of these nodes is bound to a hardware address.
    pub(super) fn have_mac(&self, nodes: &[u32]) -> bool {
        nodes
            .iter()
            .any(|node| self.blocks.get(*node as usize - 1).is_some_and(|(_, about)| about.mac.is_some()))
    }

    /// Whether one of these nodes is a group address.
    pub(super) fn have_group(&self, nodes: &[u32]) -> bool {
        nodes.iter().any(|node| self.blocks.get(*node as usize - 1).is_some_and(|(_, about)| about.group))
    }

    /// Whether an asset itself names a group address. That a prefix takes in one that another asset names says
    /// nothing about the hosts in it.
    pub(super) fn names_group(&self, asset: &Asset) -> bool {
        asset.addresses.iter().flat_map(blocks_of).any(|block| {
            let found = self.blocks.binary_search_by_key(&block, |(block, _)| *block).ok();
            found.and_then(|at| self.blocks.get(at)).is_some_and(|(_, about)| about.group)
        })
    }

    pub(super) fn any_group(&self) -> bool {
        self.blocks.iter().any(|(_, about)| about.group)
    }

    pub(super) fn any6(&self) -> bool {
        self.blocks.iter().any(|(block, _)| block.v6)
    }

    /// Rows of the nodes; row 0 is none.
    pub(super) fn rows(&self) -> Vec<NodeRow> {
        let none = NodeRow { zone: 0, flags: 0, mac: [0; 6], reserved: [0; 6] };
        let rows = self.blocks.iter().map(|(_, about)| NodeRow {
            zone: about.zone as u16 + 1,
            flags: if about.asset { NODE_ASSET } else { 0 }
                | if about.mac.is_some() { NODE_MAC } else { 0 }
                | if about.group { NODE_GROUP } else { 0 },
            mac: about.mac.unwrap_or_default(),
            reserved: [0; 6],
        });
        std::iter::once(none).chain(rows).collect()
    }

    /// Entries of the IPv4 nodes.
    pub(super) fn emit(&self, entries: &mut Entries) {
        for (node, (block, _)) in (1u32..).zip(&self.blocks) {
            let first = block.first as u64;
            match (block.v6, block.is_host()) {
                (true, _) => {}
                (false, true) => entries.push(Tag::Host4, first, 0, node),
                (false, false) => entries.push(Tag::Prefix4, first, u32::from(block.length) + 1, node),
            }
        }
    }

    /// Entries of the IPv6 nodes.
    pub(super) fn entries6(&self) -> Vec<Entry6> {
        let v6 = (1u32..).zip(&self.blocks).filter(|(_, (block, _))| block.v6);
        v6.map(|(node, (block, _))| {
            ((block.first >> 64) as u64, block.first as u64, u32::from(block.length) + 1, node)
        })
        .collect()
    }
}

/// An address with a port of its own is a host, also inside a prefix.
fn split_by_tables(policy: &Policy, blocks: &mut BTreeMap<Block, About>) {
    for service in &policy.services {
        let ServerPort::ByAddress(table) = &service.port else { continue };
        for host in table.keys().map(|host| block(IpNet::from(*host))) {
            let around = (0..=host.bits()).rev().find_map(|length| blocks.get(&host.truncate(length)));
            if let Some(About { zone, .. }) = around.copied() {
                blocks.entry(host).or_insert(About { zone, asset: false, mac: None, group: false });
            }
        }
    }
}

fn block(network: IpNet) -> Block {
    match network {
        IpNet::V4(net) => {
            Block { v6: false, first: u128::from(net.network().to_bits()), length: net.prefix_len() }
        }
        IpNet::V6(net) => Block { v6: true, first: net.network().to_bits(), length: net.prefix_len() },
    }
}

fn address(v6: bool, bits: u128) -> IpAddr {
    if v6 { Ipv6Addr::from_bits(bits).into() } else { Ipv4Addr::from_bits(bits as u32).into() }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Family, first and last address.
fn span(addresses: &Addresses) -> (bool, u128, u128) {
    match addresses {
        Addresses::Host(host) => (host.is_ipv6(), bits(*host), bits(*host)),
        Addresses::Range(first, last) => (first.is_ipv6(), bits(*first), bits(*last)),
        Addresses::Prefix(net) => (net.addr().is_ipv6(), bits(net.network()), block(*net).last()),
    }
}

/// Blocks that cover the addresses exactly.
fn blocks_of(addresses: &Addresses) -> Vec<Block> {
    let (v6, first, last) = span(addresses);
    match addresses {
        Addresses::Host(host) => vec![block(IpNet::from(*host))],
        Addresses::Prefix(net) => vec![block(*net)],
        Addresses::Range(..) if last - first < HOSTS => {
            (first..=last).map(|bits| block(IpNet::from(address(v6, bits)))).collect()
        }
        Addresses::Range(IpAddr::V4(first), IpAddr::V4(last)) => {
            Ipv4Subnets::new(*first, *last, 0).map(|net| block(IpNet::V4(net))).collect()
        }
        Addresses::Range(IpAddr::V6(first), IpAddr::V6(last)) => {
            Ipv6Subnets::new(*first, *last, 0).map(|net| block(IpNet::V6(net))).collect()
        }
        // The model has no range across families.
        Addresses::Range(..) => Vec::new(),
    }
}
