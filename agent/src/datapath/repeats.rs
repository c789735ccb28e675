//! Packets that were counted instead of reported.

use aya::maps::PerCpuHashMap;
use banchi_common::abi::{Event, EventKind, Mode, SuppressKey, Suppressed};
use banchi_common::reason::Verdict;
use bytemuck::Zeroable as _;

use super::error::DatapathError;
use super::generation::Datapath;
use super::load::{Row, writing};

impl Datapath {
    /// Counts of flows that have been quiet for a while, as events, and forgets them. The next packet of such
    /// a flow is reported at once again. Packets that are counted while this runs are in the totals of
    /// [`super::Counters::reports`] only.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn take_repeats(&mut self, now_ns: u64, quiet_ns: u64) -> Result<Vec<Event>, DatapathError> {
        let map = self.map_mut("SUPPRESS")?;
        let mut table: PerCpuHashMap<_, Row<SuppressKey>, Row<Suppressed>> =
            PerCpuHashMap::try_from(map).map_err(|e| writing("SUPPRESS", &e))?;
        let mut quiet = Vec::new();
        for entry in table.iter() {
            // An entry that was evicted while the walk went on.
            let Ok((key, values)) = entry else { continue };
            let last = values.iter().map(|Row(value)| value.reported_ns).max().unwrap_or(0);
            let repeats: u64 = values.iter().map(|Row(value)| value.repeats).sum();
            if repeats > 0 && now_ns.saturating_sub(last) > quiet_ns {
                quiet.push((key, repeats));
            }
        }
        for (key, _) in &quiet {
            // Evicted meanwhile: then there is nothing to forget.
            let _ = table.remove(key);
        }
        Ok(quiet.into_iter().map(|(Row(key), repeats)| event(&key, repeats, now_ns)).collect())
    }
}

fn event(key: &SuppressKey, repeats: u64, now_ns: u64) -> Event {
    let family = match key.ethertype {
        0x0800 => 4,
        0x86dd => 6,
        _ => 0,
    };
    Event {
        time_ns: now_ns,
        source: key.source,
        destination: key.destination,
        repeats,
        source_port: key.source_port,
        destination_port: key.destination_port,
        ethertype: key.ethertype,
        zone: key.zone,
        kind: EventKind::Repeats as u8,
        reason: key.reason,
        verdict: key.verdict,
        mode: if key.verdict == Verdict::Drop as u8 { Mode::Enforce } else { Mode::Alert } as u8,
        family,
        protocol: key.protocol,
        ..Event::zeroed()
    }
}
