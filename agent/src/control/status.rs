//! What `banchi status` shows.

use banchi_common::abi::Mode;
use serde::{Deserialize, Serialize};

/// A running policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the agent.
    pub version: String,
    /// Process id of the agent.
    pub pid: u32,
    /// When it was started, RFC 3339.
    pub since: String,
    /// The policy file.
    pub policy: String,
    /// SHA-256 of the policy file as it was loaded.
    pub policy_hash: String,
    /// Number of the generation that decides.
    pub generation: u32,
    /// The one that decides after a rollback, or null.
    pub previous: Option<PreviousStatus>,
    /// When the previous policy comes back unless this one is confirmed, RFC 3339, or null.
    pub confirm_until: Option<String>,
    /// Whether everything passes, whatever the policy says.
    pub bypass: bool,
    /// Packets that passed for that reason.
    pub bypassed: u64,
    /// Packets that the previous generation judged because a confirmation was overdue.
    pub fell_back: u64,
    /// Where in the kernel the program runs.
    pub xdp_mode: String,
    /// Interfaces that it is attached to.
    pub interfaces: Vec<String>,
    /// Bytes of kernel memory of the tables.
    pub kernel_bytes: u64,
    /// Until then answers without a question are reported and not dropped, RFC 3339; null where they are dropped.
    pub grace_until: Option<String>,
    /// Conduits; the last is what belongs to none.
    pub conduits: Vec<ConduitStatus>,
    /// Rules, in file order.
    pub rules: Vec<RuleStatus>,
    /// What became of the reports of each reason.
    pub reports: Vec<ReportStatus>,
    /// Events that could not be written to the file of `--events`, since the start.
    pub events_unwritten: u64,
    /// Entries that could not be written to the audit log, since the start.
    pub audit_unwritten: u64,
}

/// The policy before the one that decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviousStatus {
    /// Number of the generation.
    pub generation: u32,
    /// The policy file.
    pub policy: String,
    /// SHA-256 of it.
    pub policy_hash: String,
}

/// A conduit and its counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConduitStatus {
    /// Name; `(elsewhere)` is what belongs to none.
    pub name: String,
    /// Its mode.
    pub mode: Mode,
    /// Whether the mode was set by hand since the start.
    pub by_hand: bool,
    /// Packets that rules allowed.
    pub allowed: u64,
    /// Packets that no rule allowed, or that always pass, by reason.
    pub reasons: Vec<ReasonStatus>,
}

/// Packets of one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReasonStatus {
    /// Name of the reason.
    pub reason: String,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Time of the last one, RFC 3339.
    pub last: String,
}

/// A rule and its counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// Name.
    pub name: String,
    /// Line in the policy.
    pub line: usize,
    /// Its conduit.
    pub conduit: String,
    /// Packets from clients.
    pub forward_packets: u64,
    /// Bytes from clients.
    pub forward_bytes: u64,
    /// Packets from servers.
    pub return_packets: u64,
    /// Bytes from servers.
    pub return_bytes: u64,
    /// Time of the last packet, RFC 3339, or null.
    pub last: Option<String>,
}

/// What became of the reports of one reason. The sum is the number of packets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportStatus {
    /// Name of the reason.
    pub reason: String,
    /// Sent as events.
    pub sent: u64,
    /// Counted as repeats of an event.
    pub suppressed: u64,
    /// Counted only: the reason was over its rate.
    pub limited: u64,
    /// Lost: the ring was full.
    pub lost: u64,
}
