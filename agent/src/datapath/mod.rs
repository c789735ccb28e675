//! The kernel side: loading an image, attaching it to interfaces, and reading it back.
//!
//! Besides the event reader, only this module knows aya.

mod adopt;
mod attach;
mod counters;
mod error;
mod ethtool;
mod forward;
mod generation;
mod heartbeat;
mod links;
mod load;
mod netdev;
mod netlink;
mod observe;
mod peek;
mod places;
mod preflight;
mod promiscuous;
mod prove;
mod rehearse;
mod repeats;
mod root;
mod store;
mod succeed;
mod testrun;

pub use attach::{XdpMode, program_name};
pub use counters::{Count, Counters, settle};
pub use error::DatapathError;
pub use ethtool::{Feature, Queues, driver, features, queues};
pub use generation::{ConduitState, Datapath, keep_conduits};
pub use links::{Attached, Link, Runs, Watch, link, links};
pub use load::{Options, object_hash};
pub use netdev::{has_native_xdp, takes_redirects};
pub use observe::Observer;
pub use peek::{Waiting, waiting};
pub use preflight::{
    Interface, available, has_bpffs, has_ring_buffer, kernel_lacks, missing_capabilities, preflight, release,
};
pub use promiscuous::keep_promiscuous;
pub use rehearse::Rehearsal;
pub use root::Root;
pub use store::{Record, Store};
pub use testrun::Outcome;
