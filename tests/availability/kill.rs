//! The agent is killed at random moments.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::DEADLINE;
use banchi_tests::traffic::Exchanges;
use rustix::process::Signal;

use super::counts::exchanged;
use super::{A, lab, policy, policy_hash};

const KILLS: usize = 100;

#[test]
fn traffic_goes_on_through_a_hundred_kills() -> Result<()> {
    let (lab, a, b) = lab()?;
    let [a, b] = [a.to_str().unwrap(), b.to_str().unwrap()];
    let known = {
        let agent = Agent::start(&lab, &policy(A))?;
        let first = policy_hash(&agent)?;
        agent.ask(&["apply", b])?;
        let second = policy_hash(&agent)?;
        agent.end(Signal::KILL)?;
        [first, second]
    };
    let exchanges = Exchanges::start(&lab)?;
    let mut rng = fastrand::Rng::with_seed(0x6b69_6c6c);
    let verbs: [&[&str]; 5] =
        [&["apply", a], &["apply", b, "--confirm-within", "1m"], &["confirm"], &["rollback"], &["status"]];
    let mut decided = [0; 2];
    for kill in 0..KILLS {
        let policy = std::fs::read_to_string(if rng.bool() { a } else { b })?;
        let before = exchanges.done();
        let agent = Agent::start(&lab, &policy)?;
        let hash = policy_hash(&agent)?;
        let which = known.iter().position(|known| *known == hash);
        ensure!(which.is_some(), "kill {kill}: an unknown policy decides: {hash}");
        decided[which.unwrap_or(0)] += 1;
        let mut command = Command::new(agent::binary()?);
        command.args(verbs[rng.usize(0..verbs.len())]);
        command.env("BANCHI_SOCKET", agent::socket(&lab)).env("BANCHI_PINS", lab.pins());
        let verb = lab.gateway().spawn(command)?;
        // Random, and no event to wait for: that is the test.
        let moment = Instant::now() + Duration::from_micros(rng.u64(0..120_000));
        while Instant::now() < moment {
            std::thread::yield_now();
        }
        agent.end(Signal::KILL)?;
        // The verb hears of it at once, whatever it was told before.
        verb.finish(DEADLINE)?;
        ensure!(exchanges.done() > before, "kill {kill}: no exchange meanwhile");
    }
    let all = exchanges.finish()?;
    println!(
        "{KILLS} kills: {all} exchanges, none lost, and all of them counted; A decided {} times, B {}",
        decided[0], decided[1]
    );
    ensure!(decided.iter().all(|times| *times > 10), "{decided:?}");
    let agent = Agent::start(&lab, &policy(A))?;
    let counted = exchanged(&agent.status()?);
    ensure!(counted == (all, all), "{all} exchanges, and {counted:?} packets are counted");
    let pins = std::fs::read_dir(lab.pins().join("generations"))?.count();
    ensure!(pins <= 2, "{pins} generations are left");
    agent.stop()?;
    ensure!(!lab.pins().exists());
    Ok(())
}
