//! Direction inside TCP connections: who opens them, and who commands in them.

use std::net::Ipv4Addr;

use anyhow::Result;
use banchi_tests::lab::{DEADLINE, Gateway, Host, Lab, SILENCE};
use banchi_tests::peers::{self, Peer};
use banchi_tests::plant;
use banchi_tests::traffic::{self, TcpEcho};

use super::{COUNT, Deviation, Knock, Watched, all_good};

const POLICY: &str = "
version: 1
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24] }
assets:
  scada: { zone: control, address: 10.10.1.5 }
  plcs:  { zone: line-a, addresses: [10.20.0.11-10.20.0.13] }
services:
  telecontrol: { transport: tcp, port: 2404, direction: iec104 }
  tags:        { transport: tcp, port: 44818, direction: enip }
  registers:   { transport: tcp, port: 502, direction: modbus }
conduits:
  - between: [control, line-a]
    allow:
      - { client: scada, server: plcs, service: [telecontrol, tags, registers] }
";

/// IEC 104.
const TELECONTROL: u16 = 2404;
/// EtherNet/IP.
const TAGS: u16 = 44818;
/// Modbus/TCP.
const REGISTERS: u16 = 502;

#[test]
fn iec104_stations_report_by_themselves_but_neither_open_nor_command() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let (scada, plc, rogue) = (lab.host("scada"), lab.host("plc-1"), lab.host("plc-3"));
    let station = peers::iec104_station(plc)?;
    telecontrol(scada, plc, &station, 21.0)?;
    let knock = Knock::new(&lab, Ipv4Addr::new(10, 20, 0, 250))?;
    let mut watched = Watched::start(&lab, POLICY, knock)?;
    let mut value = 30.0;
    watched.in_both_modes(|watched| {
        value += 1.0;
        watched.allows("interrogation, commands, spontaneous data and test frames", || {
            telecontrol(scada, plc, &station, value)
        })?;
        opens(watched, plc, scada, TELECONTROL)?;

        let stack = Peer::new(rogue, "iec104_rogue.py", &["--listen", &rogue.ipv4().to_string()])?;
        let mut master = None;
        watched.allows("connecting to the other station", || {
            master = Some(peers::iec104_master(scada, &rogue.ipv4().to_string())?);
            Ok(())
        })?;
        // Last in each mode: what is dropped is sent again and again.
        let commands = Deviation::new("a station commands", "reversed-direction", rogue, scada);
        watched.deviates(&commands, || {
            stack.succeed("command")?;
            // A single command, activated, to station 47, object 12: on.
            Ok(vec![45, 1, 6, 0, 47, 0, 12, 0, 0, 1])
        })
    })?;
    watched.stop()
}

/// All that the two stations do with each other, until a test frame of the controlled one has arrived.
fn telecontrol(scada: &Host, plc: &Host, station: &Peer, value: f64) -> Result<()> {
    let watcher = scada.raw("eth0")?;
    let master = peers::iec104_master(scada, &plc.ipv4().to_string())?;
    master.succeed("interrogate")?;
    for change in [0.25, 0.5, 0.75] {
        let from = master.lines();
        station.succeed(&format!("report {}", value + change))?;
        master.wait_from(from, &format!(r#""received": {}, "spontaneous": true"#, value + change))?;
    }
    master.succeed("command on")?;
    master.succeed("command off")?;
    let test = [plc.ipv4().octets(), scada.ipv4().octets()].concat();
    let is_test =
        |frame: &[u8]| frame.get(26..34) == Some(&test) && frame.ends_with(&[0x68, 4, 0x43, 0, 0, 0]);
    watcher.wait_for(is_test, DEADLINE)?;
    Ok(())
}

#[test]
fn enip_tags_are_read_and_written_by_the_client_alone() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-2"));
    let server = plc.ipv4().to_string();
    let _server = peers::enip_server(plc, &server)?;
    polled(&lab, plc, TAGS, || all_good(peers::enip_client(scada, &server, COUNT)?, COUNT))
}

#[test]
fn modbus_registers_are_read_and_written_by_the_client_alone() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-2"));
    let server = plc.ipv4().to_string();
    let _server = peers::modbus_server(plc, &server)?;
    // An answer to a write is the same as its question: it does not show what it is.
    polled(&lab, plc, REGISTERS, || all_good(peers::modbus_client(scada, &server, COUNT)?, COUNT))
}

/// A server that only answers: `work` works, and the server opens no connection.
fn polled(lab: &Lab, server: &Host, port: u16, work: impl Fn() -> Result<()>) -> Result<()> {
    work()?;
    let knock = Knock::new(lab, Ipv4Addr::new(10, 20, 0, 250))?;
    let mut watched = Watched::start(lab, POLICY, knock)?;
    watched.in_both_modes(|watched| {
        watched.allows("polling", &work)?;
        opens(watched, server, lab.host("scada"), port)?;
        watched.allows("polling after the attack", &work)
    })?;
    watched.stop()
}

/// The server opens a connection to the client, which would accept it.
fn opens(watched: &Watched<'_>, server: &Host, client: &Host, port: u16) -> Result<()> {
    const SOURCE: u16 = 42_000;
    let _accepts = TcpEcho::new(client, (client.ipv4(), port))?;
    let mut opens = Deviation::new("the server opens a connection", "reversed-direction", server, client);
    // In alert it is accepted.
    opens.besides = &["unlisted-service"];
    watched.deviates(&opens, || {
        let (from, to) = ((server.ipv4(), SOURCE), (client.ipv4(), port));
        traffic::ask_tcp(server, from, to, b"question", SILENCE)?;
        let addresses = [server.ipv4().octets(), client.ipv4().octets()].concat();
        Ok([&addresses[..], &SOURCE.to_be_bytes(), &port.to_be_bytes()].concat())
    })
}
