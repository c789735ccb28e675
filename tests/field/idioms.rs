//! Each port idiom over IPv4 and IPv6 with real sockets, as it should be and in every way that deviates.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use banchi_tests::agent::{Agent, Events, Mode};
use banchi_tests::lab::{DEADLINE, Gateway, Host, Lab, SILENCE};
use banchi_tests::plant;
use banchi_tests::traffic::{self, Outcome, TcpEcho, UdpEcho};

const POLICY: &str = r#"
version: 1
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16, "fd00:10::/64"] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24, "fd00:20::/64"] }
assets:
  scada:       { zone: control, addresses: [10.10.1.5, "fd00:10::1:5"] }
  workstation: { zone: control, addresses: [10.10.1.6, "fd00:10::1:6"] }
  plcs:        { zone: line-a, addresses: [10.20.0.11-10.20.0.13, "fd00:20::11-fd00:20::13"] }
  plcs-4:      { zone: line-a, addresses: [10.20.0.11-10.20.0.13] }
  plcs-6:      { zone: line-a, addresses: ["fd00:20::11-fd00:20::13"] }
  controller:  { zone: line-a, addresses: [10.20.0.21, "fd00:20::21"] }
services:
  modbus: { transport: tcp, port: 502 }
  bacnet: { transport: udp, port: 47808, source_port: same }
  melsec: { transport: udp, source_port: 5010, port: [5011, 5012, 5020-5029] }
  ring-4: { transport: udp, source_port: 6000, port: { linked: { base: 6000, octet: 4 } } }
  ring-6: { transport: udp, source_port: 6000, port: { linked: { base: 6000, octet: 16 } } }
conduits:
  - between: [control, line-a]
    allow:
      - { name: polling,     client: scada,       server: plcs,       service: modbus }
      - { name: ring-4,      client: scada,       server: plcs-4,     service: ring-4 }
      - { name: ring-6,      client: scada,       server: plcs-6,     service: ring-6 }
      - { name: climate,     client: scada,       server: controller, service: bacnet }
      - { name: engineering, client: workstation, server: plcs,       service: melsec }
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}
use Transport::{Tcp, Udp};

/// One question. Ports that follow from the address differ between the families.
#[derive(Debug, Clone, Copy)]
struct Case {
    client: &'static str,
    source_port: u16,
    server: &'static str,
    transport: Transport,
    ports: [u16; 2],
    reason: Option<&'static str>,
}

const fn case(client: (&'static str, u16), transport: Transport, server: (&'static str, [u16; 2])) -> Case {
    Case {
        client: client.0,
        source_port: client.1,
        server: server.0,
        transport,
        ports: server.1,
        reason: None,
    }
}

impl Case {
    const fn deviates(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }
}

/// Ports of plc-1 and plc-2 by the last byte of their addresses, 10.20.0.11 and fd00:20::11.
const LINKED_1: [u16; 2] = [6011, 6017];
const LINKED_2: [u16; 2] = [6012, 6018];

const CASES: &[Case] = &[
    // The same port on both sides.
    case(("scada", 47808), Udp, ("controller", [47808; 2])),
    case(("scada", 47809), Udp, ("controller", [47808; 2])).deviates("source-port-deviation"),
    case(("scada", 47808), Udp, ("controller", [47809; 2])).deviates("unlisted-service"),
    case(("workstation", 47808), Udp, ("controller", [47808; 2])).deviates("unlisted-pair"),
    // One pinned source port, diverging destinations.
    case(("workstation", 5010), Udp, ("plc-1", [5011; 2])),
    case(("workstation", 5010), Udp, ("plc-1", [5012; 2])),
    case(("workstation", 5010), Udp, ("plc-1", [5020; 2])),
    case(("workstation", 5010), Udp, ("plc-1", [5029; 2])),
    case(("workstation", 5009), Udp, ("plc-1", [5011; 2])).deviates("source-port-deviation"),
    case(("workstation", 5010), Udp, ("plc-1", [5030; 2])).deviates("unlisted-service"),
    // The port follows from the address.
    case(("scada", 6000), Udp, ("plc-1", LINKED_1)),
    case(("scada", 6000), Udp, ("plc-2", LINKED_2)),
    case(("scada", 6000), Udp, ("plc-1", LINKED_2)).deviates("address-port-mismatch"),
    case(("scada", 6001), Udp, ("plc-2", LINKED_2)).deviates("source-port-deviation"),
    // Master and slave.
    case(("scada", 0), Tcp, ("plc-1", [502; 2])),
    case(("scada", 1024), Tcp, ("plc-2", [502; 2])),
    case(("plc-1", 0), Tcp, ("scada", [502; 2])).deviates("reversed-direction"),
    case(("plc-3", 502), Tcp, ("scada", [40502; 2])).deviates("reversed-direction"),
    case(("scada", 0), Tcp, ("plc-1", [503; 2])).deviates("unlisted-service"),
    // Nobody knows it.
    case(("laptop", 0), Tcp, ("plc-1", [502; 2])).deviates("unknown-source"),
    case(("laptop", 47808), Udp, ("controller", [47808; 2])).deviates("unknown-source"),
];

/// Servers for every case, so that only the agent can be what stops a question.
struct Servers {
    _udp: Vec<UdpEcho>,
    _tcp: Vec<TcpEcho>,
}

impl Servers {
    fn of(lab: &Lab) -> Result<Self> {
        let mut known = std::collections::BTreeSet::new();
        let (mut udp, mut tcp) = (Vec::new(), Vec::new());
        for case in CASES {
            for family in [4, 6] {
                let (address, port) = (address(lab.host(case.server), family), case.port(family));
                if known.insert((case.transport == Tcp, address, port)) {
                    match case.transport {
                        Udp => udp.push(UdpEcho::new(lab.host(case.server), address, &[port])?),
                        Tcp => tcp.push(TcpEcho::new(lab.host(case.server), (address, port))?),
                    }
                }
            }
        }
        Ok(Self { _udp: udp, _tcp: tcp })
    }
}

impl Case {
    fn port(&self, family: u8) -> u16 {
        self.ports[usize::from(family == 6)]
    }
}

fn address(host: &Host, family: u8) -> IpAddr {
    if family == 4 { host.ipv4().into() } else { host.ipv6().into() }
}

#[test]
fn every_idiom_in_both_modes_and_families() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let _servers = Servers::of(&lab)?;
    let agent = Agent::start_with(&lab, POLICY, &["--suppress", "0", "--rate", "0"])?;
    let events = super::follow(&lab, &agent)?;
    let mut wrong = Vec::new();
    for mode in [Mode::Alert, Mode::Enforce] {
        agent.set_mode(mode)?;
        for family in [4, 6] {
            for case in CASES {
                if let Err(error) = play(&lab, &events, case, family, mode) {
                    wrong.push(format!("{mode:?}, IPv{family}, {case:?}: {error:#}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    agent.stop()
}

fn play(lab: &Lab, events: &Events, case: &Case, family: u8, mode: Mode) -> Result<()> {
    let (client, server) = (lab.host(case.client), lab.host(case.server));
    let (from, to) = (address(client, family), address(server, family));
    let port = case.port(family);
    let stopped = mode == Mode::Enforce && case.reason.is_some();
    let patience = if stopped { SILENCE } else { DEADLINE };
    let beginning = events.count();
    let watcher = server.raw("eth0")?;
    let outcome = match case.transport {
        Udp => traffic::ask_udp(client, (from, case.source_port), (to, port), b"question", patience)?,
        Tcp => traffic::ask_tcp(client, (from, case.source_port), (to, port), b"question", patience)?,
    };
    let expected = if stopped { Outcome::Silent } else { Outcome::Answered };
    anyhow::ensure!(outcome == expected, "{outcome:?}");

    let about = |event: &banchi_tests::agent::Event| {
        let ends = (event.src, event.dst) == (Some(from), Some(to));
        ends && event.dst_port == Some(port)
            && (case.source_port == 0 || event.src_port == Some(case.source_port))
    };
    if let Some(reason) = case.reason {
        let event = events.wait_from(beginning, about, DEADLINE)?;
        let event = event.ok_or_else(|| anyhow::anyhow!("no event"))?;
        let verdict = if mode == Mode::Enforce { "drop" } else { "would-drop" };
        let seen = (event.reason.as_str(), event.verdict.as_str(), event.mode);
        anyhow::ensure!(seen == (reason, verdict, mode), "reported as {event:?}");
    } else {
        let reported: Vec<_> = events.since(beginning)?.into_iter().filter(about).collect();
        anyhow::ensure!(reported.is_empty(), "reported: {reported:?}");
    }
    if stopped {
        let mut arrived = Vec::new();
        while let Some(frame) = watcher.receive(Duration::ZERO)? {
            arrived.push(frame);
        }
        let is_question = |frame: &Vec<u8>| carries(frame, from, to, port);
        anyhow::ensure!(!arrived.iter().any(is_question), "it arrived all the same");
    }
    Ok(())
}

/// Whether a frame goes from one address to another one's port. No packet here has options.
fn carries(frame: &[u8], from: IpAddr, to: IpAddr, port: u16) -> bool {
    let port = port.to_be_bytes();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.get(26..34) == Some(&[from.octets(), to.octets()].concat()[..])
                && frame.get(36..38) == Some(&port)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            frame.get(22..54) == Some(&[from.octets(), to.octets()].concat()[..])
                && frame.get(56..58) == Some(&port)
        }
        _ => false,
    }
}
