//! Alert and enforce for each conduit, switched while packets flow.

use anyhow::{Context, Result, ensure};
use banchi_tests::agent::{Agent, Mode};
use banchi_tests::lab::{DEADLINE, Gateway, Lab};
use banchi_tests::packet::Packet;
use banchi_tests::plant;

/// One conduit for each way; a rule of one has a mode of its own.
const POLICY: &str = r#"
version: 1
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24] }
assets:
  scada: { zone: control, address: 10.10.1.5 }
  plc-1: { zone: line-a, address: 10.20.0.11 }
  plc-2: { zone: line-a, address: 10.20.0.12 }
services:
  bacnet: { transport: udp, port: 47808, source_port: same }
  alarm:  { transport: udp, port: 162, source_port: 1162 }
conduits:
  - name: down
    from: control
    to: line-a
    allow:
      - { name: plain, client: scada, server: plc-1, service: bacnet }
      - { name: strict, client: scada, server: plc-2, service: bacnet, mode: enforce }
  - name: up
    from: line-a
    to: control
    mode: enforce
    allow:
      - { name: alarm, client: plc-1, server: scada, service: alarm }
"#;

#[test]
fn each_conduit_has_its_mode_and_changes_it_alone() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let agent = Agent::start_with(&lab, POLICY, &["--suppress", "0", "--rate", "0"])?;
    let events = super::follow(&lab, &agent)?;
    let attached = super::attached(&lab)?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let neighbour = lab.host("plc-2");
    // Each misses the source port of its rule.
    let ways = [
        ("plain", scada, Packet::udp((scada.ipv4(), 1), (plc.ipv4(), 47808)), "control"),
        ("strict", scada, Packet::udp((scada.ipv4(), 1), (neighbour.ipv4(), 47808)), "control"),
        ("alarm", plc, Packet::udp((plc.ipv4(), 1), (scada.ipv4(), 162)), "line-a"),
    ];
    let check = |expected: [Mode; 3]| -> Result<()> {
        for ((rule, host, packet, zone), mode) in ways.iter().zip(expected) {
            let from = events.count();
            host.raw("eth0")?.send(&packet.clone().to_mac(lab.gateway_mac(zone)).build())?;
            let ours = |event: &banchi_tests::agent::Event| event.rule.as_deref() == Some(rule);
            let event = events.wait_from(from, ours, DEADLINE)?.context("no event")?;
            let verdict = if mode == Mode::Enforce { "drop" } else { "would-drop" };
            ensure!((event.mode, &*event.verdict) == (mode, verdict), "{event:?}, expected {mode:?}");
        }
        Ok(())
    };
    use Mode::{Alert, Enforce};
    check([Alert, Enforce, Enforce]).context("as the policy says")?;
    agent.ask(&["mode", "alert", "--conduit", "up"])?;
    check([Alert, Enforce, Alert]).context("up to alert")?;
    agent.ask(&["mode", "alert", "--conduit", "down"])?;
    check([Alert, Alert, Alert]).context("by hand, also for the rule with a mode of its own")?;
    agent.ask(&["mode", "enforce", "--conduit", "down"])?;
    check([Enforce, Enforce, Alert]).context("down to enforce")?;
    agent.ask(&["mode", "enforce", "--conduit", "up", "--conduit", "down"])?;
    check([Enforce, Enforce, Enforce]).context("both")?;
    ensure!(super::attached(&lab)? == attached, "the program and its links are those of the beginning");
    agent.stop()
}
