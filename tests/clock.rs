//! The clock of the machine is set by an hour, both ways, while everything is under way that has to do with time.
//!
//! There is no clock for a test alone: this runs where the machine is the test's, in `cargo xtask vm --test clock`.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use banchi::datapath::{Options, Outcome, Store, XdpMode};
use banchi::events::{Clock, monotonic};
use banchi::plane::{Plane, Source};
use banchi_common::reason::Reason;
use banchi_tests::packet::Packet;
use rustix::time::{ClockId, clock_gettime, clock_settime};

const HOUR: i64 = 3_600;
const WINDOW: Duration = Duration::from_secs(4);
const WITHIN: Duration = Duration::from_secs(6);

/// Both zones are on the loopback interface, the one that every machine has.
fn policy(port: u16) -> Source {
    let text = format!(
        "version: 1
defaults: {{ mode: enforce }}
zones:
  control: {{ interfaces: [lo], vlans: [10], networks: [10.10.0.0/16] }}
  line-a:  {{ interfaces: [lo], vlans: [20], networks: [10.20.0.0/24] }}
assets:
  scada: {{ zone: control, address: 10.10.1.5 }}
  plc:   {{ zone: line-a, address: 10.20.0.11 }}
services:
  polling: {{ transport: udp, port: {port}, reply: {{ window: {}s }} }}
conduits:
  - {{ between: [control, line-a], allow: [{{ client: scada, server: plc, service: polling }}] }}
",
        WINDOW.as_secs()
    );
    Source { path: PathBuf::from(format!("{port}.yaml")), text, accepts_unsafe: false, allow_empty: false }
}

fn question(plane: &Plane, port: u16) -> Result<Outcome> {
    send(plane, "10.10.1.5:40000", &format!("10.20.0.11:{port}"), 10)
}

fn answer(plane: &Plane, port: u16) -> Result<Outcome> {
    send(plane, &format!("10.20.0.11:{port}"), "10.10.1.5:40000", 20)
}

fn send(plane: &Plane, from: &str, to: &str, vlan: u16) -> Result<Outcome> {
    let frame = Packet::udp(from, to).vlan(vlan).payload([0x5a; 4]).build();
    Ok(plane.active.datapath.test_run(&frame, 1)?)
}

/// Sets the clock by some seconds.
fn step(seconds: i64) -> Result<()> {
    let mut time = clock_gettime(ClockId::Realtime);
    time.tv_sec += seconds;
    clock_settime(ClockId::Realtime, time).context("set the clock")
}

/// Seconds of the day, of what events say about this moment.
fn shown() -> i64 {
    let now = u64::try_from(monotonic().as_nanos()).unwrap();
    let text = Clock::now().time(now);
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    number(11..13) * HOUR + number(14..16) * 60 + number(17..19)
}

#[test]
fn an_hour_forth_and_back_changes_nothing() -> Result<()> {
    if std::env::var_os("BANCHI_VM").is_none() {
        println!("SKIPPED: it sets the clock of the machine: cargo xtask vm --test clock");
        return Ok(());
    }
    let store = Store::new("/sys/fs/bpf/banchi-clock", "/tmp/banchi-clock");
    let options = Options { trace: true, ..Options::default() };
    let (mut plane, _) =
        Plane::start(store.clone(), &policy(502), XdpMode::Generic, Some(Duration::ZERO), options)?;

    // An answer in its time and one that comes too late, whatever the clock says meanwhile.
    for seconds in [HOUR, -HOUR, -HOUR, HOUR] {
        let before = shown();
        ensure!(question(&plane, 502)?.reason == Reason::Allowed);
        step(seconds)?;
        let found = answer(&plane, 502)?;
        ensure!(!found.dropped, "after {seconds} s: {found:?}");
        let moved = (shown() - before - seconds).rem_euclid(24 * HOUR);
        ensure!(moved < 60, "events follow the clock: {moved} s off after {seconds} s");
        println!("an answer {seconds} s of the clock later: {}", found.reason.about().name);
    }
    let asked = Instant::now();
    ensure!(question(&plane, 502)?.reason == Reason::Allowed);
    let mut late = answer(&plane, 502)?;
    while late.reason != Reason::UnsolicitedReply {
        ensure!(asked.elapsed() < 2 * WINDOW, "the window does not close");
        step(if asked.elapsed().as_millis().is_multiple_of(2) { HOUR } else { -HOUR })?;
        late = answer(&plane, 502)?;
    }
    let closed = asked.elapsed();
    println!("a window of {WINDOW:?} closed after {closed:?}");
    ensure!(late.dropped && closed >= WINDOW - Duration::from_millis(20) && closed < WINDOW * 3 / 2);

    // Suppression: one event, and the rest counted.
    for seconds in [HOUR, -HOUR, -HOUR, HOUR] {
        ensure!(question(&plane, 503)?.dropped);
        step(seconds)?;
    }
    let reports = plane.active.datapath.counters()?.reports;
    let (_, count) = reports.iter().find(|(reason, _)| *reason == Reason::UnlistedService).context("none")?;
    ensure!((count.sent, count.suppressed) == (1, 3), "{count:?}");

    // A deadline.
    let begun = Instant::now();
    plane.apply(&policy(503), Some(WITHIN))?;
    let applied = Instant::now();
    ensure!(!question(&plane, 503)?.dropped);
    let mut sign = 1;
    while !plane.tick()? {
        ensure!(applied.elapsed() < 2 * WITHIN, "the policy before does not come back");
        step(sign * HOUR)?;
        sign = -sign;
    }
    let (early, late) = (begun.elapsed(), applied.elapsed());
    println!("not confirmed within {WITHIN:?}: back between {late:?} and {early:?} after");
    ensure!(early >= WITHIN && late < WITHIN * 3 / 2);
    ensure!(question(&plane, 503)?.dropped);
    drop(plane);
    store.remove()?;
    Ok(())
}
