//! The decision: one packet, one set of tables, one reason.
//!
//! The kernel runs this code over BPF maps, the agent over the same tables in memory (`banchi explain`), so
//! both say the same. The number of lookups is constant: nothing here loops over rules.

mod admit;
mod conversation;
mod decide;
mod diagnose;
mod fast;
mod hold;
mod index;
mod lookup;
mod tables;

pub use conversation::{asked_at, note};
pub use decide::{Decision, Scratch, ScratchBytes, drops, judge, verdict};
pub use fast::{Step, go_on, set_out};
pub use hold::hold_in;
pub use index::{find_at, find_exact, hash, in_range};
pub use lookup::{LOW_SOURCE, Nodes, Question, exact_key, first_rule, hash6, matching_rules, node_of};
pub use tables::{FragmentKey, Tables};
