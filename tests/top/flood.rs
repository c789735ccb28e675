//! More events than anybody can read: the screen follows, keys work, memory has a bound.

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use banchi_tests::screen::{Screen, until_within};

const STATUS: &str = include_str!("../../agent/tests/top/status.json");
const EVENTS: &str = include_str!("../../agent/tests/top/events.jsonl");

/// Somebody who answers at a control socket as an agent, and has as many events as it takes. Ends with the test.
pub(crate) struct Pouring {
    socket: PathBuf,
    poured: Arc<AtomicUsize>,
    pours: Arc<AtomicBool>,
}

impl Pouring {
    /// One that pours events until it is stopped, or has none.
    pub(crate) fn start(directory: &Path, pours: bool) -> Result<Self> {
        let socket = directory.join("control.sock");
        let listener = UnixListener::bind(&socket)?;
        let (poured, pours) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(pours)));
        let shared = (Arc::clone(&poured), Arc::clone(&pours));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (poured, pours) = shared.clone();
                std::thread::spawn(move || answer(stream, &poured, &pours));
            }
        });
        Ok(Self { socket, poured, pours })
    }

    fn poured(&self) -> usize {
        self.poured.load(Ordering::Relaxed)
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

fn answer(stream: UnixStream, poured: &AtomicUsize, pours: &AtomicBool) -> Result<()> {
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
            while pours.load(Ordering::Relaxed) {
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
    const ENOUGH: usize = 1_000_000;
    let directory = tempfile::tempdir()?;
    let agent = Pouring::start(directory.path(), true)?;
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
    let enough = || (agent.poured() >= ENOUGH).then_some(());
    until_within(Duration::from_secs(60), "a million events", enough, || agent.poured().to_string())?;
    println!("{:.0} events a second", agent.poured() as f64 / start.elapsed().as_secs_f64());
    agent.pours.store(false, Ordering::Relaxed);
    // Some were shown and went again; nothing is counted twice.
    let shown = screen.wait("Anomalies 1000, ")?;
    let more = shown.split("Anomalies 1000, ").nth(1).and_then(|rest| rest.split(' ').next());
    let more: usize = more.context("a count")?.parse()?;
    ensure!((1..=agent.poured() - 1_000).contains(&more), "{more} of {}", agent.poured());
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
