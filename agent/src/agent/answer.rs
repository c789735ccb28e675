//! What is asked at the control socket, and its answers.

use std::time::Duration;

use super::{Agent, ELSEWHERE};
use crate::control::{Reply, Request, Target};
use crate::datapath::DatapathError;
use crate::plane::Source;

impl Agent {
    /// `by` is who asks, for people.
    pub(super) fn answer(&mut self, request: Request, by: &str) -> Reply {
        let result = match request {
            Request::Status => self.status().map(|status| Reply::Status(Box::new(status))),
            Request::Mode { mode, target, accepts_unsafe } => self.set_mode(mode, &target, accepts_unsafe),
            Request::Apply { policy, text, confirm_within_ms, accepts_unsafe, allow_empty } => {
                let within = confirm_within_ms.map(Duration::from_millis);
                self.apply(Source { path: policy, text, accepts_unsafe, allow_empty }, within)
            }
            Request::Confirm => self.plane.confirm().map(|()| self.changed("confirmed")),
            Request::Rollback => self.plane.rollback().map(|()| self.changed("rolled back")),
            Request::Grant { wishes } => self.grant(&wishes, by),
            Request::Revoke { ids } => self.revoke(ids),
            Request::Grants => self.grants(&|_| true),
            Request::Policy => {
                let record = &self.plane.active.record;
                Ok(Reply::Policy {
                    policy: record.policy_path.display().to_string(),
                    policy_hash: record.policy_hash.clone(),
                    text: record.policy_text.clone(),
                })
            }
            // The server answers these itself.
            Request::Events { .. } => Ok(Reply::Error { message: "not here".to_owned() }),
        };
        result.unwrap_or_else(|error| Reply::Error { message: error.to_string() })
    }

    pub(super) fn apply(&mut self, source: Source, within: Option<Duration>) -> Result<Reply, DatapathError> {
        if self.plane.deadline()?.is_some() {
            let waits = "a policy waits for its confirmation: `banchi confirm` or `banchi rollback` first";
            return Ok(Reply::Error { message: waits.to_owned() });
        }
        self.plane.apply(&source, within)?;
        self.settings.source = source;
        Ok(self.changed("applied"))
    }

    /// What decides now, for the log and for who asked.
    fn changed(&mut self, what: &str) -> Reply {
        self.name();
        self.service.status(&self.standing());
        let record = &self.plane.active.record;
        tracing::warn!("{what}: generation {} of {}", record.id, record.policy_path.display());
        Reply::Changed {
            generation: record.id,
            policy: record.policy_path.display().to_string(),
            policy_hash: record.policy_hash.clone(),
        }
    }

    fn set_mode(
        &mut self,
        mode: banchi_common::abi::Mode,
        target: &Target,
        accepts_unsafe: bool,
    ) -> Result<Reply, DatapathError> {
        let names: Vec<String> = std::iter::once(ELSEWHERE.to_owned())
            .chain(self.plane.active.policy.conduits.iter().map(|conduit| conduit.name.clone()))
            .collect();
        let chosen: Vec<(u32, String)> = (0u32..)
            .zip(names)
            .filter(|(number, name)| match target {
                Target::All => true,
                Target::Elsewhere => *number == 0,
                Target::Conduit(wanted) => *number > 0 && name == wanted,
            })
            .collect();
        if let (Target::Conduit(wanted), true) = (target, chosen.is_empty()) {
            let known: Vec<&str> =
                self.plane.active.policy.conduits.iter().map(|conduit| conduit.name.as_str()).collect();
            let message = format!("there is no conduit `{wanted}`; there are: {}", known.join(", "));
            return Ok(Reply::Error { message });
        }
        if mode == banchi_common::abi::Mode::Enforce {
            let numbers: Vec<u32> = chosen.iter().map(|(number, _)| *number).collect();
            self.plane.guard_conduits(&numbers, accepts_unsafe)?;
        }
        for (number, name) in &chosen {
            self.plane.set_mode(*number, mode)?;
            let mode = format!("{mode:?}").to_lowercase();
            tracing::warn!("mode of {name} set to {mode} by hand");
        }
        Ok(Reply::Done { conduits: chosen.into_iter().map(|(_, name)| name).collect() })
    }
}
