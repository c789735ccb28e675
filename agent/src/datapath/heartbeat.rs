//! The agent's heartbeat, by which the data plane knows whether there is an agent.

use std::time::Duration;

use banchi_common::abi::RootWord;

use super::error::DatapathError;
use super::root::Root;
use crate::events::monotonic;

/// Longest that it takes to compile, load and prove a policy. Who hangs in it is missed that much later.
const LONGEST_WORK: Duration = Duration::from_secs(300);

impl Root {
    /// Says that the agent is alive, and notices where it had been lost before.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn beat(&mut self) -> Result<(), DatapathError> {
        let heard = self.word(RootWord::Heartbeat)?;
        let now = now_ns();
        self.set(RootWord::Heartbeat, now)?;
        // Read after the new heartbeat stands: from then on the data plane notes no loss after the old one.
        if heard == 0 || self.word(RootWord::LostAfter)? != heard {
            return Ok(());
        }
        let away = Duration::from_nanos(now.saturating_sub(heard));
        tracing::error!(
            "the data plane was without its agent for {} s: `on_agent_loss` acted",
            away.as_secs()
        );
        self.set(RootWord::LostAfter, 0)?;
        self.set(RootWord::Losses, self.word(RootWord::Losses)? + 1)
    }

    /// Says that the agent is alive and busy, and will not be heard of for a while. [`Self::beat`] ends it.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn busy(&mut self) -> Result<(), DatapathError> {
        self.beat()?;
        self.set(RootWord::Heartbeat, now_ns().saturating_add(LONGEST_WORK.as_nanos() as u64))
    }

    /// When the agent was last heard of, nanoseconds since boot; `None` where it never was.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn heard(&self) -> Result<Option<u64>, DatapathError> {
        Ok(Some(self.word(RootWord::Heartbeat)?).filter(|at| *at != 0).map(|at| at.min(now_ns())))
    }
}

fn now_ns() -> u64 {
    u64::try_from(monotonic().as_nanos()).unwrap_or(0)
}
