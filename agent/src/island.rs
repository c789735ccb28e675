//! The gateway as an island: nothing passes but what keeps the networks themselves alive, and what is named.
//!
//! Everything is written into the pinned maps directly: an agent that hangs must not be in the way.

use banchi_common::abi::{RootWord, SLOT_ACTIVE};

use crate::datapath::{DatapathError, Root, Store, keep_conduits};
use crate::policy;
use crate::policy::model::Policy;

/// Makes the gateway an island, where the conduits of these names go on and, with `gateway`, those that have the gateway
/// itself at one end. Gives the names of the conduits that go on.
///
/// # Errors
/// Where there is no data plane, or a name is none of its conduits. Nothing is changed then.
pub fn begin(store: &Store, names: &[String], gateway: bool) -> Result<Vec<String>, DatapathError> {
    let mut root = open(store)?;
    let active = root.generation_in(SLOT_ACTIVE)?;
    let policies: Vec<(u32, Option<Policy>)> =
        store.generations().into_iter().map(|id| (id, policy_of(store, id))).collect();
    let deciding =
        policies.iter().find(|(id, _)| Some(*id) == active).and_then(|(_, policy)| policy.as_ref());
    match deciding {
        Some(policy) => check(policy, names)?,
        // Without its record nobody knows the conduits, and an island without any is an island.
        None if names.is_empty() => {}
        None => return Err(DatapathError::other("keep conduits", "the record of the policy cannot be read")),
    }
    for (id, policy) in &policies {
        let kept = policy.iter().flat_map(|policy| kept(policy, names, gateway)).map(|(number, _)| number);
        keep_conduits(store, *id, &kept.collect::<Vec<u32>>())?;
    }
    root.set(RootWord::Island, 1)?;
    Ok(deciding.iter().flat_map(|policy| kept(policy, names, gateway)).map(|(_, name)| name).collect())
}

/// The policy decides again.
///
/// # Errors
/// Where there is no data plane.
pub fn end(store: &Store) -> Result<(), DatapathError> {
    open(store)?.set(RootWord::Island, 0)
}

fn open(store: &Store) -> Result<Root, DatapathError> {
    Root::open(store)?.ok_or_else(|| DatapathError::NoDataPlane { pins: store.pins().to_owned() })
}

fn policy_of(store: &Store, id: u32) -> Option<Policy> {
    let record = store.read(id).ok()?;
    policy::load(&record.policy_path.display().to_string(), &record.policy_text).policy
}

fn check(policy: &Policy, names: &[String]) -> Result<(), DatapathError> {
    let known: Vec<&str> = policy.conduits.iter().map(|conduit| conduit.name.as_str()).collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(DatapathError::other(
            "keep conduits",
            format!("there is no conduit `{name}`; there are: {}", known.join(", ")),
        )),
    }
}

/// Numbers, from 1, and names of the conduits that go on.
fn kept(policy: &Policy, names: &[String], gateway: bool) -> Vec<(u32, String)> {
    let is_gateway = |zone: usize| policy.zones.get(zone).is_some_and(|zone| zone.is_gateway);
    (1u32..)
        .zip(&policy.conduits)
        .filter(|(_, conduit)| {
            names.contains(&conduit.name)
                || gateway && (is_gateway(conduit.zones.0) || is_gateway(conduit.zones.1))
        })
        .map(|(number, conduit)| (number, conduit.name.clone()))
        .collect()
}
