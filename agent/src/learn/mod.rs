//! Learning: from captures to flows with their direction, and to a draft policy.
//!
//! Packets become tuples ([`table`]), tuples get evidence of who asks ([`evidence`]), and what belongs to one client, one
//! server and one service becomes a flow with an idiom ([`group`], [`linked`]). The stages are types, and only the first
//! one sees packets.

mod asks;
mod counted;
pub mod draft;
pub mod evidence;
pub mod flow;
mod group;
pub mod hosts;
pub mod key;
pub mod linked;
pub mod merge;
pub mod observed;
pub mod ports;
mod probe;
pub mod relearn;
mod say;
mod side;
mod spread;
pub mod table;
pub mod verify;

use std::collections::HashSet;

pub(crate) use draft::span;
pub use flow::{Flow, Idiom, Ports};
pub(crate) use key::ip;
pub(crate) use say::seconds;
pub use table::{Table, Traffic};

/// The flows of all that was seen, in order.
pub fn flows(traffic: &Traffic) -> Vec<Flow> {
    group::flows(traffic, &evidence::weigh(traffic), None)
}

/// The flows of some tuples, with the evidence of all.
pub fn flows_of(traffic: &Traffic, tuples: &HashSet<key::Key>) -> Vec<Flow> {
    group::flows(traffic, &evidence::weigh(traffic), Some(tuples))
}
