//! What came of a walk, of a change, and of an answer.

use super::super::Failed;
use crate::review::memory::Verdict;

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// After the last change, or because somebody had enough.
    Done,
    Interrupted,
    Closed,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Became {
    Accepted,
    Granted,
    Dismissed,
    Malicious,
    Reopened,
    /// The policy lets it pass by now.
    Settled,
    /// Somebody else decided about it, or it is another change under the policy as it is by now.
    Gone,
    Skipped,
}

impl Became {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Granted => "granted",
            Self::Dismissed => "dismissed",
            Self::Malicious => "malicious",
            Self::Reopened => "open again",
            Self::Settled => "settled by the policy as it is now",
            Self::Gone => "decided by others, or no more",
            Self::Skipped => "skipped",
        }
    }

    /// What this walk decided.
    pub(super) const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Accepted => Some(Verdict::Accepted),
            Self::Granted => Some(Verdict::Granted),
            Self::Dismissed => Some(Verdict::Dismissed),
            Self::Malicious => Some(Verdict::Malicious),
            Self::Reopened | Self::Settled | Self::Gone | Self::Skipped => None,
        }
    }
}

/// What came of an answer.
pub(super) enum Asked {
    Done(String, Became),
    Refused(Failed),
    /// Somebody thought better of it.
    Nothing,
    Ended(End),
}
