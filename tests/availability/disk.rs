//! A disk that is full, and files that are renamed, while events and policies come.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{DEADLINE, Lab, Mount};
use banchi_tests::packet::Packet;
use banchi_tests::traffic::Exchanges;
use rustix::process::Signal;
use serde_json::Value;

use super::{A, B, lab, policy, policy_hash, succeed};

/// Packets that neither policy allows, one after the other, until it is stopped.
struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    fn start(lab: &Lab) -> Result<Self> {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
        let socket = scada.raw("eth0")?;
        let packet = Packet::udp((scada.ipv4(), A.0), (plc.ipv4(), B.1));
        let frame = packet.to_mac(lab.gateway_mac("control")).build();
        let thread = {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // A full queue is no failure here: what arrives is counted where it arrives.
                    sent.fetch_add(u64::from(socket.send(&frame).is_ok()), Ordering::Relaxed);
                    std::thread::yield_now();
                }
            })
        };
        Ok(Self { stop, sent, thread: Some(thread) })
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits until it is so.
fn until(what: &str, mut is: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + 3 * DEADLINE;
    while !is()? {
        ensure!(Instant::now() < end, "not in time: {what}");
        std::thread::yield_now();
    }
    Ok(())
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// Events that the agent was sent, as the data plane counted them.
fn sent(status: &Value) -> u64 {
    status["reports"].as_array().into_iter().flatten().map(|report| number(&report["sent"])).sum()
}

/// Whole lines, and parts of lines.
fn lines(file: &Path) -> Result<(u64, u64)> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let whole =
        |line: &&str| serde_json::from_str::<Value>(line).is_ok_and(|event| event["reason"].is_string());
    let count = text.lines().filter(whole).count() as u64;
    Ok((count, text.lines().count() as u64 - count))
}

/// Waits until nothing comes any more, and stops the agent. Yields the events that it was sent.
fn wind_up(agent: Agent<'_>) -> Result<(u64, u64)> {
    let mut before = 0;
    until("the last event", || {
        // Each status is answered after what was read from the ring before.
        let now = sent(&agent.status()?);
        Ok(std::mem::replace(&mut before, now) == now)
    })?;
    let status = agent.status()?;
    let counts = (sent(&status), number(&status["events_unwritten"]));
    agent.stop()?;
    Ok(counts)
}

#[test]
fn rotation_under_load_loses_no_line() -> Result<()> {
    const ROTATIONS: usize = 200;
    let (lab, _, _) = lab()?;
    let file = lab.directory().join("events.jsonl");
    let arguments = ["--events", file.to_str().unwrap(), "--suppress", "0", "--rate", "0"];
    let agent = Agent::start_with(&lab, &policy(A), &arguments)?;
    let exchanges = Exchanges::start(&lab)?;
    let flood = Flood::start(&lab)?;
    let mut files = vec![file.clone()];
    for rotation in 0..ROTATIONS {
        let old = lab.directory().join(format!("events.jsonl.{rotation}"));
        fs::rename(&file, &old)?;
        if rotation % 2 == 0 {
            agent.process().signal(Signal::HUP)?;
        }
        until("a new file with lines", || Ok(fs::metadata(&file).is_ok_and(|meta| meta.len() > 8_000)))?;
        files.push(old);
    }
    drop(flood);
    let (sent, unwritten) = wind_up(agent)?;
    let counts = files.iter().map(|file| lines(file)).collect::<Result<Vec<_>>>()?;
    let (whole, parts) = counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    println!("{ROTATIONS} rotations: {sent} events, {whole} lines in {} files", files.len());
    ensure!(unwritten == 0 && parts == 0, "{unwritten} unwritten, {parts} parts of lines");
    ensure!(whole == sent, "{whole} lines, {sent} events");
    ensure!(sent > 1_000, "too little to tell: {sent} events");
    exchanges.finish()?;
    Ok(())
}

#[test]
fn a_full_disk_costs_the_lines_that_it_has_no_room_for() -> Result<()> {
    let (lab, _, _) = lab()?;
    let disk = Mount::tmpfs(&lab, "disk", "512k")?;
    let file = disk.path().join("events.jsonl");
    let filler = fill(&disk, Some(200 << 10))?;
    let arguments = ["--events", file.to_str().unwrap(), "--suppress", "0", "--rate", "0"];
    let agent = Agent::start_with(&lab, &policy(A), &arguments)?;
    let exchanges = Exchanges::start(&lab)?;
    let unwritten = || Ok::<_, anyhow::Error>(number(&agent.status()?["events_unwritten"]));
    for round in 0..3 {
        let before = unwritten()?;
        let flood = Flood::start(&lab)?;
        until("a full disk", || Ok(unwritten()? > before))?;
        let done = exchanges.done();
        exchanges.go_on(done)?;
        ensure!(flood.sent() > 0);
        drop(flood);
        ensure!(agent.ask(&["status"])?.contains("events could not be written"));
        ensure!(
            agent.ask(&["events", "--last", "1"])?.contains("10.20.0.11"),
            "whoever follows them has them"
        );
        // Room again: for some more in the same file, then in the next one.
        if round == 0 {
            fs::remove_file(&filler)?;
        } else {
            fs::rename(&file, disk.path().join("old"))?;
            fs::copy(disk.path().join("old"), lab.directory().join(format!("kept-{round}")))?;
            fs::remove_file(disk.path().join("old"))?;
        }
        let told = agent.process().stderr().len();
        let flood = Flood::start(&lab)?;
        until("lines again", || {
            let lines = agent.process().stderr();
            Ok(lines.iter().skip(told).any(|line| line.contains("written to") && line.contains("again")))
        })?;
        drop(flood);
    }
    let said = agent.process().stderr();
    let complaints = said.iter().filter(|line| line.contains("cannot write events")).count();
    ensure!((3..=6).contains(&complaints), "said once each time: {said:?}");
    // The file goes with its disk.
    let status = agent.status()?;
    ensure!(number(&status["events_unwritten"]) > 0 && sent(&status) > 1_000, "{status:#}");
    agent.process().signal(Signal::HUP)?;
    let mut whole = 0;
    let (sent, unwritten) = wind_up(agent)?;
    let kept = [1, 2].map(|round| lab.directory().join(format!("kept-{round}")));
    for file in kept.iter().chain([&file]) {
        let (lines, parts) = lines(file)?;
        println!("{}: {lines} lines, {parts} parts", file.display());
        ensure!(lines > 0 && parts <= 4, "{parts} parts of lines");
        whole += lines;
    }
    println!("{sent} events: {whole} lines, {unwritten} without room");
    ensure!(whole + unwritten == sent, "{whole} lines and {unwritten} unwritten are not {sent} events");
    exchanges.finish()?;
    Ok(())
}

/// Takes this much room of a disk, or all.
fn fill(disk: &Mount, bytes: Option<usize>) -> Result<PathBuf> {
    let path = disk.path().join("filler");
    match bytes {
        Some(bytes) => fs::write(&path, vec![0; bytes])?,
        None => {
            let mut file = fs::File::create(&path)?;
            while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
        }
    }
    Ok(path)
}

/// Records, the socket and the audit log on a disk that is full.
#[test]
fn a_policy_that_cannot_be_recorded_is_not_applied() -> Result<()> {
    let (lab, _, _) = lab()?;
    let disk = Mount::tmpfs(&lab, "", "2m")?;
    let (a, b) = (lab.directory().join("policy.yaml"), lab.directory().join("b.yaml"));
    fs::write(&b, policy(B))?;
    let agent = Agent::start(&lab, &policy(A))?;
    let exchanges = Exchanges::start(&lab)?;
    let first = policy_hash(&agent)?;
    let filler = fill(&disk, None)?;
    let before = exchanges.done();
    for _ in 0..3 {
        let output = agent::verb(&lab, &["apply", b.to_str().unwrap()])?;
        ensure!(output.status.code() == Some(1) && output.stderr.contains("No space left"), "{output}");
    }
    ensure!(policy_hash(&agent)? == first);
    ensure!(agent.status()?["previous"].is_null() && agent.status()?["generation"] == 1);
    let generations = fs::read_dir(lab.pins().join("generations"))?.count();
    ensure!(generations == 1, "{generations} are pinned");
    let drafts = fs::read_dir(disk.path())?.flatten();
    let drafts = drafts.filter(|entry| entry.file_name().to_string_lossy().contains("generation-")).count();
    ensure!(drafts == 1, "{drafts} records and drafts");
    // What needs no disk works, and what is not recorded is counted.
    until("a line of the audit log that has no room", || {
        succeed(&lab, &["mode", "alert", "--all"])?;
        succeed(&lab, &["mode", "enforce", "--all"])?;
        Ok(number(&agent.status()?["audit_unwritten"]) > 0)
    })?;
    exchanges.go_on(before)?;
    agent.end(Signal::KILL)?;

    // The next one takes it up, while the disk is still full.
    let run = ["run", "--policy", a.to_str().unwrap(), "--grace", "0s"];
    let mut command = std::process::Command::new(agent::binary()?);
    command.args(run).env("BANCHI_SOCKET", agent::socket(&lab)).env("BANCHI_PINS", lab.pins());
    let next = lab.gateway().spawn(command)?;
    next.wait_stderr(|line| line.starts_with("banchi: ready"), Duration::from_secs(60))?;
    ensure!(next.stderr().iter().any(|line| line.contains("the same policy")), "{:?}", next.stderr());
    // Its own first lines have no room: a thread writes them, some time after it is ready.
    until("a line of the next agent that has no room", || {
        succeed(&lab, &["mode", "enforce", "--all"])?;
        let status: Value = serde_json::from_str(&succeed(&lab, &["status", "--json"])?.stdout)?;
        Ok(number(&status["audit_unwritten"]) > 0)
    })?;
    fs::remove_file(&filler)?;
    succeed(&lab, &["apply", b.to_str().unwrap()])?;
    let log = succeed(&lab, &["audit", "--check"])?;
    ensure!(log.stdout.contains("could not be written at their time"), "{log}");
    exchanges.finish()?;
    next.terminate(DEADLINE)?;
    succeed(&lab, &["detach", "--yes"])?;
    Ok(())
}
