//! What is not as it is every day, in the sentences of `banchi status` and `banchi top`.

use super::client::ClientError;
use super::status::{LinkStatus, Status};
use crate::events::seconds;

/// How loud to say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loudness {
    /// Good to know.
    Note,
    /// Not as it should be.
    Amiss,
    /// The policy does not decide as it is written.
    Urgent,
}

/// One sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// How loud.
    pub loudness: Loudness,
    /// What, and what to do about it.
    pub text: String,
}

impl Condition {
    /// A sentence.
    pub fn new(loudness: Loudness, text: impl Into<String>) -> Self {
        Self { loudness, text: text.into() }
    }
}

impl Status {
    /// All that is not normal, in the order in which `banchi status` says it.
    pub fn conditions(&self) -> Vec<Condition> {
        use Loudness::{Amiss, Note, Urgent};
        let mut found = Vec::new();
        let mut say = |loudness, text: String| found.push(Condition::new(loudness, text));
        if let Some(time) = &self.fell_back_at {
            let time = seconds(time);
            say(Amiss, format!("NOT CONFIRMED in time: the kernel brought this policy back at {time}"));
        }
        if self.bypass {
            say(
                Urgent,
                format!(
                    "BYPASS: everything passes, whatever the policy says ({} packets so far); `banchi bypass --off` \
                     ends it",
                    self.bypassed
                ),
            );
        }
        if self.island {
            let kept: Vec<&str> =
                self.conduits.iter().filter(|one| one.kept).map(|one| one.name.as_str()).collect();
            let kept = if kept.is_empty() { "no conduit".to_owned() } else { kept.join(", ") };
            say(
                Urgent,
                format!(
                    "ISLAND: nothing passes but what keeps the networks alive; goes on: {kept}; `banchi island --off` \
                     ends it"
                ),
            );
        }
        if self.losses > 0 {
            say(Amiss, format!("`on_agent_loss` acted {} times: see the log", self.losses));
        }
        for finding in self.enforced_unsafe.iter() {
            say(Amiss, format!("UNSAFE, and enforced: {finding}"));
        }
        for (count, what) in
            [(self.events_unwritten, "events"), (self.audit_unwritten, "entries of the audit log")]
        {
            if count > 0 {
                say(Amiss, format!("{count} {what} could not be written to their file, see the agent's log"));
            }
        }
        if let Some(until) = &self.confirm_until {
            say(Amiss, format!("not confirmed: the policy before comes back at {}", seconds(until)));
        }
        if let Some(previous) = &self.previous {
            say(
                Note,
                format!(
                    "before it: {} ({}…), generation {}; `banchi rollback` brings it back",
                    previous.policy,
                    previous.policy_hash.get(..12).unwrap_or_default(),
                    previous.generation
                ),
            );
        }
        if let Some(until) = &self.grace_until {
            say(
                Note,
                format!(
                    "grace until {}: answers without a question (unsolicited-reply) are not dropped yet",
                    seconds(until)
                ),
            );
        }
        found
    }

    /// Whether the program runs on every interface as it was asked to.
    pub fn is_attached(&self) -> bool {
        let as_it_should = |link: &LinkStatus| {
            link.as_asked && link.is_up && link.name.as_ref().is_some_and(|now| *now == link.interface)
        };
        self.xdp_mode != "mixed" && self.links.iter().all(as_it_should)
    }

    /// Where the program really runs; each interface for itself where they differ or something is amiss.
    pub fn attached(&self) -> String {
        if self.is_attached() {
            return format!("{} XDP on {}", self.xdp_mode, self.interfaces.join(", "));
        }
        let one = |link: &LinkStatus| {
            let runs = match link.runs {
                Some(runs) if link.as_asked => runs.name().to_owned(),
                Some(runs) => format!("{}, which is NOT what was asked for", runs.name()),
                None => "NOT ATTACHED".to_owned(),
            };
            let state = match &link.name {
                None => ", gone".to_owned(),
                Some(now) if *now != link.interface => format!(", now called {now}"),
                Some(_) if !link.is_up => ", down".to_owned(),
                Some(_) => String::new(),
            };
            format!("{} ({runs}{state})", link.interface)
        };
        format!("XDP on {}", self.links.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    /// That no agent answers, and for how long; this status was read from what is pinned.
    pub fn absence(&self, error: &ClientError) -> String {
        let ago = match self.last_seen_ms_ago {
            Some(ms) => format!("last seen {} ago", span(ms)),
            None => "never seen".to_owned(),
        };
        format!("{}: {ago}; read from what is pinned", error.absence().to_uppercase())
    }
}

/// A span of time as people say it.
pub fn span(ms: u64) -> String {
    match ms / 1_000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
