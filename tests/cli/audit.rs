//! Every change is recorded, and what is done to the record shows.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{DEADLINE, Lab};
use banchi_tests::scenarios::POLICY;
use rustix::process::Signal;
use serde_json::Value;

use super::plant;

fn entries(text: &str) -> Result<Vec<Value>> {
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn succeed(lab: &Lab, arguments: &[&str]) -> Result<String> {
    let output = agent::verb(lab, arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {output}");
    Ok(output.stdout)
}

#[test]
fn every_change_has_a_line() -> Result<()> {
    let lab = plant()?;
    let file = lab.directory().join("audit.jsonl");
    let agent = Agent::start(&lab, POLICY)?;
    let other = lab.directory().join("other.yaml");
    fs::write(&other, format!("{POLICY}\n# another\n"))?;
    let other = other.to_str().unwrap();
    succeed(&lab, &["mode", "enforce", "--elsewhere"])?;
    succeed(&lab, &["apply", other, "--confirm-within", "1m"])?;
    ensure!(agent::verb(&lab, &["apply", other])?.status.code() == Some(1));
    succeed(&lab, &["confirm"])?;
    succeed(&lab, &["rollback"])?;
    succeed(&lab, &["apply", other, "--confirm-within", "1s"])?;
    agent.process().wait_stderr(|line| line.contains("not confirmed in time"), DEADLINE)?;
    succeed(&lab, &["status"])?;
    agent.end(Signal::TERM)?;
    succeed(&lab, &["bypass"])?;
    succeed(&lab, &["bypass", "--off"])?;
    succeed(&lab, &["detach", "--yes"])?;
    ensure!(agent::verb(&lab, &["bypass"])?.status.code() == Some(20));

    let text = fs::read_to_string(&file)?;
    let found = entries(&text)?;
    let seen: Vec<(&str, &str)> = found
        .iter()
        .map(|entry| (entry["verb"].as_str().unwrap_or("?"), entry["result"].as_str().unwrap_or("?")))
        .collect();
    let expected = [
        ("run", "done"),
        ("mode", "done"),
        ("apply", "done"),
        ("apply", "failed"),
        ("confirm", "done"),
        ("rollback", "done"),
        ("apply", "done"),
        ("fall-back", "done"),
        ("stop", "done"),
        ("bypass", "done"),
        ("bypass", "done"),
        ("detach", "done"),
        ("bypass", "failed"),
    ];
    ensure!(seen == expected, "{seen:?}");
    for entry in &found {
        ensure!(entry["uid"] == 0 && entry["user"] == "root" && entry["pid"].is_number(), "{entry}");
        let time = entry["time"].as_str().unwrap_or_default();
        ensure!(time.len() == 27 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{entry}");
    }
    // Policies before and after: the first has no before, detach has no after.
    let policies = |at: usize| (&found[at]["old_policy"], &found[at]["new_policy"]);
    let (none, first) = policies(0);
    ensure!(none.is_null() && first.as_str().is_some_and(|hash| hash.len() == 64), "{none} {first}");
    let (before, second) = policies(2);
    ensure!(before == first && second != first && *second == found[2]["arguments"]["policy_sha256"]);
    ensure!(found[2]["arguments"]["policy"] == other && found[2]["arguments"]["confirm_within_ms"] == 60_000);
    ensure!(found[3]["why"].as_str().is_some_and(|why| why.contains("waits for its confirmation")));
    ensure!(policies(3) == (second, second) && policies(5) == (second, first));
    ensure!(policies(7) == (second, first) && policies(9) == (first, first));
    ensure!(policies(11) == (first, &Value::Null), "{:?}", policies(11));
    ensure!(found[10]["arguments"]["off"] == true);

    // For people.
    let shown = succeed(&lab, &["audit", "--last", "11"])?;
    ensure!(shown.lines().count() == 11, "{shown}");
    ensure!(shown.contains("root: apply") && shown.contains("policy ") && shown.contains(" -> "), "{shown}");
    ensure!(shown.contains("root: bypass off=true"), "{shown}");

    // The chain holds, and breaks where something is done to a line.
    let said = succeed(&lab, &["audit", "--check"])?;
    ensure!(said.contains("13 entries"), "{said}");
    for (name, edited) in [
        ("changed", text.replacen("\"rollback\"", "\"confirm\"", 1)),
        (
            "removed",
            text.lines().enumerate().filter(|(at, _)| *at != 4).map(|(_, l)| format!("{l}\n")).collect(),
        ),
    ] {
        let copy = lab.directory().join(name);
        fs::write(&copy, edited)?;
        let output = agent::verb(&lab, &["audit", "--check", copy.to_str().unwrap()])?;
        ensure!(output.status.code() == Some(1) && output.stderr.contains("broken"), "{output}");
        ensure!(output.stdout.contains(&format!("{name}:")), "{output}");
    }
    let output = agent::verb(&lab, &["audit", "/nowhere"])?;
    ensure!(output.status.code() == Some(2) && output.stderr.contains("cannot read /nowhere"), "{output}");
    Ok(())
}

#[test]
fn the_chain_goes_on_in_the_next_file() -> Result<()> {
    let lab = plant()?;
    let (file, old) = (lab.directory().join("audit.jsonl"), lab.directory().join("audit.jsonl.1"));
    let agent = Agent::start(&lab, POLICY)?;
    succeed(&lab, &["mode", "alert", "--all"])?;
    for signal in [true, false] {
        fs::rename(&file, &old)?;
        if signal {
            agent.process().signal(Signal::HUP)?;
        }
        // Without a signal within a second or so, and before anybody else begins another chain there.
        let until = std::time::Instant::now() + DEADLINE;
        while !fs::read_to_string(&file).is_ok_and(|text| text.contains("continue-log")) {
            ensure!(std::time::Instant::now() < until, "the agent makes no new file");
            std::thread::yield_now();
        }
        succeed(&lab, &["bypass"])?;
        succeed(&lab, &["bypass", "--off"])?;
        let files = ["audit", "--check", old.to_str().unwrap(), file.to_str().unwrap()];
        succeed(&lab, &files)?;
    }
    // No file means no chain, and no obstacle.
    fs::remove_file(&file)?;
    succeed(&lab, &["mode", "alert", "--all"])?;
    ensure!(fs::read_to_string(&file)?.contains("\"mode\""));
    agent.stop()
}

#[test]
fn a_log_that_cannot_be_written_is_in_nobodys_way() -> Result<()> {
    let lab = plant()?;
    let agent = Agent::start_with(&lab, POLICY, &["--audit", "/proc/nowhere/audit.jsonl"])?;
    succeed(&lab, &["mode", "enforce", "--all"])?;
    let said = "audit: cannot write /proc/nowhere/audit.jsonl";
    let line = agent.process().wait_stderr(|line| line.contains(said) && line.contains("mode"), DEADLINE)?;
    ensure!(line.contains("root: mode"), "what it would have said is in the agent's log: {line}");
    ensure!(agent.status()?["audit_unwritten"] == 2, "{:#}", agent.status()?);
    ensure!(agent.ask(&["status"])?.contains("2 entries of the audit log could not be written"));
    let output = agent::verb(&lab, &["bypass", "--audit", "/proc/nowhere/audit.jsonl"])?;
    ensure!(output.status.success() && output.stderr.contains("not in the audit log"), "{output}");
    ensure!(agent.status()?["bypass"] == true);
    agent.stop()
}
