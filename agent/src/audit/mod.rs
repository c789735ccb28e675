//! Who changed what: a line of JSON for each change, and for each one that was refused.
//!
//! Each line carries the SHA-256 of the line before it, so that a line that is changed, removed or put in between shows.
//! A change never waits for its line, and never fails for want of it.

mod check;
mod log;
mod writer;

pub use check::{Break, Chain, check};
pub use log::Log;
pub use writer::{Audit, Written};

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::control::{DEFAULT_SOCKET, Peer, Request, user_name};
use crate::events::time_of_day;
use crate::plane::hash;

/// Where changes are recorded unless told otherwise.
pub const DEFAULT_FILE: &str = "/var/log/banchi/audit.jsonl";
/// Characters of one word from outside that a line keeps.
const LONGEST_WORD: usize = 1_000;
/// Characters of a command line that a line keeps.
const LONGEST_COMMAND: usize = 200;

/// Where changes of the agent at a socket are recorded: a second data plane has a second socket, and its own file.
pub fn file_of(given: Option<&Path>, socket: &Path) -> PathBuf {
    match given {
        Some(given) => given.to_owned(),
        None if socket == Path::new(DEFAULT_SOCKET) => PathBuf::from(DEFAULT_FILE),
        None => socket.with_file_name("audit.jsonl"),
    }
}

/// One change, or the attempt of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When, RFC 3339 in UTC with microseconds.
    pub time: String,
    /// Who.
    #[serde(flatten)]
    pub who: Who,
    /// What: the verb of the command line, or what the agent did by itself (`run`, `stop`, `fall-back`).
    pub verb: String,
    /// With what. The text of a policy is given by its SHA-256.
    pub arguments: Map<String, Value>,
    /// What became of it.
    pub result: Outcome,
    /// Why it was not done, or null.
    pub why: Option<String>,
    /// SHA-256 of the policy that decided before, or null where it is not known.
    pub old_policy: Option<String>,
    /// SHA-256 of the policy that decided after it, or null.
    pub new_policy: Option<String>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Done,
    /// Whoever asked may not.
    Refused,
    /// It was tried, and something was in the way.
    Failed,
}

impl Outcome {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Who asked for a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// User, as the kernel vouches for it.
    pub uid: u32,
    /// Name of the user on this machine, or null.
    pub user: Option<String>,
    /// Who logged in at first, where the kernel keeps that (`loginuid`): behind `sudo` it is the person. Or null.
    pub login: Option<String>,
    /// Process, or null.
    pub pid: Option<i32>,
    /// Its command line, as it was found right after it asked: a hint, since a process may say there what it likes. Or
    /// null.
    pub command: Option<String>,
}

impl Who {
    /// Whoever is at the other end of the control socket.
    pub fn at(peer: &Peer) -> Self {
        Self::of(peer.uid, peer.pid)
    }

    /// Its name for people: who logged in at first, else the user, else the number.
    pub fn name(&self) -> String {
        let name = self.login.as_ref().or(self.user.as_ref());
        name.cloned().unwrap_or_else(|| format!("uid {}", self.uid))
    }

    /// This process.
    pub fn this() -> Self {
        Self::of(rustix::process::getuid().as_raw(), i32::try_from(std::process::id()).ok())
    }

    fn of(uid: u32, pid: Option<i32>) -> Self {
        let about = |what: &str| fs::read_to_string(format!("/proc/{}/{what}", pid?)).ok();
        let login = about("loginuid").and_then(|text| text.trim().parse().ok());
        let login = login.filter(|login| *login != u32::MAX);
        let command = about("cmdline").map(|text| text.trim_end_matches('\0').replace('\0', " "));
        Self {
            uid,
            user: user_name(uid),
            login: login.map(|login| user_name(login).unwrap_or_else(|| login.to_string())),
            pid,
            command: command.map(|command| shortened(&command, LONGEST_COMMAND)),
        }
    }
}

impl Entry {
    /// A change of this moment; of which nothing is known yet but who wants it.
    pub fn of(who: Who, verb: &str, arguments: Map<String, Value>) -> Self {
        Self {
            time: time_of_day(),
            who,
            verb: verb.to_owned(),
            arguments,
            result: Outcome::Done,
            why: None,
            old_policy: None,
            new_policy: None,
        }
    }

    /// What is asked for at the control socket.
    pub fn asked(who: Who, request: &Request) -> Self {
        let Ok(Value::Object(mut fields)) = serde_json::to_value(request) else {
            return Self::of(who, "unknown", Map::new());
        };
        let verb = fields.remove("verb").and_then(|verb| verb.as_str().map(str::to_owned));
        if let Some(Value::String(text)) = fields.remove("text") {
            fields.insert("policy_sha256".to_owned(), hash(&text).into());
        }
        fields.values_mut().for_each(bound);
        Self::of(who, &verb.unwrap_or_default(), fields)
    }

    /// With the policies that decided before and after it.
    #[must_use]
    pub fn between(self, old_policy: Option<String>, new_policy: Option<String>) -> Self {
        Self { old_policy, new_policy, ..self }
    }

    /// That was not done.
    #[must_use]
    pub fn not_done(self, result: Outcome, why: &str) -> Self {
        Self { result, why: Some(shortened(why, LONGEST_WORD)), ..self }
    }

    /// One line for a person.
    pub fn line(&self) -> String {
        let who = self.who.user.clone().unwrap_or_else(|| format!("uid {}", self.who.uid));
        let login = self.who.login.as_ref().filter(|login| **login != who);
        let login = login.map_or_else(String::new, |login| format!(" (login {login})"));
        let arguments: Vec<String> = self.arguments.iter().map(|(name, value)| word(name, value)).collect();
        let short = |hash: &Option<String>| {
            hash.as_ref().map_or_else(|| "none".to_owned(), |hash| hash.chars().take(12).collect())
        };
        let policy = match (&self.old_policy, &self.new_policy) {
            (old, new) if old == new => String::new(),
            (old, new) => format!("  policy {} -> {}", short(old), short(new)),
        };
        let why = self
            .why
            .as_ref()
            .map_or_else(String::new, |why| format!("  {}", why.lines().next().unwrap_or_default()));
        format!(
            "{}Z {:<7} {who}{login}: {}{}{policy}{why}",
            self.time.get(..19).unwrap_or(&self.time),
            self.result.name(),
            self.verb,
            arguments.concat(),
        )
    }
}

/// An argument as people read it; what was not given is left out.
fn word(name: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => format!(" {name}={text}"),
        other => format!(" {name}={other}"),
    }
}

/// Nobody fills the disk with the words of one request.
fn bound(value: &mut Value) {
    match value {
        Value::String(text) => *text = shortened(text, LONGEST_WORD),
        Value::Array(values) => {
            values.truncate(100);
            values.iter_mut().for_each(bound);
        }
        Value::Object(fields) => fields.values_mut().for_each(bound),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use banchi_common::abi::Mode;

    use super::*;
    use crate::control::Target;

    fn who() -> Who {
        Who {
            uid: 0,
            user: Some("root".to_owned()),
            login: Some("alice".to_owned()),
            pid: None,
            command: None,
        }
    }

    #[test]
    fn an_entry_has_the_request_without_the_policy() {
        let request = Request::Apply {
            policy: "/p".into(),
            text: "x".repeat(1 << 20),
            confirm_within_ms: None,
            accepts_unsafe: false,
            allow_empty: false,
        };
        let entry = Entry::asked(who(), &request);
        assert_eq!((entry.verb.as_str(), entry.arguments.len()), ("apply", 5));
        assert_eq!(entry.arguments["policy"], "/p");
        assert_eq!(entry.arguments["policy_sha256"].as_str().map(str::len), Some(64));
        let target = Target::Conduit("é".repeat(5_000));
        let entry = Entry::asked(who(), &Request::Mode { mode: Mode::Alert, target, accepts_unsafe: false });
        assert!(serde_json::to_string(&entry).unwrap().len() < 3_000);
        assert_eq!(entry.arguments["mode"], "alert");
    }

    #[test]
    fn a_line_says_who_and_what() {
        let entry =
            Entry::asked(who(), &Request::Rollback).between(Some("a".repeat(64)), Some("b".repeat(64)));
        let line = entry.line();
        assert!(
            line.ends_with("done    root (login alice): rollback  policy aaaaaaaaaaaa -> bbbbbbbbbbbb"),
            "{line}"
        );
        let line = entry.not_done(Outcome::Failed, "no\nreason").between(None, None).line();
        assert!(line.ends_with("failed  root (login alice): rollback  no"), "{line}");
    }

    #[test]
    fn each_socket_has_its_file() {
        assert_eq!(file_of(None, Path::new(DEFAULT_SOCKET)), Path::new(DEFAULT_FILE));
        assert_eq!(file_of(None, Path::new("/run/b/x.sock")), Path::new("/run/b/audit.jsonl"));
        assert_eq!(file_of(Some(Path::new("/a")), Path::new("/b/c")), Path::new("/a"));
    }
}
