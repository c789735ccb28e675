//! The gateway as an island.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent};
use rustix::process::Signal;

use super::probe::Probe;
use super::{A, B, BOTH, lab, policy, succeed};

/// Answers of what [`BOTH`] polls come from the other side.
const REPORTS: (u16, u16) = (BOTH.0 + 10, BOTH.1 + 10);

#[test]
fn an_island_lets_nothing_pass_but_what_is_kept_agent_or_not() -> Result<()> {
    let (lab, _, b) = lab()?;
    // In alert mode everything passes otherwise.
    let alert = policy(A).replace("enforce", "alert");
    let agent = Agent::start(&lab, &alert)?;
    let (mut there, mut back) = (Probe::new(&lab, "scada", "plc-1")?, Probe::new(&lab, "plc-1", "scada")?);
    ensure!(there.passes(BOTH)? && there.passes((1, 2))? && back.passes(REPORTS)?);

    let output = agent::verb(&lab, &["island", "--keep", "control-line-b"])?;
    ensure!(output.status.code() == Some(1) && output.stderr.contains("control-line-a"), "{output}");
    ensure!(there.passes(BOTH)?, "a mistake changes nothing");

    // An agent that hangs is not in the way.
    agent.process().signal(Signal::STOP)?;
    let output = succeed(&lab, &["island"])?;
    ensure!(output.stdout.contains("ISLAND") && output.stdout.contains("no conduit"), "{output}");
    ensure!(!there.passes(BOTH)? && !there.passes((1, 2))? && !back.passes(REPORTS)?);
    agent.process().signal(Signal::CONT)?;
    let status = agent.ask(&["status"])?;
    ensure!(status.contains("ISLAND"), "{status}");
    let is_island =
        |line: &str| line.contains("\"reason\":\"island\"") && line.contains("\"verdict\":\"drop\"");
    let until = Instant::now() + Duration::from_secs(5);
    while !agent.ask(&["events", "--last", "1000", "--json"])?.lines().any(is_island) {
        ensure!(Instant::now() < until, "no event tells of the island");
    }

    // What is kept goes on by its policy, also by the next one.
    succeed(&lab, &["island", "--keep", "control-line-a"])?;
    ensure!(there.passes(BOTH)? && there.passes((1, 2))? && back.passes(REPORTS)?);
    succeed(&lab, &["apply", b.to_str().unwrap()])?;
    ensure!(there.passes(B)? && !there.passes(A)?, "policy B enforces");
    succeed(&lab, &["island"])?;
    ensure!(!there.passes(B)?);
    succeed(&lab, &["rollback"])?;
    ensure!(!there.passes(A)? && agent.status()?["island"] == true, "the policy before is an island, too");

    // Whoever starts next says so, and without an agent it ends as well.
    agent.end(Signal::KILL)?;
    ensure!(!there.passes(A)?);
    let agent = Agent::start(&lab, &alert)?;
    agent.process().wait_stderr(|line| line.contains("ISLAND"), Duration::from_secs(5))?;
    agent.end(Signal::KILL)?;
    succeed(&lab, &["island", "--off"])?;
    ensure!(there.passes(A)? && there.passes((1, 2))?);
    succeed(&lab, &["detach", "--yes"])?;
    let output = agent::verb(&lab, &["island"])?;
    ensure!(output.status.code() == Some(20), "{output}");
    Ok(())
}
