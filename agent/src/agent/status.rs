//! What `banchi status` shows, read from the data plane.

use std::sync::atomic::Ordering;

use banchi_common::abi::RootCount;
use banchi_common::reason::Reason;

use super::links::{link_status, mode_of};
use super::{Agent, ELSEWHERE};
use crate::control::{
    ConduitStatus, ForwardedStatus, PreviousStatus, ReasonStatus, ReportStatus, RuleStatus, Status,
};
use crate::datapath::DatapathError;
use crate::events::{Clock, monotonic};
use crate::image::summarize;
use crate::plane::{Plane, View};

impl Agent {
    pub(super) fn status(&self) -> Result<Status, DatapathError> {
        Ok(Status {
            running: true,
            pid: Some(std::process::id()),
            since: Some(self.since.clone()),
            events_unwritten: self.events_unwritten.load(Ordering::Relaxed),
            audit_unwritten: self.audit.unwritten(),
            outputs: self.outputs.status(),
            ..of_plane(&self.plane)?
        })
    }
}

/// What is pinned, where no agent answers.
///
/// # Errors
/// Where the kernel refuses a read.
pub fn status_of(view: &View) -> Result<Status, DatapathError> {
    let status = of_plane(view.plane())?;
    let fell_back_at = view.fell_back_ns().map(|ns| Clock::now().time(ns));
    let confirm_until = status.confirm_until.filter(|_| fell_back_at.is_none());
    Ok(Status { fell_back_at, confirm_until, ..status })
}

fn kernel_bytes(plane: &Plane) -> u64 {
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let generations = std::iter::once(&plane.active).chain(&plane.previous);
    generations.map(|one| summarize(&one.policy, &one.image, cpus).kernel_bytes).sum()
}

/// Everything but who runs it.
fn of_plane(plane: &Plane) -> Result<Status, DatapathError> {
    let tally = plane.tally()?;
    let states = plane.active.datapath.conduits()?;
    let links = link_status(plane);
    let clock = Clock::now();
    let last = |ns: u64| (ns > 0).then(|| clock.time(ns));
    let policy = &plane.active.policy;
    let conduit_of = |rule: &crate::policy::model::Rule| policy.conduits.get(rule.conduit);
    let rules: Vec<RuleStatus> = policy
        .rules
        .iter()
        .map(|rule| {
            let conduit = conduit_of(rule).map(|conduit| conduit.name.clone()).unwrap_or_default();
            let (forward, back) = tally.rule(&conduit, &rule.name);
            RuleStatus {
                name: rule.name.clone(),
                line: rule.line,
                conduit,
                forward_packets: forward.packets,
                forward_bytes: forward.bytes,
                return_packets: back.packets,
                return_bytes: back.bytes,
                last: last(forward.last_ns.max(back.last_ns)),
            }
        })
        .collect();
    let elsewhere = std::iter::once((None, policy.default_agent_loss));
    let named = policy.conduits.iter().map(|one| (Some(one.name.clone()), one.agent_loss));
    let mut conduits: Vec<ConduitStatus> = elsewhere
        .chain(named)
        .zip(states)
        .map(|((name, loss), state)| {
            let (allowed, allowed_bytes) = tally.allowed(&name);
            let reasons = tally.reasons_of(&name);
            let name = name.unwrap_or_else(|| ELSEWHERE.to_owned());
            let of_rules = rules.iter().filter(|rule| rule.conduit == name);
            let by_rules: u64 = of_rules.map(|rule| rule.forward_packets + rule.return_packets).sum();
            ConduitStatus {
                allowed,
                allowed_bytes,
                by_former_rules: allowed.saturating_sub(by_rules),
                reasons: reasons
                    .into_iter()
                    .map(|(reason, count)| ReasonStatus {
                        reason: reason.about().name.to_owned(),
                        packets: count.packets,
                        bytes: count.bytes,
                        last: last(count.last_ns).unwrap_or_default(),
                    })
                    .collect(),
                name,
                mode: state.mode,
                by_hand: state.by_hand,
                kept: state.kept,
                on_agent_loss: loss.then,
                agent_loss_after_ms: u64::try_from(loss.after.as_millis()).unwrap_or(u64::MAX),
            }
        })
        .collect();
    if !conduits.is_empty() {
        conduits.rotate_left(1);
    }
    let reports = tally.reports.iter().filter_map(|(reason, reports)| {
        Some(ReportStatus {
            reason: Reason::from_number(*reason)?.about().name.to_owned(),
            sent: reports.sent,
            suppressed: reports.suppressed,
            limited: reports.limited,
            lost: reports.lost,
        })
    });
    let forwarded = plane.forwarded()?.into_iter().map(|(what, packets)| ForwardedStatus {
        cause: what.name().to_owned(),
        meaning: what.meaning().to_owned(),
        packets,
    });
    let heartbeat = plane.heartbeat()?;
    let now = u64::try_from(monotonic().as_nanos()).unwrap_or(0);
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        running: false,
        pid: None,
        since: None,
        last_seen: heartbeat.map(|ns| clock.time(ns)),
        last_seen_ms_ago: heartbeat.map(|ns| now.saturating_sub(ns) / 1_000_000),
        counts_since: plane.counts_since().to_owned(),
        fell_back_at: None,
        events_unwritten: 0,
        audit_unwritten: 0,
        outputs: Vec::new(),
        generation: plane.active.record.id,
        previous: plane.previous.as_ref().map(|previous| PreviousStatus {
            generation: previous.record.id,
            policy: previous.record.policy_path.display().to_string(),
            policy_hash: previous.record.policy_hash.clone(),
        }),
        confirm_until: plane.deadline()?.map(|ns| clock.time(ns)),
        bypass: plane.is_bypassed()?,
        island: plane.is_island()?,
        losses: plane.losses()?,
        bypassed: plane.count(RootCount::Bypassed)?,
        fell_back: plane.count(RootCount::FellBack)?,
        policy: plane.active.record.policy_path.display().to_string(),
        policy_hash: plane.active.record.policy_hash.clone(),
        forwarding: plane.forwarding(),
        wires: policy.wires.clone(),
        forwarded: forwarded.collect(),
        xdp_mode: mode_of(&links),
        links,
        enforced_unsafe: plane.enforced_findings()?,
        interfaces: plane.interfaces.iter().map(|interface| interface.name.clone()).collect(),
        kernel_bytes: kernel_bytes(plane),
        grace_until: plane.active.datapath.grace_until()?.map(|ns| clock.time(ns)),
        reports: reports.collect(),
        conduits,
        rules,
    })
}
