//! Which host or network an address belongs to.

use banchi_common::reason::{Orientation, Reason};
use banchi_tests::packet::{
    Packet,
    flags::{ACK, SYN},
};

use crate::site::{Case, Site, Want, back, case, drops, forward, ip};

fn open(from: &str, to: &str) -> Packet {
    Packet::tcp((ip(from), 40000), (ip(to), 502), SYN)
}

fn answer(from: &str, to: &str) -> Packet {
    Packet::tcp((ip(from), 502), (ip(to), 40000), ACK)
}

/// A policy in which `servers` of the zone `net` may be asked by one host. The pinned client port makes rules of
/// few hosts exact tuples; `any` makes them classes.
fn serving(net: &str, servers: &str, source_port: &str) -> Site {
    Site::new(&format!(
        r#"
version: 1
defaults: {{ mode: enforce }}
zones:
  control: {{ interfaces: [control], networks: [172.16.0.0/24, "fd00:172::/64"] }}
  net:     {{ interfaces: [net], networks: {net} }}
assets:
  scada: {{ zone: control, addresses: [172.16.0.5, "fd00:172::5"] }}
  set:   {{ zone: net, addresses: {servers} }}
services: {{ modbus: {{ transport: tcp, port: 502, source_port: {source_port} }} }}
conduits:
  - {{ between: [control, net], allow: [{{ name: modbus, client: scada, server: set, service: modbus }}] }}
"#
    ))
}

/// Asks each address, and answers from it. `wanted` is what a question to it gives.
fn both_ways(table: &[(&str, &str, Want)]) -> Vec<Case> {
    let scada = |other: &str| if ip(other).is_ipv4() { "172.16.0.5" } else { "fd00:172::5" };
    let mut cases = Vec::new();
    for (why, address, wanted) in table {
        let returned = match wanted.reason() {
            Reason::Allowed => back("modbus"),
            Reason::UnknownDestination => drops(Reason::UnknownSource),
            other => drops(other),
        };
        cases.push(case(
            format!("{address}: {why}"),
            "control",
            open(scada(address), address),
            wanted.clone(),
        ));
        cases.push(case(format!("from {address}: {why}"), "net", answer(address, scada(address)), returned));
    }
    cases
}

fn yes() -> Want {
    forward("modbus")
}

fn no() -> Want {
    drops(Reason::UnknownDestination).no_rule()
}

#[test]
fn hosts() {
    for source_port in ["any", "40000"] {
        serving(
            "[10.0.0.0/8, \"fd00::/48\"]",
            "[10.0.0.1, 10.255.255.254, \"fd00::1\", \"fd00:0:0:ffff::1\"]",
            source_port,
        )
        .check(both_ways(&[
            ("a host", "10.0.0.1", yes()),
            ("one below", "10.0.0.0", no()),
            ("one above", "10.0.0.2", no()),
            ("one bit off, high", "10.128.0.1", no()),
            ("another host of the asset", "10.255.255.254", yes()),
            ("the last address of the network", "10.255.255.255", no()),
            ("an IPv6 host", "fd00::1", yes()),
            ("one below", "fd00::", no()),
            ("one above", "fd00::2", no()),
            ("the same host in another subnet", "fd00:0:0:1::1", no()),
            ("an IPv6 host in the last subnet", "fd00:0:0:ffff::1", yes()),
            ("its bits exchanged between the words", "fd00:0:0:1::ffff", no()),
        ]));
    }
}

#[test]
fn ranges() {
    // The second is too long to be single hosts, and not aligned: it becomes prefixes.
    for source_port in ["any", "40000"] {
        serving("[10.0.0.0/8, \"fd00::/48\"]", "[10.1.0.3-10.1.0.9, 10.2.0.3-10.2.255.250, \"fd00::3-fd00::9\", \"fd00:0:0:1::3-fd00:0:0:1::1:7\"]", source_port).check(both_ways(&[
            ("one before the first", "10.1.0.2", no()),
            ("the first", "10.1.0.3", yes()),
            ("the second", "10.1.0.4", yes()),
            ("the last", "10.1.0.9", yes()),
            ("one past the last", "10.1.0.10", no()),
            ("one before the first of a long range", "10.2.0.2", no()),
            ("the first of a long range", "10.2.0.3", yes()),
            ("the first aligned one of a long range", "10.2.0.4", yes()),
            ("the middle of a long range", "10.2.128.0", yes()),
            ("before the middle of a long range", "10.2.127.255", yes()),
            ("the last of a long range", "10.2.255.250", yes()),
            ("one past the last of a long range", "10.2.255.251", no()),
            ("one before the first, IPv6", "fd00::2", no()),
            ("the first, IPv6", "fd00::3", yes()),
            ("the last, IPv6", "fd00::9", yes()),
            ("one past the last, IPv6", "fd00::a", no()),
            ("one before the first of a long range, IPv6", "fd00:0:0:1::2", no()),
            ("the first of a long range, IPv6", "fd00:0:0:1::3", yes()),
            ("inside a long range, IPv6", "fd00:0:0:1::8000", yes()),
            ("the last of a long range, IPv6", "fd00:0:0:1::1:7", yes()),
            ("one past the last of a long range, IPv6", "fd00:0:0:1::1:8", no()),
        ]));
    }
}

#[test]
fn prefixes() {
    // Prefix, its first and last address, and the ones beside it.
    let table = [
        ("128.0.0.0/1", "128.0.0.0", "255.255.255.254", Some("127.255.255.255"), None),
        ("10.0.0.0/8", "10.0.0.0", "10.255.255.255", Some("9.255.255.255"), Some("11.0.0.0")),
        ("10.20.0.0/16", "10.20.0.0", "10.20.255.255", Some("10.19.255.255"), Some("10.21.0.0")),
        ("10.20.30.0/24", "10.20.30.0", "10.20.30.255", Some("10.20.29.255"), Some("10.20.31.0")),
        ("10.20.30.128/25", "10.20.30.128", "10.20.30.255", Some("10.20.30.127"), Some("10.20.31.0")),
        ("10.20.30.40/31", "10.20.30.40", "10.20.30.41", Some("10.20.30.39"), Some("10.20.30.42")),
        ("10.20.30.40/32", "10.20.30.40", "10.20.30.40", Some("10.20.30.39"), Some("10.20.30.41")),
        (
            "2000::/3",
            "2000::",
            "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            Some("1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            Some("4000::"),
        ),
        (
            "fd00::/48",
            "fd00::",
            "fd00:0:0:ffff:ffff:ffff:ffff:ffff",
            Some("fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            Some("fd00:0:1::"),
        ),
        ("fd00::/63", "fd00::", "fd00:0:0:1:ffff:ffff:ffff:ffff", None, Some("fd00:0:0:2::")),
        (
            "fd00:0:0:5::/64",
            "fd00:0:0:5::",
            "fd00:0:0:5:ffff:ffff:ffff:ffff",
            Some("fd00:0:0:4:ffff:ffff:ffff:ffff"),
            Some("fd00:0:0:6::"),
        ),
        (
            "fd00:0:0:5:8000::/65",
            "fd00:0:0:5:8000::",
            "fd00:0:0:5:ffff:ffff:ffff:ffff",
            Some("fd00:0:0:5:7fff:ffff:ffff:ffff"),
            Some("fd00:0:0:6::"),
        ),
        ("fd00::10/127", "fd00::10", "fd00::11", Some("fd00::f"), Some("fd00::12")),
        ("fd00::10/128", "fd00::10", "fd00::10", Some("fd00::f"), Some("fd00::11")),
    ];
    for (prefix, first, last, below, above) in table {
        let all = if prefix.contains(':') { "::/0" } else { "0.0.0.0/0" };
        let mut rows =
            vec![("the first of the prefix", first, yes()), ("the last of the prefix", last, yes())];
        rows.extend(below.map(|address| ("one below the prefix", address, no())));
        rows.extend(above.map(|address| ("one above the prefix", address, no())));
        serving(&format!("[\"{all}\"]"), &format!("[\"{prefix}\"]"), "any").check(both_ways(&rows));
    }
}

#[test]
fn everything_that_no_other_zone_claims() {
    let gone = || drops(Reason::UnlistedPair);
    let site = serving("[0.0.0.0/0, \"::/0\"]", "[0.0.0.0/0, \"::/0\"]", "any");
    site.check(both_ways(&[
        ("the lowest address", "0.0.0.1", yes()),
        ("any address", "8.8.8.8", yes()),
        ("the highest address", "255.255.255.254", yes()),
        ("beside the other zone's network", "172.16.1.0", yes()),
        ("before the other zone's network", "172.15.255.255", yes()),
        ("the lowest address, IPv6", "::1", yes()),
        ("any address, IPv6", "2001:db8::1", yes()),
        ("the highest address, IPv6", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", yes()),
    ]));
    site.check([
        case(
            "a named host of the other zone is none of them",
            "control",
            open("172.16.0.5", "172.16.0.5"),
            gone().no_rule(),
        ),
        case(
            "an unnamed host of the other zone is none of them",
            "control",
            open("172.16.0.5", "172.16.0.6"),
            no(),
        ),
        case(
            "an unnamed host of the other zone is none of them (IPv6)",
            "control",
            open("fd00:172::5", "fd00:172::6"),
            no(),
        ),
        case(
            "the other zone's host does not become one by asking",
            "control",
            answer("172.16.0.5", "172.16.0.5"),
            gone().no_rule(),
        ),
    ]);
}

#[test]
fn the_most_specific_one_wins() {
    let policy = r#"
version: 1
defaults: { mode: enforce }
zones:
  control: { interfaces: [control], networks: [172.16.0.0/24] }
  office:  { interfaces: [office], networks: [0.0.0.0/0] }
  wide:    { interfaces: [wide], networks: [10.0.0.0/8] }
assets:
  scada:   { zone: control, address: 172.16.0.5 }
  all:     { zone: wide, address: 10.0.0.0/8 }
  hall:    { zone: wide, address: 10.20.0.0/16 }
  cell:    { zone: wide, address: 10.20.30.0/24 }
  one:     { zone: wide, address: 10.20.30.40 }
  world:   { zone: office, address: 8.0.0.0/8 }
services:
  a: { transport: tcp, port: 1 }
  b: { transport: tcp, port: 2 }
  c: { transport: tcp, port: 3 }
  d: { transport: tcp, port: 4 }
  e: { transport: tcp, port: 5 }
conduits:
  - between: [control, wide]
    allow:
      - { name: one, client: scada, server: one, service: a }
      - { name: cell, client: scada, server: cell, service: b }
      - { name: hall, client: scada, server: hall, service: c }
      - { name: all, client: scada, server: all, service: d }
  - { between: [control, office], allow: [{ name: world, client: scada, server: world, service: e }] }
"#;
    let ask = |to, port| Packet::tcp((ip("172.16.0.5"), 40000), (ip(to), port), SYN);
    let other = || drops(Reason::UnlistedService);
    Site::new(policy).check([
        case("a host is what it is named", "control", ask("10.20.30.40", 1), forward("one")),
        case("and a part of its cell", "control", ask("10.20.30.40", 2), forward("cell")),
        case("and of its hall", "control", ask("10.20.30.40", 3), forward("hall")),
        case("and of everything", "control", ask("10.20.30.40", 4), forward("all")),
        case("its neighbour is not the host", "control", ask("10.20.30.41", 1), other()),
        case("its neighbour is of the cell", "control", ask("10.20.30.41", 2), forward("cell")),
        case("its neighbour is of the hall", "control", ask("10.20.30.41", 3), forward("hall")),
        case("another cell is not the cell", "control", ask("10.20.31.40", 2), other()),
        case("another cell is of the hall", "control", ask("10.20.31.40", 3), forward("hall")),
        case("another hall is not the hall", "control", ask("10.21.0.1", 3), other()),
        case("another hall is of everything", "control", ask("10.21.0.1", 4), forward("all")),
        case(
            "outside of everything is the office",
            "control",
            ask("11.0.0.1", 4),
            drops(Reason::UnknownDestination).conduit("control-office"),
        ),
        case("a network of the office", "control", ask("8.8.8.8", 5), forward("world")),
        case("the office may not be asked what the hall is", "control", ask("8.8.8.8", 3), other()),
        case(
            "the host answers",
            "wide",
            Packet::tcp((ip("10.20.30.40"), 3), (ip("172.16.0.5"), 40000), ACK),
            back("hall"),
        ),
    ]);
}

#[test]
fn zones() {
    let policy = "
services: { modbus: { transport: tcp, port: 502, source_port: PORT } }
conduits:
  - { between: [control, line-a], allow: [{ name: modbus, client: scada, server: plc, service: modbus }] }
  - { between: [control, line-b], allow: [{ name: robot, client: scada, server: robot, service: modbus }] }
";
    for source_port in ["any", "40000"] {
        for v in [
            ["10.10.1.5", "10.20.0.11", "10.20.0.77", "10.10.9.9", "192.0.2.1"],
            ["fd00:10::5", "fd00:20::11", "fd00:20::77", "fd00:10::99", "2001:db8::1"],
        ] {
            let [scada, plc, unnamed, stranger, outside] = v;
            let wrong = || drops(Reason::WrongZone);
            Site::plant(&policy.replace("PORT", source_port)).check([
                case("from its zone", "control", open(scada, plc), forward("modbus").zone("control")),
                case(
                    "the client from the server's zone",
                    "line-a",
                    open(scada, plc),
                    wrong().of("modbus", Orientation::Forward).zone("line-a"),
                ),
                case(
                    "the client from a third zone",
                    "line-b",
                    open(scada, plc),
                    wrong().of("modbus", Orientation::Forward).zone("line-b"),
                ),
                case(
                    "the server from the client's zone",
                    "control",
                    answer(plc, scada),
                    wrong().of("modbus", Orientation::Return),
                ),
                case(
                    "the server from a third zone",
                    "line-b",
                    answer(plc, scada),
                    wrong().of("modbus", Orientation::Return),
                ),
                case("an unnamed host of another zone", "line-b", open(unnamed, scada), wrong().no_rule()),
                case(
                    "an unnamed host of its zone",
                    "line-a",
                    open(unnamed, scada),
                    drops(Reason::UnknownSource).conduit("control-line-a").no_rule(),
                ),
                case(
                    "an unnamed host to an unnamed host: the source is told",
                    "line-a",
                    open(unnamed, stranger),
                    drops(Reason::UnknownSource),
                ),
                case(
                    "a host of no zone",
                    "line-a",
                    open(outside, scada),
                    drops(Reason::UnknownSource).conduit("control-line-a"),
                ),
                case(
                    "to an unnamed host of a zone",
                    "control",
                    open(scada, unnamed),
                    drops(Reason::UnknownDestination).conduit("control-line-a").no_rule(),
                ),
                case(
                    "to a host of no zone",
                    "control",
                    open(scada, outside),
                    drops(Reason::UnknownDestination).no_conduit().no_rule(),
                ),
                case(
                    "a wrong zone is told before an unknown destination",
                    "line-b",
                    open(scada, outside),
                    wrong(),
                ),
            ]);
        }
    }
}

#[test]
fn special_addresses() {
    let policy = r#"
version: 1
defaults: { mode: enforce }
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16, "fd00:10::/64"] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24, "fd00:20::/64"] }
assets:
  scada: { zone: control, addresses: [10.10.1.5, "fd00:10::5"] }
  group: { zone: line-a, addresses: [255.255.255.255, 239.192.0.2, 10.20.0.255, "ff05::2"] }
services: { cyclic: { transport: udp, reply: free, port: 61450, source_port: same } }
conduits:
  - { from: control, to: line-a, allow: [{ name: cyclic, client: scada, server: group, service: cyclic }] }
"#;
    let ask = |from, to| Packet::udp((ip(from), 61450), (ip(to), 61450));
    Site::new(policy).check([
        case("to all", "control", ask("10.10.1.5", "255.255.255.255"), forward("cyclic")),
        case("to a group", "control", ask("10.10.1.5", "239.192.0.2"), forward("cyclic")),
        case(
            "to the broadcast of the network",
            "control",
            ask("10.10.1.5", "10.20.0.255"),
            forward("cyclic"),
        ),
        case("to an IPv6 group", "control", ask("fd00:10::5", "ff05::2"), forward("cyclic")),
        case(
            "to another group",
            "control",
            ask("10.10.1.5", "239.192.0.3"),
            drops(Reason::UnknownDestination),
        ),
        case(
            "to another IPv6 group",
            "control",
            ask("fd00:10::5", "ff05::3"),
            drops(Reason::UnknownDestination),
        ),
        case(
            "to the broadcast of the client's network",
            "control",
            ask("10.10.1.5", "10.10.255.255"),
            drops(Reason::UnknownDestination),
        ),
        case(
            "from the unspecified address",
            "control",
            ask("0.0.0.0", "255.255.255.255"),
            drops(Reason::UnknownSource),
        ),
        case("from and to one host", "control", ask("10.10.1.5", "10.10.1.5"), drops(Reason::UnlistedPair)),
        case("from loopback", "control", ask("127.0.0.1", "239.192.0.2"), drops(Reason::UnknownSource)),
    ]);
}
