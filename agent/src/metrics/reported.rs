//! Packets that events spoke of, by verdict: the kernel counts by reason only.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use banchi_common::reason::{Reason, Verdict};

use crate::events::{Kind, Report};

/// Conduits that are told apart, over all policies. A policy may change its names as often as it likes.
const CONDUITS: usize = 200;
/// Flows whose conduit is remembered: as many as the kernel suppresses, about.
const FLOWS: usize = 16_384;
/// What conduits beyond those are called.
pub(super) const OTHERS: &str = "(others)";
/// What belongs to no conduit.
const ELSEWHERE: &str = "(elsewhere)";
/// What is counted of a flow that was forgotten.
const UNKNOWN: &str = "(unknown)";

/// What counts of repeats have in common with the event before them.
type Flow = (Option<IpAddr>, Option<IpAddr>, Option<u16>, Option<Word>, Word, u8, u8);
type Word = Cow<'static, str>;

/// Packets by conduit, reason and verdict, since the agent was started.
#[derive(Debug, Clone, Default)]
pub struct Reported {
    packets: BTreeMap<(Arc<str>, u8, u8), u64>,
    conduits: BTreeSet<Arc<str>>,
    /// Counts of flows that went quiet do not name their conduit.
    flows: HashMap<Flow, Arc<str>>,
}

impl Reported {
    /// Counts the packets of an event.
    pub fn note(&mut self, report: &Report) {
        let flow = flow(report);
        let (packets, name) = match report.kind {
            Kind::Deviation => {
                let name = self.name(report.conduit.as_deref().unwrap_or(ELSEWHERE));
                if self.flows.len() >= FLOWS {
                    self.flows.clear();
                }
                self.flows.insert(flow, Arc::clone(&name));
                (report.repeats + 1, name)
            }
            Kind::Repeats => {
                let known = self.flows.remove(&flow);
                (report.repeats, known.unwrap_or_else(|| UNKNOWN.into()))
            }
        };
        *self.packets.entry((name, report.reason as u8, report.verdict as u8)).or_default() += packets;
    }

    fn name(&mut self, conduit: &str) -> Arc<str> {
        if let Some(known) = self.conduits.get(conduit) {
            return Arc::clone(known);
        }
        if self.conduits.len() >= CONDUITS {
            return OTHERS.into();
        }
        let name: Arc<str> = conduit.into();
        self.conduits.insert(Arc::clone(&name));
        name
    }

    /// Conduit, reason, verdict and packets, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, Reason, Verdict, u64)> {
        self.packets.iter().filter_map(|((conduit, reason, verdict), packets)| {
            let (reason, verdict) = (Reason::from_number(*reason)?, Verdict::from_number(*verdict)?);
            Some((&**conduit, reason, verdict, *packets))
        })
    }
}

fn flow(report: &Report) -> Flow {
    (
        report.src,
        report.dst,
        report.dst_port,
        report.transport.clone(),
        report.ethertype.clone(),
        report.reason as u8,
        report.verdict as u8,
    )
}
