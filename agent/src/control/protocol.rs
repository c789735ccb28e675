//! Requests and replies.

use banchi_common::abi::Mode;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

use super::status::{GrantStatus, Status};
use crate::grants::Wish;

/// Where an agent listens unless it is told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/banchi/control.sock";

/// What a verb asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Everything about the running policy.
    Status,
    /// Changes a mode.
    Mode {
        /// The new mode.
        mode: Mode,
        /// Of what.
        target: Target,
        /// Also where enforcing is unsafe.
        #[serde(default)]
        accepts_unsafe: bool,
    },
    /// Lets a policy take the place of the one that decides.
    Apply {
        /// Its file, for people.
        policy: PathBuf,
        /// Its text.
        text: String,
        /// The one before comes back after this time unless it is confirmed, in milliseconds.
        confirm_within_ms: Option<u64>,
        /// Also where enforcing is unsafe.
        #[serde(default)]
        accepts_unsafe: bool,
        /// It may have no rule.
        #[serde(default)]
        allow_empty: bool,
    },
    /// Keeps the policy that waits for it.
    Confirm,
    /// Lets the policy before decide again.
    Rollback,
    /// Lets something pass for a time, beside the policy.
    Grant {
        /// What; all of it or nothing.
        wishes: Vec<Wish>,
    },
    /// Takes grants back.
    Revoke {
        /// Their numbers; none of them stands for all.
        ids: Vec<u32>,
    },
    /// Every grant of the last day.
    Grants,
    /// The policy that decides, as it was written.
    Policy,
    /// The last events, oldest first, and where asked for every one from now on.
    Events {
        /// How many of the last ones, at most.
        last: usize,
        /// Go on until the client hangs up.
        follow: bool,
    },
}

/// What a mode is changed of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Every conduit, and what belongs to none.
    All,
    /// One conduit.
    Conduit(String),
    /// What belongs to no conduit.
    Elsewhere,
}

/// What the agent answers. Events are answered with a line each instead, as [`crate::events::Report`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Everything about the running policy.
    Status(Box<Status>),
    /// The mode was changed, of these conduits.
    Done {
        /// Names of the conduits; `(elsewhere)` is what belongs to none.
        conduits: Vec<String>,
    },
    /// Another generation decides, or something was said of it.
    Changed {
        /// Number of the generation that decides.
        generation: u32,
        /// Its policy file.
        policy: String,
        /// SHA-256 of the policy.
        policy_hash: String,
    },
    /// The policy that decides.
    Policy {
        /// Its file.
        policy: String,
        /// SHA-256 of it.
        policy_hash: String,
        /// Its text.
        text: String,
    },
    /// Grants: those that were asked for.
    Grants {
        /// Oldest first.
        grants: Vec<GrantStatus>,
    },
    /// Whoever asks may not.
    Refused {
        /// Who asked, which role it takes, and who has it.
        message: String,
    },
    /// It was not done.
    Error {
        /// Why.
        message: String,
    },
}
