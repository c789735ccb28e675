//! Questions and answers between sockets, through a gateway that is idle or flooded.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use banchi_tests::agent::{Agent, Mode};
use banchi_tests::lab::{Gateway, Lab, Mac, RawSocket, Zone};
use banchi_tests::packet::Packet;
use banchi_tests::traffic::UdpEcho;

use crate::measure::{self, Rounds, quantile};
use crate::report::{Row, number};
use crate::traffic::{self, Forwarding, PORT, Service, Tuples, client, host, server};

const BENCH: &str = "latency";
/// Exchanges of a round.
const EXCHANGES: (usize, usize) = (2_000, 10_000);
const ROUNDS: (usize, usize) = (3, 7);
/// Frames of the flood in a burst, of which there is one a millisecond.
const BURST: usize = 40;
const TICK: Duration = Duration::from_millis(1);
/// What the rows tell: the part of the exchanges that took no longer.
const PARTS: [(&str, f64); 4] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
/// An address that the flood goes to and that nobody has.
const NOBODY: Mac = Mac([0x02, 0, 0, 0, 0, 0x99]);

/// A gateway, in one of its modes, idle or not.
struct Lane<'l> {
    row: Row,
    lab: &'l Lab,
    agent: Option<(&'l Agent<'l>, Mode)>,
    is_flooded: bool,
    /// Rounds of each of [`PARTS`], in microseconds.
    rounds: [Rounds; 4],
}

/// Runs the part.
pub(crate) fn run(quick: bool) -> Result<Vec<Row>> {
    let forwardings = traffic::forwardings();
    let subjects: Vec<Option<Forwarding>> =
        std::iter::once(None).chain(forwardings.into_iter().map(Some)).collect();
    let labs = subjects.iter().map(|subject| lab(*subject)).collect::<Result<Vec<_>>>()?;
    let mut agents = Vec::new();
    for (forwarding, lab) in subjects.iter().zip(&labs) {
        let policy =
            |forwarding| traffic::policy(Service::SamePort, Tuples::new(1, 1), forwarding, "enforce");
        agents.push(forwarding.map(|forwarding| Agent::start(lab, &policy(forwarding))).transpose()?);
    }
    let mut lanes = Vec::new();
    for ((forwarding, lab), agent) in subjects.iter().zip(&labs).zip(&agents) {
        let modes: &[Option<Mode>] =
            if agent.is_some() { &[Some(Mode::Alert), Some(Mode::Enforce)] } else { &[None] };
        for (mode, is_flooded) in modes.iter().flat_map(|mode| [(mode, false), (mode, true)]) {
            let case = if is_flooded { "flood" } else { "idle" };
            let row = match forwarding.zip(*mode) {
                Some((forwarding, mode)) => Row::new(BENCH, "banchi", case).by(forwarding, mode.name()),
                None => Row::new(BENCH, "kernel", case),
            };
            let rounds = PARTS.map(|_| Rounds::default());
            lanes.push(Lane { row, lab, agent: agent.as_ref().zip(*mode), is_flooded, rounds });
        }
    }
    let (exchanges, rounds) = if quick { (EXCHANGES.0, ROUNDS.0) } else { (EXCHANGES.1, ROUNDS.1) };
    eprintln!("    {} kinds of gateways, {rounds} rounds of {exchanges} exchanges", lanes.len());
    for _ in 0..rounds {
        for lane in &mut lanes {
            // A thread of its own, which stays on one CPU with all that it starts.
            std::thread::scope(|scope| {
                let round = scope.spawn(|| lane.round(exchanges));
                round.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
            })?;
        }
    }
    let rows = finish(&lanes);
    drop(lanes);
    for agent in agents.into_iter().flatten() {
        agent.stop()?;
    }
    Ok(rows)
}

/// A host on either side of a gateway that routes, or that does nothing by itself.
fn lab(forwarding: Option<Forwarding>) -> Result<Lab> {
    let (asks, answers) = (client(0).to_string(), server(0).to_string());
    let zones = [
        Zone::new("control").network("10.10.255.254/16").host("client", &[&asks]),
        Zone::new("line-a").network("10.20.255.254/16").host("server", &[&answers]),
    ];
    let is_wire = forwarding == Some(traffic::WIRE);
    let lab = Lab::new(if is_wire { Gateway::Isolates } else { Gateway::Routes }, &zones)?;
    let (to, nobody) = (host::NOBODY.to_string(), NOBODY.to_string());
    if !is_wire {
        let neighbour =
            ["ip", "neigh", "replace", &to, "lladdr", &nobody, "dev", "line-a", "nud", "permanent"];
        lab.gateway().check(&neighbour)?;
    }
    // The switch knows that nobody is there, and does not ask the hosts.
    let known = ["bridge", "fdb", "replace", &nobody, "dev", "uplink", "master", "static"];
    lab.switch("line-a").check(&known)?;
    Ok(lab)
}

impl Lane<'_> {
    fn round(&mut self, exchanges: usize) -> Result<()> {
        measure::pin()?;
        if let Some((agent, mode)) = self.agent {
            agent.set_mode(mode)?;
        }
        let (asks, answers) = (self.lab.host("client"), self.lab.host("server"));
        let _echo = UdpEcho::new(answers, answers.ipv4(), &[PORT])?;
        let socket = asks.udp((asks.ipv4(), PORT))?;
        socket.connect((answers.ipv4(), PORT))?;
        let flood = self.lab.switch("control").raw("uplink")?;
        // A router is spoken to, and a wire is not.
        let is_wire = self.row.forwarding == Some(traffic::WIRE.name);
        let frames = frames(if is_wire { NOBODY } else { self.lab.gateway_mac("control") });
        let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        let before = self.deviations()?;
        let times = std::thread::scope(|scope| {
            let flooding = self.is_flooded.then(|| scope.spawn(|| send_until(&flood, &frames, &stop, &sent)));
            let times = exchange(&socket, exchanges);
            stop.store(true, Ordering::Relaxed);
            if let Some(flooding) = flooding {
                flooding.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))?;
            }
            times
        })?;
        let (flooded, noticed) = (sent.load(Ordering::Relaxed), self.deviations()? - before);
        ensure!((flooded > 0) == self.is_flooded, "the flood had {flooded} frames");
        if self.agent.is_some() && noticed < flooded {
            bail!("{flooded} frames were not allowed, and banchi has noticed {noticed}");
        }
        for (rounds, (_, part)) in self.rounds.iter_mut().zip(PARTS) {
            rounds.push(quantile(&times, part));
        }
        Ok(())
    }

    /// Packets that deviated, as the agent has counted them.
    fn deviations(&self) -> Result<u64> {
        let Some((agent, _)) = self.agent else { return Ok(0) };
        let status = agent.status()?;
        let rows = status.get("reports").and_then(|reports| reports.as_array()).context("no reports")?;
        let fields = ["sent", "suppressed", "limited", "lost"];
        Ok(rows.iter().flat_map(|row| fields.map(|field| row.get(field)?.as_u64())).flatten().sum())
    }
}

/// Microseconds that each exchange took.
fn exchange(socket: &UdpSocket, exchanges: usize) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(exchanges);
    let mut buffer = [0; 64];
    for number in 0..exchanges {
        let question = (number as u64).to_be_bytes();
        let began = Instant::now();
        socket.send(&question)?;
        let length = socket.recv(&mut buffer).with_context(|| format!("question {number} has no answer"))?;
        times.push(began.elapsed().as_nanos() as f64 / 1e3);
        ensure!(buffer.get(..length) == Some(&question[..]), "another answer than that to question {number}");
    }
    Ok(times)
}

/// Frames that no rule allows: from many hosts to one that is not there.
fn frames(to: Mac) -> Vec<Vec<u8>> {
    let frame = |number: u32| {
        let packet = Packet::udp((client(1_000 + number), PORT), (host::NOBODY, 1024));
        packet.to_mac(to).payload([0; 18]).build()
    };
    (0..BURST as u32).map(frame).collect()
}

fn send_until(socket: &RawSocket, frames: &[Vec<u8>], stop: &AtomicBool, sent: &AtomicU64) -> Result<()> {
    let began = Instant::now();
    let mut next = began;
    while !stop.load(Ordering::Relaxed) {
        for frame in frames {
            socket.send(frame)?;
            sent.fetch_add(1, Ordering::Relaxed);
        }
        next += TICK;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let rate = sent.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    eprintln!("    a flood of {} frames a second", number(rate));
    Ok(())
}

fn finish(lanes: &[Lane<'_>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for lane in lanes {
        let kernel = |other: &&Lane<'_>| other.row.subject == "kernel" && other.row.case == lane.row.case;
        let kernel = lanes.iter().find(kernel);
        for (at, (part, _)) in PARTS.iter().enumerate() {
            let Some(own) = lane.rounds.get(at) else { continue };
            let mut row =
                Row { case: format!("{}-{part}", lane.row.case), ..lane.row.clone() }.values(own, "us");
            if *part == "max" {
                row.value = own.max();
            }
            let kernel = kernel.and_then(|kernel| kernel.rounds.get(at)).filter(|_| row.subject != "kernel");
            rows.push(match kernel {
                Some(kernel) => row.against("kernel", own, kernel),
                None => row,
            });
        }
    }
    // People compare within a kind of traffic, part by part.
    rows.sort_by_key(|row| {
        let part = PARTS.iter().position(|(part, _)| row.case.ends_with(&format!("-{part}")));
        (!row.case.starts_with("idle"), part)
    });
    rows
}
