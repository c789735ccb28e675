//! TCP flags: who opens, and who only answers.

use banchi_common::reason::{Orientation, Reason};
use banchi_tests::packet::{Packet, flags::*};

use crate::site::{Site, back, case, drops, forward};

const POLICY: &str = "
services:
  modbus: { transport: tcp, port: 502, source_port: ephemeral }
  same:   { transport: tcp, port: 2000, source_port: same }
conduits:
  - between: [control, line-a]
    allow:
      - { name: modbus, client: scada, server: plc, service: modbus }
      - { name: same, client: scada, server: plc, service: same }
";

const HOSTS: [(&str, &str); 2] = [("10.10.1.5", "10.20.0.11"), ("[fd00:10::5]", "[fd00:20::11]")];

fn at(host: &str, port: u16) -> String {
    format!("{host}:{port}")
}

#[test]
fn opening_and_answering() {
    for (scada, plc) in HOSTS {
        let to = |flags| Packet::tcp(at(scada, 40000).as_str(), at(plc, 502).as_str(), flags);
        let from = |flags| Packet::tcp(at(plc, 502).as_str(), at(scada, 40000).as_str(), flags);
        let reversed =
            || drops(Reason::ReversedDirection).of("modbus", Orientation::Return).conduit("control-line-a");
        Site::plant(POLICY).check([
            case("the client opens", "control", to(SYN), forward("modbus")),
            case(
                "the client opens with congestion notification",
                "control",
                to(SYN | ECE | CWR),
                forward("modbus"),
            ),
            case("the client opens with data", "control", to(SYN).payload([1, 2]), forward("modbus")),
            case("the server accepts", "line-a", from(SYN | ACK), back("modbus")),
            case(
                "the server accepts with congestion notification",
                "line-a",
                from(SYN | ACK | ECE),
                back("modbus"),
            ),
            case("the client acknowledges", "control", to(ACK), forward("modbus")),
            case("the client asks", "control", to(PSH | ACK).payload([0; 12]), forward("modbus")),
            case("the server answers", "line-a", from(PSH | ACK).payload([0; 12]), back("modbus")),
            case("the server closes", "line-a", from(FIN | ACK), back("modbus")),
            case("the client closes", "control", to(FIN | ACK), forward("modbus")),
            case("the server refuses", "line-a", from(RST | ACK), back("modbus")),
            case("the server resets", "line-a", from(RST), back("modbus")),
            case("the client resets", "control", to(RST), forward("modbus")),
            case("no flag at all belongs to no connection", "line-a", from(0), reversed()),
            case("nor does an end without acknowledgement", "line-a", from(FIN | PSH), reversed()),
            case("the server opens from its own port", "line-a", from(SYN), reversed()),
            case("the server opens with urgent data", "line-a", from(SYN | URG | PSH), reversed()),
            case("SYN and FIN open all the same", "line-a", from(SYN | FIN), reversed()),
            case("SYN and RST open all the same", "line-a", from(SYN | RST), reversed()),
            case(
                "the server opens with congestion notification",
                "line-a",
                from(SYN | ECE | CWR),
                reversed(),
            ),
            case("every flag but ACK", "line-a", from(0xff & !ACK), reversed()),
            case("every flag", "line-a", from(0xff), back("modbus")),
        ]);
    }
}

#[test]
fn opening_where_both_ends_use_one_port() {
    for (scada, plc) in HOSTS {
        let to = |flags| Packet::tcp(at(scada, 2000).as_str(), at(plc, 2000).as_str(), flags);
        let from = |flags| Packet::tcp(at(plc, 2000).as_str(), at(scada, 2000).as_str(), flags);
        Site::plant(POLICY).check([
            case("the client opens", "control", to(SYN), forward("same")),
            case("the server accepts", "line-a", from(SYN | ACK), back("same")),
            case(
                "the server opens: the ports alone would not tell",
                "line-a",
                from(SYN),
                drops(Reason::ReversedDirection).of("same", Orientation::Return),
            ),
            case("the client's accept of that", "control", to(SYN | ACK), forward("same")),
        ]);
    }
}

#[test]
fn opening_to_the_clients_host() {
    for (scada, plc) in HOSTS {
        let open = |port, flags| Packet::tcp(at(plc, 40000).as_str(), at(scada, port).as_str(), flags);
        Site::plant(POLICY).check([
            case(
                "the server opens the client's service port",
                "line-a",
                open(502, SYN),
                drops(Reason::ReversedDirection).near("modbus").conduit("control-line-a"),
            ),
            case(
                "and goes on there",
                "line-a",
                open(502, ACK),
                drops(Reason::ReversedDirection).near("modbus"),
            ),
            case("the server opens another port", "line-a", open(503, SYN), drops(Reason::UnlistedService)),
        ]);
    }
}

#[test]
fn data_offset() {
    let to = |words| {
        Packet::tcp("10.10.1.5:40000", "10.20.0.11:502", ACK).payload([0; 8]).claim_data_offset(words)
    };
    let site = Site::plant(POLICY);
    site.check((0..16).map(|words| {
        let wanted = if (5..=7).contains(&words) { forward("modbus") } else { drops(Reason::Malformed) };
        case(format!("a data offset of {words} words in a segment of 7"), "control", to(words), wanted)
    }));
    let options =
        |count: usize| Packet::tcp("10.10.1.5:40000", "10.20.0.11:502", SYN).tcp_options(&vec![1; count]);
    site.check((0..=10).map(|words| {
        case(format!("{words} words of options"), "control", options(words * 4), forward("modbus"))
    }));
    site.check([
        case(
            "a wrong checksum is for the receiver",
            "control",
            options(0).wrong_checksum(),
            forward("modbus"),
        ),
        case(
            "reserved bits decide nothing",
            "control",
            Packet::tcp("10.10.1.5:40000", "10.20.0.11:502", SYN | 0xf00),
            forward("modbus"),
        ),
    ]);
}
