//! What is said about a machine.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// Something may be missed or lost, or cost more than it need.
    Warning,
    /// Enforcing would drop what is good or miss what is bad; or something is missing without which nothing works.
    Unsafe,
}

impl Level {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Unsafe => "UNSAFE",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it is about: an interface, or `kernel`.
    pub subject: String,
    /// What was looked at: a stable name.
    pub check: String,
    /// What was found.
    pub found: String,
    /// Why that matters where a plant's traffic is decided about.
    pub why: String,
    /// A command that helps, where there is one.
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn new(
        level: Level,
        subject: &str,
        check: &str,
        found: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        let (subject, check) = (subject.to_owned(), check.to_owned());
        Self { level, subject, check, found: found.into(), why: why.into(), remedy: None }
    }

    pub(super) fn remedy(self, command: impl Into<String>) -> Self {
        Self { remedy: Some(command.into()), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {} {}", self.subject, self.found, self.why)?;
        match &self.remedy {
            Some(remedy) => write!(out, " Remedy: `{remedy}`"),
            None => Ok(()),
        }
    }
}
