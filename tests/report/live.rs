//! Reports with what a running agent says: real traffic across the demo's gateway, recorded there.
//!
//! Needs root, dumpcap (of tshark's package), and the binary of `cargo xtask build`.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use banchi::capture::{Captures, Frame};
use banchi_tests::agent::{self, Agent, Mode};
use banchi_tests::lab::{DEADLINE, Gateway, Lab, Process};
use banchi_tests::packet::Packet;
use banchi_tests::plant;
use banchi_tests::scenarios::{POLICY, SCENARIOS, Scenario};
use banchi_tests::stage::{Observation, Stage};
use rustix::process::Signal;

/// Records what comes in by both interfaces; it does when this returns.
fn record(lab: &Lab, path: &Path) -> Result<Process> {
    let mut command = Command::new("dumpcap");
    command.args(["-i", "control", "-f", "inbound", "-i", "line-a", "-f", "inbound", "-w"]).arg(path);
    let process = lab.gateway().spawn(command)?;
    process.wait_stderr(|line| line.starts_with("File:"), DEADLINE)?;
    Ok(process)
}

/// Waits until the recording has everything so far: until it has a packet that the laptop sends from now on.
fn recorded(lab: &Lab, path: &Path) -> Result<()> {
    const PORT: u16 = 49_000;
    let laptop = lab.host("laptop");
    let socket = laptop.raw("eth0")?;
    let packet = Packet::udp((laptop.ipv4(), PORT), (Ipv4Addr::new(10, 20, 0, 250), PORT));
    let frame = packet.to_mac(lab.gateway_mac("control")).build();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let mut captures = Captures::open(&[path.to_owned()])?;
        let mut seen = Frame::default();
        while captures.next(&mut seen) {
            if seen.bytes.get(36..38) == Some(&PORT.to_be_bytes()) {
                return Ok(());
            }
        }
        ensure!(Instant::now() < deadline, "the mark is not recorded");
        socket.send(&frame)?;
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_running_agent_is_part_of_the_report() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let named = |name: &str| *SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
    // Modbus, the ring, and a deviation.
    let scenarios: [Scenario; 3] = [named("modbus"), named("ring"), named("unlisted service")];
    let stage = Stage::new(&lab, &scenarios)?;
    let agent = Agent::start(&lab, POLICY)?;
    let events = stage.follow(&agent)?;
    let capture = lab.directory().join("plant.pcapng");
    let recording = record(&lab, &capture)?;
    let observed = stage.play(&scenarios, Mode::Alert, &events, |_| {})?;
    for (scenario, observed) in scenarios.iter().zip(observed) {
        let expected = Observation::expected(scenario, Mode::Alert);
        ensure!(observed == expected, "{}: {observed}", scenario.name);
    }
    recorded(&lab, &capture)?;
    recording.terminate(DEADLINE)?;

    let (capture, policy) = (capture.to_str().unwrap(), lab.directory().join("policy.yaml"));
    let report = |policy: &Path| {
        let policy = policy.to_str().unwrap();
        agent.ask(&["report", capture, "--policy", policy, "--live", "-o", "-"])
    };
    let has = |page: &str, words: &[&str]| -> Result<()> {
        for words in words {
            ensure!(page.contains(words), "nothing of {words:?}: {page}");
        }
        Ok(())
    };
    const OTHER: &str = "The gateway runs another policy than this report is about";
    let page = report(&policy)?;
    has(&page, &["Counters of the gateway since", "The running agent has counted for", "at the gateway: 2"])?;
    ensure!(!page.contains(OTHER) && !page.contains("enforced at the gateway now"), "{page}");
    // Rules that nothing used are those that neither the captures nor the gateway have seen.
    has(&page, &["at the gateway: never", "3 of 5 rules were never used."])?;

    agent.set_mode(Mode::Enforce)?;
    has(&report(&policy)?, &["enforced at the gateway now"])?;
    let changed = lab.directory().join("changed.yaml");
    std::fs::write(&changed, format!("{POLICY}\n# changed\n"))?;
    has(&report(&changed)?, &[OTHER])?;

    // Without an agent what is pinned says the same.
    let arguments = ["report", capture, "--policy", policy.to_str().unwrap(), "--live", "-o", "-"];
    agent.end(Signal::KILL)?;
    let output = agent::verb(&lab, &arguments)?;
    ensure!(output.status.success(), "{output}");
    has(&output.stdout, &["Counters of the gateway since", "enforced at the gateway now"])?;
    let output = agent::verb(&lab, &["detach", "--yes"])?;
    ensure!(output.status.success(), "{output}");
    let output = agent::verb(&lab, &arguments)?;
    ensure!(output.status.code() == Some(20) && output.stdout.is_empty(), "{output}");
    Ok(())
}
