//! What reasons mean in the words of others.

use banchi_common::abi::Mode;
use banchi_common::reason::{Reason, Verdict};

/// How bad it is: 1 high, 2 medium, 3 low, as Suricata counts.
pub(super) fn severity(reason: Reason) -> u8 {
    use Reason as R;
    match reason {
        R::SourcePortDeviation
        | R::AddressPortMismatch
        | R::ReversedDirection
        | R::UnsolicitedReply
        | R::WrongZone
        | R::MacMismatch
        | R::ArpSpoof => 1,
        R::UnknownSource
        | R::UnknownDestination
        | R::UnlistedPair
        | R::UnlistedService
        | R::UnlistedEthertype
        | R::UnlistedProtocol
        | R::UnlistedVlan
        | R::OrphanFragment
        | R::Malformed
        | R::AgentLost
        | R::Island => 2,
        R::GrantExpired
        | R::UnrelatedIcmpError
        | R::Granted
        | R::Allowed
        | R::Survival
        | R::Related
        | R::ListedEthertype => 3,
    }
}

/// The same as a priority of syslog: 3 error, 4 warning, 5 notice, and 6 informational for what passed.
pub(super) fn priority(reason: Reason, verdict: Verdict) -> u8 {
    match (severity(reason), verdict) {
        (_, Verdict::Pass) => 6,
        (1, _) => 3,
        (2, _) => 4,
        (_, _) => 5,
    }
}

/// The class of an alert, in the words of Suricata's own rules.
pub(super) fn category(reason: Reason) -> &'static str {
    use Reason as R;
    match reason {
        R::WrongZone | R::MacMismatch | R::ArpSpoof | R::SourcePortDeviation | R::UnsolicitedReply => {
            "Misc Attack"
        }
        R::Malformed | R::OrphanFragment | R::UnrelatedIcmpError => "Generic Protocol Command Decode",
        R::UnknownSource
        | R::UnknownDestination
        | R::UnlistedPair
        | R::UnlistedService
        | R::AddressPortMismatch
        | R::ReversedDirection
        | R::UnlistedEthertype
        | R::UnlistedProtocol
        | R::UnlistedVlan
        | R::GrantExpired => "Potentially Bad Traffic",
        R::AgentLost
        | R::Island
        | R::Granted
        | R::Allowed
        | R::Survival
        | R::Related
        | R::ListedEthertype => "Misc activity",
    }
}

/// As the JSON of an event has it.
pub(super) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::WouldDrop => "would-drop",
        Verdict::Drop => "drop",
    }
}

/// As the JSON of an event has it.
pub(super) fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Alert => "alert",
        Mode::Enforce => "enforce",
    }
}
