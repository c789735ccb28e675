//! Packets that events spoke of, by verdict: the kernel counts by reason only.

use std::collections::BTreeMap;

use banchi_common::reason::{Reason, Verdict};

use crate::events::{Kind, Report};

/// Conduits that are told apart, over all policies. A policy may change its names as often as it likes.
const CONDUITS: usize = 200;
/// What the others are called.
pub(super) const OTHERS: &str = "(others)";
/// What belongs to no conduit.
pub(super) const ELSEWHERE: &str = "(elsewhere)";

/// Packets by conduit, reason and verdict, since the agent was started.
#[derive(Debug, Clone, Default)]
pub struct Reported {
    packets: BTreeMap<(String, u8, u8), u64>,
    conduits: BTreeMap<String, ()>,
}

impl Reported {
    /// Counts the packets of an event.
    pub fn note(&mut self, report: &Report) {
        let packets = report.repeats + u64::from(report.kind == Kind::Deviation);
        let name = report.conduit.as_deref().unwrap_or(ELSEWHERE);
        if !self.conduits.contains_key(name) && self.conduits.len() < CONDUITS {
            self.conduits.insert(name.to_owned(), ());
        }
        let name = if self.conduits.contains_key(name) { name } else { OTHERS };
        let key = (name.to_owned(), report.reason as u8, report.verdict as u8);
        *self.packets.entry(key).or_default() += packets;
    }

    /// Conduit, reason, verdict and packets, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, Reason, Verdict, u64)> {
        self.packets.iter().filter_map(|((conduit, reason, verdict), packets)| {
            let (reason, verdict) = (Reason::from_number(*reason)?, Verdict::from_number(*verdict)?);
            Some((conduit.as_str(), reason, verdict, *packets))
        })
    }
}
