//! Counters go on over policies: what was counted is what was sent.

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{DEADLINE, Lab};
use banchi_tests::packet::Packet;
use banchi_tests::traffic::Exchanges;
use rustix::process::Signal;
use serde_json::Value;

use super::{A, B, lab, policy, succeed};

/// Packets of clients and of servers by the two rules that both policies have, as the status says.
pub(crate) fn exchanged(status: &Value) -> (u64, u64) {
    let rules = status["rules"].as_array().into_iter().flatten().take(2);
    let sum = |field: &str| rules.clone().filter_map(|rule| rule[field].as_u64()).sum();
    (sum("forward_packets"), sum("return_packets"))
}

/// Sends packets that one policy allows and the other one does not, and waits until all are counted.
fn deviate(lab: &Lab, (source, port): (u16, u16), packets: usize) -> Result<()> {
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let (socket, watch) = (scada.raw("eth0")?, plc.raw("eth0")?);
    let frame = |source: u16, port: u16, number: u8| {
        let packet = Packet::udp((scada.ipv4(), source), (plc.ipv4(), port)).payload([number; 8]);
        packet.to_mac(lab.gateway_mac("control")).build()
    };
    for _ in 0..packets {
        socket.send(&frame(source, port, 1))?;
    }
    // Both policies let this pass, and it comes last.
    socket.send(&frame(super::BOTH.0, super::BOTH.1, 2))?;
    loop {
        let frame = watch.receive(DEADLINE)?.unwrap_or_default();
        if frame.get(36..38) == Some(&super::BOTH.1.to_be_bytes()[..]) && frame.get(42) == Some(&2) {
            return Ok(());
        }
    }
}

#[test]
fn totals_are_exact_over_swaps_under_load_rollbacks_and_kills() -> Result<()> {
    let (lab, a, b) = lab()?;
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let agent = Agent::start(&lab, &policy(A))?;
    let since = agent.status()?["counts_since"].clone();
    ensure!(since.as_str().is_some_and(|since| since.starts_with("20")), "{since}");
    let exchanges = Exchanges::start(&lab)?;
    for round in 0..10 {
        succeed(&lab, &["apply", if round % 2 == 0 { b } else { a }])?;
        succeed(&lab, &["rollback"])?;
        if round % 3 == 0 {
            succeed(&lab, &["rollback"])?;
        }
    }
    // A rule that only one of them has.
    succeed(&lab, &["apply", a])?;
    let all = exchanges.finish()?;
    let status = agent.status()?;
    println!("{all} exchanges over 24 changes of policy: {:?} counted", exchanged(&status));
    ensure!(exchanged(&status) == (all, all), "{all} exchanges: {status:#}");
    ensure!(status["counts_since"] == since, "{status:#}");

    deviate(&lab, A, 7)?;
    deviate(&lab, B, 5)?;
    let counted = |status: &Value| {
        let reasons = status["conduits"][0]["reasons"].as_array().into_iter().flatten();
        let deviating: u64 = reasons
            .filter(|reason| reason["reason"] == "unlisted-service")
            .filter_map(|reason| reason["packets"].as_u64())
            .sum();
        let reports = status["reports"].as_array().into_iter().flatten();
        let reported: u64 = reports
            .filter(|row| row["reason"] == "unlisted-service")
            .flat_map(|row| ["sent", "suppressed", "limited", "lost"].map(|field| row[field].as_u64()))
            .flatten()
            .sum();
        let extra = status["rules"][2]["forward_packets"].as_u64().unwrap_or(0);
        (extra, deviating, reported, status["conduits"][0]["by_former_rules"].as_u64().unwrap_or(9))
    };
    // What the packets of one policy are to the other: the same rule's name, so that its count goes on.
    let first = counted(&agent.status()?);
    ensure!(first.1 == first.2 && first.0 == 7, "{first:?}");
    succeed(&lab, &["apply", b])?;
    ensure!(counted(&agent.status()?) == first, "{:?}", counted(&agent.status()?));
    deviate(&lab, B, 11)?;
    let second = counted(&agent.status()?);
    ensure!((second.0, second.1) == (18, first.1), "{second:?}");
    // Nothing is counted twice by going back and forth.
    for _ in 0..4 {
        succeed(&lab, &["rollback"])?;
        ensure!(counted(&agent.status()?) == second);
    }
    // A rule that the policy no longer has: its packets stay with the conduit.
    let without = lab.directory().join("without.yaml");
    let text = policy(A);
    let (head, _) = text.rsplit_once("      - { client: scada, server: plc, service: extra }").unwrap();
    std::fs::write(&without, head)?;
    let allowed = agent.status()?["conduits"][0]["allowed"].clone();
    succeed(&lab, &["apply", without.to_str().unwrap()])?;
    let status = agent.status()?;
    ensure!(status["conduits"][0]["by_former_rules"] == 18, "{status:#}");
    ensure!(status["conduits"][0]["allowed"] == allowed, "{status:#}");
    let text = agent.ask(&["status"])?;
    ensure!(text.contains("18 packets in control-line-a were allowed by rules"), "{text}");
    // The same without an agent, and with the next one.
    let known = (exchanged(&status), counted(&status));
    agent.end(Signal::KILL)?;
    let read = serde_json::from_str::<Value>(&succeed(&lab, &["status", "--json"])?.stdout)?;
    ensure!((exchanged(&read), counted(&read)) == known, "{read:#}");
    let agent = Agent::start(&lab, head)?;
    let status = agent.status()?;
    ensure!((exchanged(&status), counted(&status)) == known, "{status:#}");
    succeed(&lab, &["apply", a])?;
    ensure!(counted(&agent.status()?).0 == 18);
    agent.stop()?;
    // Who begins anew counts anew.
    let agent = Agent::start(&lab, &policy(A))?;
    let status = agent.status()?;
    ensure!(exchanged(&status) == (0, 0) && status["counts_since"] != since, "{status:#}");
    agent.stop()
}

/// Each step of taking a generation's counters in, and a kill after it.
#[test]
fn counts_are_right_wherever_an_agent_was_killed() -> Result<()> {
    let (lab, a, b) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    deviate(&lab, A, 3)?;
    succeed(&lab, &["apply", b.to_str().unwrap()])?;
    let total = exchanged(&agent.status()?);
    let counts = lab.directory().join("counts.json");
    let before = std::fs::read(&counts)?;
    let extra = |status: &Value| status["rules"][2]["forward_packets"].as_u64();
    ensure!(extra(&agent.status()?) == Some(3));
    // Keep what is about to be forgotten: its pins, as links of the same objects.
    let generations = lab.pins().join("generations");
    let keep = |kept: &std::path::Path| -> Result<Vec<(std::ffi::OsString, aya::maps::MapData)>> {
        let mut maps = Vec::new();
        for entry in std::fs::read_dir(kept)? {
            let entry = entry?;
            if entry.file_name() != "program" {
                maps.push((entry.file_name(), aya::maps::MapData::from_pin(entry.path())?));
            }
        }
        Ok(maps)
    };
    let kept = keep(&generations.join("g1"))?;
    let record = std::fs::read(lab.directory().join("generation-1.json"))?;
    succeed(&lab, &["apply", a.to_str().unwrap()])?;
    ensure!(!generations.join("g1").exists());
    let after = std::fs::read(&counts)?;
    ensure!(before != after);
    agent.end(Signal::KILL)?;
    let back = || -> Result<()> {
        std::fs::create_dir(generations.join("g1"))?;
        for (name, map) in &kept {
            map.pin(generations.join("g1").join(name))?;
        }
        Ok(std::fs::write(lab.directory().join("generation-1.json"), &record)?)
    };
    // Killed before its counters were written, then after that and before its pins went.
    for (name, text) in [("before", &before), ("after", &after)] {
        back()?;
        std::fs::write(&counts, text)?;
        let read = serde_json::from_str::<Value>(&succeed(&lab, &["status", "--json"])?.stdout)?;
        ensure!(extra(&read) == Some(3) && exchanged(&read) == total, "{name}: {read:#}");
        ensure!(generations.join("g1").exists(), "{name}: a verb that reads has forgotten a generation");
        let agent = Agent::start(&lab, &policy(A))?;
        let status = agent.status()?;
        ensure!(extra(&status) == Some(3) && exchanged(&status) == total, "{name}: {status:#}");
        ensure!(!generations.join("g1").exists(), "{name}");
        // No number is used twice: it would be held for one that was taken in.
        succeed(&lab, &["apply", b.to_str().unwrap()])?;
        succeed(&lab, &["apply", a.to_str().unwrap()])?;
        ensure!(extra(&agent.status()?) == Some(3), "{name}");
        std::fs::copy(&counts, lab.directory().join("counts.copy"))?;
        agent.end(Signal::KILL)?;
        // The next round begins where this one has begun.
        if name == "before" {
            continue;
        }
        // Broken by hand: said, and no reason not to start.
        std::fs::write(&counts, "{")?;
        let agent = Agent::start(&lab, &policy(A))?;
        ensure!(agent.process().stderr().iter().any(|line| line.contains("counting begins anew")));
        agent.stop()?;
    }
    let output = agent::verb(&lab, &["status"])?;
    ensure!(output.status.code() == Some(20), "{output}");
    Ok(())
}
