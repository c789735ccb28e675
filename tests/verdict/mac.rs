//! Hardware addresses that the policy binds to addresses.

use banchi_common::reason::{Orientation, Reason};
use banchi_tests::lab::Mac;
use banchi_tests::packet::{
    Packet,
    flags::{ACK, SYN},
};

use crate::site::{Site, back, case, drops, forward, ip};

const POLICY: &str = r#"
version: 1
defaults: { mode: enforce }
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16, "fd00:10::/64"] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24, "fd00:20::/64"] }
assets:
  scada:  { zone: control, address: 10.10.1.5, mac: "00:80:f4:0a:0b:0c" }
  hmi:    { zone: control, address: 10.10.1.6 }
  scada6: { zone: control, address: "fd00:10::5", mac: "00:80:f4:0a:0b:0c" }
  room:   { zone: control, address: 10.10.1.0/28 }
  plc:    { zone: line-a, address: 10.20.0.11, mac: "00-80-F4-0A-0B-0E" }
  plc6:   { zone: line-a, address: "fd00:20::11" }
  line:   { zone: line-a, address: 10.20.0.1-10.20.0.100 }
services:
  modbus: { transport: tcp, port: 502, source_port: PORT }
  opc:    { transport: tcp, port: 4840, source_port: PORT }
conduits:
  - between: [control, line-a]
    allow:
      - { name: direct, client: [scada, hmi], server: plc, service: modbus }
      - { name: direct6, client: scada6, server: plc6, service: modbus }
      - { name: group, client: room, server: line, service: opc }
"#;

const SCADA: Mac = Mac([0x00, 0x80, 0xf4, 0x0a, 0x0b, 0x0c]);
const PLC: Mac = Mac([0x00, 0x80, 0xf4, 0x0a, 0x0b, 0x0e]);

fn other(mac: Mac, byte: usize) -> Mac {
    let mut bytes = mac.0;
    bytes[byte] ^= 1;
    Mac(bytes)
}

#[test]
fn bindings() {
    for port in ["any", "40000"] {
        let open = |from: &str, to: &str, server| Packet::tcp((ip(from), 40000), (ip(to), server), SYN);
        let answer = |from: &str, server, to: &str| Packet::tcp((ip(from), server), (ip(to), 40000), ACK);
        let mismatch = || drops(Reason::MacMismatch).conduit("control-line-a");
        let site = Site::new(&POLICY.replace("PORT", port));
        site.check((0..6).map(|byte| {
            let packet = open("10.10.1.5", "10.20.0.11", 502).from_mac(other(SCADA, byte));
            case(
                format!("byte {byte} of the client's address is another"),
                "control",
                packet,
                mismatch().of("direct", Orientation::Forward),
            )
        }));
        site.check([
            case(
                "the bound client",
                "control",
                open("10.10.1.5", "10.20.0.11", 502).from_mac(SCADA),
                forward("direct"),
            ),
            case(
                "a client without a binding, from any station",
                "control",
                open("10.10.1.6", "10.20.0.11", 502).from_mac(PLC),
                forward("direct"),
            ),
            case(
                "the receiver's hardware address does not count",
                "control",
                open("10.10.1.5", "10.20.0.11", 502).from_mac(SCADA).to_mac(PLC),
                forward("direct"),
            ),
            case(
                "the bound server answers",
                "line-a",
                answer("10.20.0.11", 502, "10.10.1.5").from_mac(PLC),
                back("direct"),
            ),
            case(
                "another station answers",
                "line-a",
                answer("10.20.0.11", 502, "10.10.1.5").from_mac(SCADA),
                mismatch().of("direct", Orientation::Return),
            ),
            case(
                "another station answers the client without a binding",
                "line-a",
                answer("10.20.0.11", 502, "10.10.1.6").from_mac(SCADA),
                mismatch(),
            ),
            case(
                "the bound IPv6 client",
                "control",
                open("fd00:10::5", "fd00:20::11", 502).from_mac(SCADA),
                forward("direct6"),
            ),
            case(
                "another station with the IPv6 client's address",
                "control",
                open("fd00:10::5", "fd00:20::11", 502).from_mac(PLC),
                mismatch(),
            ),
            case(
                "an IPv6 server without a binding",
                "line-a",
                answer("fd00:20::11", 502, "fd00:10::5").from_mac(SCADA),
                back("direct6"),
            ),
            case(
                "a rule for a set that holds the bound client",
                "control",
                open("10.10.1.5", "10.20.0.50", 4840).from_mac(SCADA),
                forward("group"),
            ),
            case(
                "another station, by a rule for a set",
                "control",
                open("10.10.1.5", "10.20.0.50", 4840).from_mac(PLC),
                mismatch().of("group", Orientation::Forward),
            ),
            case(
                "another station answers, by a rule for a set",
                "line-a",
                answer("10.20.0.11", 4840, "10.10.1.6").from_mac(SCADA),
                mismatch().of("group", Orientation::Return),
            ),
            case(
                "another host of the set has no binding",
                "control",
                open("10.10.1.7", "10.20.0.50", 4840).from_mac(PLC),
                forward("group"),
            ),
            case(
                "another station with an unlisted service",
                "control",
                open("10.10.1.5", "10.20.0.11", 9).from_mac(PLC),
                mismatch(),
            ),
            case(
                "the bound station with an unlisted service",
                "control",
                open("10.10.1.5", "10.20.0.11", 9).from_mac(SCADA),
                drops(Reason::UnlistedService),
            ),
            case(
                "a wrong zone is told before a wrong station",
                "line-a",
                open("10.10.1.5", "10.20.0.11", 502).from_mac(PLC),
                drops(Reason::WrongZone),
            ),
            case(
                "a wrong station is told before a reversed direction",
                "line-a",
                Packet::tcp("10.20.0.11:502", "10.10.1.5:40000", SYN).from_mac(SCADA),
                mismatch(),
            ),
            case(
                "in a priority tag",
                "control",
                open("10.10.1.5", "10.20.0.11", 502).from_mac(PLC).vlan(0),
                mismatch(),
            ),
        ]);
    }
}
