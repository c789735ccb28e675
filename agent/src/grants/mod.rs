//! Grants: what may pass for a time, beside the policy and never a part of it.
//!
//! A grant is compiled as a rule behind all rules of the policy, with the time when it ends. The kernel itself lets it
//! end: nobody has to be there.

mod overlay;
mod seen;
mod suggest;

pub use overlay::overlay;
pub use seen::{Seen, SeenFlow};
pub use suggest::suggest;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::events::{monotonic, time_after, time_of_day};

/// Longest that a grant may hold: what is needed longer belongs into the policy.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// A grant that is over is shown and named in events for so long.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// Grants of a generation, those that are over included.
pub const MOST: usize = 20_000;

/// What somebody wants to pass for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Who may ask: an asset of the policy, or an address.
    pub client: String,
    /// Who answers: an asset of the policy, or an address.
    pub server: String,
    /// What is asked: `any`, a service of the policy or the catalogue, or a port such as `tcp/22`.
    pub service: String,
    /// For how long, in seconds.
    pub seconds: u32,
    /// Why.
    pub reason: String,
}

/// A wish that was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its number, from 1.
    pub id: u32,
    /// What may pass.
    #[serde(flatten)]
    pub wish: Granted,
    /// Who said so.
    pub by: String,
    /// When it was said, RFC 3339.
    pub since: String,
    /// When it ends, RFC 3339, by the clock of the moment when it was said.
    pub until: String,
    /// When it ends, in seconds since boot: this is what counts.
    pub expires_s: u32,
    /// Whether it was taken back before.
    pub revoked: bool,
    /// When it was to end as its generation was made, in seconds since boot: the order of the rules hangs on it.
    pub ranked_s: u32,
}

/// What may pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Who may ask.
    pub client: String,
    /// Who answers.
    pub server: String,
    /// What is asked.
    pub service: String,
    /// Why.
    pub reason: String,
}

/// Why something is not granted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct GrantError(pub String);

impl Grant {
    /// Grants a wish from now on.
    ///
    /// # Errors
    /// Where it has no reason, or would hold for no time or too long.
    pub fn new(id: u32, wish: &Wish, by: &str) -> Result<Self, GrantError> {
        let longest = LONGEST.as_secs();
        if wish.reason.trim().is_empty() {
            return Err(GrantError(
                "a grant needs a reason: whoever reads it later wants to know".to_owned(),
            ));
        }
        if wish.seconds == 0 || u64::from(wish.seconds) > longest {
            return Err(GrantError(format!(
                "a grant holds from 1 s to {} h: what is needed longer belongs into the policy",
                longest / 3600
            )));
        }
        Ok(Self {
            id,
            wish: Granted {
                client: wish.client.clone(),
                server: wish.server.clone(),
                service: wish.service.clone(),
                reason: wish.reason.clone(),
            },
            by: by.to_owned(),
            since: time_of_day(),
            until: time_after(Duration::from_secs(wish.seconds.into())),
            // The kernel counts whole seconds: it gets the rest of this one as well.
            expires_s: seconds_since_boot().saturating_add(wish.seconds).saturating_add(1),
            revoked: false,
            ranked_s: 0,
        })
    }

    /// Seconds since boot from which on it lets nothing pass: at once, where it was taken back.
    pub fn ends_s(&self) -> u32 {
        if self.revoked { 1 } else { self.expires_s }
    }

    /// Whether it holds now.
    pub fn holds(&self) -> bool {
        seconds_since_boot() < self.ends_s()
    }

    /// Whether it was over so long ago that nobody needs to know it any more.
    pub fn is_forgotten(&self) -> bool {
        !self.holds() && u64::from(seconds_since_boot()) > u64::from(self.expires_s) + REMEMBERED.as_secs()
    }

    /// Whether a rule of this name is of this grant.
    pub fn has_rule(&self, name: &str) -> bool {
        id_of(name) == Some(self.id)
    }

    /// Name of its rule for a transport in status and events.
    fn name(&self, transport: &str) -> String {
        format!("grant {} {transport}", self.id)
    }
}

/// Number of the grant that a rule of this name is of.
fn id_of(rule: &str) -> Option<u32> {
    rule.strip_prefix("grant ")?.split(' ').next()?.parse().ok()
}

/// The next free number.
pub fn next_id(grants: &[Grant]) -> u32 {
    grants.iter().map(|grant| grant.id).max().unwrap_or(0) + 1
}

fn seconds_since_boot() -> u32 {
    u32::try_from(monotonic().as_secs()).unwrap_or(0)
}
