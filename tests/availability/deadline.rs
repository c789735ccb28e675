//! A policy that nobody confirms goes, with an agent or without one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::packet::Packet;
use banchi_tests::traffic::Exchanges;
use rustix::process::Signal;

use super::{A, lab, policy, policy_hash, succeed};

const WITHIN: Duration = Duration::from_secs(2);
/// What the kernel may take longer: its coarse clock, and a packet to notice it by.
const LATE: Duration = Duration::from_millis(100);

#[test]
fn the_kernel_itself_brings_the_previous_policy_back() -> Result<()> {
    let (lab, a, b) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let exchanges = Exchanges::start(&lab)?;
    let first = policy_hash(&agent)?;
    let begun = Instant::now();
    succeed(&lab, &["apply", b.to_str().unwrap(), "--confirm-within", "2s"])?;
    let applied = Instant::now();
    ensure!(agent.status()?["confirm_until"].is_string());
    agent.end(Signal::KILL)?;

    // Policy A lets this pass, policy B does not.
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let (socket, watch) = (scada.raw("eth0")?, plc.raw("eth0")?);
    let frame =
        Packet::udp((scada.ipv4(), A.0), (plc.ipv4(), A.1)).to_mac(lab.gateway_mac("control")).build();
    let passes = |frame: &[u8]| frame.get(36..38) == Some(&A.1.to_be_bytes()[..]);
    let back = loop {
        socket.send(&frame)?;
        let sent = Instant::now();
        if watch.receive(Duration::from_millis(5))?.is_some_and(|frame| passes(&frame)) {
            break sent;
        }
        ensure!(applied.elapsed() < WITHIN + Duration::from_secs(5), "policy A does not come back");
    };
    let (early, late) = (back.duration_since(begun), back.duration_since(applied));
    println!(
        "not confirmed within {WITHIN:?}: the previous policy was back between {late:?} and {early:?} after"
    );
    ensure!(early >= WITHIN, "too early: {early:?}");
    ensure!(late <= WITHIN + LATE, "too late: {late:?}");

    // Who starts next with the policy that was taken back does not bring it back.
    let agent = Agent::start(&lab, &std::fs::read_to_string(&b)?)?;
    ensure!(policy_hash(&agent)? == first);
    ensure!(agent.process().stderr().iter().any(|line| line.contains("was taken back")));
    agent.end(Signal::TERM)?;
    // Who starts with the policy that decides takes up just that.
    let agent = Agent::start(&lab, &std::fs::read_to_string(&a)?)?;
    ensure!(policy_hash(&agent)? == first);
    let status = agent.status()?;
    ensure!(status["confirm_until"].is_null() && status["fell_back"].as_u64() > Some(0), "{status:#}");
    exchanges.finish()?;
    agent.stop()
}

#[test]
fn a_confirmed_policy_stays_and_an_unconfirmed_one_goes_under_an_agent() -> Result<()> {
    let (lab, _, b) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let exchanges = Exchanges::start(&lab)?;
    let first = policy_hash(&agent)?;
    let b = b.to_str().unwrap();
    succeed(&lab, &["apply", b, "--confirm-within", "1s"])?;
    agent.process().wait_stderr(|line| line.contains("not confirmed in time"), Duration::from_secs(10))?;
    ensure!(policy_hash(&agent)? == first);

    succeed(&lab, &["apply", b, "--confirm-within", "2s"])?;
    let second = policy_hash(&agent)?;
    ensure!(second != first);
    let output = agent::verb(&lab, &["apply", b])?;
    ensure!(
        output.status.code() == Some(1) && output.stderr.contains("waits for its confirmation"),
        "{output}"
    );
    succeed(&lab, &["confirm"])?;
    ensure!(agent.status()?["confirm_until"].is_null());
    // Later than the deadline would have been.
    let until = Instant::now() + Duration::from_millis(2_500);
    while Instant::now() < until {
        ensure!(policy_hash(&agent)? == second);
    }
    succeed(&lab, &["rollback"])?;
    ensure!(policy_hash(&agent)? == first);
    succeed(&lab, &["rollback"])?;
    ensure!(policy_hash(&agent)? == second);
    exchanges.finish()?;
    agent.stop()
}

#[test]
fn bypass_works_with_an_agent_that_hangs_and_without_one() -> Result<()> {
    let (lab, _, _) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let (socket, watch) = (scada.raw("eth0")?, plc.raw("eth0")?);
    let mut number = 0;
    // No policy lets this pass; each packet is told by its own number.
    let mut passes = || -> Result<bool> {
        number += 1;
        let frame = Packet::udp((scada.ipv4(), 1), (plc.ipv4(), 2)).payload([number; 8]);
        socket.send(&frame.to_mac(lab.gateway_mac("control")).build())?;
        // What is allowed for sure comes after it.
        let known = Packet::udp((scada.ipv4(), A.0), (plc.ipv4(), A.1)).payload([number; 8]);
        socket.send(&known.to_mac(lab.gateway_mac("control")).build())?;
        let mut seen = false;
        loop {
            let frame = watch.receive(Duration::from_secs(5))?.context("nothing arrives")?;
            let payload = frame.get(42..50) == Some(&[number; 8]);
            match frame.get(36..38) {
                Some([0, 2]) if payload => seen = true,
                Some(port) if payload && port == A.1.to_be_bytes() => return Ok(seen),
                _ => {}
            }
        }
    };
    ensure!(!passes()?);
    agent.process().signal(Signal::STOP)?;
    succeed(&lab, &["bypass"])?;
    ensure!(passes()?, "with an agent that hangs");
    agent.process().signal(Signal::CONT)?;
    let status = agent.ask(&["status"])?;
    ensure!(status.contains("BYPASS"), "{status}");
    succeed(&lab, &["bypass", "--off"])?;
    ensure!(!passes()?);
    agent.end(Signal::KILL)?;
    ensure!(!passes()?, "the policy goes on without an agent");
    succeed(&lab, &["bypass"])?;
    ensure!(passes()?, "without an agent");
    succeed(&lab, &["bypass", "--off"])?;
    ensure!(!passes()?);
    succeed(&lab, &["detach", "--yes"])?;
    let output = agent::verb(&lab, &["bypass"])?;
    ensure!(output.status.code() == Some(20) && output.stderr.contains("banchi run"), "{output}");
    Ok(())
}
