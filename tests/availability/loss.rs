//! The agent is lost: each conduit goes its own way, in the kernel and in time.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{Gateway, Lab, Zone};
use banchi_tests::plant;
use rustix::process::Signal;

use super::probe::Probe;

/// Ports that are allowed everywhere.
const LISTED: (u16, u16) = (7000, 8000);
/// Ports that are allowed nowhere.
const UNLISTED: (u16, u16) = (7000, 8999);
/// After this time without a heartbeat the agent is lost.
const LIMIT: Duration = Duration::from_secs(5);
/// The agent is heard of every second, so the last heartbeat may be that old when it hangs.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// What may come on top: the kernel's coarse clock, and packets that are waited for in vain.
const LATE: Duration = Duration::from_millis(1_000);

/// One conduit for each way.
const POLICY: &str = "version: 1
defaults: { mode: enforce, agent_loss_after: 5s }
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24] }
  line-b:  { interfaces: [line-b], networks: [10.30.0.0/24] }
assets:
  scada: { zone: control, address: 10.10.1.5 }
  plc:   { zone: line-a, address: 10.20.0.11 }
  robot: { zone: line-b, address: 10.30.0.21 }
services:
  polling: { transport: udp, source_port: 7000, port: 8000 }
conduits:
  - from: control
    to: line-a
    on_agent_loss: open
    allow: [{ client: scada, server: plc, service: polling }]
  - from: control
    to: line-b
    on_agent_loss: closed
    allow: [{ client: scada, server: robot, service: polling }]
  - from: line-a
    to: control
    on_agent_loss: keep
    allow: [{ client: plc, server: scada, service: polling }]
";

fn lab() -> Result<Lab> {
    let [control, line_a] = plant::zones();
    let line_b = Zone::new("line-b").network("10.30.0.1/24").host("robot", &["10.30.0.21"]);
    Lab::new(Gateway::Routes, &[control, line_a, line_b])
}

/// The three conduits, as the policy wants them.
struct Plant<'l> {
    open: Probe<'l>,
    closed: Probe<'l>,
    keep: Probe<'l>,
}

impl<'l> Plant<'l> {
    fn new(lab: &'l Lab) -> Result<Self> {
        Ok(Self {
            open: Probe::new(lab, "scada", "plc-1")?,
            closed: Probe::new(lab, "scada", "robot")?,
            keep: Probe::new(lab, "plc-1", "scada")?,
        })
    }

    fn is_as_written(&mut self) -> Result<()> {
        for (conduit, probe) in
            [("open", &mut self.open), ("closed", &mut self.closed), ("keep", &mut self.keep)]
        {
            ensure!(probe.passes(LISTED)?, "{conduit}: what is listed does not pass");
            ensure!(!probe.passes(UNLISTED)?, "{conduit}: what is not listed passes");
        }
        Ok(())
    }

    /// Waits until the loss shows; yields when that was.
    fn is_lost(&mut self, patience: Duration) -> Result<(Instant, Instant)> {
        let opened = self.open.until(UNLISTED, true, patience)?;
        let closed = self.closed.until(LISTED, false, patience)?;
        ensure!(self.open.passes(LISTED)? && !self.closed.passes(UNLISTED)?);
        ensure!(self.keep.passes(LISTED)? && !self.keep.passes(UNLISTED)?, "keep does not go on as before");
        Ok((opened, closed))
    }

    fn is_back(&mut self) -> Result<()> {
        self.open.until(UNLISTED, false, Duration::from_secs(10))?;
        self.closed.until(LISTED, true, Duration::from_secs(10))?;
        self.is_as_written()
    }
}

#[test]
fn each_conduit_goes_its_own_way_when_the_agent_hangs_or_is_gone() -> Result<()> {
    let lab = lab()?;
    let agent = Agent::start(&lab, POLICY)?;
    let mut plant = Plant::new(&lab)?;
    plant.is_as_written()?;

    agent.process().signal(Signal::STOP)?;
    let hung = Instant::now();
    let (opened, closed) = plant.is_lost(LIMIT + LATE)?;
    for (what, at) in [("open", opened), ("closed", closed)] {
        let after = at.duration_since(hung);
        println!("{what}: {after:?} after the agent hung, where the limit is {LIMIT:?}");
        ensure!(after + HEARTBEAT >= LIMIT, "{what}: too early");
        ensure!(after <= LIMIT + LATE, "{what}: too late");
    }
    agent.process().signal(Signal::CONT)?;
    plant.is_back()?;
    agent.process().wait_stderr(|line| line.contains("without its agent"), Duration::from_secs(5))?;
    let status = agent.status()?;
    ensure!(status["losses"] == 1, "{status:#}");
    let of = |status: &serde_json::Value, conduit: &str, reason: &str| {
        let conduits = status["conduits"].as_array().into_iter().flatten();
        let found = conduits.filter(|one| one["name"] == conduit).flat_map(|one| one["reasons"].as_array());
        let packets =
            found.flatten().filter(|one| one["reason"] == reason).filter_map(|one| one["packets"].as_u64());
        packets.sum::<u64>()
    };
    ensure!(of(&status, "control-line-b", "agent-lost") > 0, "{status:#}");
    ensure!(of(&status, "control-line-a", "agent-lost") == 0, "{status:#}");

    agent.end(Signal::KILL)?;
    plant.is_lost(LIMIT + HEARTBEAT + LATE)?;
    let agent = Agent::start(&lab, POLICY)?;
    plant.is_back()?;
    ensure!(agent.status()?["losses"] == 2);
    // An event tells of it in the words of the policy.
    let events = agent::verb(&lab, &["status"])?;
    ensure!(events.stdout.contains("on_agent_loss"), "{events}");
    agent.stop()
}
