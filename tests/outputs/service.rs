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

use super::journal::{Entry, Journald};
use super::{PATIENCE, until};
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

/// As systemd starts it: standard error is what `JOURNAL_STREAM` names. Its `/run` is a directory of the lab, so that no
/// journal of this machine is asked.
fn run_by_systemd(lab: &Lab, policy: &Path) -> Result<Command> {
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$0\" /run && JOURNAL_STREAM=$(stat -L -c %d:%i /dev/fd/2) exec \"$@\"";
    let inner = run(lab, policy, &[])?;
    command.args(["--mount", "sh", "-c", script]).arg(lab.directory().join("run"));
    command.arg(inner.get_program()).args(inner.get_args());
    command.env("BANCHI_SOCKET", agent::socket(lab)).env("BANCHI_PINS", lab.pins());
    Ok(command)
}

#[test]
fn the_log_is_for_people_or_json_or_the_journals() -> Result<()> {
    const SAID: &str = "set to enforce by hand";
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let policy = lab.directory().join("policy.yaml");
    fs::write(&policy, POLICY)?;
    let begin = |command: Command| -> Result<Process> {
        let running = lab.gateway().spawn(command)?;
        running.wait_stderr(|line| line.starts_with("banchi: ready"), PATIENCE)?;
        verb(&lab, &["mode", "enforce", "--all"])?;
        Ok(running)
    };
    let end = |running: Process| -> Result<()> {
        running.terminate(DEADLINE)?;
        verb(&lab, &["detach", "--yes"])?;
        Ok(())
    };
    let line = |command: Command| -> Result<String> {
        let running = begin(command)?;
        running.wait_stderr(|line| line.contains(SAID), PATIENCE)?;
        let line = running.stderr().into_iter().find(|line| line.contains(SAID)).context("a line")?;
        end(running)?;
        Ok(line)
    };
    let said: Value = serde_json::from_str(&line(run(&lab, &policy, &["--log-format", "json"])?)?)?;
    ensure!(
        said["level"] == "WARN" && said["message"].is_string() && said["timestamp"].is_string(),
        "{said}"
    );
    let said = line(run(&lab, &policy, &[])?)?;
    ensure!(said.starts_with("banchi: warn: mode of "), "{said}");

    // The journal has standard error, and its socket is not there.
    let journal = lab.directory().join("run/systemd/journal");
    fs::create_dir_all(&journal)?;
    let said = line(run_by_systemd(&lab, &policy)?)?;
    let is_json_with_priority = |said: &str| -> Result<()> {
        let json = said.strip_prefix("<4>").with_context(|| said.to_owned())?;
        let json: Value = serde_json::from_str(json)?;
        ensure!(json["level"] == "WARN", "{json}");
        Ok(())
    };
    is_json_with_priority(&said)?;

    // It is.
    let journald = Journald::bind(&journal.join("socket"))?;
    let running = begin(run_by_systemd(&lab, &policy)?)?;
    let is_it = |entry: &Entry| entry.get("MESSAGE").is_some_and(|message| message.concat().contains(SAID));
    until("the entry", || Ok(journald.entries().iter().any(is_it)))?;
    let entry = journald.entries().into_iter().find(is_it).context("an entry")?;
    for (name, value) in
        [("PRIORITY", "4"), ("SYSLOG_IDENTIFIER", "banchi"), ("BANCHI_KIND", "log"), ("MESSAGE", "mode of ")]
    {
        let found = entry.get(name).with_context(|| format!("{name} of {entry:?}"))?.concat();
        ensure!(found.starts_with(value), "{name} of {entry:?}");
    }
    for name in ["TARGET", "CODE_FILE", "CODE_LINE"] {
        ensure!(entry.contains_key(name), "{name} of {entry:?}");
    }
    ensure!(!running.stderr().iter().any(|line| line.contains(SAID)), "said twice");
    end(running)?;

    // It hangs, and its queue is full: the agent does not wait for it, and says it on standard error.
    let (_, _socket) = journald.hang()?;
    let filler = UnixDatagram::unbound()?;
    filler.set_nonblocking(true)?;
    while filler.send_to(b"MESSAGE=another\n", journal.join("socket")).is_ok() {}
    is_json_with_priority(&line(run_by_systemd(&lab, &policy)?)?)
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
