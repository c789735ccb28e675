//! Which place in the policy an interface of the gateway has: the table `INTERFACES`, by index.

use std::collections::BTreeMap;

use aya::maps::Array;
use banchi_common::abi::INTERFACES;

use super::error::DatapathError;
use super::generation::Datapath;
use super::load::{Row, writing};
use super::store::{Record, Store};

const TABLE: &str = "INTERFACES";
/// Interfaces that may be made anew, after a policy is loaded, before it has no room for their indices.
const SPARE: u32 = 1024;

/// Rows of the table for interfaces whose largest index is this.
pub(super) fn rows(largest: u32) -> u32 {
    largest.saturating_add(1 + SPARE).min(INTERFACES)
}

impl Datapath {
    /// Gives the place of an interface that was made anew to its new index. Whoever is killed on the way leaves a
    /// record that allows for both.
    ///
    /// # Errors
    /// Where the table has no room for the index, or something cannot be written.
    pub fn move_place(
        &mut self,
        store: &Store,
        record: &mut Record,
        old: u32,
        new: u32,
    ) -> Result<(), DatapathError> {
        let found = (1u32..).zip(&mut record.interfaces).find(|(_, (_, index))| *index == old);
        let Some((place, (name, index))) = found else { return Ok(()) };
        let rows = self.array::<u32>(TABLE)?.len();
        if new >= rows {
            let (interface, limit) = (name.clone(), rows - 1);
            return Err(DatapathError::InterfaceIndex { interface, index: new, limit });
        }
        *index = new;
        record.moving = vec![(old, place), (new, place)];
        store.write(record)?;
        self.finish_move(store, record)
    }

    /// Makes the table what the record says, where somebody was killed on the way to it.
    ///
    /// # Errors
    /// Where something cannot be written.
    pub fn finish_move(&mut self, store: &Store, record: &mut Record) -> Result<(), DatapathError> {
        if record.moving.is_empty() {
            return Ok(());
        }
        let wanted = wanted(record);
        let mut table = self.array::<u32>(TABLE)?;
        for (index, _) in std::mem::take(&mut record.moving) {
            let place = wanted.get(&index).copied().unwrap_or(0);
            table.set(index, Row(place), 0).map_err(|e| writing(TABLE, &e))?;
        }
        store.write(record)
    }

    /// Whether the table is another than the record says.
    pub(super) fn has_other_places(&self, record: &Record) -> Result<bool, DatapathError> {
        let Ok(map) = self.map(TABLE) else { return Ok(true) };
        let Ok(table) = Array::<_, Row<u32>>::try_from(map) else { return Ok(true) };
        let wanted = wanted(record);
        if wanted.keys().any(|index| *index >= table.len()) {
            return Ok(true);
        }
        for index in 0..table.len() {
            let Row(found) = table.get(&index, 0).map_err(|e| writing(TABLE, &e))?;
            let is_moving =
                || record.moving.iter().any(|(at, place)| *at == index && [0, *place].contains(&found));
            if found != wanted.get(&index).copied().unwrap_or(0) && !is_moving() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Place by index.
fn wanted(record: &Record) -> BTreeMap<u32, u32> {
    record.interfaces.iter().map(|(_, index)| *index).zip(1..).collect()
}
