//! SCTP: ports like the others, and a header of 12 bytes.

use banchi_common::reason::{Orientation, Reason};
use banchi_tests::packet::Packet;

use crate::site::{Site, back, case, drops, forward};

const POLICY: &str = "
services:
  diameter: { transport: sctp, port: 3868, source_port: ephemeral }
  m3ua:     { transport: sctp, port: 2905, source_port: same }
conduits:
  - between: [control, line-a]
    allow:
      - { name: diameter, client: scada, server: plc, service: diameter }
      - { name: m3ua, client: scada, server: plc, service: m3ua }
";

const INIT: [u8; 4] = [1, 0, 0, 4];

#[test]
fn ports() {
    for (scada, plc) in [("10.10.1.5", "10.20.0.11"), ("[fd00:10::5]", "[fd00:20::11]")] {
        let at = |host: &str, port: u16| format!("{host}:{port}");
        let to = |from, to| Packet::sctp(at(scada, from).as_str(), at(plc, to).as_str()).payload(INIT);
        let from = |from, to| Packet::sctp(at(plc, from).as_str(), at(scada, to).as_str()).payload(INIT);
        Site::plant(POLICY).check([
            case("the client asks", "control", to(40000, 3868), forward("diameter")),
            case("the server answers", "line-a", from(3868, 40000), back("diameter")),
            case("both ports pinned", "control", to(2905, 2905), forward("m3ua")),
            case("both ports pinned, answered", "line-a", from(2905, 2905), back("m3ua")),
            case(
                "another client port",
                "control",
                to(1024, 3868),
                drops(Reason::SourcePortDeviation).near("diameter"),
            ),
            case("another server port", "control", to(40000, 3869), drops(Reason::UnlistedService)),
            case(
                "the server asks the client's port",
                "line-a",
                from(40000, 3868),
                drops(Reason::ReversedDirection).near("diameter"),
            ),
            case("without chunks", "control", to(2905, 2905).payload([]), forward("m3ua")),
            case(
                "a wrong checksum is for the receiver",
                "control",
                to(2905, 2905).wrong_checksum(),
                forward("m3ua"),
            ),
        ]);
    }
}

#[test]
fn header() {
    let packet = || Packet::sctp("10.10.1.5:2905", "10.20.0.11:2905");
    Site::plant(POLICY).check([
        case("12 bytes are enough", "control", packet().claim_ip_length(32), forward("m3ua")),
        case("11 bytes are not", "control", packet().claim_ip_length(31), drops(Reason::Malformed)),
        case(
            "flags of TCP mean nothing here",
            "line-a",
            Packet::sctp("10.20.0.11:2905", "10.10.1.5:2905").payload([2; 16]),
            back("m3ua").of("m3ua", Orientation::Return),
        ),
        case(
            "UDP on the ports of SCTP",
            "control",
            Packet::udp("10.10.1.5:2905", "10.20.0.11:2905"),
            drops(Reason::UnlistedService),
        ),
    ]);
}
