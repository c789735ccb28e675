//! The data plane as the agent sees it: one generation that decides, perhaps the one before it, and the root program
//! that hands packets to them. All of it is pinned, and outlives the agent.

mod change;
mod deciding;
mod follow;
mod forward;
mod generation;
mod grant;
mod guard;
mod ledger;
mod repeats;
mod start;
mod tally;
mod view;

pub use deciding::{deciding_policy, policy_in_use};
pub use follow::Change;
pub use generation::{Generation, Source, hash};
pub use guard::guard;
pub use tally::{ConduitName, Tally};
pub use view::View;

use std::os::fd::OwnedFd;
use std::path::Path;

use banchi_common::abi::{Event, Mode, RootCount, RootWord};

use crate::datapath::{DatapathError, Interface, Options, Root, Store, XdpMode};
use crate::events::monotonic;
use generation::{conduit_name, same_conduit};
use ledger::Ledger;

/// Everything in the kernel.
pub struct Plane {
    store: Store,
    root: Root,
    /// The generation that decides.
    pub active: Generation,
    /// The one that decides after a rollback.
    pub previous: Option<Generation>,
    /// Interfaces of the active policy.
    pub interfaces: Vec<Interface>,
    mode: XdpMode,
    options: Options,
    said: follow::Said,
    /// What generations have counted that are gone.
    ledger: Ledger,
    /// Counts of repeats of generations that are gone, until they are reported.
    left_over: Vec<Event>,
    /// Keeps other agents off the pins.
    lock: Option<OwnedFd>,
}

/// How a plane came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It was made.
    New,
    /// It was there, with this policy.
    Adopted,
    /// It was there, with another policy, which this one took the place of.
    Replaced,
}

impl Plane {
    /// Says that the agent is alive, and follows what the kernel did by itself. True where it has fallen back.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn tick(&mut self) -> Result<bool, DatapathError> {
        self.root.beat()?;
        let deadline = self.root.word(RootWord::Deadline)?;
        if deadline == 0 || deadline > now_ns() {
            return Ok(false);
        }
        if self.previous.is_none() {
            self.root.set(RootWord::Deadline, 0)?;
            return Ok(false);
        }
        self.rollback()?;
        Ok(true)
    }

    /// The mode of XDP that was asked for.
    pub fn mode(&self) -> XdpMode {
        self.mode
    }

    /// Whether the gateway is an island.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn is_island(&self) -> Result<bool, DatapathError> {
        Ok(self.root.word(RootWord::Island)? != 0)
    }

    /// How often the agent was away so long that `on_agent_loss` acted.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn losses(&self) -> Result<u64, DatapathError> {
        self.root.word(RootWord::Losses)
    }

    /// When the active generation falls back unless it is confirmed, nanoseconds since boot.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn deadline(&self) -> Result<Option<u64>, DatapathError> {
        Ok(Some(self.root.word(RootWord::Deadline)?).filter(|deadline| *deadline != 0))
    }

    /// When an agent was last alive, nanoseconds since boot; `None` where there has been none.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn heartbeat(&self) -> Result<Option<u64>, DatapathError> {
        Ok(Some(self.root.word(RootWord::Heartbeat)?).filter(|beat| *beat != 0))
    }

    /// How often the root program did something by itself.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn count(&self, what: RootCount) -> Result<u64, DatapathError> {
        self.root.count(what)
    }

    /// Whether everything passes.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn is_bypassed(&self) -> Result<bool, DatapathError> {
        Ok(self.root.word(RootWord::Bypass)? != 0)
    }

    /// Sets a conduit's mode by hand; 0 is what belongs to none.
    ///
    /// # Errors
    /// Where the kernel refuses the write.
    pub fn set_mode(&mut self, conduit: u32, mode: Mode) -> Result<(), DatapathError> {
        self.active.datapath.set_mode(conduit, mode)?;
        // The kernel may bring the one before back by itself.
        let wanted = conduit_name(&self.active.policy, conduit as usize);
        let Some(previous) = &mut self.previous else { return Ok(()) };
        match same_conduit(&previous.policy, wanted.as_deref()) {
            Some(number) => previous.datapath.set_mode(number, mode),
            None => Ok(()),
        }
    }
}

fn now_ns() -> u64 {
    u64::try_from(monotonic().as_nanos()).unwrap_or(0)
}

/// Where pins and records of an agent stand that listens at a socket.
pub fn store_of(pins: &Path, socket: &Path) -> Store {
    Store::new(pins, socket.parent().unwrap_or(Path::new("/run/banchi")))
}
