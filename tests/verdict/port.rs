//! Ports of the client and of the server.

use banchi_common::reason::{Orientation, Reason};
use banchi_tests::packet::{
    Packet,
    flags::{ACK, SYN},
};

use crate::site::{Case, Site, Want, back, case, drops, forward, ip};

/// One service between one client and one server.
fn with(service: &str) -> Site {
    Site::plant(&format!(
        "
services: {{ s: {{ {service} }} }}
conduits:
  - {{ between: [control, line-a], allow: [{{ name: r, client: scada, server: plc, service: s }}] }}
"
    ))
}

const HOSTS: [(&str, &str); 2] = [("10.10.1.5", "10.20.0.11"), ("fd00:10::5", "fd00:20::11")];

/// A question from port to port and its answer, in both families, over TCP.
fn rows(table: &[(&str, u16, u16, Want)]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (scada, plc) in HOSTS {
        for (why, client, server, wanted) in table {
            let why = format!("{client} > {server} of {plc}: {why}");
            let returned = if wanted.reason() == Reason::Allowed { back("r") } else { wanted.clone() };
            let ask = Packet::tcp((ip(scada), *client), (ip(plc), *server), SYN);
            let answer = Packet::tcp((ip(plc), *server), (ip(scada), *client), SYN | ACK);
            cases.push(case(why.clone(), "control", ask, wanted.clone()));
            cases.push(case(format!("{why}, answered"), "line-a", answer, returned));
        }
    }
    cases
}

fn yes() -> Want {
    forward("r").conduit("control-line-a")
}

fn service() -> Want {
    drops(Reason::UnlistedService).conduit("control-line-a")
}

fn source() -> Want {
    drops(Reason::SourcePortDeviation).near("r").conduit("control-line-a")
}

#[test]
fn server_port() {
    with("transport: tcp, port: 502").check(rows(&[
        ("the port", 40000, 502, yes()),
        ("one below", 40000, 501, service()),
        ("one above", 40000, 503, service()),
        ("bytes exchanged", 40000, 0xf601, service()),
        ("any client port: the lowest", 1, 502, yes()),
        ("any client port: none", 0, 502, yes()),
        ("any client port: the highest", 65535, 502, yes()),
        ("any client port: the same", 502, 502, yes()),
    ]));
    with("transport: tcp, port: [1, 65535]").check(rows(&[
        ("the lowest port", 40000, 1, yes()),
        ("the highest port", 40000, 65535, yes()),
        ("below the lowest", 40000, 0, service()),
        ("above the lowest", 40000, 2, service()),
        ("below the highest", 40000, 65534, service()),
    ]));
    with("transport: tcp, port: any").check(rows(&[
        ("port 0", 40000, 0, yes()),
        ("the lowest port", 40000, 1, yes()),
        ("the highest port", 40000, 65535, yes()),
    ]));
}

#[test]
fn lists_and_ranges() {
    for source_port in ["any", "5010"] {
        with(&format!(
            "transport: tcp, source_port: {source_port}, port: [5011, 5012, 5020-5029, 5040-5041]"
        ))
        .check(rows(&[
            ("before the list", 5010, 5010, service()),
            ("the first", 5010, 5011, yes()),
            ("the second", 5010, 5012, yes()),
            ("between", 5010, 5013, service()),
            ("before the range", 5010, 5019, service()),
            ("the first of the range", 5010, 5020, yes()),
            ("the middle of the range", 5010, 5025, yes()),
            ("the last of the range", 5010, 5029, yes()),
            ("one past the range", 5010, 5030, service()),
            ("the first of the last range", 5010, 5040, yes()),
            ("the last of the last range", 5010, 5041, yes()),
            ("one past everything", 5010, 5042, service()),
        ]));
    }
    // Every port but one, and ranges at both ends.
    with("transport: tcp, port: [1-501, 503-65535]").check(rows(&[
        ("the first of the first range", 0, 1, yes()),
        ("the last of the first range", 0, 501, yes()),
        ("the hole", 0, 502, service()),
        ("the first of the last range", 0, 503, yes()),
        ("the last of the last range", 0, 65535, yes()),
        ("port 0", 0, 0, service()),
    ]));
}

#[test]
fn source_port() {
    with("transport: tcp, port: 502, source_port: ephemeral").check(rows(&[
        ("one below the ephemeral ports", 32767, 502, source()),
        ("the first ephemeral port", 32768, 502, yes()),
        ("one of them", 50000, 502, yes()),
        ("the last ephemeral port", 65535, 502, yes()),
        ("the lowest port", 1, 502, source()),
        ("port 0", 0, 502, source()),
        ("the server's own", 502, 502, source()),
        ("ephemeral, but another service", 50000, 503, service()),
    ]));
    with("transport: tcp, port: 502, source_port: [5010, 5012-5014]").check(rows(&[
        ("before the list", 5009, 502, source()),
        ("the first", 5010, 502, yes()),
        ("between", 5011, 502, source()),
        ("the first of the range", 5012, 502, yes()),
        ("the last of the range", 5014, 502, yes()),
        ("one past the range", 5015, 502, source()),
        ("listed, but another service", 5010, 503, service()),
        ("neither", 5011, 503, service()),
    ]));
    with("transport: tcp, port: 502, source_port: [1, 65535]").check(rows(&[
        ("the lowest port", 1, 502, yes()),
        ("the highest port", 65535, 502, yes()),
        ("port 0", 0, 502, source()),
        ("above the lowest", 2, 502, source()),
        ("below the highest", 65534, 502, source()),
    ]));
}

#[test]
fn same_port() {
    with("transport: tcp, port: 47808, source_port: same").check(rows(&[
        ("the same", 47808, 47808, yes()),
        ("one off", 47807, 47808, source()),
        ("one off, above", 47809, 47808, source()),
        ("the same, but another", 47809, 47809, service()),
    ]));
    with("transport: tcp, port: [47808-47811, 9600], source_port: same").check(rows(&[
        ("the first", 47808, 47808, yes()),
        ("the last", 47811, 47811, yes()),
        ("the single one", 9600, 9600, yes()),
        ("two of the list, but not the same", 47808, 47811, source()),
        ("two of the list, crosswise", 9600, 47808, source()),
        ("past the list", 47812, 47812, service()),
    ]));
    with("transport: tcp, port: any, source_port: same").check(rows(&[
        ("any port, the same", 7, 7, yes()),
        ("the highest port, the same", 65535, 65535, yes()),
        ("any port, not the same", 7, 8, source()),
    ]));
}

#[test]
fn a_pinned_source_with_diverging_destinations_never_flips() {
    let policy = "
services: { melsec: { transport: udp, reply: free, source_port: 5010, port: [5011, 5012, 5020-5029] } }
conduits:
  - { between: [control, line-a], allow: [{ name: melsec, client: scada, server: [plc, plc-2], service: melsec }] }
";
    let (s, p) = (ip("10.10.1.5"), ip("10.20.0.11"));
    let site = Site::plant(policy);
    for port in [5011, 5012, 5020, 5024, 5029] {
        site.check([
            case(format!("to {port}"), "control", Packet::udp((s, 5010), (p, port)), forward("melsec")),
            case(format!("back from {port}"), "line-a", Packet::udp((p, port), (s, 5010)), back("melsec")),
            case(
                format!("{port} of the client asks 5010 of the server: roles exchanged"),
                "control",
                Packet::udp((s, port), (p, 5010)),
                drops(Reason::UnlistedService),
            ),
            case(
                format!("to {port} from another port"),
                "control",
                Packet::udp((s, 5009), (p, port)),
                drops(Reason::SourcePortDeviation).near("melsec"),
            ),
            case(
                format!("back from {port} to another port"),
                "line-a",
                Packet::udp((p, port), (s, 5009)),
                drops(Reason::SourcePortDeviation).near("melsec"),
            ),
            case(
                format!("the server asks {port} of the client from the pinned port"),
                "line-a",
                Packet::udp((p, 5010), (s, port)),
                drops(Reason::ReversedDirection).near("melsec"),
            ),
        ]);
    }
}

/// Services overlap in every way; the first rule in the file decides.
#[test]
fn services_that_overlap() {
    let policy = "
services:
  pinned: { transport: udp, reply: free, port: 100-110, source_port: 100-110 }
  same:   { transport: udp, reply: free, port: 105-120, source_port: same }
  open:   { transport: udp, reply: free, port: 108-130 }
conduits:
  - between: [control, line-a]
    allow:
      - { name: pinned, client: scada, server: plc, service: pinned }
      - { name: same, client: scada, server: plc, service: same }
      - { name: open, client: scada, server: plc, service: open }
";
    let (s, p) = (ip("10.10.1.5"), ip("10.20.0.11"));
    let site = Site::plant(policy);
    let first = |client: u16, server: u16| {
        let within = |port, first, last| (first..=last).contains(&port);
        if within(server, 100, 110) && within(client, 100, 110) {
            Some("pinned")
        } else if within(server, 105, 120) && client == server {
            Some("same")
        } else if within(server, 108, 130) {
            Some("open")
        } else {
            None
        }
    };
    for client in (97..=133).chain([0, 65535]) {
        for server in (97..=133).chain([0, 65535]) {
            let wanted = match first(client, server) {
                Some(rule) => forward(rule).of(rule, Orientation::Forward),
                // A packet that answers another one fits the other way round.
                None => match first(server, client) {
                    Some(rule) => back(rule),
                    None => continue,
                },
            };
            // The client answers from `server` to `client` of the PLC where the roles are exchanged.
            let (from, frame) = match wanted.orientation() {
                Some(Orientation::Return) => ("line-a", Packet::udp((p, client), (s, server))),
                _ => ("control", Packet::udp((s, client), (p, server))),
            };
            site.check([case(format!("{client} > {server}"), from, frame, wanted)]);
        }
    }
}
