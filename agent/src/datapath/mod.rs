//! The kernel side: loading an image, attaching it to interfaces, and reading it back.
//!
//! Besides the event reader, only this module knows aya.

mod adopt;
mod attach;
mod counters;
mod error;
mod generation;
mod load;
mod preflight;
mod prove;
mod rehearse;
mod repeats;
mod root;
mod store;
mod succeed;
mod testrun;

pub use attach::XdpMode;
pub use counters::{Count, Counters};
pub use error::DatapathError;
pub use generation::Datapath;
pub use load::{Options, object_hash};
pub use preflight::{Interface, preflight};
pub use rehearse::Rehearsal;
pub use root::Root;
pub use store::{Record, Store};
pub use testrun::Outcome;
