//! Verbs that read work without an agent, from what is pinned, and change nothing of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use aya::maps::{Array, Map, MapData};
use banchi_common::abi::{ROOT_WORDS, STATE_VERSION};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{DEADLINE, Lab};
use banchi_tests::packet::Packet;
use rustix::process::Signal;
use serde_json::Value;

use super::{A, lab, policy, succeed};

fn words(lab: &Lab) -> Result<Array<MapData, u64>> {
    Ok(Array::try_from(Map::Array(MapData::from_pin(lab.pins().join("root/ROOT"))?))?)
}

fn all_words(lab: &Lab) -> Result<Vec<u64>> {
    let words = words(lab)?;
    (0..ROOT_WORDS).map(|at| Ok(words.get(&at, 0)?)).collect()
}

/// Files beside the socket, with their contents.
fn records(lab: &Lab) -> Result<Vec<(String, Vec<u8>)>> {
    let entries = std::fs::read_dir(lab.directory())?;
    let mut files = Vec::new();
    for entry in entries {
        let (name, path) = { (entry.as_ref().unwrap().file_name(), entry.as_ref().unwrap().path()) };
        if path.extension().is_some_and(|known| known == "json") {
            files.push((name.to_string_lossy().into_owned(), std::fs::read(path)?));
        }
    }
    files.sort();
    Ok(files)
}

fn json(lab: &Lab, arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&succeed(lab, arguments)?.stdout)?)
}

#[test]
fn status_events_and_modes_are_read_from_what_is_pinned() -> Result<()> {
    let (lab, _, b) = lab()?;
    // Nothing at all: as ever.
    for verb in ["status", "events", "mode"] {
        let output = agent::verb(&lab, &[verb])?;
        ensure!(output.status.code() == Some(20) && output.stderr.contains("banchi run"), "{output}");
    }
    let agent = Agent::start_with(&lab, &policy(A), &["--suppress", "0"])?;
    let before = agent.status()?;
    ensure!(before["running"] == true && before["last_seen"].is_string(), "{before:#}");
    agent.ask(&["mode", "alert", "--conduit", "control-line-a"])?;
    agent.end(Signal::KILL)?;

    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let (socket, watch) = (scada.raw("eth0")?, plc.raw("eth0")?);
    let send = |source: u16, port: u16| -> Result<()> {
        let packet = Packet::udp((scada.ipv4(), source), (plc.ipv4(), port));
        socket.send(&packet.to_mac(lab.gateway_mac("control")).build())
    };
    for number in 1..=5 {
        send(30_000 + number, 9)?;
    }
    send(A.0, A.1)?;
    loop {
        let frame = watch.receive(DEADLINE)?.unwrap_or_default();
        if frame.get(36..38) == Some(&A.1.to_be_bytes()[..]) {
            break;
        }
    }
    let (pinned, written) = (all_words(&lab)?, records(&lab)?);
    let ports = |lines: &str| -> Vec<u64> {
        let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["dst_port"] == 9).filter_map(|event| event["src_port"].as_u64()).collect()
    };
    for _ in 0..2 {
        let output = succeed(&lab, &["status"])?;
        ensure!(output.stdout.starts_with("NO AGENT RUNS: last seen "), "{output}");
        ensure!(output.stdout.contains("alert (by hand)"), "{output}");
        let status = json(&lab, &["status", "--json"])?;
        ensure!(status["running"] == false && status["pid"].is_null(), "{status:#}");
        ensure!(status["last_seen"].is_string() && status["last_seen_ms_ago"].as_u64().is_some());
        for same in ["generation", "policy_hash", "interfaces", "kernel_bytes", "counts_since"] {
            ensure!(status[same] == before[same], "{same}: {status:#}");
        }
        ensure!(status["rules"][2]["forward_packets"] == 1, "{status:#}");
        ensure!(status["conduits"][0]["mode"] == "alert" && status["conduits"][0]["by_hand"] == true);
        let modes = json(&lab, &["mode", "--json"])?;
        ensure!(modes["running"] == false && modes["conduits"][0]["mode"] == "alert", "{modes:#}");
        // What waits is shown, and waits on.
        let output = succeed(&lab, &["events", "--json", "--last", "1000"])?;
        ensure!(ports(&output.stdout) == [30_001, 30_002, 30_003, 30_004, 30_005], "{output}");
        ensure!(output.stderr.contains("no agent runs"), "{output}");
        let output = succeed(&lab, &["events", "--last", "2"])?;
        ensure!(output.stdout.lines().count() == 2, "{output}");
        let output = agent::verb(&lab, &["events", "--follow"])?;
        ensure!(output.status.code() == Some(20), "{output}");
    }
    let output = succeed(&lab, &["bypass"])?;
    ensure!(output.stdout.contains("BYPASS"), "{output}");
    let status = json(&lab, &["status", "--json"])?;
    ensure!(status["bypass"] == true, "{status:#}");
    succeed(&lab, &["bypass", "--off"])?;
    ensure!(all_words(&lab)? == pinned, "a verb that reads has written a word");
    ensure!(records(&lab)? == written, "a verb that reads has written a file");
    // Nothing but changes needs an agent.
    for verb in [&["mode", "alert", "--all"][..], &["apply", b.to_str().unwrap()], &["rollback"]] {
        let output = agent::verb(&lab, verb)?;
        ensure!(output.status.code() == Some(20), "{output}");
    }

    // Pins that this version cannot use.
    let mut version = words(&lab)?;
    version.set(0, STATE_VERSION + 1, 0)?;
    for verb in ["status", "events", "mode"] {
        let output = agent::verb(&lab, &[verb])?;
        ensure!(output.status.code() == Some(18) && output.stderr.contains("root/ROOT"), "{output}");
    }
    version.set(0, STATE_VERSION, 0)?;

    // The next agent reports what waited.
    let agent = Agent::start(&lab, &policy(A))?;
    let until = std::time::Instant::now() + DEADLINE;
    while ports(&agent.ask(&["events", "--json", "--last", "1000"])?).len() < 5 {
        ensure!(std::time::Instant::now() < until, "the events are lost");
        std::thread::sleep(Duration::from_millis(20));
    }
    // One that hangs answers nobody; what is pinned does.
    agent.process().signal(Signal::STOP)?;
    let output = succeed(&lab, &["status"])?;
    agent.process().signal(Signal::CONT)?;
    ensure!(output.stdout.starts_with("THE AGENT DOES NOT ANSWER: last seen "), "{output}");
    agent.stop()
}

#[test]
fn status_says_what_the_kernel_did_by_itself() -> Result<()> {
    let (lab, _, b) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let first = agent.status()?["policy_hash"].clone();
    succeed(&lab, &["apply", b.to_str().unwrap(), "--confirm-within", "2s"])?;
    let second = agent.status()?["policy_hash"].clone();
    agent.end(Signal::KILL)?;
    let status = json(&lab, &["status", "--json"])?;
    let waits = status["policy_hash"] == second && status["confirm_until"].is_string();
    ensure!(waits || status["policy_hash"] == first, "{status:#}");
    let until = std::time::Instant::now() + DEADLINE;
    let status = loop {
        let status = json(&lab, &["status", "--json"])?;
        if status["fell_back_at"].is_string() {
            break status;
        }
        ensure!(std::time::Instant::now() < until, "{status:#}");
        std::thread::sleep(Duration::from_millis(50));
    };
    ensure!(status["policy_hash"] == first && status["previous"]["policy_hash"] == second, "{status:#}");
    ensure!(status["confirm_until"].is_null(), "{status:#}");
    let output = succeed(&lab, &["status"])?;
    ensure!(output.stdout.contains("NOT CONFIRMED in time"), "{output}");
    let agent = Agent::start(&lab, &policy(A))?;
    let status = agent.status()?;
    ensure!(status["policy_hash"] == first && status["fell_back_at"].is_null(), "{status:#}");
    agent.stop()
}
