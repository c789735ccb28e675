//! Packets through a gateway: its kernel alone, other filters, and banchi.

mod peers;

use anyhow::{Result, ensure};
use banchi_tests::agent::{Agent, Mode};

use crate::gateway::{Bed, Generator};
use crate::measure::{self, Rounds};
use crate::report::{Row, number, short};
use crate::traffic::{self, Forwarding, Service, Tuples};
use peers::Peer;

const BENCH: &str = "forward";
/// Of so many packets of a flood one is listed: the others are ten times as many.
const FLOOD: u32 = 11;
/// Frames of a series.
const FRAMES: (u32, u32) = (100_000, 200_000);
const ROUNDS: (usize, usize) = (3, 9);
const TEN: Tuples = Tuples::new(2, 5);
const HUNDRED: Tuples = Tuples::new(10, 10);
const THOUSAND: Tuples = Tuples::new(10, 100);
const MANY: Tuples = Tuples::new(256, 256);

/// Who filters in a gateway.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Subject {
    /// Nobody.
    Kernel,
    /// Another filter.
    Peer(Peer),
    /// A program that sends every frame on: what any program takes for that.
    Redirect,
    /// The same behind one lookup of the tuple in the kernel's hash table.
    Lookup,
    /// A program that routes every frame by the kernel's tables.
    Fib,
    /// An agent.
    Banchi(Forwarding),
}

/// A gateway with its filter, in one of its modes, under one kind of traffic.
struct Lane<'b> {
    row: Row,
    bed: &'b Bed,
    agent: Option<(&'b Agent<'b>, Mode)>,
    generator: Generator,
    /// Whether what is not listed comes through.
    leaks: bool,
    frames: u32,
    lost: (u64, u64),
    rounds: Rounds,
}

/// What is measured, with the tuples or rules of each.
fn subjects(quick: bool) -> Vec<(Subject, Tuples)> {
    use Peer::{IptablesLinear, IptablesSet, NftLinear, NftSet};
    let all: &[(Peer, &[Tuples])] = match quick {
        true => &[
            (NftSet, &[THOUSAND]),
            (NftLinear, &[HUNDRED]),
            (IptablesSet, &[THOUSAND]),
            (IptablesLinear, &[HUNDRED]),
        ],
        false => &[
            (NftSet, &[TEN, THOUSAND, MANY]),
            (NftLinear, &[HUNDRED, THOUSAND]),
            (IptablesSet, &[TEN, THOUSAND, MANY]),
            (IptablesLinear, &[HUNDRED, THOUSAND]),
        ],
    };
    let mut subjects = vec![(Subject::Kernel, THOUSAND)];
    for (peer, sizes) in all {
        subjects.extend(sizes.iter().map(|tuples| (Subject::Peer(*peer), *tuples)));
    }
    subjects.push((Subject::Redirect, THOUSAND));
    let sizes = if quick { &[THOUSAND][..] } else { &[TEN, THOUSAND, MANY] };
    for bare in [Subject::Lookup, Subject::Fib] {
        subjects.extend(sizes.iter().map(|tuples| (bare, *tuples)));
    }
    for forwarding in traffic::forwardings() {
        let sizes = if quick { &[THOUSAND][..] } else { &[TEN, THOUSAND, MANY] };
        subjects.extend(sizes.iter().map(|tuples| (Subject::Banchi(forwarding), *tuples)));
    }
    subjects
}

/// Runs the part.
pub(crate) fn run(quick: bool) -> Result<Vec<Row>> {
    let mut rows = vec![generator_alone(quick)?];
    // A gateway for each, so that they can be measured in turns.
    let mut built = Vec::new();
    let mut programs = Vec::new();
    for (subject, tuples) in subjects(quick) {
        eprintln!("    building a gateway: {}, {}", name(subject), short(tuples.count()));
        let bed = Bed::new()?;
        match subject {
            Subject::Peer(peer) => peer.set_up(&bed.lab, tuples)?,
            Subject::Redirect => programs.push(bed.onward("redirect", tuples)?),
            Subject::Lookup => programs.push(bed.onward("lookup_redirect", tuples)?),
            Subject::Fib => programs.push(bed.onward("fib_redirect", tuples)?),
            Subject::Kernel | Subject::Banchi(_) => {}
        }
        built.push((subject, tuples, bed));
    }
    let mut agents = Vec::new();
    for (subject, tuples, bed) in &built {
        let Subject::Banchi(forwarding) = subject else {
            agents.push(None);
            continue;
        };
        let policy = traffic::policy(Service::SamePort, *tuples, *forwarding, "enforce");
        agents.push(Some(Agent::start(&bed.lab, &policy)?));
    }
    let mut lanes = Vec::new();
    for ((subject, tuples, bed), agent) in built.iter().zip(&agents) {
        let modes: &[Option<Mode>] =
            if agent.is_some() { &[Some(Mode::Alert), Some(Mode::Enforce)] } else { &[None] };
        for mode in modes {
            for (case, one_of) in [("allowed", 1), ("flood", FLOOD)] {
                let mut row = Row::new(BENCH, name(*subject), case);
                if let (Subject::Banchi(forwarding), Some(mode)) = (subject, mode) {
                    row = row.by(*forwarding, mode.name());
                }
                if !matches!(subject, Subject::Kernel | Subject::Redirect) {
                    row = row.tuples(tuples.count());
                }
                row.distribution = Some("uniform");
                lanes.push(Lane {
                    row,
                    bed,
                    agent: agent.as_ref().zip(*mode),
                    generator: bed.generator(*tuples, one_of, (1024, 1))?,
                    leaks: matches!(subject, Subject::Kernel | Subject::Redirect | Subject::Fib)
                        || *mode == Some(Mode::Alert),
                    frames: if quick { FRAMES.0 } else { FRAMES.1 } / slowness(*subject),
                    lost: (0, 0),
                    rounds: Rounds::default(),
                });
            }
        }
    }
    let rounds = if quick { ROUNDS.0 } else { ROUNDS.1 };
    eprintln!("    {} kinds of traffic, {rounds} rounds", lanes.len());
    for _ in 0..rounds {
        for lane in &mut lanes {
            lane.time()?;
        }
    }
    rows.extend(finish(&lanes)?);
    drop(lanes);
    drop(programs);
    for agent in agents.into_iter().flatten() {
        agent.stop()?;
    }
    Ok(rows)
}

impl Lane<'_> {
    fn time(&mut self) -> Result<()> {
        if let Some((agent, mode)) = self.agent {
            agent.set_mode(mode)?;
        }
        let (sent, seen) = (self.generator.sent()?, self.bed.seen()?);
        let each = measure::slope(self.frames, |frames| self.generator.send(&self.bed.lab, frames))?;
        let (now, arrived) = (self.generator.sent()?, self.bed.seen()?);
        let (sent, arrived_listed) = (now.0 - sent.0, arrived.listed - seen.listed);
        let leaked = arrived.unlisted - seen.unlisted;
        let what = format!("{} of {}", self.row.case, self.row.subject);
        ensure!(arrived_listed > 0, "{what}: no listed packet has arrived");
        ensure!(arrived_listed <= sent, "{what}: more packets have arrived than were sent");
        let should = self.leaks && self.row.case == "flood";
        ensure!((leaked > 0) == should, "{what}: {leaked} unlisted packets have arrived");
        self.lost = (self.lost.0 + sent - arrived_listed, self.lost.1 + sent);
        self.rounds.push(each);
        Ok(())
    }
}

/// What a frame costs that is counted right where it comes in: this is in every other figure as well.
fn generator_alone(quick: bool) -> Result<Row> {
    let bed = Bed::short()?;
    let generator = bed.generator(THOUSAND, 1, (1024, 1))?;
    let frames = if quick { FRAMES.0 } else { FRAMES.1 };
    let mut rounds = Rounds::default();
    for _ in 0..if quick { ROUNDS.0 } else { ROUNDS.1 } {
        rounds.push(measure::slope(frames, |frames| generator.send(&bed.lab, frames))?);
    }
    let (sent, seen) = (generator.sent()?.0, bed.seen()?.listed);
    ensure!(seen > 0 && seen <= sent, "{seen} of {sent} frames have arrived");
    let row = Row::new(BENCH, "generator", "floor").values(&rounds, "ns");
    Ok(Row { loss: Some((sent - seen) as f64 / sent as f64), ..row })
}

fn finish(lanes: &[Lane<'_>]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for lane in lanes {
        let (lost, sent) = lane.lost;
        let row =
            Row { loss: Some(lost as f64 / sent as f64), ..lane.row.clone() }.values(&lane.rounds, "ns");
        let kernel = lanes.iter().find(|other| other.row.subject == "kernel" && other.row.case == row.case);
        rows.push(match kernel {
            Some(kernel) if row.subject != "kernel" => row.against("kernel", &lane.rounds, &kernel.rounds),
            _ => row,
        });
    }
    for row in &rows {
        ensure!(row.value > 0.0, "{} of {} took {} ns", row.case, row.subject, number(row.value));
    }
    // People compare within a kind of traffic.
    rows.sort_by_key(|row| row.case.clone());
    Ok(rows)
}

fn name(subject: Subject) -> &'static str {
    match subject {
        Subject::Kernel => "kernel",
        Subject::Peer(peer) => peer.name(),
        Subject::Redirect => "redirect",
        Subject::Lookup => "lookup-redirect",
        Subject::Fib => "fib-redirect",
        Subject::Banchi(_) => "banchi",
    }
}

/// By how much fewer frames are enough.
fn slowness(subject: Subject) -> u32 {
    match subject {
        Subject::Peer(Peer::NftLinear | Peer::IptablesLinear) => 5,
        _ => 1,
    }
}
