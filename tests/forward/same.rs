//! One policy means the same, however packets leave.

use anyhow::{Result, ensure};
use banchi_tests::agent::{Agent, Mode};
use banchi_tests::lab::{Gateway, Lab};
use banchi_tests::plant;
use banchi_tests::scenarios::{SCENARIOS, policy};
use banchi_tests::stage::{Observation, Stage};

use super::count;

/// Lets everything happen that the demo shows, in both modes, with real protocol stacks.
fn play(gateway: Gateway, forwarding: &str) -> Result<u64> {
    let lab = Lab::new(gateway, &plant::zones())?;
    let stage = Stage::new(&lab, SCENARIOS)?;
    let agent = Agent::start(&lab, &policy(forwarding)?)?;
    let events = stage.follow(&agent)?;
    for mode in [Mode::Alert, Mode::Enforce] {
        if mode == Mode::Enforce {
            agent.set_mode(mode)?;
        }
        let observed = stage.play(SCENARIOS, mode, &events, |_| {})?;
        for (scenario, observed) in SCENARIOS.iter().zip(observed) {
            let expected = Observation::expected(scenario, mode);
            ensure!(observed == expected, "{}: {observed}, not {expected}", scenario.name);
        }
    }
    let routed = count(&agent, "routed")?;
    ensure!(agent.status()?["forwarding"] == forwarding);
    agent.stop()?;
    Ok(routed)
}

#[test]
fn by_the_stack() -> Result<()> {
    ensure!(play(Gateway::Routes, "stack")? == 0);
    Ok(())
}

#[test]
fn by_routes() -> Result<()> {
    let routed = play(Gateway::Routes, "route")?;
    ensure!(routed > 100, "only {routed} packets were routed by the program");
    Ok(())
}

#[test]
fn over_a_wire() -> Result<()> {
    ensure!(play(Gateway::Isolates, "wire")? == 0);
    Ok(())
}
