//! Which policy decides, where no agent has to be asked. Nothing here changes anything.

use banchi_common::abi::{RootWord, SLOT_ACTIVE, SLOT_PREVIOUS};

use super::generation::written_policy;
use super::now_ns;
use crate::datapath::{DatapathError, Record, Root, Store};
use crate::policy::model::Policy;

/// SHA-256 of the policy that decides, as far as pins and records tell.
pub fn deciding_policy(store: &Store) -> Option<String> {
    Some(record(store).ok()?.policy_hash)
}

/// The policy that decides, as its record has it: nothing but the slots and the record is looked at.
///
/// # Errors
/// Where nothing is pinned, or something that this version cannot use.
pub fn policy_in_use(store: &Store) -> Result<Policy, DatapathError> {
    written_policy(&record(store)?)
}

/// The record of the generation that decides. The kernel asks the other slot by itself once a deadline has passed.
fn record(store: &Store) -> Result<Record, DatapathError> {
    let nothing = || DatapathError::NoDataPlane { pins: store.pins().to_owned() };
    let root = Root::open(store)?.ok_or_else(nothing)?;
    let deadline = root.word(RootWord::Deadline)?;
    let previous = root.generation_in(SLOT_PREVIOUS)?;
    let fell_back = previous.filter(|_| deadline != 0 && deadline <= now_ns());
    store.read(fell_back.or(root.generation_in(SLOT_ACTIVE)?).ok_or_else(nothing)?)
}
