//! Questions of the control socket: answered, and recorded where they change something.

use super::Agent;
use crate::audit::{Entry, Outcome, Who, Written};
use crate::control::{Answer, Question, Reply, Role};
use crate::plane::Start;

impl Agent {
    pub(super) fn handle(&mut self, Question { request, peer, answer }: Question) {
        let changes = request.role() > Role::Reader;
        let entry = changes.then(|| Entry::asked(Who::at(&peer), &request));
        let before = self.policy_hash();
        let by = Who::at(&peer).name();
        let patience = changes.then(|| self.service.patient());
        let reply = self.answer(request, &by);
        drop(patience);
        let written = entry.map(|entry| {
            let entry = entry.between(before, self.policy_hash());
            self.audit.record(match &reply {
                Reply::Error { message } | Reply::Refused { message } => {
                    entry.not_done(Outcome::Failed, message)
                }
                Reply::Status(_)
                | Reply::Done { .. }
                | Reply::Changed { .. }
                | Reply::Grants { .. }
                | Reply::Policy { .. } => entry,
            })
        });
        // A client that hung up does not want its answer.
        let _ = answer.send(Answer { reply, written });
    }

    /// Records what nobody asked for.
    pub(super) fn record_own(&self, verb: &str, why: Option<&str>, before: Option<String>) -> Written {
        let entry = Entry::of(Who::this(), verb, serde_json::Map::new());
        let entry = entry.between(before, self.policy_hash());
        self.audit.record(Entry { why: why.map(str::to_owned), ..entry })
    }

    /// Records how the agent began.
    pub(super) fn record_start(&self, start: Start, before: Option<String>) {
        let why = match start {
            Start::New => "nothing was there",
            Start::Adopted => "taken up as it was",
            Start::Replaced => "taken up, with another policy",
        };
        self.record_own("run", Some(why), before);
    }

    pub(super) fn policy_hash(&self) -> Option<String> {
        Some(self.plane.active.record.policy_hash.clone())
    }
}
