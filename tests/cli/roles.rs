//! Who may ask the agent for what.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent, User};
use banchi_tests::lab::{DEADLINE, Lab, Output};
use banchi_tests::scenarios::POLICY;

use super::plant;

/// Groups and users that this machine need not have.
const READERS: u32 = 61_010;
const OPERATORS: u32 = 61_020;
const SOMEBODY: u32 = 61_001;

/// Runs a verb as a user with a group of its own and these besides.
fn verb_of(lab: &Lab, groups: &[u32], arguments: &[&str]) -> Result<Output> {
    let user = User { id: SOMEBODY, groups: groups.to_vec(), capabilities: &[] };
    let mut command = user.command(lab)?;
    command.args(arguments).env("BANCHI_SOCKET", agent::socket(lab)).env("BANCHI_PINS", lab.pins());
    lab.gateway().spawn(command)?.finish(DEADLINE)
}

fn start<'lab>(lab: &'lab Lab, more: &[&str]) -> Result<Agent<'lab>> {
    let (readers, operators) = (READERS.to_string(), OPERATORS.to_string());
    let groups = ["--readers", &readers, "--operators", &operators];
    Agent::start_with(lab, POLICY, &[&groups[..], more].concat())
}

fn refused(output: &Output, words: &[&str]) -> Result<()> {
    ensure!(output.status.code() == Some(22), "{output}");
    for word in words {
        ensure!(output.stderr.contains(word), "nothing of {word:?}: {output}");
    }
    ensure!(output.stdout.is_empty(), "{output}");
    Ok(())
}

#[test]
fn groups_decide_who_may_look_and_who_may_change() -> Result<()> {
    let lab = plant()?;
    let agent = start(&lab, &[])?;
    let ok = |groups: &[u32], arguments: &[&str]| -> Result<()> {
        let output = verb_of(&lab, groups, arguments)?;
        ensure!(output.status.success(), "{groups:?} {arguments:?}: {output}");
        Ok(())
    };
    let who = format!("(uid {SOMEBODY}) may not ");

    // Nobody in particular.
    let (readers, operators) = (format!("`{READERS}`"), format!("`{OPERATORS}`"));
    refused(&verb_of(&lab, &[], &["status"])?, &[&who, "status", "the role reader", &readers, &operators])?;
    refused(&verb_of(&lab, &[], &["events"])?, &["may not events"])?;
    refused(&verb_of(&lab, &[], &["events", "--follow"])?, &["may not events"])?;

    // A reader looks, and changes nothing.
    ok(&[READERS], &["status"])?;
    ok(&[READERS], &["events"])?;
    let file = lab.directory().join("policy.yaml");
    let apply = ["apply", file.to_str().unwrap()];
    let long = lab.directory().join("long.yaml");
    std::fs::write(&long, format!("{POLICY}\n# {}\n", "x".repeat(200_000)))?;
    let changes: [&[&str]; 5] = [
        &["mode", "enforce", "--all"],
        &apply,
        &["confirm"],
        &["rollback"],
        // More than the agent reads of somebody who may not change anything.
        &["apply", long.to_str().unwrap()],
    ];
    let before = agent.status()?;
    for change in changes {
        refused(&verb_of(&lab, &[READERS], change)?, &[&who, "the role operator", &operators])?;
    }
    let after = agent.status()?;
    let modes = |status: &serde_json::Value| {
        status["conduits"].as_array().into_iter().flatten().map(|one| one["mode"].clone()).collect::<Vec<_>>()
    };
    ensure!(before["generation"] == after["generation"] && modes(&before) == modes(&after));

    // An operator does both; which of many groups it is does not matter.
    ok(&[OPERATORS], &["status"])?;
    ok(&[OPERATORS], &["mode", "alert", "--all"])?;
    ok(&[OPERATORS], &apply)?;
    let many: Vec<u32> = (70_000..70_100).chain([OPERATORS]).collect();
    ok(&many, &["rollback"])?;
    ok(&[OPERATORS], &["apply", long.to_str().unwrap()])?;

    // All of it is known: who was refused what, and who changed what.
    let log = agent.ask(&["audit", "--json", "--last", "100"])?;
    let entries: Vec<serde_json::Value> =
        log.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?;
    let count = |result: &str| entries.iter().filter(|entry| entry["result"] == result).count();
    ensure!(count("refused") == 8, "{log}");
    let rollback = entries.iter().find(|entry| entry["verb"] == "rollback" && entry["result"] == "done");
    let rollback = rollback.unwrap_or(&serde_json::Value::Null);
    ensure!(rollback["uid"] == SOMEBODY && rollback["user"].is_null(), "{rollback}");
    ensure!(rollback["command"].as_str().is_some_and(|line| line.ends_with("banchi rollback")), "{rollback}");
    agent.stop()
}

#[test]
fn without_groups_nobody_else_may_connect() -> Result<()> {
    let lab = plant()?;
    let agent = Agent::start(&lab, POLICY)?;
    let mode =
        |lab: &Lab| Ok::<_, anyhow::Error>(agent::socket(lab).metadata()?.permissions().mode() & 0o777);
    ensure!(mode(&lab)? == 0o600);
    refused(&verb_of(&lab, &[OPERATORS], &["status"])?, &["may not connect", "--operators GROUP"])?;
    agent.stop()?;
    let output = agent::verb(&lab, &["run", "--readers", "no-such-group", "--policy", "/dev/null"]);
    let output = output?;
    ensure!(output.status.code() == Some(1), "the policy comes first: {output}");
    let policy = lab.directory().join("policy.yaml");
    let arguments = ["run", "--readers", "no-such-group", "--policy", policy.to_str().unwrap()];
    let output = agent::verb(&lab, &arguments)?;
    ensure!(output.status.code() == Some(2) && output.stderr.contains("`no-such-group`"), "{output}");
    let agent = start(&lab, &[])?;
    ensure!(mode(&lab)? == 0o666, "refused one by one, with a reason");
    agent.stop()
}

/// Whoever may do nothing cannot keep those out who may, and cannot fill the log.
#[test]
fn a_crowd_keeps_nobody_out() -> Result<()> {
    let lab = plant()?;
    let agent = start(&lab, &[])?;
    let user = User { id: SOMEBODY, groups: Vec::new(), capabilities: &[] };
    let crowd = user.run(|| -> Result<Vec<UnixStream>> {
        (0..200).map(|_| Ok(UnixStream::connect(agent::socket(&lab))?)).collect()
    })?;
    ensure!(agent.status()?["generation"] == 1);
    agent.ask(&["mode", "alert", "--all"])?;
    let output = verb_of(&lab, &[READERS], &["status"])?;
    ensure!(output.status.success(), "{output}");
    drop(crowd);
    let asked = user.run(|| -> Result<usize> {
        use std::io::{Read as _, Write as _};
        let mut refusals = 0;
        for _ in 0..100 {
            let mut stream = UnixStream::connect(agent::socket(&lab))?;
            let mut answer = String::new();
            let written = stream.write_all(b"{\"verb\":\"confirm\"}\n");
            if written.is_ok() && stream.read_to_string(&mut answer).is_ok() {
                refusals += usize::from(answer.contains("refused"));
            }
        }
        Ok(refusals)
    })?;
    ensure!(asked > 30, "{asked}");
    let log = agent.ask(&["audit", "--json", "--last", "1000"])?;
    let recorded = log.lines().filter(|line| line.contains("\"refused\"")).count();
    ensure!(recorded == 30, "{recorded} of {asked} refusals are recorded");
    agent.stop()
}

#[test]
fn the_agent_of_somebody_else_is_not_pushed_aside() -> Result<()> {
    let lab = plant()?;
    let agent = Agent::start(&lab, POLICY)?;
    std::fs::set_permissions(lab.directory(), PermissionsExt::from_mode(0o777))?;
    let user = User { id: SOMEBODY, groups: Vec::new(), capabilities: &["bpf", "net_admin", "perfmon"] };
    let mut command: Command = user.command(&lab)?;
    let policy = lab.directory().join("policy.yaml");
    command.arg("run").arg("--policy").arg(&policy).env("BANCHI_SOCKET", agent::socket(&lab));
    command.env("BANCHI_PINS", lab.pins());
    let output = lab.gateway().spawn(command)?.finish(DEADLINE)?;
    ensure!(output.status.code() == Some(1) && output.stderr.contains("ermission denied"), "{output}");
    ensure!(agent.status()?["generation"] == 1, "it still answers where it did");
    agent.stop()
}
