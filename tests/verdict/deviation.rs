//! What is told of a packet that nearly fits a rule, where several things could be told.

use banchi_common::reason::Reason;
use banchi_tests::packet::{
    Packet,
    flags::{ACK, SYN},
};

use crate::site::{Site, back, case, drops, forward, ip};

const POLICY: &str = "
services:
  modbus: { transport: tcp, port: 502, source_port: ephemeral }
  fins:   { transport: udp, reply: free, port: 9600, source_port: same }
  ring:   { transport: udp, reply: free, source_port: 6000, port: { linked: { base: 6000, octet: 4 } } }
  free:   { transport: udp, reply: free, port: 7000-7010 }
conduits:
  - between: [control, line-a]
    allow:
      - { name: modbus, client: scada, server: [plc, plc-2], service: modbus }
      - { name: fins, client: scada, server: [plc, plc-2], service: fins }
      - { name: ring, client: hmi, server: v4, service: ring }
      - { name: free, client: hmi, server: v4, service: free }
";

fn site() -> Site {
    Site::new(&format!(
        "{}  v4: {{ zone: line-a, addresses: [10.20.0.11, 10.20.0.12] }}\n{POLICY}",
        crate::site::PLANT
    ))
}

#[test]
fn one_field_deviates() {
    let (s, h, p) = (ip("10.10.1.5"), ip("10.10.1.6"), ip("10.20.0.11"));
    let near = |reason, rule| drops(reason).near(rule).conduit("control-line-a");
    site().check([
        case(
            "the client's port, asking",
            "control",
            Packet::tcp((s, 1025), (p, 502), SYN),
            near(Reason::SourcePortDeviation, "modbus"),
        ),
        case(
            "the client's port, asking further",
            "control",
            Packet::tcp((s, 1025), (p, 502), ACK),
            near(Reason::SourcePortDeviation, "modbus"),
        ),
        case(
            "the client's port, answering",
            "line-a",
            Packet::tcp((p, 502), (s, 1025), ACK),
            near(Reason::SourcePortDeviation, "modbus"),
        ),
        case(
            "the client's port of a same-port service, asking",
            "control",
            Packet::udp((s, 9601), (p, 9600)),
            near(Reason::SourcePortDeviation, "fins"),
        ),
        case(
            "the client's port of a same-port service, answering",
            "line-a",
            Packet::udp((p, 9600), (s, 9601)),
            near(Reason::SourcePortDeviation, "fins"),
        ),
        case(
            "the server's port is its neighbour's, asking",
            "control",
            Packet::udp((h, 6000), (p, 6012)),
            near(Reason::AddressPortMismatch, "ring"),
        ),
        case(
            "the server's port is its neighbour's, answering",
            "line-a",
            Packet::udp((p, 6012), (h, 6000)),
            near(Reason::AddressPortMismatch, "ring"),
        ),
        case(
            "the server's port is nobody's, asking",
            "control",
            Packet::udp((h, 6000), (p, 6100)),
            near(Reason::AddressPortMismatch, "ring"),
        ),
        case(
            "the server opens on the client",
            "line-a",
            Packet::tcp((p, 50000), (s, 502), SYN),
            near(Reason::ReversedDirection, "modbus"),
        ),
        case(
            "the server opens on the client from a wrong port too",
            "line-a",
            Packet::tcp((p, 1025), (s, 502), SYN),
            near(Reason::ReversedDirection, "modbus"),
        ),
        case(
            "the server asks a service without a client port",
            "line-a",
            Packet::udp((p, 1234), (h, 7005)),
            near(Reason::ReversedDirection, "free"),
        ),
    ]);
}

#[test]
fn two_fields_deviate() {
    let (s, h, p) = (ip("10.10.1.5"), ip("10.10.1.6"), ip("10.20.0.11"));
    let service = || drops(Reason::UnlistedService).conduit("control-line-a");
    site().check([
        case("both ports of a pinned service", "control", Packet::udp((s, 1), (p, 2)), service()),
        case("both ports of a linked service", "control", Packet::udp((h, 6001), (p, 6012)), service()),
        case(
            "both ports of a linked service, answering",
            "line-a",
            Packet::udp((p, 6012), (h, 6001)),
            service(),
        ),
        case("the same port, but not the service's", "control", Packet::udp((s, 9601), (p, 9601)), service()),
        case(
            "a server without a service for it",
            "line-a",
            Packet::tcp((p, 50000), (s, 503), SYN),
            service(),
        ),
        case(
            "the right ports, but the pair of the other rule",
            "control",
            Packet::udp((h, 9600), (p, 9600)),
            service().near("ring"),
        ),
    ]);
}

/// A packet of a service that both hosts may ask each other is no deviation in either direction.
#[test]
fn both_may_ask() {
    let policy = "
services: { fins: { transport: udp, reply: free, port: 9600, source_port: SOURCE }, opc: { transport: tcp, port: 4840, source_port: SOURCE } }
conduits:
  - between: [control, line-a]
    allow:
      - { name: down, client: scada, server: plc, service: fins }
      - { name: up, client: plc, server: scada, service: fins }
      - { name: opc-down, client: scada, server: plc, service: opc }
      - { name: opc-up, client: plc, server: scada, service: opc }
";
    let (s, p) = (ip("10.10.1.5"), ip("10.20.0.11"));
    Site::plant(&policy.replace("SOURCE", "ephemeral")).check([
        case("down", "control", Packet::udp((s, 40000), (p, 9600)), forward("down")),
        case("down, answered", "line-a", Packet::udp((p, 9600), (s, 40000)), back("down")),
        case("up", "line-a", Packet::udp((p, 40000), (s, 9600)), forward("up")),
        case("up, answered", "control", Packet::udp((s, 9600), (p, 40000)), back("up")),
        case("opening up", "line-a", Packet::tcp((p, 40000), (s, 4840), SYN), forward("opc-up")),
        case(
            "opening from the answering port",
            "line-a",
            Packet::tcp((p, 4840), (s, 40000), SYN),
            drops(Reason::ReversedDirection),
        ),
    ]);
}
