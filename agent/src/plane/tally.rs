//! Counts by name, so that they go on when a policy takes the place of another.

use std::collections::BTreeMap;

use banchi_common::abi::Reports;
use banchi_common::reason::Reason;
use serde::{Deserialize, Serialize};

use crate::datapath::{Count, Counters};
use crate::policy::model::Policy;

/// Rules whose counts are kept, of all policies there have been. Beyond that, those that have been quiet for longest
/// are forgotten.
const RULES: usize = 100_000;

/// Name of a conduit; `None` is what belongs to none.
pub type ConduitName = Option<String>;

/// What has been counted, by names: those of conduits, of rules in them, and of reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets of clients and of servers, by conduit and rule.
    pub rules: BTreeMap<(ConduitName, String), (Count, Count)>,
    /// Packets that no rule allowed, by conduit and number of the reason.
    pub reasons: BTreeMap<(ConduitName, u8), Count>,
    /// What became of the reports of each reason, by its number.
    pub reports: BTreeMap<u8, Reports>,
}

impl Tally {
    /// The counters of one generation, by the names of its policy.
    pub fn of(policy: &Policy, counters: &Counters) -> Self {
        let conduit = |at: usize| policy.conduits.get(at).map(|conduit| conduit.name.clone());
        let mut tally = Self::default();
        for (rule, counts) in policy.rules.iter().zip(&counters.rules) {
            tally.rules.insert((conduit(rule.conduit), rule.name.clone()), *counts);
        }
        for (number, reasons) in counters.reasons.iter().enumerate() {
            let name = number.checked_sub(1).and_then(conduit);
            for (reason, count) in reasons {
                tally.reasons.insert((name.clone(), *reason as u8), *count);
            }
        }
        tally.reports = counters.reports.iter().map(|(reason, reports)| (*reason as u8, *reports)).collect();
        tally
    }

    /// Adds what somebody else has counted.
    pub fn add(&mut self, other: &Self) {
        for (name, (forward, back)) in &other.rules {
            let sum = self.rules.entry(name.clone()).or_default();
            *sum = (sum.0.plus(forward), sum.1.plus(back));
        }
        for (name, count) in &other.reasons {
            let sum = self.reasons.entry(name.clone()).or_default();
            *sum = sum.plus(count);
        }
        for (reason, reports) in &other.reports {
            let sum = self.reports.entry(*reason).or_default();
            sum.sent = sum.sent.wrapping_add(reports.sent);
            sum.suppressed = sum.suppressed.wrapping_add(reports.suppressed);
            sum.limited = sum.limited.wrapping_add(reports.limited);
            sum.lost = sum.lost.wrapping_add(reports.lost);
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        let much = self.rules.len().saturating_sub(RULES);
        if much == 0 {
            return;
        }
        let last = |(forward, back): &(Count, Count)| forward.last_ns.max(back.last_ns);
        let mut by_age: Vec<_> =
            self.rules.iter().map(|(name, counts)| (last(counts), name.clone())).collect();
        by_age.sort_unstable();
        for (_, name) in by_age.into_iter().take(much) {
            self.rules.remove(&name);
        }
    }

    /// Packets of clients and of servers that a rule allowed.
    pub fn rule(&self, conduit: &str, rule: &str) -> (Count, Count) {
        self.rules.get(&(Some(conduit.to_owned()), rule.to_owned())).copied().unwrap_or_default()
    }

    /// Packets that all rules of a conduit allowed, also those that are no longer there, and bytes of them.
    pub fn allowed(&self, conduit: &ConduitName) -> (u64, u64) {
        let rules = self.rules.iter().filter(|((name, _), _)| name == conduit);
        let sum = rules.fold(Count::default(), |sum, (_, (forward, back))| sum.plus(forward).plus(back));
        (sum.packets, sum.bytes)
    }

    /// What no rule of a conduit allowed, in the order of the reasons.
    pub fn reasons_of(&self, conduit: &ConduitName) -> Vec<(Reason, Count)> {
        let rows = self.reasons.iter().filter(|((name, _), _)| name == conduit);
        rows.filter_map(|((_, number), count)| Some((Reason::from_number(*number)?, *count))).collect()
    }
}

/// A tally as it is written: JSON has no keys of several parts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Rows {
    /// Conduit, rule, and packets, bytes and time of the last one, of clients and of servers.
    rules: Vec<(ConduitName, String, [u64; 3], [u64; 3])>,
    /// Conduit, number of the reason, and packets, bytes and time of the last one.
    reasons: Vec<(ConduitName, u8, [u64; 3])>,
    /// Number of the reason; sent, suppressed, limited, lost.
    reports: Vec<(u8, [u64; 4])>,
}

fn words(count: &Count) -> [u64; 3] {
    [count.packets, count.bytes, count.last_ns]
}

fn count([packets, bytes, last_ns]: [u64; 3]) -> Count {
    Count { packets, bytes, last_ns }
}

impl From<&Tally> for Rows {
    fn from(tally: &Tally) -> Self {
        let rule = |((conduit, rule), (forward, back)): (&(ConduitName, String), &(Count, Count))| {
            (conduit.clone(), rule.clone(), words(forward), words(back))
        };
        let reason = |((conduit, reason), count): (&(ConduitName, u8), &Count)| {
            (conduit.clone(), *reason, words(count))
        };
        let report = |(reason, reports): (&u8, &Reports)| {
            (*reason, [reports.sent, reports.suppressed, reports.limited, reports.lost])
        };
        Self {
            rules: tally.rules.iter().map(rule).collect(),
            reasons: tally.reasons.iter().map(reason).collect(),
            reports: tally.reports.iter().map(report).collect(),
        }
    }
}

impl From<Rows> for Tally {
    fn from(rows: Rows) -> Self {
        let reports = |[sent, suppressed, limited, lost]: [u64; 4]| Reports {
            sent,
            suppressed,
            limited,
            lost,
            ..Reports::default()
        };
        let rules = rows.rules.into_iter();
        Self {
            rules: rules
                .map(|(conduit, rule, forward, back)| ((conduit, rule), (count(forward), count(back))))
                .collect(),
            reasons: rows
                .reasons
                .into_iter()
                .map(|(conduit, reason, words)| ((conduit, reason), count(words)))
                .collect(),
            reports: rows.reports.into_iter().map(|(reason, words)| (reason, reports(words))).collect(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn tally(conduit: &str, rule: &str, packets: u64) -> Tally {
        let name = Some(conduit.to_owned());
        let one = Count { packets, bytes: packets.wrapping_mul(60), last_ns: packets };
        Tally {
            rules: BTreeMap::from([((name.clone(), rule.to_owned()), (one, Count::default()))]),
            reasons: BTreeMap::from([((name, Reason::Malformed as u8), one), ((None, 1), one)]),
            reports: BTreeMap::from([(1, Reports { sent: packets, ..Reports::default() })]),
        }
    }

    #[test]
    fn counts_add_by_name_and_wrap() {
        let mut sum = tally("a-b", "polling", u64::MAX);
        sum.add(&tally("a-b", "polling", 3));
        sum.add(&tally("a-c", "polling", 5));
        assert_eq!(sum.rule("a-b", "polling").0.packets, 2);
        assert_eq!(sum.rule("a-b", "polling").0.last_ns, u64::MAX);
        assert_eq!(sum.allowed(&Some("a-c".to_owned())), (5, 300));
        assert_eq!(sum.reasons_of(&None).len(), 1);
        assert_eq!(sum.reports.get(&1).unwrap().sent, 7);
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut tally = tally("a-b", "polling", 7);
        tally.rules.insert((None, "x".to_owned()), Default::default());
        let text = serde_json::to_string(&Rows::from(&tally)).unwrap();
        assert_eq!(Tally::from(serde_json::from_str::<Rows>(&text).unwrap()), tally);
    }
}
