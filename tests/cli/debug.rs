//! Debugging of the data plane: a line for each packet where it is asked for, and no trace of it where not.

use anyhow::{Context, Result, ensure};
use banchi_tests::agent::Agent;
use banchi_tests::lab::{DEADLINE, Lab};
use banchi_tests::scenarios::POLICY;

use super::{deviate, plant};

/// Instructions of the program that logs, in bytes: as the verifier left them and as the processor runs them.
fn sizes(lab: &Lab) -> Result<(u32, u32)> {
    let generation = std::fs::read_dir(lab.pins().join("generations"))?.next().context("no generation")??;
    let program = aya::programs::ProgramInfo::from_pin(generation.path().join("slow_path"))?;
    Ok((program.size_translated().context("no size")?, program.size_jitted()))
}

#[test]
fn packets_are_logged_where_asked_for_and_cost_nothing_where_not() -> Result<()> {
    let lab = plant()?;
    let agent = Agent::start_with(&lab, POLICY, &["--debug-packets"])?;
    let with = sizes(&lab)?;
    for source_port in [40_001, 40_002] {
        deviate(&lab, source_port)?;
        let line = format!("ports {source_port} > 47808");
        let line = agent.process().wait_stderr(|printed| printed.contains(&line), DEADLINE)?;
        ensure!(line.starts_with("banchi: trace: "), "{line}");
    }
    let lines = agent.process().stderr();
    let other = lines
        .iter()
        .find(|line| (line.contains("debug") || line.contains("trace")) && !line.contains("ports"));
    ensure!(other.is_none(), "besides packets: {other:?}");
    agent.stop()?;

    let agent = Agent::start_with(&lab, POLICY, &[])?;
    let without = sizes(&lab)?;
    super::event(&lab, &agent)?;
    let lines = agent.process().stderr();
    ensure!(!lines.iter().any(|line| line.contains("ports")), "{lines:?}");
    ensure!(without.0 < with.0 && without.1 < with.1, "{without:?} without, {with:?} with");
    agent.stop()
}
