//! Deviations a second, from the kernel to a line of JSON, until the first is lost.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use banchi_tests::agent::Agent;

use crate::gateway::Bed;
use crate::measure::Rounds;
use crate::report::{Row, number};
use crate::traffic::{self, Service, Tuples};

const BENCH: &str = "events";
/// As many flows deviate.
const FLOWS: Tuples = Tuples::new(10, 100);
/// Where the search begins, events a second.
const FIRST: u32 = 4_000;
/// Frames of a run as fast as they go.
const FAST: (u32, u32) = (400_000, 2_000_000);
/// How long the agent may take for what the ring holds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a run.
struct Outcome {
    /// Deviations a second, as they were sent.
    rate: f64,
    lost: u64,
}

/// Runs the part.
pub(crate) fn run(quick: bool) -> Result<Vec<Row>> {
    let bed = Bed::new()?;
    let (rounds, seconds) = if quick { (1, 2) } else { (3, 3) };
    let (mut every, mut suppressed) = (Rounds::default(), Rounds::default());
    for _ in 0..rounds {
        every.push(most(|rate| attempt(&bed, &["--suppress", "0", "--rate", "0"], rate, seconds, quick))?);
        suppressed.push(most(|rate| attempt(&bed, &[], rate, seconds, quick))?);
    }
    let row = |case| Row::new(BENCH, "banchi", case).by(traffic::STACK, "enforce").tuples(FLOWS.count());
    Ok(vec![row("every-packet").values(&every, "/s"), row("suppressed").values(&suppressed, "/s")])
}

/// The highest rate at which nothing was lost: that of the generator, or what a search finds below it.
fn most(attempt: impl Fn(Option<u32>) -> Result<Outcome>) -> Result<f64> {
    let fastest = attempt(None)?;
    if fastest.lost == 0 {
        return Ok(fastest.rate);
    }
    let (mut best, mut rate) = (0.0, FIRST);
    let mut above = loop {
        let outcome = attempt(Some(rate))?;
        if outcome.lost > 0 {
            break rate;
        }
        if outcome.rate < best * 1.1 {
            // The generator, which sends in bursts, does no more.
            return Ok(outcome.rate.max(best));
        }
        (best, rate) = (outcome.rate, rate * 2);
    };
    ensure!(best > 0.0, "events are lost at {FIRST} a second already");
    let mut below = above / 2;
    for _ in 0..3 {
        let middle = below.midpoint(above);
        let outcome = attempt(Some(middle))?;
        match outcome.lost {
            0 => (best, below) = (outcome.rate.max(best), middle),
            _ => above = middle,
        }
    }
    Ok(best)
}

/// Sends deviations to a new agent, and waits until each is accounted for.
fn attempt(bed: &Bed, arguments: &[&str], rate: Option<u32>, seconds: u32, quick: bool) -> Result<Outcome> {
    let lab = &bed.lab;
    let file = lab.directory().join("events.json");
    let path = file.to_str().context("the path of the events")?;
    let policy = traffic::policy(Service::SamePort, FLOWS, traffic::STACK, "enforce");
    let agent = Agent::start_with(lab, &policy, &[&["--events", path], arguments].concat())?;
    let generator = bed.generator(FLOWS, 0, (1024, 1))?;
    let took = match rate {
        Some(rate) => generator.pace(lab, rate, seconds)?,
        None => generator.send(lab, if quick { FAST.0 } else { FAST.1 })?,
    };
    let (_, sent) = generator.sent()?;
    let deadline = Instant::now() + PATIENCE;
    let lost = loop {
        let status = agent.status()?;
        let reports = status.get("reports").and_then(|reports| reports.as_array()).context("no reports")?;
        let sum = |field| reports.iter().filter_map(|row| row.get(field)?.as_u64()).sum::<u64>();
        let (events, lost) = (sum("sent"), sum("lost"));
        let all = events + lost + sum("suppressed") + sum("limited");
        // Repeats are events of their own, one for many.
        if all >= sent && lines(&file)? >= events {
            ensure!(all == sent, "{sent} deviations were sent, and {all} are accounted for");
            ensure!(events > 0, "there is no event");
            break lost;
        }
        if Instant::now() > deadline {
            bail!(
                "{all} of {sent} deviations are accounted for, {} of {events} events are lines",
                lines(&file)?
            );
        }
    };
    agent.stop()?;
    std::fs::remove_file(&file)?;
    let rate = sent as f64 / took.as_secs_f64();
    eprintln!("    {} {} a second: {lost} lost", arguments.join(" "), number(rate));
    Ok(Outcome { rate, lost })
}

fn lines(file: &Path) -> Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 20, std::fs::File::open(file)?);
    let mut lines = 0;
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(lines);
        }
        lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let length = bytes.len();
        reader.consume(length);
    }
}
