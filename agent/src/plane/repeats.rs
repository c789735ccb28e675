//! Counts of packets that were not reported one by one, of every generation that there is or was.

use banchi_common::abi::Event;

use super::{Generation, Plane, now_ns};

impl Plane {
    /// Counts of flows that went quiet, and all that is left of generations that are gone. Each carries the number of its
    /// generation.
    pub fn take_repeats(&mut self) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.left_over);
        for generation in std::iter::once(&mut self.active).chain(&mut self.previous) {
            let quiet_ns = u64::from(generation.record.suppress_ms) * 1_000_000;
            events.extend(taken(generation, quiet_ns));
        }
        events
    }

    /// Keeps what a generation has not reported yet, before it goes.
    pub(super) fn keep_repeats(&mut self, old: &mut Generation) {
        self.left_over.extend(taken(old, 0));
    }
}

fn taken(generation: &mut Generation, quiet_ns: u64) -> Vec<Event> {
    if generation.record.suppress_ms == 0 {
        return Vec::new();
    }
    let id = generation.record.id;
    match generation.datapath.take_repeats(now_ns(), quiet_ns) {
        Ok(events) => events.into_iter().map(|event| Event { generation: id, ..event }).collect(),
        Err(error) => {
            tracing::warn!("{error}");
            Vec::new()
        }
    }
}
