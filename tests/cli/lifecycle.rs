//! Starting, stopping, being killed, and starting again.

use std::os::unix::fs::FileTypeExt;

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::scenarios::POLICY;
use rustix::process::Signal;

use super::{attached, plant};

#[test]
fn no_end_of_an_agent_is_in_the_way_of_the_next() -> Result<()> {
    let lab = plant()?;
    let socket = agent::socket(&lab);
    let mut programs = Vec::new();
    let mut before = None;
    for signal in [Signal::TERM, Signal::INT, Signal::KILL, Signal::TERM] {
        let agent = Agent::start(&lab, POLICY)?;
        let running = attached(&lab)?;
        ensure!(running.len() == 2, "{running:?}");
        programs.push(u32::try_from(running[0].1)?);
        let adopted = before.replace(running.clone()).is_none_or(|before| before == running);
        ensure!(adopted, "the next agent takes up what is attached, and attaches nothing");
        let meta = std::fs::metadata(&socket)?;
        ensure!(meta.file_type().is_socket());
        ensure!(std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777 == 0o600);
        super::event(&lab, &agent)?;
        let status = agent.end(signal)?;
        if signal == Signal::KILL {
            ensure!(!status.success());
        } else {
            ensure!(status.success(), "{status} after {signal:?}");
            ensure!(!socket.exists(), "the socket is left after {signal:?}");
        }
        ensure!(attached(&lab)? == running, "the data plane goes on after {signal:?}");
    }
    let output = agent::verb(&lab, &["detach"])?;
    ensure!(output.status.code() == Some(2), "it asks, and nobody answers: {output}");
    ensure!(attached(&lab)?.len() == 2);
    let output = agent::verb(&lab, &["detach", "--yes"])?;
    ensure!(output.status.success(), "{output}");
    ensure!(attached(&lab)?.is_empty(), "nothing is attached after detach");
    ensure!(!lab.pins().exists());
    // The kernel gives the ids of programs once only.
    let left = aya::programs::loaded_programs().filter_map(Result::ok).map(|program| program.id());
    let left: Vec<u32> = left.filter(|id| programs.contains(id)).collect();
    ensure!(left.is_empty(), "programs are left: {left:?}");
    Ok(())
}

#[test]
fn a_file_gets_every_event_and_keeps_those_of_an_earlier_run() -> Result<()> {
    let lab = plant()?;
    let _listens = super::listen(&lab)?;
    let file = lab.directory().join("events.jsonl");
    let arguments = ["--events", file.to_str().unwrap(), "--suppress", "0"];
    let mut known = 0;
    for _ in 0..2 {
        let agent = Agent::start_with(&lab, POLICY, &arguments)?;
        let events = agent.follow(|number| super::deviate(&lab, 40_000 + number))?;
        let followed = events.since(0)?.len();
        agent.stop()?;
        let text = std::fs::read_to_string(&file)?;
        let lines: Vec<serde_json::Value> =
            text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        ensure!(lines.len() >= known + followed, "{} lines, {followed} events, {known} before", lines.len());
        known = lines.len();
        for line in &lines {
            ensure!(line["reason"] == "source-port-deviation" && line["verdict"] == "would-drop", "{line}");
        }
    }
    Ok(())
}

#[test]
fn what_cannot_be_written_is_said_before_anything_is_attached() -> Result<()> {
    let lab = plant()?;
    let policy = lab.directory().join("policy.yaml");
    std::fs::write(&policy, POLICY)?;
    let start = |more: &[&str]| {
        let binary = agent::binary()?;
        let socket = agent::socket(&lab);
        let mut words = vec![binary.to_str().unwrap(), "run", "--policy", policy.to_str().unwrap()];
        let pins = lab.pins();
        words.extend(["--socket", socket.to_str().unwrap(), "--pins", pins.to_str().unwrap()]);
        words.extend(more);
        lab.gateway().output(&words, super::LOADING)
    };
    let output = start(&["--events", "/nowhere/events.jsonl"])?;
    ensure!(output.status.code() == Some(2), "{output}");
    ensure!(output.stderr.contains("cannot write /nowhere/events.jsonl"), "{output}");
    ensure!(attached(&lab)?.is_empty() && !agent::socket(&lab).exists());

    // Something else of that name is not removed.
    std::fs::write(agent::socket(&lab), "precious")?;
    let output = start(&[])?;
    ensure!(output.status.code() == Some(1), "{output}");
    ensure!(output.stderr.contains("no socket"), "{output}");
    ensure!(std::fs::read_to_string(agent::socket(&lab))? == "precious");
    ensure!(attached(&lab)?.is_empty());
    Ok(())
}
