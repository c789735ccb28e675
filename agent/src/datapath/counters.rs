//! Counters, summed over the CPUs.

use aya::maps::{Map, MapData, PerCpuArray};
use banchi_common::abi::{Counter, Reports};
use banchi_common::reason::{REASON_ROWS, REASONS, Reason};
use serde::Serialize;

use super::error::DatapathError;
use super::generation::Datapath;
use super::load::{Row, writing};
use super::store::Store;
use crate::policy::model::Policy;

/// Packets, bytes and time of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Nanoseconds since boot; 0 is never.
    #[serde(skip)]
    pub last_ns: u64,
}

impl Count {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            packets: self.packets.wrapping_add(other.packets),
            bytes: self.bytes.wrapping_add(other.bytes),
            last_ns: self.last_ns.max(other.last_ns),
        }
    }
}

/// All counters at one time.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Forward and return packets of each rule, in file order.
    pub rules: Vec<(Count, Count)>,
    /// Packets of each conduit (0 is none) by reason, without those that a rule allowed.
    pub reasons: Vec<Vec<(Reason, Count)>>,
    /// What became of the reports of each reason.
    pub reports: Vec<(Reason, Reports)>,
}

impl Datapath {
    /// Reads every counter.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn counters(&self) -> Result<Counters, DatapathError> {
        let map = |name| self.map(name);
        counters([map("RULE_COUNTERS")?, map("REASON_COUNTERS")?, map("REPORTS")?], self.rules, self.conduits)
    }

    /// Reads every counter of a pinned generation, whatever the rest of it looks like.
    ///
    /// # Errors
    /// Where a pin is missing or of another kind, or the kernel refuses the read.
    pub fn pinned_counters(store: &Store, id: u32, policy: &Policy) -> Result<Counters, DatapathError> {
        let open = |name: &str| {
            let data = MapData::from_pin(store.generation(id).join(name)).map_err(|e| writing(name, &e))?;
            Ok(Map::PerCpuArray(data))
        };
        let (rules, reasons, reports) = (open("RULE_COUNTERS")?, open("REASON_COUNTERS")?, open("REPORTS")?);
        let (rows, conduits) = (policy.rules.len() as u32 + 1, policy.conduits.len() as u32 + 1);
        counters([&rules, &reasons, &reports], rows, conduits)
    }
}

/// Waits until no packet is on its way through a program that was in a slot before: the kernel's own grace period. Where
/// it cannot be asked for (on CPUs without ticks), a time that no packet takes.
pub fn settle() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: the call takes two numbers, and touches no memory of this process.
    if unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0) } != 0 {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// Reads the counters of rules, of reasons, and of reports.
fn counters(
    [rule_map, reason_map, report_map]: [&Map; 3],
    rule_rows: u32,
    conduits: u32,
) -> Result<Counters, DatapathError> {
    let rules: PerCpuArray<_, Row<Counter>> =
        PerCpuArray::try_from(rule_map).map_err(|e| writing("RULE_COUNTERS", &e))?;
    let sum = |at: u32| -> Result<Count, DatapathError> {
        let values = rules.get(&at, 0).map_err(|e| writing("RULE_COUNTERS", &e))?;
        Ok(total(values.iter().map(|Row(counter)| counter)))
    };
    let by_rule =
        (1..rule_rows).map(|rule| Ok((sum(rule * 2)?, sum(rule * 2 + 1)?))).collect::<Result<_, _>>()?;

    let reasons: PerCpuArray<_, Row<Counter>> =
        PerCpuArray::try_from(reason_map).map_err(|e| writing("REASON_COUNTERS", &e))?;
    let mut by_conduit = Vec::new();
    for conduit in 0..conduits {
        let mut counts = Vec::new();
        for about in REASONS {
            let at = conduit * REASON_ROWS as u32 + about.reason as u32;
            let values = reasons.get(&at, 0).map_err(|e| writing("REASON_COUNTERS", &e))?;
            let count = total(values.iter().map(|Row(counter)| counter));
            if count.packets > 0 {
                counts.push((about.reason, count));
            }
        }
        by_conduit.push(counts);
    }

    let reports: PerCpuArray<_, Row<Reports>> =
        PerCpuArray::try_from(report_map).map_err(|e| writing("REPORTS", &e))?;
    let mut by_reason = Vec::new();
    for about in REASONS {
        let values = reports.get(&(about.reason as u32), 0).map_err(|e| writing("REPORTS", &e))?;
        let mut sum = Reports::default();
        for Row(report) in values.iter() {
            sum.sent += report.sent;
            sum.suppressed += report.suppressed;
            sum.limited += report.limited;
            sum.lost += report.lost;
        }
        if sum != Reports::default() {
            by_reason.push((about.reason, sum));
        }
    }
    Ok(Counters { rules: by_rule, reasons: by_conduit, reports: by_reason })
}

fn total<'a>(counters: impl Iterator<Item = &'a Counter>) -> Count {
    counters.fold(Count::default(), |sum, counter| Count {
        packets: sum.packets + counter.packets,
        bytes: sum.bytes + counter.bytes,
        last_ns: sum.last_ns.max(counter.last_ns),
    })
}
