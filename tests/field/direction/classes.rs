//! What each side may send beyond asking and answering, as the service says: FINS and DNP3 over UDP, synthetic frames.

use std::net::Ipv4Addr;

use anyhow::Result;
use banchi_tests::lab::{Gateway, Host, Lab};
use banchi_tests::peers::Peer;
use banchi_tests::plant;

use super::{Deviation, Knock, Watched, ask, device, send};

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
  linked:  { transport: udp, port: 9600, source_port: same, direction: fins, peer: true }
  usual:   { transport: udp, port: 20000, source_port: same, direction: dnp3 }
  asking:  { transport: udp, port: 20000, source_port: same, direction: dnp3, server_may: [request],
             client_may: [response] }
  mute:    { transport: udp, port: 20000, source_port: same, direction: dnp3, server_may: [response] }
conduits:
  - between: [control, line-a]
    allow:
      - { client: scada, server: plc-1, service: linked }
      - { client: scada, server: plc-2, service: usual }
      - { client: scada, server: plc-3, service: asking }
      - { client: scada, server: controller, service: mute }
";

const FINS: u16 = 9600;
const DNP3: u16 = 20_000;

#[test]
fn peers_ask_each_other() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let work = || {
        for (client, server) in [(scada, plc), (plc, scada)] {
            let _device = device("fins", server, FINS, &[])?;
            ask("fins", client, server, FINS, 0)?;
        }
        Ok(())
    };
    work()?;
    let knock = Knock::new(&lab, Ipv4Addr::new(10, 20, 0, 250))?;
    let mut watched = Watched::start(&lab, POLICY, knock)?;
    watched.in_both_modes(|watched| watched.allows("either side asks", work))?;
    watched.stop()
}

#[test]
fn each_side_sends_what_its_service_says() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let scada = lab.host("scada");
    let hosts = [lab.host("plc-2"), lab.host("plc-3"), lab.host("controller")];
    let master = device("dnp3", scada, DNP3, &[])?;
    let mut outstations = Vec::new();
    for host in hosts {
        outstations.push(device("dnp3", host, DNP3, &[])?);
    }
    let knock = Knock::new(&lab, Ipv4Addr::new(10, 20, 0, 250))?;
    let mut watched = Watched::start(&lab, POLICY, knock)?;
    watched.in_both_modes(|watched| {
        for ((host, outstation), service) in hosts.iter().zip(&outstations).zip(["usual", "asking", "mute"]) {
            for kind in ["ask", "answer", "notice"] {
                let may_server =
                    matches!((service, kind), (_, "answer") | ("usual", "notice") | ("asking", "ask"));
                let may_client = matches!((service, kind), (_, "ask") | ("asking", "answer"));
                try_one(watched, kind, (host, outstation), scada, may_server)?;
                try_one(watched, kind, (scada, &master), host, may_client)?;
            }
        }
        Ok(())
    })?;
    watched.stop()
}

/// Sends one packet: it arrives and is not reported, or it is reversed.
fn try_one(
    watched: &Watched<'_>,
    kind: &'static str,
    from: (&Host, &Peer),
    to: &Host,
    may: bool,
) -> Result<()> {
    let target = (to.ipv4(), DNP3);
    if !may {
        let mut deviation = Deviation::new(kind, "reversed-direction", from.0, to);
        // What arrives in alert is answered, by who may not answer.
        deviation.besides = &["reversed-direction"];
        return watched.deviates(&deviation, || send(from.1, kind, DNP3, target));
    }
    let watcher = to.raw("eth0")?;
    let what = format!("{kind} from {} to {}", from.0.name(), to.name());
    watched.allows(&what, || {
        let payload = send(from.1, kind, DNP3, target)?;
        watcher.wait_for(|frame| frame.windows(payload.len()).any(|w| w == payload), super::DEADLINE)?;
        Ok(())
    })
}
