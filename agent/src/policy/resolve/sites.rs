//! A resolved policy, and where its parts stand in the text.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::policy::model;
use crate::policy::source::Span;

/// A policy without dangling names, and where its parts stand in the text.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) policy: model::Policy,
    pub(crate) sites: Sites,
}

/// Where the parts of a policy stand. Each list runs beside the one of the same name in the policy.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    pub(crate) zones: Vec<ZoneSite>,
    pub(crate) assets: Vec<AssetSite>,
    pub(crate) services: Vec<ServiceSite>,
    pub(crate) conduits: Vec<ConduitSite>,
    /// Both ends of each wire.
    pub(crate) wires: Vec<[Span; 2]>,
    /// The value of `forwarding`, and of `wires`.
    pub(crate) forwarding: Option<Span>,
    pub(crate) wires_key: Option<Span>,
    /// Whether wires stand there that cannot be read.
    pub(crate) refused_wires: bool,
    /// Whether zones stand there that cannot be read.
    pub(crate) lost_zones: bool,
    pub(crate) rules: Vec<RuleSite>,
    /// Zones, assets and services that something refers to, by index.
    pub(crate) used_zones: BTreeSet<usize>,
    pub(crate) used_assets: BTreeSet<usize>,
    pub(crate) used_services: BTreeSet<usize>,
}

#[derive(Debug)]
pub(crate) struct ZoneSite {
    pub(crate) name: Span,
    /// Whether a part of it was refused, so that its networks are not all known.
    pub(crate) refused: bool,
    pub(crate) interfaces: Vec<Span>,
    pub(crate) vlans: Vec<Span>,
    pub(crate) networks: Vec<Span>,
}

#[derive(Debug)]
pub(crate) struct AssetSite {
    pub(crate) name: Span,
    pub(crate) addresses: Vec<Span>,
    pub(crate) mac: Option<Span>,
}

#[derive(Debug)]
pub(crate) struct ServiceSite {
    pub(crate) name: Span,
    pub(crate) port: Option<Span>,
    pub(crate) reply_from: Option<Span>,
    /// Entries of its `by_address` table.
    pub(crate) table: BTreeMap<IpAddr, Span>,
}

#[derive(Debug)]
pub(crate) struct ConduitSite {
    pub(crate) zones: Span,
}

#[derive(Debug)]
pub(crate) struct RuleSite {
    pub(crate) whole: Span,
    pub(crate) clients: Vec<Span>,
    pub(crate) servers: Vec<Span>,
    pub(crate) reply_to: Vec<Span>,
}
