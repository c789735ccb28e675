//! From what `status` says to samples.

use std::collections::BTreeMap;
use std::fmt;

use banchi_common::abi::Mode;
use banchi_common::reason::{REASONS, Verdict};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::reported::{OTHERS, Reported};
use crate::control::{ConduitStatus, Status};
use crate::outputs::OutputState;

/// Conduits that have series of their own.
const CONDUITS: usize = 200;

/// One sample: its labels, and its value.
type Sample = (Vec<(&'static str, String)>, f64);

/// A metric with its samples.
#[derive(Debug)]
struct Metric {
    name: &'static str,
    help: &'static str,
    is_counter: bool,
    samples: Vec<Sample>,
}

/// Everything at one time.
#[derive(Debug)]
pub(super) struct Collected(Vec<Metric>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in &self.0 {
            let kind = if metric.is_counter { MetricType::Counter } else { MetricType::Gauge };
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for (labels, value) in &metric.samples {
                let labels: Vec<(&str, &str)> =
                    labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let mut sample = family.encode_family(&labels)?;
                if metric.is_counter {
                    // Counts are whole, and no double of that size loses one.
                    sample.encode_counter::<NoLabelSet, u64, u64>(&(*value as u64), None)?;
                } else {
                    sample.encode_gauge(value)?;
                }
            }
        }
        Ok(())
    }
}

fn label(name: &'static str, value: &str) -> (&'static str, String) {
    (name, value.to_owned())
}

fn truth(is: bool) -> f64 {
    f64::from(u8::from(is))
}

impl Collected {
    pub(super) fn of(status: &Status, reported: &Reported) -> Self {
        let mut all = Self(Vec::new());
        all.packets(status);
        all.reports(status, reported);
        all.outputs(status);
        all.agent(status);
        all.data_plane(status);
        all
    }

    fn counter(&mut self, name: &'static str, help: &'static str, samples: Vec<Sample>) {
        self.0.push(Metric { name, help, is_counter: true, samples });
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, samples: Vec<Sample>) {
        self.0.push(Metric { name, help, is_counter: false, samples });
    }

    fn packets(&mut self, status: &Status) {
        let mut sums: BTreeMap<(String, &'static str), (u64, u64)> = BTreeMap::new();
        let mut add = |conduit: &str, reason: &'static str, packets: u64, bytes: u64| {
            let sum = sums.entry((conduit.to_owned(), reason)).or_default();
            *sum = (sum.0.wrapping_add(packets), sum.1.wrapping_add(bytes));
        };
        let mut modes = Vec::new();
        for (number, conduit) in in_order(status).enumerate() {
            let name = if number < CONDUITS { conduit.name.as_str() } else { OTHERS };
            // From the start on there is a zero, so that the first packet is an increase.
            for about in REASONS.iter().filter(|about| about.reason.is_reported()) {
                add(name, about.name, 0, 0);
            }
            add(name, "allowed", conduit.allowed, conduit.allowed_bytes);
            for row in &conduit.reasons {
                let known = REASONS.iter().find(|about| about.name == row.reason);
                if let Some(about) = known {
                    add(name, about.name, row.packets, row.bytes);
                }
            }
            if number < CONDUITS {
                modes.push((vec![label("conduit", name)], truth(conduit.mode == Mode::Enforce)));
            }
        }
        let row = |(conduit, reason): &(String, &'static str), count: u64| {
            (vec![label("conduit", conduit), label("reason", reason)], count as f64)
        };
        let packets = sums.iter().map(|(key, sum)| row(key, sum.0)).collect();
        self.counter("packets", "Packets by conduit and reason, as the kernel counts them", packets);
        let bytes = sums.iter().map(|(key, sum)| row(key, sum.1)).collect();
        self.counter("bytes", "Bytes of those packets, from the Ethernet header", bytes);
        self.gauge("conduit_enforcing", "Whether the conduit drops what deviates", modes);
    }

    fn reports(&mut self, status: &Status, reported: &Reported) {
        let rows = reported.rows().map(|(conduit, reason, verdict, packets)| {
            let verdict = match verdict {
                Verdict::Pass => "pass",
                Verdict::WouldDrop => "would-drop",
                Verdict::Drop => "drop",
            };
            let labels =
                [label("conduit", conduit), label("verdict", verdict), label("reason", reason.about().name)];
            (labels.to_vec(), packets as f64)
        });
        self.counter(
            "reported_packets",
            "Packets that events spoke of, repeats among them, since the agent started",
            rows.collect(),
        );
        let outcomes = status.reports.iter().flat_map(|row| {
            let counts = [
                ("sent", row.sent),
                ("suppressed", row.suppressed),
                ("limited", row.limited),
                ("lost", row.lost),
            ];
            counts.map(|(outcome, count)| {
                (vec![label("reason", &row.reason), label("outcome", outcome)], count as f64)
            })
        });
        self.counter("events", "What became of the events of each reason in the kernel", outcomes.collect());
        let files = [("events", status.events_unwritten), ("audit", status.audit_unwritten)];
        let files = files.map(|(file, count)| (vec![label("file", file)], count as f64));
        self.counter("unwritten_lines", "Lines that a full or broken disk did not take", files.to_vec());
    }

    fn outputs(&mut self, status: &Status) {
        let labels =
            |one: &crate::outputs::OutputStatus| vec![label("output", &one.name), label("kind", &one.kind)];
        let events = status.outputs.iter().flat_map(|one| {
            let counts = [
                ("sent", one.sent),
                ("lost-queue", one.lost_queue),
                ("lost-spool", one.lost_spool),
                ("lost-failed", one.lost_failed),
            ];
            counts.map(|(outcome, count)| {
                let mut all = labels(one);
                all.push(label("outcome", outcome));
                (all, count as f64)
            })
        });
        self.counter("output_events", "What became of the events of each output", events.collect());
        let each = |value: &dyn Fn(&crate::outputs::OutputStatus) -> f64| -> Vec<Sample> {
            status.outputs.iter().map(|one| (labels(one), value(one))).collect()
        };
        let failures = each(&|one| one.failures as f64);
        self.counter("output_failures", "Attempts to write, to connect or to send that failed", failures);
        let up = each(&|one| truth(one.state == OutputState::Up));
        self.gauge("output_up", "Whether the output takes what comes", up);
        let waiting = each(&|one| one.waiting as f64);
        self.gauge("output_waiting", "Events that wait in memory", waiting);
        let spooled = each(&|one| one.spooled as f64);
        self.gauge("output_spooled", "Messages that wait on the disk", spooled);
        let bytes = each(&|one| one.spooled_bytes as f64);
        self.gauge("output_spool_bytes", "Bytes of messages that wait on the disk", bytes);
    }

    fn agent(&mut self, status: &Status) {
        let one = |value: f64| vec![(Vec::new(), value)];
        self.gauge(
            "build_info",
            "Version of the agent",
            vec![(vec![label("version", &status.version)], 1.0)],
        );
        self.gauge("generation", "Number of the generation that decides", one(f64::from(status.generation)));
        let hash = vec![label("policy_hash", status.policy_hash.get(..12).unwrap_or_default())];
        self.gauge("policy_info", "The policy that decides", vec![(hash, 1.0)]);
        let age = status.last_seen_ms_ago.map(|ms| (Vec::new(), ms as f64 / 1_000.0));
        self.gauge(
            "heartbeat_age_seconds",
            "How long ago the data plane heard of the agent",
            age.into_iter().collect(),
        );
        self.counter(
            "agent_losses",
            "How often the agent was away so long that on_agent_loss acted",
            one(status.losses as f64),
        );
        self.gauge(
            "confirm_pending",
            "Whether the policy before comes back unless somebody confirms",
            one(truth(status.confirm_until.is_some())),
        );
        self.counter(
            "fell_back_packets",
            "Packets that the policy before judged because a confirmation was overdue",
            one(status.fell_back as f64),
        );
    }

    fn data_plane(&mut self, status: &Status) {
        let one = |value: f64| vec![(Vec::new(), value)];
        self.gauge(
            "bypass",
            "Whether everything passes, whatever the policy says",
            one(truth(status.bypass)),
        );
        self.counter("bypassed_packets", "Packets that passed for that reason", one(status.bypassed as f64));
        self.gauge("island", "Whether nothing passes but what was kept", one(truth(status.island)));
        self.gauge(
            "enforced_unsafe",
            "Findings that make enforcing unsafe where it is enforced",
            one(status.enforced_unsafe.len() as f64),
        );
        let each = |value: &dyn Fn(&crate::control::LinkStatus) -> bool| -> Vec<Sample> {
            let links = status.links.iter();
            links.map(|link| (vec![label("interface", &link.interface)], truth(value(link)))).collect()
        };
        let attached = each(&|link| link.as_asked);
        self.gauge(
            "interface_attached",
            "Whether the program runs there, in the mode that was asked for",
            attached,
        );
        let up = each(&|link| link.is_up);
        self.gauge("interface_up", "Whether the interface is up and has a carrier", up);
        self.gauge("kernel_memory_bytes", "Kernel memory of the tables", one(status.kernel_bytes as f64));
        self.gauge("rules", "Rules of the policy", one(status.rules.len() as f64));
    }
}

/// What belongs to none comes first: it is always there.
fn in_order(status: &Status) -> impl Iterator<Item = &ConduitStatus> {
    let (last, others) = match status.conduits.split_last() {
        Some((last, others)) => (Some(last), others),
        None => (None, [].as_slice()),
    };
    last.into_iter().chain(others)
}
