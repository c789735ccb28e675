//! What `banchi status` shows, read from the data plane.

use std::sync::atomic::Ordering;

use banchi_common::abi::RootCount;

use super::{Agent, ELSEWHERE};
use crate::control::{ConduitStatus, PreviousStatus, ReasonStatus, ReportStatus, RuleStatus, Status};
use crate::datapath::{DatapathError, XdpMode};
use crate::events::Clock;
use crate::image::summarize;

impl Agent {
    fn kernel_bytes(&self) -> u64 {
        let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let generations = std::iter::once(&self.plane.active).chain(&self.plane.previous);
        generations.map(|one| summarize(&one.policy, &one.image, cpus).kernel_bytes).sum()
    }

    pub(super) fn status(&self) -> Result<Status, DatapathError> {
        let counters = self.plane.active.datapath.counters()?;
        let modes = self.plane.active.datapath.modes()?;
        let clock = Clock::now();
        let last = |ns: u64| (ns > 0).then(|| clock.time(ns));
        let conduit_of =
            |rule: &crate::policy::model::Rule| self.plane.active.policy.conduits.get(rule.conduit);
        let rules: Vec<RuleStatus> = self
            .plane
            .active
            .policy
            .rules
            .iter()
            .zip(&counters.rules)
            .map(|(rule, (forward, back))| RuleStatus {
                name: rule.name.clone(),
                line: rule.line,
                conduit: conduit_of(rule).map(|conduit| conduit.name.clone()).unwrap_or_default(),
                forward_packets: forward.packets,
                forward_bytes: forward.bytes,
                return_packets: back.packets,
                return_bytes: back.bytes,
                last: last(forward.last_ns.max(back.last_ns)),
            })
            .collect();
        let names = std::iter::once(ELSEWHERE.to_owned())
            .chain(self.plane.active.policy.conduits.iter().map(|conduit| conduit.name.clone()));
        let mut conduits: Vec<ConduitStatus> = names
            .zip(modes)
            .zip(&counters.reasons)
            .map(|((name, (mode, by_hand)), reasons)| ConduitStatus {
                allowed: rules
                    .iter()
                    .filter(|rule| rule.conduit == name)
                    .map(|rule| rule.forward_packets + rule.return_packets)
                    .sum(),
                reasons: reasons
                    .iter()
                    .map(|(reason, count)| ReasonStatus {
                        reason: reason.about().name.to_owned(),
                        packets: count.packets,
                        bytes: count.bytes,
                        last: last(count.last_ns).unwrap_or_default(),
                    })
                    .collect(),
                name,
                mode,
                by_hand,
            })
            .collect();
        if !conduits.is_empty() {
            conduits.rotate_left(1);
        }
        let reports = counters.reports.iter().map(|(reason, reports)| ReportStatus {
            reason: reason.about().name.to_owned(),
            sent: reports.sent,
            suppressed: reports.suppressed,
            limited: reports.limited,
            lost: reports.lost,
        });
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since: self.since.clone(),
            events_unwritten: self.events_unwritten.load(Ordering::Relaxed),
            audit_unwritten: self.audit.unwritten(),
            generation: self.plane.active.record.id,
            previous: self.plane.previous.as_ref().map(|previous| PreviousStatus {
                generation: previous.record.id,
                policy: previous.record.policy_path.display().to_string(),
                policy_hash: previous.record.policy_hash.clone(),
            }),
            confirm_until: self.plane.deadline()?.map(|ns| clock.time(ns)),
            bypass: self.plane.is_bypassed()?,
            bypassed: self.plane.count(RootCount::Bypassed)?,
            fell_back: self.plane.count(RootCount::FellBack)?,
            policy: self.plane.active.record.policy_path.display().to_string(),
            policy_hash: self.plane.active.record.policy_hash.clone(),
            xdp_mode: match self.settings.xdp_mode {
                XdpMode::Native => "native".to_owned(),
                XdpMode::Generic => "generic".to_owned(),
            },
            interfaces: self.plane.interfaces.iter().map(|interface| interface.name.clone()).collect(),
            kernel_bytes: self.kernel_bytes(),
            grace_until: self.plane.active.datapath.grace_until()?.map(|ns| clock.time(ns)),
            reports: reports.collect(),
            conduits,
            rules,
        })
    }
}
