//! Questions by broadcast, answered one by one or by broadcast as well: CC-Link IE Field Basic and the MELSOFT search.
//! The frames are synthetic, with real headers.

use std::net::Ipv4Addr;

use anyhow::Result;
use banchi_tests::lab::{Gateway, Host, Lab, Zone};
use banchi_tests::peers::{self, Peer};

use super::{COUNT, Deviation, Knock, Watched, all_good, send};

const POLICY: &str = "
version: 1
zones:
  control: { interfaces: [control], networks: [10.30.0.0/25] }
  line-a:  { interfaces: [line-a], networks: [10.30.0.128/25] }
assets:
  master:   { zone: control, address: 10.30.0.10 }
  tool:     { zone: control, address: 10.30.0.11 }
  slaves:   { zone: line-a, addresses: [10.30.0.140, 10.30.0.141] }
  subnet:   { zone: line-a, address: 10.30.0.255 }
  # Questions go to it in one zone, answers in the other.
  modules:  { zone: line-a, address: 255.255.255.255 }
  tools:    { zone: control, address: 255.255.255.255 }
services:
  cyclic: { transport: udp, port: 61450, source_port: same, direction: slmp, reply: { window: 30s, strict: true } }
  search: { transport: udp, port: 5560, source_port: same, direction: slmp, reply: { window: 30s, strict: true } }
conduits:
  - between: [control, line-a]
    allow:
      - { client: master, server: [slaves, subnet], service: cyclic }
      - { client: tool, server: [slaves, modules], service: search, reply_to: tools }
";

const CYCLIC: u16 = 61_450;
const SEARCH: u16 = 5560;
const SUBNET: Ipv4Addr = Ipv4Addr::new(10, 30, 0, 255);

fn zones() -> [Zone; 2] {
    let network = |name| Zone::new(name).network("10.30.0.254/24");
    [
        network("control")
            .host("master", &["10.30.0.10"])
            .host("tool", &["10.30.0.11"])
            .host("laptop", &["10.30.0.99"]),
        network("line-a").host("slave-1", &["10.30.0.140"]).host("slave-2", &["10.30.0.141"]),
    ]
}

#[test]
fn slaves_answer_a_broadcast_one_by_one() -> Result<()> {
    let lab = Lab::new(Gateway::Bridges, &zones())?;
    let (master, slaves) = (lab.host("master"), [lab.host("slave-1"), lab.host("slave-2")]);
    let devices =
        [device("cclink_ief_basic", slaves[0], CYCLIC)?, device("cclink_ief_basic", slaves[1], CYCLIC)?];
    play(
        &lab,
        master,
        SUBNET,
        &Devices { protocol: "cclink_ief_basic", port: CYCLIC, hosts: slaves, peers: devices },
        master.ipv4(),
    )
}

#[test]
fn modules_answer_a_broadcast_by_broadcast() -> Result<()> {
    let lab = Lab::new(Gateway::Bridges, &zones())?;
    let (tool, slaves) = (lab.host("tool"), [lab.host("slave-1"), lab.host("slave-2")]);
    for host in [tool, slaves[0], slaves[1]] {
        // Without a router, 255.255.255.255 needs a route of its own.
        host.check(&["ip", "route", "add", "255.255.255.255", "dev", "eth0"])?;
    }
    let devices = [device("melsoft", slaves[0], SEARCH)?, device("melsoft", slaves[1], SEARCH)?];
    let everyone = Ipv4Addr::BROADCAST;
    play(
        &lab,
        tool,
        everyone,
        &Devices { protocol: "melsoft", port: SEARCH, hosts: slaves, peers: devices },
        everyone,
    )
}

struct Devices<'lab> {
    protocol: &'static str,
    port: u16,
    hosts: [&'lab Host; 2],
    peers: [Peer; 2],
}

/// `to` is where questions go to, `back` where answers go to.
fn play(lab: &Lab, client: &Host, to: Ipv4Addr, devices: &Devices<'_>, back: Ipv4Addr) -> Result<()> {
    let work = || ask(devices.protocol, client, to, devices.port);
    work()?;
    let knock = Knock::new(lab, Ipv4Addr::new(10, 30, 0, 250))?;
    let mut watched = Watched::start(lab, POLICY, knock)?;
    let open = || client.udp((Ipv4Addr::UNSPECIFIED, devices.port));
    // First of all, since a question opens the window for a while.
    watched.in_both_modes(|watched| {
        let _open = open()?;
        for (host, peer) in devices.hosts.iter().zip(&devices.peers) {
            let mut forged = Deviation::new("an answer to no question", "unsolicited-reply", host, client);
            forged.aim = back;
            watched.deviates(&forged, || send(peer, "answer", devices.port, (back, devices.port)))?;
        }
        Ok(())
    })?;
    watched.in_both_modes(|watched| {
        watched.allows("a broadcast that both slaves answer", work)?;
        let _open = open()?;
        for (host, peer) in devices.hosts.iter().zip(&devices.peers) {
            let mut asks = Deviation::new("a slave asks", "reversed-direction", host, client);
            asks.aim = back;
            watched.deviates(&asks, || send(peer, "ask", devices.port, (back, devices.port)))?;
        }
        Ok(())
    })?;
    watched.stop()
}

fn device(protocol: &str, host: &Host, port: u16) -> Result<Peer> {
    let (address, port) = (host.ipv4().to_string(), port.to_string());
    let mut arguments =
        vec!["--protocol", protocol, "--address", &address, "--listen", "0.0.0.0", "--ports", &port];
    if protocol == "melsoft" {
        arguments.extend(["--answer-to", "255.255.255.255"]);
    }
    Peer::new(host, "udp_device.py", &arguments)
}

fn ask(protocol: &str, from: &Host, to: Ipv4Addr, port: u16) -> Result<()> {
    let (address, server) = (from.ipv4().to_string(), to.to_string());
    let (port, count) = (port.to_string(), COUNT.to_string());
    let arguments = [
        ["--protocol", protocol],
        ["--address", &address],
        ["--listen", "0.0.0.0"],
        ["--source-port", &port],
        ["--server", &server],
        ["--port", &port],
        ["--answers", "2"],
        ["--count", &count],
    ];
    all_good(peers::start(from, "udp_client.py", &arguments.concat())?, COUNT)
}
