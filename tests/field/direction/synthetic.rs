//! FINS, DNP3 over UDP and a device that answers from another port. No captures of these are public, and the frames
//! are synthetic: written from the published layouts.

use std::time::{Duration, Instant};

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};
use banchi_tests::lab::{DEADLINE, Gateway, Lab};
use banchi_tests::plant;

use super::{Deviation, Knock, Watched, ask, device, send};
use banchi_tests::traffic::uninterrupted;

const POLICY: &str = "
version: 1
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24] }
assets:
  scada:      { zone: control, address: 10.10.1.5 }
  plc-1:      { zone: line-a, address: 10.20.0.11 }
  plc-2:      { zone: line-a, address: 10.20.0.12 }
  plc-3:      { zone: line-a, address: 10.20.0.13 }
  controller: { zone: line-a, address: 10.20.0.21 }
services:
  omron:   { transport: udp, port: 9600, source_port: same, direction: fins }
  grid:    { transport: udp, port: 20000, source_port: same, direction: dnp3 }
  toshiba: { transport: udp, port: 2000, source_port: same, reply_from: 2001 }
  brief:   { transport: udp, port: 2100, source_port: same, reply: { window: 300ms } }
  log:     { transport: udp, port: 514, source_port: same, reply: none }
  io:      { transport: udp, port: 2222, source_port: same, reply: free }
  calls:   { transport: udp, port: 34964, reply_from: ephemeral }
conduits:
  - between: [control, line-a]
    allow:
      - { client: scada, server: plc-1, service: omron }
      - { client: scada, server: plc-2, service: grid }
      - { client: scada, server: [plc-3, controller], service: toshiba }
      - { client: scada, server: controller, service: [brief, log, io, calls] }
";

#[test]
fn same_port_protocols_tell_who_asks_by_their_frames() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let scada = lab.host("scada");
    let protocols = [("fins", lab.host("plc-1"), 9600), ("dnp3", lab.host("plc-2"), 20_000)];
    let devices = [device("fins", protocols[0].1, 9600, &[])?, device("dnp3", protocols[1].1, 20_000, &[])?];
    let work = || protocols.iter().try_for_each(|&(name, host, port)| ask(name, scada, host, port, 0));
    work()?;
    let knock = Knock::new(&lab, Ipv4Addr::new(10, 20, 0, 250))?;
    let mut watched = Watched::start(&lab, POLICY, knock)?;
    watched.in_both_modes(|watched| {
        watched.allows("reading", work)?;
        for (&(_, host, port), device) in protocols.iter().zip(&devices) {
            let target = (scada.ipv4(), port);
            let open = scada.udp(target)?;
            let asks = Deviation::new("the device asks", "reversed-direction", host, scada);
            watched.deviates(&asks, || send(device, "ask", port, target))?;
            drop(open);
        }
        watched.allows("an unsolicited response of DNP3", || {
            let open = scada.udp((scada.ipv4(), 20_000))?;
            send(&devices[1], "notice", 20_000, (scada.ipv4(), 20_000))?;
            uninterrupted(|| open.recv(&mut [0; 64]))?;
            Ok(())
        })?;
        watched.allows("reading after the attacks", work)
    })?;
    watched.stop()
}

#[test]
fn an_answer_may_come_from_the_port_of_the_policy_and_only_to_a_question() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let (scada, plc, silent) = (lab.host("scada"), lab.host("plc-3"), lab.host("controller"));
    let target = (scada.ipv4(), 2000);
    let device_1 = device("toshiba", plc, 2000, &["--answer-from", "2001", "--others", "2002"])?;
    // Nobody asks this one.
    let device_2 = device("toshiba", silent, 2000, &["--answer-from", "2001", "--others", "2002"])?;
    let work = || ask("toshiba", scada, plc, 2000, 2001);
    work()?;
    let knock = Knock::new(&lab, Ipv4Addr::new(10, 20, 0, 250))?;
    let mut watched = Watched::start(&lab, POLICY, knock)?;
    watched.in_both_modes(|watched| {
        watched.allows("asked on 2000, answered from 2001", work)?;
        let _open = scada.udp(target)?;
        for port in [2000, 2001] {
            let forged = Deviation::new("an answer to no question", "unsolicited-reply", silent, scada);
            watched.deviates(&forged, || send(&device_2, "answer", port, target))?;
        }
        // Between equal ports, what comes from elsewhere looks like a question of the device's own.
        let other = Deviation::new("an answer from a third port", "reversed-direction", plc, scada);
        watched.deviates(&other, || send(&device_1, "answer", 2002, target))?;
        Ok(())
    })?;
    watched.stop()
}

#[test]
fn what_an_answer_needs_is_what_the_service_says() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let (scada, controller) = (lab.host("scada"), lab.host("controller"));
    let knock = Knock::new(&lab, Ipv4Addr::new(10, 20, 0, 250))?;
    let mut watched = Watched::start(&lab, POLICY, knock)?;
    watched.in_both_modes(|watched| {
        let pair = |port| -> Result<_> {
            let (client, server) =
                (scada.udp((scada.ipv4(), port))?, controller.udp((controller.ipv4(), port))?);
            client.connect((controller.ipv4(), port))?;
            server.connect((scada.ipv4(), port))?;
            Ok((client, server))
        };
        let (client, server) = pair(514)?;
        watched.allows("one way", || {
            client.send(b"message")?;
            uninterrupted(|| server.recv(&mut [0; 64]))?;
            Ok(())
        })?;
        let back = Deviation::new("back on a one-way service", "reversed-direction", controller, scada);
        watched.deviates(&back, || {
            server.send(b"command")?;
            Ok(b"command".to_vec())
        })?;

        let (client, server) = pair(2222)?;
        watched.allows("both ways, unasked", || {
            server.send(b"input")?;
            uninterrupted(|| client.recv(&mut [0; 64]))?;
            client.send(b"output")?;
            uninterrupted(|| server.recv(&mut [0; 64]))?;
            Ok(())
        })?;

        let (client, server) = (scada.udp((scada.ipv4(), 0))?, controller.udp((controller.ipv4(), 34_964))?);
        let other = controller.udp((controller.ipv4(), 49_152))?;
        watched.allows("asked on one port, answered from an ephemeral one", || {
            client.send_to(b"call", (controller.ipv4(), 34_964))?;
            let (_, asker) = server.recv_from(&mut [0; 64])?;
            other.send_to(b"answer", asker)?;
            uninterrupted(|| client.recv(&mut [0; 64]))?;
            Ok(())
        })?;

        let (client, server) = pair(2100)?;
        let began = Instant::now();
        watched.allows("an answer in time", || {
            client.send(b"question")?;
            uninterrupted(|| server.recv(&mut [0; 64]))?;
            server.send(b"answer")?;
            uninterrupted(|| client.recv(&mut [0; 64]))?;
            Ok(())
        })?;
        // The same answer again and again, until it comes too late.
        let from = watched.events.count();
        let late = |event: &banchi_tests::agent::Event| event.src_port == Some(2100);
        let event = loop {
            server.send(b"answer")?;
            if let Some(event) = watched.events.wait_from(from, late, Duration::from_millis(20))? {
                break event;
            }
            ensure!(began.elapsed() < DEADLINE, "the window does not end");
        };
        ensure!(event.reason == "unsolicited-reply", "reported as {event:?}");
        ensure!(began.elapsed() >= Duration::from_millis(300), "too early: {:?}", began.elapsed());
        watched.settle(from)?;
        Ok(())
    })?;
    watched.stop()
}
