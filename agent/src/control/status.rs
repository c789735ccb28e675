//! What `banchi status` shows.

use banchi_common::abi::{Forwarding, Mode, OnAgentLoss};
use serde::{Deserialize, Serialize};

use crate::datapath::Runs;
use crate::doctor::Finding;
use crate::grants::{Grant, SeenFlow};
use crate::outputs::OutputStatus;

/// A running policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of who says this: the agent, or, where none answers, the verb.
    pub version: String,
    /// Whether an agent answered. Without one all of this was read from what is pinned.
    pub running: bool,
    /// Process id of the agent, or null.
    pub pid: Option<u32>,
    /// When it was started, RFC 3339, or null.
    pub since: Option<String>,
    /// When an agent was last alive, RFC 3339, or null.
    pub last_seen: Option<String>,
    /// How long ago that was, in milliseconds.
    pub last_seen_ms_ago: Option<u64>,
    /// Since when rules, reasons and reports are counted, over all policies since then, RFC 3339.
    pub counts_since: String,
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
    /// When the kernel brought the previous policy back by itself, RFC 3339; null where it did not, or where an agent
    /// has followed since.
    pub fell_back_at: Option<String>,
    /// Whether everything passes, whatever the policy says.
    pub bypass: bool,
    /// Packets that passed for that reason.
    pub bypassed: u64,
    /// Whether nothing passes but the survival set and the conduits that were kept.
    pub island: bool,
    /// How often the agent was away so long that `on_agent_loss` acted.
    pub losses: u64,
    /// Packets that the previous generation judged because a confirmation was overdue.
    pub fell_back: u64,
    /// How what is allowed leaves the gateway.
    pub forwarding: Forwarding,
    /// Both ends of each wire, as the policy names them.
    pub wires: Vec<(String, String)>,
    /// What became of packets that pass, where the program forwards; since the data plane was made, over all policies.
    pub forwarded: Vec<ForwardedStatus>,
    /// Where in the kernel the program really runs: `native`, `generic`, `mixed` or `none`.
    pub xdp_mode: String,
    /// Interfaces that it is attached to.
    pub interfaces: Vec<String>,
    /// What the kernel says of each of them.
    pub links: Vec<LinkStatus>,
    /// What is enforced although it is unsafe, because somebody accepted it or it came later.
    pub enforced_unsafe: Vec<Finding>,
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
    /// Where events go by the configuration; empty without an agent.
    pub outputs: Vec<OutputStatus>,
}

/// Packets that the program sent on, or left to the stack, for one cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForwardedStatus {
    /// Its name: `routed`, or why they were left to the stack.
    pub cause: String,
    /// What that means.
    pub meaning: String,
    /// Packets.
    pub packets: u64,
}

/// An interface of the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Its name in the policy.
    pub interface: String,
    /// Its name now; null where it is not there.
    pub name: Option<String>,
    /// Its index.
    pub index: u32,
    /// Whether it is up and has a carrier.
    pub is_up: bool,
    /// Where the program really runs there; null where it does not.
    pub runs: Option<Runs>,
    /// Whether that is what was asked for.
    pub as_asked: bool,
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

/// A grant, and what it let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantStatus {
    /// The grant.
    #[serde(flatten)]
    pub grant: Grant,
    /// How it stands.
    pub state: GrantState,
    /// Packets from the client.
    pub asked: u64,
    /// Packets from the server.
    pub answered: u64,
    /// What was asked under it.
    pub flows: Vec<SeenFlow>,
    /// Events of flows that are not listed, because there were too many.
    pub more: u64,
}

/// How a grant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantState {
    /// It holds.
    Holds,
    /// Its time is over.
    Over,
    /// It was taken back.
    Revoked,
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
    /// Whether it goes on while the gateway is an island.
    pub kept: bool,
    /// What becomes of it when the agent is gone.
    pub on_agent_loss: OnAgentLoss,
    /// After how long without an agent, in milliseconds.
    pub agent_loss_after_ms: u64,
    /// Packets that rules allowed.
    pub allowed: u64,
    /// Bytes of them.
    pub allowed_bytes: u64,
    /// Those of them that were allowed by rules that the policy no longer has.
    pub by_former_rules: u64,
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
