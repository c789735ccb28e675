//! What is seen of a gateway at one moment.

use std::sync::Arc;

use banchi_common::abi::{Mode, OnAgentLoss};
use jiff::{SignedDuration, Timestamp};

use super::anomaly::Anomaly;
use crate::control::{ClientError, Condition, ConduitStatus, Loudness, Status};
use crate::outputs::OutputState;
use crate::policy::model::Policy;

/// A moment.
#[derive(Debug, Clone)]
pub struct Sight {
    /// What runs.
    pub status: Status,
    /// The policy that decides; `None` where it cannot be had.
    pub policy: Option<Arc<Policy>>,
    /// That no agent answers; `None` where one did.
    pub absence: Option<Absence>,
    /// The time of day, RFC 3339.
    pub now: String,
}

/// No agent answers, and what was found without one.
#[derive(Debug, Clone)]
pub struct Absence {
    /// What it means, in a sentence.
    pub text: String,
    /// The newest of the events that wait in the kernel, oldest first.
    pub waiting: Vec<Anomaly>,
    /// How many wait.
    pub count: usize,
}

impl Absence {
    /// What was read without an agent: `status`, and the events that wait, oldest first.
    pub fn new(status: &Status, error: &ClientError, waiting: Vec<Anomaly>, count: usize) -> Self {
        Self { text: status.absence(error), waiting, count }
    }
}

impl Sight {
    /// The time of day after so many milliseconds; `None` where it is not one.
    pub(super) fn clock(&self, after_ms: u64) -> Option<Timestamp> {
        self.now.parse::<Timestamp>().ok()?.checked_add(milliseconds(after_ms)).ok()
    }

    /// Seconds until the policy before comes back, so many milliseconds later.
    pub(super) fn trial(&self, after_ms: u64) -> Option<i64> {
        let until: Timestamp = self.status.confirm_until.as_ref()?.parse().ok()?;
        Some(until.duration_since(self.clock(after_ms)?).as_secs().max(0))
    }

    /// What the data plane does with a conduit without its agent, where it does so now.
    pub(super) fn loss(&self, conduit: &ConduitStatus) -> Option<OnAgentLoss> {
        let away = self.status.last_seen_ms_ago.unwrap_or(0);
        let acts =
            conduit.on_agent_loss != OnAgentLoss::Keep && away >= conduit.agent_loss_after_ms && away > 0;
        (self.absence.is_some() && acts).then_some(conduit.on_agent_loss)
    }

    /// Conduits that the deadman has opened, and those that it has closed.
    pub(super) fn deadman(&self) -> (usize, usize) {
        let count = |then| self.status.conduits.iter().filter(|one| self.loss(one) == Some(then)).count();
        (count(OnAgentLoss::Open), count(OnAgentLoss::Closed))
    }

    /// Conduits that enforce, and all of them; the last is what belongs to none.
    pub(super) fn enforcing(&self) -> (usize, usize) {
        let conduits = &self.status.conduits;
        (conduits.iter().filter(|one| one.mode == Mode::Enforce).count(), conduits.len())
    }

    /// All that is not normal, the loudest first.
    pub(super) fn conditions(&self) -> Vec<Condition> {
        let mut found = self.status.conditions();
        let mut say = |loudness, text: String| found.push(Condition::new(loudness, text));
        if let Some(absence) = &self.absence {
            say(Loudness::Urgent, absence.text.clone());
        }
        if !self.status.is_attached() {
            say(Loudness::Amiss, self.status.attached());
        }
        for output in &self.status.outputs {
            if output.state == OutputState::Down || output.error.is_some() {
                let error = output.error.as_deref().unwrap_or("down");
                say(Loudness::Amiss, format!("output {} ({}): {error}", output.name, output.to));
            }
        }
        let lost: u64 = self.status.reports.iter().map(|report| report.lost).sum();
        if lost > 0 {
            say(Loudness::Amiss, format!("{lost} events were lost: the ring was full"));
        }
        // Stable: among equals as `status` says it.
        found.sort_by_key(|condition| std::cmp::Reverse(condition.loudness));
        found
    }
}

fn milliseconds(count: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(count).unwrap_or(i64::MAX))
}
