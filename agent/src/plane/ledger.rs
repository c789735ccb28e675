//! What generations have counted that are gone.
//!
//! The counters of a generation live as long as its pins. What is shown is the sum of those that are pinned and of this
//! ledger, which takes the counters of a generation in before its pins go. It stands in one file that is replaced as a
//! whole and says which generations it has taken in, so that an agent that is killed between the two steps leaves
//! either a generation that is not in the ledger, or one that is and does not count any more.

use serde::{Deserialize, Serialize};

use super::tally::{Rows, Tally};
use super::{Generation, Plane, generation};
use crate::datapath::{Counters, Datapath, DatapathError, Store};
use crate::policy::model::Policy;

/// Version of the file.
const VERSION: u32 = 1;

/// Counts of generations that are gone.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    /// Since when everything counts, RFC 3339.
    pub since: String,
    /// Generations whose counters are in the tally: those that may still be pinned, and the last one.
    taken_in: Vec<u32>,
    tally: Tally,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    since: String,
    taken_in: Vec<u32>,
    counts: Rows,
}

impl Ledger {
    /// Begins to count with a new data plane.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn begin(store: &Store) -> Result<Self, DatapathError> {
        let ledger = Self::empty(crate::events::time_of_day());
        ledger.write(store)?;
        Ok(ledger)
    }

    fn empty(since: String) -> Self {
        Self { since, taken_in: Vec::new(), tally: Tally::default() }
    }

    /// The ledger of a data plane. One without, of an older version, counts since its oldest generation was loaded; one
    /// whose file is broken does, too, and says so: counts are not worth to refuse a data plane for.
    pub(super) fn read(store: &Store) -> Self {
        let loaded = store.generations().into_iter().filter_map(|id| store.read(id).ok());
        let oldest = || loaded.map(|record| record.loaded).min().unwrap_or_default();
        match store.read_counts() {
            Ok(None) => Self::empty(oldest()),
            Ok(Some(text)) => match serde_json::from_str::<File>(&text) {
                Ok(file) if file.version == VERSION => {
                    Self { since: file.since, taken_in: file.taken_in, tally: file.counts.into() }
                }
                Ok(file) => {
                    tracing::warn!("counts of version {} are not read: counting begins anew", file.version);
                    Self::empty(oldest())
                }
                Err(error) => {
                    tracing::warn!("the file of counts is broken ({error}): counting begins anew");
                    Self::empty(oldest())
                }
            },
            Err(error) => {
                tracing::warn!("{error}: counting begins anew");
                Self::empty(oldest())
            }
        }
    }

    fn write(&self, store: &Store) -> Result<(), DatapathError> {
        let file = File {
            version: VERSION,
            since: self.since.clone(),
            taken_in: self.taken_in.clone(),
            counts: Rows::from(&self.tally),
        };
        let text = serde_json::to_string(&file).map_err(|e| DatapathError::other("write the counts", e))?;
        store.write_counts(&text)
    }

    /// Takes in what a generation has counted, for good.
    fn take_in(&mut self, store: &Store, id: u32, counted: &Tally) -> Result<(), DatapathError> {
        if self.has(id) {
            return Ok(());
        }
        let pinned = store.generations();
        let mut next = self.clone();
        next.tally.add(counted);
        next.taken_in.retain(|known| pinned.contains(known));
        next.taken_in.push(id);
        next.write(store)?;
        *self = next;
        Ok(())
    }

    fn has(&self, id: u32) -> bool {
        self.taken_in.contains(&id)
    }
}

impl Plane {
    /// Number of the next generation. None is used twice, or the counts of one would be taken for those of another.
    pub(super) fn next_id(&self) -> u32 {
        let known = self.store.generations().into_iter().chain(self.ledger.taken_in.iter().copied());
        known.max().unwrap_or(0) + 1
    }

    /// Takes in the counters of a generation that no longer decides, keeps what it has not reported, and forgets it. Where they cannot be written it
    /// stays pinned, and its counters go on to be shown: the next change tries again.
    pub(super) fn retire(&mut self, old: &mut Generation) {
        // No packet is on its way through it any more.
        crate::datapath::settle();
        self.keep_repeats(old);
        let counted = old.datapath.counters().map(|counters| Tally::of(&old.policy, &counters));
        self.close(old.record.id, counted);
    }

    fn close(&mut self, id: u32, counted: Result<Tally, DatapathError>) {
        match counted.and_then(|tally| self.ledger.take_in(&self.store, id, &tally)) {
            Ok(()) => self.store.forget(id),
            Err(error) => tracing::warn!("the counts of generation {id} are kept in the kernel: {error}"),
        }
    }

    /// The same with all that are pinned and neither decide nor may come back.
    pub(super) fn retire_others(&mut self) {
        for id in self.others() {
            match counted_by(&self.store, id) {
                // One without a record was never let decide: it has counted nothing.
                None => self.store.forget(id),
                Some(_) if self.ledger.has(id) => self.store.forget(id),
                Some(counted) => self.close(id, counted),
            }
        }
    }

    fn others(&self) -> Vec<u32> {
        let in_use = |id: &u32| {
            *id == self.active.record.id
                || self.previous.as_ref().is_some_and(|previous| previous.record.id == *id)
        };
        self.store.generations().into_iter().filter(|id| !in_use(id)).collect()
    }

    /// All that has been counted since [`Plane::counts_since`], by name.
    ///
    /// # Errors
    /// Where the kernel refuses a read.
    pub fn tally(&self) -> Result<Tally, DatapathError> {
        let mut tally = self.ledger.tally.clone();
        for one in std::iter::once(&self.active).chain(&self.previous) {
            tally.add(&Tally::of(&one.policy, &one.datapath.counters()?));
        }
        for id in self.others() {
            if let (false, Some(Ok(counted))) = (self.ledger.has(id), counted_by(&self.store, id)) {
                tally.add(&counted);
            }
        }
        Ok(tally)
    }

    /// Since when everything counts, RFC 3339.
    pub fn counts_since(&self) -> &str {
        &self.ledger.since
    }
}

/// What a pinned generation has counted; `None` where it has no record.
fn counted_by(store: &Store, id: u32) -> Option<Result<Tally, DatapathError>> {
    let record = store.read(id).ok()?;
    let policy: Policy = generation::policy_of(&record).ok()?;
    Some(
        Datapath::pinned_counters(store, id, &policy).map(|counters: Counters| Tally::of(&policy, &counters)),
    )
}
