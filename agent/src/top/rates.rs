//! How fast counters grow.

use std::collections::{BTreeMap, VecDeque};

use crate::control::Status;

/// Over how long a rate is taken, in milliseconds.
const WINDOW: u64 = 5_000;

/// What is counted; numbers are places in the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counter {
    /// Packets of a conduit that rules allowed.
    Allowed(usize),
    /// Packets of a rule.
    Rule(usize),
    /// Packets of a reason, by number, in a conduit.
    Reason(usize, usize),
}

/// Counts of the last seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Rates {
    policy: (u32, String),
    samples: VecDeque<(u64, BTreeMap<Counter, u64>)>,
}

impl Rates {
    /// Takes the counts of now.
    pub(super) fn add(&mut self, at_ms: u64, status: &Status) {
        let policy = (status.generation, status.policy_hash.clone());
        if policy != self.policy {
            // Places are those of another policy.
            self.samples.clear();
            self.policy = policy;
        }
        self.samples.push_back((at_ms, counts(status)));
        // The oldest that is kept is as old as the window, or the one before.
        while self.samples.get(1).is_some_and(|(at, _)| at + WINDOW <= at_ms) {
            self.samples.pop_front();
        }
    }

    /// Packets a second; `None` before there are two counts.
    pub(super) fn of(&self, counter: Counter) -> Option<f64> {
        let ((from, first), (to, last)) = (self.samples.front()?, self.samples.back()?);
        let span = to.checked_sub(*from).filter(|span| *span > 0)?;
        let now = last.get(&counter)?;
        // What was not counted then was none.
        let then = first.get(&counter).copied().unwrap_or(0);
        Some(now.saturating_sub(then) as f64 * 1e3 / span as f64)
    }
}

fn counts(status: &Status) -> BTreeMap<Counter, u64> {
    let mut counts = BTreeMap::new();
    for (at, conduit) in status.conduits.iter().enumerate() {
        counts.insert(Counter::Allowed(at), conduit.allowed);
        for reason in &conduit.reasons {
            counts.insert(Counter::Reason(super::panes::number_of(&reason.reason), at), reason.packets);
        }
    }
    for (at, rule) in status.rules.iter().enumerate() {
        counts.insert(Counter::Rule(at), rule.forward_packets + rule.return_packets);
    }
    counts
}
