//! SIGHUP: files that were renamed, and a policy file that was changed.

use super::Agent;
use crate::audit::{Entry, Outcome, Who};
use crate::control::Reply;
use crate::plane::{Source, hash};

impl Agent {
    /// Applies the policy file where it is another one than when it was last read: checked and proven as by `apply`. Where
    /// something is wrong with it what decides goes on.
    pub(super) fn reload(&mut self) {
        let path = self.reload_from.clone();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                tracing::error!("cannot read {}: {error}; what decides goes on", path.display());
                return;
            }
        };
        let new = hash(&text);
        if new == self.last_read {
            return;
        }
        self.last_read = new.clone();
        if Some(new) == self.policy_hash() {
            return;
        }
        self.service.reloading();
        let before = self.policy_hash();
        let source = Source { path, text, ..self.settings.source.clone() };
        let within = self.settings.reload_confirm;
        let patience = self.service.patient();
        let applied = self.apply(source, within);
        drop(patience);
        let entry = Entry::of(Who::this(), "reload", serde_json::Map::new());
        let entry = entry.between(before, self.policy_hash());
        match applied {
            Ok(Reply::Error { message } | Reply::Refused { message }) => {
                // It may be taken the next time.
                self.last_read.clear();
                tracing::error!("the policy file was not taken: {message}");
                self.audit.record(entry.not_done(Outcome::Failed, &message));
            }
            Ok(_) => {
                self.audit.record(entry);
            }
            Err(error) => {
                tracing::error!("the policy file was not taken, what decides goes on: {error}");
                self.audit.record(entry.not_done(Outcome::Failed, &error.to_string()));
            }
        }
        self.service.ready(&self.standing());
    }

    /// What the agent does, in a line for its service manager.
    pub(super) fn standing(&self) -> String {
        let active = &self.plane.active;
        format!(
            "generation {} of {}: {} rules on {} interfaces",
            active.record.id,
            active.record.policy_path.display(),
            active.policy.rules.len(),
            self.plane.interfaces.len()
        )
    }
}
