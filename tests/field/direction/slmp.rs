//! SLMP 3E over UDP: a client (pymcprotocol) that keeps its port and asks the modules of a PLC, one port each.

use std::net::Ipv4Addr;

use anyhow::Result;
use banchi_tests::agent::Mode;
use banchi_tests::lab::{Gateway, Host, Lab, SILENCE};
use banchi_tests::peers::{self, Peer};
use banchi_tests::plant;

use super::{COUNT, Deviation, Knock, Watched, all_good, send};
use banchi_tests::traffic::uninterrupted;

const POLICY: &str = "
version: 1
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24] }
assets:
  workstation: { zone: control, address: 10.10.1.6 }
  plc-1:       { zone: line-a, address: 10.20.0.11 }
  plc-2:       { zone: line-a, address: 10.20.0.12 }
services:
  modules: { transport: udp, source_port: 5010, port: [5011, 5012, 5020-5029], direction: slmp }
  strict:  { transport: udp, source_port: 5010, port: [5011, 5012, 5020-5029], direction: slmp,
             reply: { window: 30s, strict: true } }
conduits:
  - between: [control, line-a]
    allow:
      - { client: workstation, server: plc-1, service: modules }
      - { client: workstation, server: plc-2, service: strict }
";

/// The modules that are asked.
const ASKED: [u16; 4] = [5011, 5012, 5020, 5021];
/// A module that nobody ever asks.
const SILENT: u16 = 5029;
/// The client's port.
const PINNED: u16 = 5010;

#[test]
fn modules_answer_to_the_pinned_port_and_do_not_ask() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let workstation = lab.host("workstation");
    let plcs = [lab.host("plc-1"), lab.host("plc-2")];
    let modules = [modules(plcs[0])?, modules(plcs[1])?];
    let ask = |port| plcs.iter().try_for_each(|plc| all_good(client(workstation, port, plc)?, 4 * COUNT));
    ask(PINNED)?;
    let knock = Knock::new(&lab, Ipv4Addr::new(10, 20, 0, 250))?;
    let mut watched = Watched::start(&lab, POLICY, knock)?;
    watched.in_both_modes(|watched| {
        watched.allows("reading all modules", || ask(PINNED))?;

        // Somebody listens, or the workstation itself would refuse what arrives.
        let target = (workstation.ipv4(), PINNED);
        let open = workstation.udp(target)?;
        for (plc, device) in plcs.iter().zip(&modules) {
            for port in [ASKED[0], SILENT] {
                let asks = Deviation::new("a module asks", "reversed-direction", plc, workstation);
                watched.deviates(&asks, || send(device, "ask", port, target))?;
            }
        }
        let forged = Deviation::new("an answer to no question", "unsolicited-reply", plcs[1], workstation);
        watched.deviates(&forged, || send(&modules[1], "answer", SILENT, target))?;
        watched.allows("an answer to no question where only the layout counts", || {
            send(&modules[0], "answer", SILENT, target)?;
            uninterrupted(|| open.recv(&mut [0; 64]))?;
            Ok(())
        })?;
        drop(open);

        let mut wrong = Deviation::new("another port asks", "source-port-deviation", workstation, plcs[0]);
        // In alert it is answered, and the answer goes to the wrong port as well.
        wrong.besides = &["source-port-deviation"];
        watched.deviates(&wrong, || {
            let socket = workstation.udp((workstation.ipv4(), 5009))?;
            socket.send_to(QUESTION, (plcs[0].ipv4(), ASKED[0]))?;
            let stopped = watched.mode == Mode::Enforce;
            socket.set_read_timeout(Some(if stopped { SILENCE } else { super::DEADLINE }))?;
            anyhow::ensure!(
                uninterrupted(|| socket.recv(&mut [0; 64])).is_err() == stopped,
                "answered in enforce, or not in alert"
            );
            Ok(QUESTION.to_vec())
        })?;
        watched.allows("reading all modules after the attacks", || ask(PINNED))
    })?;
    watched.stop()
}

/// A batch read of D0.
const QUESTION: &[u8] = &[0x50, 0, 0, 0xff, 0xff, 3, 0, 12, 0, 4, 0, 0x01, 0x04, 0, 0, 0, 0, 0, 0xa8, 1, 0];

fn modules(plc: &Host) -> Result<Peer> {
    let (address, ports) = (plc.ipv4().to_string(), ASKED.map(|port| port.to_string()));
    let mut arguments = vec!["--protocol", "slmp", "--address", &address, "--ports", "5029"];
    arguments.extend(ports.iter().map(String::as_str));
    Peer::new(plc, "udp_device.py", &arguments)
}

fn client(from: &Host, port: u16, plc: &Host) -> Result<banchi_tests::lab::Process> {
    let (source, server) = (from.ipv4().to_string(), plc.ipv4().to_string());
    let (port, count) = (port.to_string(), COUNT.to_string());
    let ports = ASKED.map(|port| port.to_string());
    let mut arguments =
        vec!["--source", &source, "--source-port", &port, "--server", &server, "--count", &count, "--ports"];
    arguments.extend(ports.iter().map(String::as_str));
    peers::start(from, "slmp_client.py", &arguments)
}
