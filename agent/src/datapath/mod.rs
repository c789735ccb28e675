//! The kernel side: loading an image, attaching it to interfaces, and reading it back.
//!
//! Besides the event reader, only this module knows aya.

mod attach;
mod counters;
mod error;
mod load;
mod preflight;
mod repeats;
mod succeed;
mod testrun;

pub use attach::XdpMode;
pub use counters::{Count, Counters};
pub use error::DatapathError;
pub use load::{Datapath, Options};
pub use preflight::{Interface, preflight};
pub use testrun::Outcome;
