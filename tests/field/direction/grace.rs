//! The grace period of a start: the agent has not heard the questions of before, so answers to none are only reported.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use banchi_tests::agent::{Agent, Event};
use banchi_tests::lab::{DEADLINE, Gateway, Lab};
use banchi_tests::plant;

use super::{Knock, device, send};

const POLICY: &str = "
version: 1
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24] }
assets:
  scada: { zone: control, address: 10.10.1.5 }
  plc-1: { zone: line-a, address: 10.20.0.11 }
services:
  omron: { transport: udp, port: 9600, source_port: same, direction: fins, reply: { window: 30s, strict: true } }
conduits:
  - between: [control, line-a]
    mode: enforce
    allow:
      - { client: scada, server: plc-1, service: omron }
";

#[test]
fn answers_to_questions_of_before_pass_for_a_while_and_nothing_else_does() -> Result<()> {
    const GRACE: Duration = Duration::from_secs(3);
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let outstation = device("fins", plc, 9600, &[])?;
    let target = (scada.ipv4(), 9600);
    let _open = scada.udp(target)?;
    let watcher = scada.raw("eth0")?;
    let knock = Knock::new(&lab, Ipv4Addr::new(10, 20, 0, 250))?;
    let began = Instant::now();
    let agent = Agent::start_with(&lab, POLICY, &["--suppress", "0", "--rate", "0", "--grace", "3s"])?;
    let events = agent.follow(|_| knock.send().map(|_| ()))?;

    let event_of = |kind: &str| -> Result<(Event, Vec<u8>)> {
        let from = events.count();
        let payload = send(&outstation, kind, 9600, target)?;
        let ours = |event: &Event| event.src == Some(plc.ipv4().into());
        Ok((events.wait_from(from, ours, DEADLINE)?.context("not reported")?, payload))
    };
    let (asked, question) = event_of("ask")?;
    let (early, answer) = event_of("answer")?;
    ensure!((&*asked.reason, &*asked.verdict) == ("reversed-direction", "drop"), "{asked:?}");
    ensure!((&*early.reason, &*early.verdict) == ("unsolicited-reply", "would-drop"), "{early:?}");
    let is = |payload: &[u8], frame: &[u8]| frame.windows(payload.len()).any(|bytes| bytes == payload);
    // The question was sent first: it would have arrived first.
    let arrived = watcher.receive_until(|frame| is(&answer, frame), DEADLINE)?;
    ensure!(!arrived.iter().any(|frame| is(&question, frame)), "the question arrived");

    // The same again and again, until the grace is over.
    let late = loop {
        let (event, _) = event_of("answer")?;
        if event.verdict != "would-drop" {
            break event;
        }
        ensure!(began.elapsed() < GRACE + DEADLINE, "the grace does not end");
    };
    ensure!((&*late.reason, &*late.verdict) == ("unsolicited-reply", "drop"), "{late:?}");
    ensure!(began.elapsed() >= GRACE, "too early: {:?}", began.elapsed());
    agent.stop()
}
