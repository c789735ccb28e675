//! The agent as a service: what its manager hears, what SIGHUP does, how it logs, and how the unit confines it.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent;
use banchi_tests::lab::{DEADLINE, Gateway, Lab, Process};
use banchi_tests::plant;
use banchi_tests::scenarios::POLICY;
use rustix::process::Signal;
use serde_json::Value;

use super::PATIENCE;
use banchi_tests::traffic::uninterrupted;

fn verb(lab: &Lab, arguments: &[&str]) -> Result<String> {
    let output = agent::verb(lab, arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {output}");
    Ok(output.stdout)
}

fn run(lab: &Lab, policy: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(agent::binary()?);
    command.arg("run").arg("--policy").arg(policy).args(["--grace", "0s"]).args(arguments);
    command.env("BANCHI_SOCKET", agent::socket(lab)).env("BANCHI_PINS", lab.pins());
    Ok(command)
}

/// Waits for a message to a service manager that says this.
fn hear(socket: &UnixDatagram, wanted: &str) -> Result<String> {
    let mut buffer = [0; 4096];
    let mut heard = Vec::new();
    loop {
        let length = uninterrupted(|| socket.recv(&mut buffer))
            .with_context(|| format!("no {wanted} after {heard:?}"))?;
        let text = String::from_utf8(buffer[..length].to_vec())?;
        if text.lines().any(|line| line.starts_with(wanted)) {
            return Ok(text);
        }
        heard.push(text);
    }
}

#[test]
fn the_manager_hears_how_it_goes_and_sighup_applies_a_policy_that_was_changed() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let path = lab.directory().join("notify");
    let manager = UnixDatagram::bind(&path)?;
    manager.set_read_timeout(Some(PATIENCE))?;
    let policy = lab.directory().join("policy.yaml");
    fs::write(&policy, POLICY)?;
    let mut command = run(&lab, &policy, &["--reload-confirm", "1h"])?;
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "3000000");
    let running = lab.gateway().spawn(command)?;
    let ready = hear(&manager, "READY=1")?;
    ensure!(ready.contains("STATUS=generation 1 of "), "{ready}");
    hear(&manager, "WATCHDOG=1")?;
    hear(&manager, "WATCHDOG=1")?;

    // The file is as it was: nothing is applied, also where another policy decides.
    let other = lab.directory().join("other.yaml");
    fs::write(&other, format!("{POLICY}\n# another\n"))?;
    verb(&lab, &["apply", other.to_str().unwrap()])?;
    // While it loads a policy the manager waits longer.
    ensure!(hear(&manager, "WATCHDOG_USEC=")?.contains("WATCHDOG_USEC=300000000"));
    ensure!(hear(&manager, "STATUS=")?.contains(&format!("generation 2 of {}", other.display())));
    ensure!(hear(&manager, "WATCHDOG_USEC=")?.contains("WATCHDOG_USEC=3000000"));
    running.signal(Signal::HUP)?;
    hear(&manager, "WATCHDOG=1")?;
    hear(&manager, "WATCHDOG=1")?;
    let status = || -> Result<Value> { Ok(serde_json::from_str(&verb(&lab, &["status", "--json"])?)?) };
    ensure!(status()?["generation"] == 2, "{:#}", status()?);

    // One with a mistake: said, and what decides goes on.
    fs::write(&policy, POLICY.replace("version: 1", "version: 7"))?;
    running.signal(Signal::HUP)?;
    hear(&manager, "RELOADING=1")?;
    let ready = hear(&manager, "READY=1")?;
    ensure!(ready.contains("STATUS=generation 2 of "), "{ready}");
    running.wait_stderr(|line| line.contains("was not taken, what decides goes on"), PATIENCE)?;

    // A good one: proven, applied, and confirmed by somebody.
    fs::write(&policy, format!("{POLICY}\n# changed\n"))?;
    running.signal(Signal::HUP)?;
    ensure!(hear(&manager, "RELOADING=1")?.contains("MONOTONIC_USEC="));
    let ready = hear(&manager, "READY=1")?;
    ensure!(
        ready.contains(&format!("of {}", policy.display())) && !ready.contains("generation 2 "),
        "{ready}"
    );
    ensure!(!status()?["confirm_until"].is_null(), "{:#}", status()?);
    verb(&lab, &["confirm"])?;
    let audit = verb(&lab, &["audit", "--json"])?;
    let reloads: Vec<Value> = audit
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["verb"] == "reload")
        .collect();
    let results: Vec<&str> = reloads.iter().filter_map(|line| line["result"].as_str()).collect();
    ensure!(results == ["failed", "done"], "{audit}");

    running.signal(Signal::TERM)?;
    hear(&manager, "STOPPING=1")?;
    running.terminate(DEADLINE)?;
    verb(&lab, &["detach", "--yes"])?;
    Ok(())
}

#[test]
fn the_log_is_json_where_asked_for_and_has_priorities_for_the_journal() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let policy = lab.directory().join("policy.yaml");
    fs::write(&policy, POLICY)?;
    let ready = |line: &str| line.starts_with("banchi: ready");
    let end = |running: Process| -> Result<Vec<String>> {
        running.wait_stderr(ready, PATIENCE)?;
        verb(&lab, &["mode", "enforce", "--all"])?;
        running.wait_stderr(|line| line.contains("set to enforce by hand"), PATIENCE)?;
        let lines = running.stderr();
        running.terminate(DEADLINE)?;
        verb(&lab, &["detach", "--yes"])?;
        Ok(lines.into_iter().filter(|line| line.contains("set to enforce by hand")).collect())
    };
    let lines = end(lab.gateway().spawn(run(&lab, &policy, &["--log-format", "json"])?)?)?;
    let line: Value = serde_json::from_str(lines.first().context("a line")?)?;
    ensure!(
        line["level"] == "WARN" && line["message"].is_string() && line["timestamp"].is_string(),
        "{line}"
    );

    let lines = end(lab.gateway().spawn(run(&lab, &policy, &[])?)?)?;
    ensure!(lines[0].starts_with("banchi: warn: mode of "), "{lines:?}");

    // As systemd does it: standard error is what JOURNAL_STREAM names.
    let mut command = Command::new("sh");
    let script = "JOURNAL_STREAM=$(stat -L -c %d:%i /dev/fd/2) exec \"$0\" \"$@\"";
    let inner = run(&lab, &policy, &[])?;
    command.arg("-c").arg(script).arg(inner.get_program()).args(inner.get_args());
    command.env("BANCHI_SOCKET", agent::socket(&lab)).env("BANCHI_PINS", lab.pins());
    let lines = end(lab.gateway().spawn(command)?)?;
    let json = lines[0].strip_prefix("<4>").with_context(|| lines[0].clone())?;
    let line: Value = serde_json::from_str(json)?;
    ensure!(line["level"] == "WARN", "{line}");
    Ok(())
}

#[test]
fn the_unit_confines_the_agent_and_lets_it_do_its_work() -> Result<()> {
    let unit: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd/banchi.service");
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--no-pager", "--offline=true", "--threshold=20"]).arg(&unit);
    let output = Process::spawn(command)
        .context("systemd-analyze is not there: cargo xtask setup")?
        .finish(Duration::from_secs(60))?;
    ensure!(output.status.success(), "the exposure is above 2.0: {output}");
    println!("{}", output.stdout.lines().last().unwrap_or_default().trim());
    // What the agent cannot do without.
    ensure!(output.stdout.contains("bpf is allowed"), "{output}");
    for capability in ["CAP_BPF", "CAP_NET_ADMIN"] {
        let line = output.stdout.lines().find(|line| line.contains(&format!("~{capability}")));
        ensure!(line.is_some_and(|line| line.contains('✗')), "{capability}: {line:?}");
    }
    let text = fs::read_to_string(&unit)?;
    for (key, value) in [
        ("Type", "notify"),
        ("RuntimeDirectoryPreserve", "yes"),
        ("CapabilityBoundingSet", "CAP_BPF CAP_NET_ADMIN CAP_PERFMON"),
        ("ReadWritePaths", "/sys/fs/bpf"),
    ] {
        ensure!(text.lines().any(|line| line == format!("{key}={value}")), "{key}={value}");
    }
    Ok(())
}
