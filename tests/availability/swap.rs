//! Policies take each other's place under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use banchi_tests::agent::Agent;
use banchi_tests::packet::Packet;
use banchi_tests::traffic::Exchanges;

use super::{A, B, lab, policy, succeed};

const SWAPS: usize = 200;

#[test]
fn two_hundred_swaps_lose_nothing_and_mix_nothing() -> Result<()> {
    let (lab, a, b) = lab()?;
    let agent = Agent::start_with(&lab, &policy(A), &["--rate", "0"])?;
    let exchanges = Exchanges::start(&lab)?;

    // What each policy allows alone, and what only a mixture would.
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let socket = scada.raw("eth0")?;
    let watch = plc.raw("eth0")?;
    let stop = Arc::new(AtomicBool::new(false));
    let frame = |source: u16, port: u16| {
        Packet::udp((scada.ipv4(), source), (plc.ipv4(), port)).to_mac(lab.gateway_mac("control")).build()
    };
    let frames = [frame(A.0, A.1), frame(B.0, B.1), frame(A.0, B.1), frame(B.0, A.1)];
    let sender = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || -> Result<u64> {
            let mut rounds = 0;
            while !stop.load(Ordering::Relaxed) {
                // A full queue is no loss: this traffic is only watched.
                let sent = frames.iter().try_for_each(|frame| socket.send(frame));
                rounds += u64::from(sent.is_ok());
                std::thread::yield_now();
            }
            Ok(rounds)
        })
    };
    let arrived: Arc<[AtomicU64; 4]> = Arc::default();
    let watcher = {
        let (stop, arrived) = (Arc::clone(&stop), Arc::clone(&arrived));
        std::thread::spawn(move || -> Result<()> {
            while !stop.load(Ordering::Relaxed) {
                let Some(frame) = watch.receive(Duration::from_millis(20))? else { continue };
                if let Some(kind) = kind(&frame) {
                    arrived[kind].fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        })
    };

    let before = exchanges.done();
    for swap in 0..SWAPS {
        let next = if swap % 2 == 0 { &b } else { &a };
        succeed(&lab, &["apply", next.to_str().unwrap()])?;
    }
    let during = exchanges.done() - before;
    stop.store(true, Ordering::Relaxed);
    let rounds = sender.join().unwrap()?;
    watcher.join().unwrap()?;
    let all = exchanges.finish()?;
    let [only_a, only_b, mixed, mixed_too] = [0, 1, 2, 3].map(|kind| arrived[kind].load(Ordering::Relaxed));
    println!(
        "{SWAPS} swaps: {during} exchanges meanwhile ({all} in all), none lost; of {rounds} rounds {only_a} packets by \
         A alone, {only_b} by B alone, {} by a mixture",
        mixed + mixed_too
    );
    ensure!(during > SWAPS as u64, "too little traffic to tell: {during} exchanges");
    ensure!(only_a > 0 && only_b > 0, "A let {only_a} pass, B {only_b}");
    ensure!(mixed + mixed_too == 0, "{mixed} and {mixed_too} packets were judged by parts of both");
    let status = agent.status()?;
    ensure!(status["generation"] == SWAPS + 1, "{status:#}");
    ensure!(status["previous"]["generation"] == SWAPS, "{status:#}");
    agent.stop()
}

/// Which of the four pairs of ports a frame has.
fn kind(frame: &[u8]) -> Option<usize> {
    if frame.get(12..14)? != [0x08, 0x00] || *frame.get(23)? != 17 {
        return None;
    }
    let port = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    match (port(34)?, port(36)?) {
        A => Some(0),
        B => Some(1),
        (source, port) if (source, port) == (A.0, B.1) => Some(2),
        (source, port) if (source, port) == (B.0, A.1) => Some(3),
        _ => None,
    }
}

/// What is wrong with a policy is said, and the one before goes on.
#[test]
fn a_policy_that_cannot_be_applied_changes_nothing() -> Result<()> {
    let (lab, a, _) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let exchanges = Exchanges::start(&lab)?;
    let before = agent.status()?;
    let other = lab.directory().join("other.yaml");
    for (text, code, says) in [
        ("version: 1".to_owned(), 1, "missing-key"),
        (policy(A).replace("interfaces: [line-a]", "interfaces: [nowhere]"), 1, "nowhere"),
    ] {
        std::fs::write(&other, text)?;
        let output = banchi_tests::agent::verb(&lab, &["apply", other.to_str().unwrap()])?;
        ensure!(output.status.code() == Some(code) && output.stderr.contains(says), "{output}");
    }
    let output = banchi_tests::agent::verb(&lab, &["rollback"])?;
    ensure!(output.status.code() == Some(1) && output.stderr.contains("no generation before"), "{output}");
    let output = banchi_tests::agent::verb(&lab, &["confirm"])?;
    ensure!(output.status.code() == Some(1) && output.stderr.contains("nothing waits"), "{output}");
    ensure!(agent.status()?["generation"] == before["generation"]);
    // The same policy again is a generation of its own, and brings nothing down.
    succeed(&lab, &["apply", a.to_str().unwrap()])?;
    let decides = agent.status()?["generation"].clone();
    // An interface that has no native XDP, which only attaching finds out: the policy before is back at once.
    lab.gateway().check(&["ip", "link", "add", "trunk", "type", "bridge"])?;
    std::fs::write(&other, policy(A).replace("interfaces: [line-a]", "interfaces: [line-a, trunk]"))?;
    let output = banchi_tests::agent::verb(&lab, &["apply", other.to_str().unwrap()])?;
    ensure!(output.status.code() == Some(1) && output.stderr.contains("`trunk`"), "{output}");
    ensure!(agent.status()?["generation"] == decides, "{:#}", agent.status()?);
    exchanges.finish()?;
    agent.stop()
}
