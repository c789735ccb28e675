//! Traffic to the gateway itself.

use banchi_common::reason::Reason;
use banchi_tests::packet::{Packet, flags::SYN};

use crate::site::{Site, case, drops, forward};

const POLICY: &str = r#"
version: 1
defaults: { mode: enforce }
GATEWAY
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16, "fd00:10::/64"] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24] }
assets:
  scada: { zone: control, addresses: [10.10.1.5, "fd00:10::5"] }
  plc:   { zone: line-a, address: 10.20.0.11 }
services: { ssh: { transport: tcp, port: 22, source_port: ephemeral }, ping: { transport: icmp } }
conduits:
  - { between: [control, line-a], allow: [{ name: ping, client: scada, server: plc, service: ping }] }
RULES
"#;

fn open(from: &str, to: &str) -> Packet {
    Packet::tcp(format!("{from}:40000").as_str(), format!("{to}:22").as_str(), SYN)
}

#[test]
fn with_addresses() {
    let policy = POLICY
        .replace("GATEWAY", "gateway: { addresses: [10.10.0.1, 10.20.0.1, \"fd00:10::1\"] }")
        .replace("RULES", "  - { from: control, to: gateway, allow: [{ name: ssh, client: scada, server: gateway, service: [ssh] }] }");
    Site::new(&policy).check([
        case(
            "its address in the client's zone",
            "control",
            open("10.10.1.5", "10.10.0.1"),
            forward("ssh").conduit("control-gateway"),
        ),
        case("its address in another zone", "control", open("10.10.1.5", "10.20.0.1"), forward("ssh")),
        case("its IPv6 address", "control", open("[fd00:10::5]", "[fd00:10::1]"), forward("ssh")),
        case(
            "a service that it does not offer",
            "control",
            Packet::tcp("10.10.1.5:40000", "10.10.0.1:23", SYN),
            drops(Reason::UnlistedService).conduit("control-gateway"),
        ),
        case(
            "ping is another service",
            "control",
            Packet::echo_request([10, 10, 1, 5], [10, 10, 0, 1], 1, 1),
            drops(Reason::UnlistedService),
        ),
        case(
            "a host that may not",
            "line-a",
            open("10.20.0.11", "10.20.0.1"),
            drops(Reason::UnlistedPair).no_conduit(),
        ),
        case(
            "an unknown host",
            "control",
            open("10.10.9.9", "10.10.0.1"),
            drops(Reason::UnknownSource).conduit("control-gateway"),
        ),
        case(
            "the gateway's address as a source: it never comes in",
            "control",
            open("10.10.0.1", "10.20.0.11"),
            drops(Reason::WrongZone),
        ),
        case(
            "the gateway's answer, from outside",
            "control",
            Packet::tcp("10.10.0.1:22", "10.10.1.5:40000", 0x10),
            drops(Reason::WrongZone),
        ),
        case(
            "the next address is not the gateway",
            "control",
            open("10.10.1.5", "10.10.0.2"),
            drops(Reason::UnknownDestination),
        ),
        case(
            "through the gateway",
            "control",
            Packet::echo_request([10, 10, 1, 5], [10, 20, 0, 11], 1, 1),
            forward("ping"),
        ),
    ]);
}

#[test]
fn without_addresses() {
    let policy = POLICY.replace("GATEWAY", "").replace("RULES", "");
    Site::new(&policy).check([
        case(
            "an address of the zone that nobody named",
            "control",
            open("10.10.1.5", "10.10.0.1"),
            drops(Reason::UnknownDestination).no_conduit(),
        ),
        case(
            "an address of another zone that nobody named",
            "control",
            open("10.10.1.5", "10.20.0.1"),
            drops(Reason::UnknownDestination).conduit("control-line-a"),
        ),
    ]);
}
