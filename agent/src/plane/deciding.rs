//! Which policy decides, where no agent has to be asked.

use banchi_common::abi::{RootWord, SLOT_ACTIVE, SLOT_PREVIOUS};

use super::now_ns;
use crate::datapath::{Root, Store};

/// SHA-256 of the policy that decides, as far as pins and records tell. Changes nothing.
pub fn deciding_policy(store: &Store) -> Option<String> {
    let root = Root::open(store).ok()??;
    let deadline = root.word(RootWord::Deadline).ok()?;
    let previous = (deadline != 0 && deadline <= now_ns()).then(|| root.generation_in(SLOT_PREVIOUS).ok()?);
    let id = match previous.flatten() {
        Some(previous) => previous,
        None => root.generation_in(SLOT_ACTIVE).ok()??,
    };
    Some(store.read(id).ok()?.policy_hash)
}
