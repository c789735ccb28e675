//! The bytes that kernel and user space exchange.
//!
//! Every struct is `repr(C)`, has no hidden padding and is `Pod`: any bytes are a valid value. Numbers are
//! in the machine's byte order unless a field says otherwise; addresses and ports are the numbers that
//! people read (10.0.0.1 is `0x0a000001`, port 502 is 502).

mod conversation;
mod event;
mod forward;
mod observe;
mod policy;
mod root;
mod setting;
mod table;

pub use conversation::{Asked, Control, Conversations, TAG_BITS, WAYS};
pub use event::{CAPTURE, Counter, Event, EventKind, Reports, SuppressKey, Suppressed, Trace};
pub use forward::{Forwarding, NEIGHBOURS, ONWARDS, Onward, WIRES, wire_key};
pub use observe::{SHOWN, SHOWN_A_ROUND, Sight, SightKey, SightSide, Sighted, UNSEENS, Unseen};
pub use policy::{Mode, OnAgentLoss, Transport};
pub use root::{
    ROOT_COUNTS, ROOT_WORDS, RootCount, RootWord, SLOT_ACTIVE, SLOT_PREVIOUS, SLOTS_OF_PROGRAMS,
    STATE_VERSION,
};
pub use setting::{Feature, PREFIX_LENGTHS, SETTINGS, Setting};
pub use table::*;

/// Version of every layout in this module. It changes whenever one of them does.
pub const VERSION: u32 = 4;
