//! Running single packets through the loaded program, without an interface.

use std::time::Duration;

use aya::maps::PerCpuArray;
use aya::programs::{TestRun as _, TestRunOptions, TestRunResult};
use banchi_common::abi::Trace;
use banchi_common::direction::Class;
use banchi_common::reason::{Orientation, Reason, Verdict};

use super::error::DatapathError;
use super::generation::Datapath;
use super::load::{Row, writing};

/// `XDP_DROP`.
const XDP_DROP: u32 = 1;
/// `XDP_REDIRECT`.
const XDP_REDIRECT: u32 = 4;

/// What the program did with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// It was dropped.
    pub dropped: bool,
    /// The program sent it on, and did not leave it to the stack.
    pub sent_on: bool,
    /// Why.
    pub reason: Reason,
    /// The verdict.
    pub verdict: Verdict,
    /// Which way it went through its rule.
    pub orientation: Orientation,
    /// Rule that decided or fits best, in file order from 0.
    pub rule: Option<usize>,
    /// Conduit, in file order from 0.
    pub conduit: Option<usize>,
    /// Zone that it came from, in file order from 0.
    pub zone: Option<usize>,
    /// What its payload shows itself as.
    pub class: Class,
}

impl Outcome {
    /// What the trace says that changed from one look to the next.
    pub(super) fn between(before: &[Trace], after: &[Trace], action: u32) -> Result<Self, DatapathError> {
        let trace = after.iter().zip(before).find(|(now, then)| now.count != then.count).map(|(now, _)| now);
        let trace =
            trace.ok_or_else(|| DatapathError::other("read the trace", "it was loaded without one"))?;
        let unknown = || DatapathError::other("read the trace", format!("it makes no sense: {trace:?}"));
        Ok(Self {
            dropped: action == XDP_DROP,
            sent_on: action == XDP_REDIRECT,
            reason: Reason::from_number(trace.reason).ok_or_else(unknown)?,
            verdict: Verdict::from_number(trace.verdict).ok_or_else(unknown)?,
            orientation: match trace.orientation {
                1 => Orientation::Forward,
                2 => Orientation::Return,
                _ => Orientation::None,
            },
            rule: (trace.rule as usize).checked_sub(1),
            conduit: usize::from(trace.conduit).checked_sub(1),
            zone: usize::from(trace.zone).checked_sub(1),
            class: Class::from_number(trace.class).ok_or_else(unknown)?,
        })
    }
}

impl Datapath {
    /// Runs one packet of at least 14 bytes, as if it came in by an interface. Needs
    /// [`super::Options::trace`].
    ///
    /// # Errors
    /// Where the kernel refuses the run, or the program was loaded without a trace.
    pub fn test_run(&self, packet: &[u8], interface: u32) -> Result<Outcome, DatapathError> {
        let before = self.traces()?;
        let action = self.test_action(packet, interface)?;
        let after = self.traces()?;
        Outcome::between(&before, &after, action)
    }

    /// Runs one packet of at least 14 bytes, as if it came in by an interface, and says only whether it is dropped:
    /// for floods.
    ///
    /// # Errors
    /// Where the kernel refuses the run.
    pub fn test_drop(&self, packet: &[u8], interface: u32) -> Result<bool, DatapathError> {
        Ok(self.test_action(packet, interface)? == XDP_DROP)
    }

    /// What the program returns for a packet.
    pub(super) fn test_action(&self, packet: &[u8], interface: u32) -> Result<u32, DatapathError> {
        Ok(self.run(packet, interface, 1)?.return_value)
    }

    /// Runs one packet many times, and says how long the program took each time on average.
    ///
    /// # Errors
    /// Where the kernel refuses the run.
    pub fn time_run(&self, packet: &[u8], interface: u32, repeat: u32) -> Result<Duration, DatapathError> {
        Ok(self.run(packet, interface, repeat)?.duration)
    }

    fn run(&self, packet: &[u8], interface: u32, repeat: u32) -> Result<TestRunResult, DatapathError> {
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [0, packet.len() as u32, 0, interface, 0, 0];
        self.program()?
            .test_run(TestRunOptions {
                data_in: Some(packet),
                ctx_in: Some(bytemuck::bytes_of(&context)),
                repeat,
                ..TestRunOptions::new()
            })
            .map_err(|e| DatapathError::other("run a packet through the program", super::load::chain(&e)))
    }

    pub(super) fn traces(&self) -> Result<Vec<Trace>, DatapathError> {
        let map: PerCpuArray<_, Row<Trace>> =
            PerCpuArray::try_from(self.map("TRACE")?).map_err(|e| writing("TRACE", &e))?;
        let values = map.get(&0, 0).map_err(|e| writing("TRACE", &e))?;
        Ok(values.iter().map(|Row(trace)| *trace).collect())
    }
}
