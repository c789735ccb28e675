//! A plant that the tests make up: four zones, every idiom, and a few things that should not be.

use banchi_tests::packet::{Packet, flags};

use crate::recorded::{MS, Recorded, SECOND, noise};

const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;

/// The policy that somebody wrote for it.
pub(crate) const POLICY: &str = "\
version: 1
defaults: { mode: alert }
zones:
  control: { interfaces: [eth1], networks: [10.10.0.0/16] }
  line: { interfaces: [eth2], networks: [10.20.0.0/24] }
  utilities: { interfaces: [eth3], networks: [10.30.0.0/24] }
  office: { interfaces: [eth0], networks: [192.168.7.0/24] }
assets:
  scada: { zone: control, address: 10.10.1.5 }
  building: { zone: control, address: 10.10.1.6 }
  historian: { zone: control, address: 10.10.1.9 }
  engineering: { zone: control, address: 10.10.2.30, mac: \"02:10:0a:0a:02:1e\" }
  clients: { zone: office, addresses: [192.168.7.20, 192.168.7.21] }
  ring: { zone: line, addresses: [10.20.0.11-10.20.0.16] }
  press: { zone: line, address: 10.20.0.40 }
  packers: { zone: line, addresses: [10.20.0.50-10.20.0.52] }
  cell: { zone: line, address: 10.20.0.5 }
  chillers: { zone: utilities, addresses: [10.30.0.21-10.30.0.24] }
  drives: { zone: utilities, address: 10.30.0.9 }
  meter: { zone: utilities, address: 10.30.0.30 }
services:
  ring-poll: { transport: udp, port: { linked: { base: 6000, octet: 4, step: 1 } }, source_port: 6000 }
  drive-poll: { transport: udp, port: [5011-5012, 5020-5023], source_port: 5010 }
  metering: { transport: udp, port: 18246, source_port: same, reply: none }
  https: { transport: tcp, port: 443 }
conduits:
  - between: [control, line]
    allow:
      - { client: scada, server: ring, service: ring-poll }
      - { client: historian, server: packers, service: modbus }
      - { client: engineering, server: press, service: s7-programming }
  - between: [control, utilities]
    allow:
      - { client: building, server: chillers, service: bacnet }
      - { client: meter, server: historian, service: metering }
  - between: [line, utilities]
    allow:
      - { client: cell, server: drives, service: drive-poll }
  - from: office
    to: control
    mode: enforce
    allow:
      - { client: clients, server: historian, service: https }
      - { name: old-terminal, client: clients, server: scada, service: opc-ua }
";

/// A question and its answer.
fn ask(plant: &mut Recorded, at: u64, ends: [&str; 2], payloads: [Vec<u8>; 2]) {
    let [client, server] = ends;
    let [question, answer] = payloads;
    plant.add(at, &Packet::udp(client, server).payload(question));
    plant.add(at + 6 * MS, &Packet::udp(server, client).payload(answer));
}

fn bacnet(n: u8) -> [Vec<u8>; 2] {
    let question = vec![0x81, 0x0a, 0, 17, 1, 4, 2, 0x75, n, 12, 12, 0, 0, 0, 1, 0x19, 0x55];
    let mut answer = vec![0x81, 0x0a, 0, 23, 1, 0, 0x30, n, 12, 12, 0, 0, 0, 1, 0x19, 0x55, 0x3e, 0x44];
    answer.extend([0x42, 0x28, 0, 0, 0x3f]);
    [question, answer]
}

/// So many days of it. `strange` adds what the policy does not allow.
pub(crate) fn plant(days: u64, strange: bool) -> Recorded {
    let mut plant = Recorded::default();
    for n in 0..days * 48 {
        let at = n * 30 * MINUTE + n % 7 * SECOND;
        let noises = || [noise(n), noise(n + 1)];
        for station in 11..17_u64 {
            let server = format!("10.20.0.{station}:{}", 6000 + station);
            ask(&mut plant, at + station * SECOND, ["10.10.1.5:6000", &server], noises());
        }
        for chiller in 21..25_u64 {
            let server = format!("10.30.0.{chiller}:47808");
            ask(&mut plant, at + chiller * SECOND, ["10.10.1.6:47808", &server], bacnet(n as u8));
        }
        for (place, port) in (0..).zip([5011, 5012, 5020, 5021, 5022, 5023]) {
            let server = format!("10.30.0.9:{port}");
            ask(&mut plant, at + (40 + place) * SECOND, ["10.20.0.5:5010", &server], noises());
        }
        let measured = Packet::udp("10.30.0.30:18246", "10.10.1.9:18246").payload(noise(n));
        plant.add(at + 55 * SECOND, &measured);
        for packer in 50..53_u64 {
            let client = format!("10.10.1.9:{}", 40_000 + n % 900 * 3 + packer - 50);
            plant.connect(at + packer * SECOND, &client, &format!("10.20.0.{packer}:502"), 3);
        }
        if n % 4 == 1 {
            plant.connect(at + 58 * SECOND, &format!("192.168.7.20:{}", 50_000 + n), "10.10.1.9:443", 2);
        }
    }
    for day in (1..days).step_by(3) {
        let client = format!("10.10.2.30:{}", 51_000 + day);
        let opening = Packet::tcp(client.as_str(), "10.20.0.40:102", flags::SYN);
        let mac = banchi_tests::lab::Mac([0x02, 0x10, 10, 10, 2, 30]);
        plant.add(day * DAY + 9 * HOUR, &opening.from_mac(mac));
        let accepted = Packet::tcp("10.20.0.40:102", client.as_str(), flags::SYN | flags::ACK);
        plant.add(day * DAY + 9 * HOUR + MS, &accepted);
    }
    if strange {
        strangers(&mut plant, days);
    }
    plant.sorted()
}

/// A wrong source port, a neighbour's port, somebody from the line at the SCADA server, and an unknown office host.
fn strangers(plant: &mut Recorded, days: u64) {
    let late = (days - 1) * DAY + 13 * HOUR;
    for n in 0..5 {
        plant.add(late + n * MINUTE, &Packet::udp("10.10.1.5:5009", "10.20.0.12:6012").payload(noise(n)));
        plant.add(
            late + n * MINUTE + SECOND,
            &Packet::udp("10.10.1.5:6000", "10.20.0.13:6014").payload(noise(n)),
        );
    }
    plant.connect(late, "10.20.0.77:50123", "10.10.1.5:3389", 4);
    plant.connect(late + HOUR, "192.168.7.99:50999", "10.10.1.9:443", 2);
}
