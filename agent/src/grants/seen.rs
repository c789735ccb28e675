//! What grants let through: what one may want to write into the policy, or not.

use std::collections::BTreeMap;

use banchi_common::reason::{Orientation, Reason};
use serde::{Deserialize, Serialize};

use super::{Grant, id_of};
use crate::events::Report;

/// Flows that are kept of one grant. What comes beyond is counted.
const FLOWS: usize = 64;

/// What one grant let through, as far as events tell: at most one of a flow in the time of suppression.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// By number of the grant.
    grants: BTreeMap<u32, Flows>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Flows {
    flows: Vec<SeenFlow>,
    /// Events of flows beyond [`FLOWS`].
    more: u64,
}

/// A flow that a grant let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenFlow {
    /// Who asked.
    pub client: String,
    /// Who was asked.
    pub server: String,
    /// `tcp`, `udp`, `sctp`, `icmp` or `icmpv6`.
    pub transport: String,
    /// Port that was asked; null for ICMP.
    pub port: Option<u16>,
    /// Whether the client's port is always the one that was asked.
    pub same_port: bool,
    /// When it was seen first, RFC 3339.
    pub first: String,
}

impl Seen {
    /// Takes note of an event. True where it told something new.
    pub fn note(&mut self, report: &Report) -> bool {
        let (Reason::Granted, Some(rule)) = (report.reason, &report.rule) else { return false };
        let Some(id) = id_of(rule) else { return false };
        // Only questions: their destination port is the service's.
        if report.orientation != Orientation::Forward {
            return false;
        }
        let (Some(client), Some(server)) = (report.src, report.dst) else { return false };
        let flow = SeenFlow {
            client: client.to_string(),
            server: server.to_string(),
            transport: report.transport.as_deref().unwrap_or_default().to_owned(),
            port: report.dst_port,
            same_port: report.dst_port.is_some() && report.src_port == report.dst_port,
            first: report.time.clone(),
        };
        let known = self.grants.entry(id).or_default();
        let same = |one: &&mut SeenFlow| {
            (&one.client, &one.server, &one.transport, one.port)
                == (&flow.client, &flow.server, &flow.transport, flow.port)
        };
        if let Some(one) = known.flows.iter_mut().find(same) {
            let varies = one.same_port && !flow.same_port;
            one.same_port &= flow.same_port;
            return varies;
        }
        if known.flows.len() >= FLOWS {
            known.more += 1;
            return false;
        }
        known.flows.push(flow);
        true
    }

    /// Flows of a grant, and events of those that are not listed.
    pub fn of(&self, id: u32) -> (&[SeenFlow], u64) {
        self.grants.get(&id).map_or((&[], 0), |flows| (flows.flows.as_slice(), flows.more))
    }

    /// Forgets grants that are not known any more.
    pub fn keep(&mut self, grants: &[Grant]) {
        self.grants.retain(|id, _| grants.iter().any(|grant| grant.id == *id));
    }
}
