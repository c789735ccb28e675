//! More events than anybody can read: the screen follows, keys work, memory has a bound.

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::screen::{Screen, until};

const STATUS: &str = include_str!("../../agent/tests/top/status.json");
const EVENTS: &str = include_str!("../../agent/tests/top/events.jsonl");

/// Somebody who answers at a control socket as an agent, and has as many events as it takes. Ends with the test.
pub(crate) struct Pouring {
    socket: PathBuf,
    poured: Arc<AtomicUsize>,
}

impl Pouring {
    /// One that has `rounds` times all events of the file.
    pub(crate) fn start(directory: &Path, rounds: usize) -> Result<Self> {
        let socket = directory.join("control.sock");
        let listener = UnixListener::bind(&socket)?;
        let poured = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&poured);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let count = Arc::clone(&count);
                std::thread::spawn(move || answer(stream, rounds, &count));
            }
        });
        Ok(Self { socket, poured })
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

fn answer(stream: UnixStream, rounds: usize, poured: &AtomicUsize) -> Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let asked: serde_json::Value = serde_json::from_str(&line)?;
    let mut writer = BufWriter::new(&stream);
    match asked["verb"].as_str() {
        Some("status") => {
            let mut reply: serde_json::Value = serde_json::from_str(STATUS)?;
            reply["reply"] = "status".into();
            writeln!(writer, "{reply}")?;
        }
        Some("events") => {
            for _ in 0..rounds {
                writer.write_all(EVENTS.as_bytes())?;
                poured.fetch_add(EVENTS.lines().count(), Ordering::Relaxed);
            }
            writer.flush()?;
            // Whoever follows hangs up first.
            BufReader::new(&stream).read_line(&mut line)?;
        }
        _ => writeln!(writer, "{{\"reply\":\"error\",\"message\":\"not a request\"}}")?,
    }
    Ok(writer.flush()?)
}

#[test]
fn a_flood_is_not_in_the_way() -> Result<()> {
    const EVERY: usize = 2_000_000;
    let directory = tempfile::tempdir()?;
    let agent = Pouring::start(directory.path(), EVERY / EVENTS.lines().count())?;
    let screen = Screen::at(directory.path(), agent.socket(), 80, 24)?;
    let pid = directory.path().join("pid");
    let start = Instant::now();
    screen.type_line(&format!("sh -c 'echo $$ > {}; exec banchi top'", pid.display()))?;
    screen.wait(" more")?;
    // Keys have their effect while it goes on.
    for _ in 0..5 {
        screen.press("?")?;
        screen.wait("Help")?;
        screen.press("Escape")?;
        screen.wait_gone("Help")?;
    }
    let in_time = agent.poured.load(Ordering::Relaxed);
    let all = EVERY / EVENTS.lines().count() * EVENTS.lines().count();
    until(
        "all of it is poured",
        || (agent.poured.load(Ordering::Relaxed) == all).then_some(()),
        || format!("{} of {all}", agent.poured.load(Ordering::Relaxed)),
    )?;
    let rate = all as f64 / start.elapsed().as_secs_f64();
    println!("{in_time} of {all} events had come when keys had been pressed; {rate:.0} events a second");
    ensure!(in_time < all, "keys were pressed while events came");
    ensure!(rate > 100_000.0, "{rate:.0} events a second");
    // What is kept and what is counted is all that came.
    screen.wait(&format!("Anomalies 1000, {} more", all - 1_000))?;
    let pid = std::fs::read_to_string(&pid)?;
    let memory = std::fs::read_to_string(format!("/proc/{}/status", pid.trim()))?;
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse()?;
    println!("at most {peak} kB of memory");
    ensure!(peak < 100_000, "{peak} kB");
    screen.press("q")?;
    screen.wait_gone("Anomalies")?;
    screen.check_restored()
}
