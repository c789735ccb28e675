//! The first rule in the file that matches decides, however the rules are stored.

use banchi::image::Image;
use banchi_common::abi::Tag;
use banchi_common::reason::{Orientation, Reason};
use banchi_tests::packet::{Packet, flags::SYN};

use crate::site::{Site, back, case, drops, forward, ip};

/// Rules between the same hosts, from the narrowest to the widest. `exact` is one tuple, `pairs` a few hosts
/// with any client port, `hosts` more pairs of hosts than are listed singly, `nets` networks.
const ASSETS: &str = "
version: 1
defaults: { mode: enforce }
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/16] }
assets:
  scada:  { zone: control, address: 10.10.1.5 }
  plc:    { zone: line-a, address: 10.20.0.11 }
  some-c: { zone: control, addresses: [10.10.1.5, 10.10.1.6] }
  some-s: { zone: line-a, addresses: [10.20.0.11, 10.20.0.12] }
  many-c: { zone: control, address: 10.10.1.1-10.10.1.40 }
  many-s: { zone: line-a, address: 10.20.0.1-10.20.0.40 }
  net-c:  { zone: control, address: 10.10.1.0/24 }
  net-s:  { zone: line-a, address: 10.20.0.0/24 }
services:
  pinned: { transport: udp, reply: free, port: 9600, source_port: 9600 }
  same:   { transport: udp, reply: free, port: 9600, source_port: same }
  any:    { transport: udp, reply: free, port: 9600 }
conduits:
  - between: [control, line-a]
    allow:
";

const RULES: [(&str, &str, &str, &str); 6] = [
    ("exact", "scada", "plc", "pinned"),
    ("same", "scada", "plc", "same"),
    ("pairs", "some-c", "some-s", "any"),
    ("hosts", "many-c", "many-s", "any"),
    ("nets", "net-c", "net-s", "any"),
    ("nets-same", "net-c", "net-s", "same"),
];

/// Whether a rule holds a client, a server and a client port.
fn holds(rule: &str, client: u8, server: u8, port: u16) -> bool {
    let hosts = match rule {
        "exact" | "same" => client == 5 && server == 11,
        "pairs" => [5, 6].contains(&client) && [11, 12].contains(&server),
        "hosts" => (1..=40).contains(&client) && (1..=40).contains(&server),
        _ => true,
    };
    let ports = matches!(rule, "pairs" | "hosts" | "nets") || port == 9600;
    hosts && ports
}

/// Every order of every three of the rules that are no error, with every kind of packet.
#[test]
fn every_order() {
    let mut orders = 0;
    for a in 0..RULES.len() {
        for b in 0..RULES.len() {
            for c in 0..RULES.len() {
                if a == b || b == c || a == c {
                    continue;
                }
                let chosen = [RULES[a], RULES[b], RULES[c]];
                // Three of a kind tell nothing new, and a test-machine has its time too.
                if !chosen.iter().any(|rule| matches!(rule.0, "exact" | "same" | "pairs"))
                    || (a + b * 2 + c * 3) % 9 != 0
                {
                    continue;
                }
                orders += 1;
                check_order(&chosen);
            }
        }
    }
    assert!(orders >= 8, "{orders} orders are too few");
}

fn check_order(chosen: &[(&'static str, &'static str, &'static str, &'static str); 3]) {
    let mut policy = ASSETS.to_owned();
    for (name, client, server, service) in chosen {
        policy +=
            &format!("      - {{ name: {name}, client: {client}, server: {server}, service: {service} }}\n");
    }
    let site = Site::new(&policy);
    let order = chosen.map(|rule| rule.0).join(", ");
    for client in [5u8, 6, 7, 41] {
        for server in [11u8, 12, 13, 41] {
            for port in [9600, 9601] {
                let (c, s) = ([10, 10, 1, client].into(), [10, 20, 0, server].into());
                let Some((rule, ..)) = chosen.iter().find(|rule| holds(rule.0, client, server, port)) else {
                    continue;
                };
                let why = format!("{client}:{port} > {server} with the rules {order}");
                site.check([
                    case(
                        why.clone(),
                        "control",
                        Packet::udp((ip_of(c), port), (ip_of(s), 9600)),
                        forward(rule),
                    ),
                    case(
                        format!("{why}, answered"),
                        "line-a",
                        Packet::udp((ip_of(s), 9600), (ip_of(c), port)),
                        back(rule),
                    ),
                ]);
            }
        }
    }
}

fn ip_of(octets: std::net::Ipv4Addr) -> std::net::IpAddr {
    octets.into()
}

fn entries(image: &Image, tag: Tag) -> usize {
    image.entries.iter().find(|(known, _)| *known == tag).map_or(0, |(_, count)| *count)
}

#[test]
fn how_rules_are_stored() {
    let with = |rules: &[usize]| {
        let mut policy = ASSETS.to_owned();
        for at in rules {
            let (name, client, server, service) = RULES[*at];
            policy += &format!(
                "      - {{ name: {name}, client: {client}, server: {server}, service: {service} }}\n"
            );
        }
        Site::new(&policy)
    };
    assert_eq!(entries(&with(&[0]).image, Tag::Exact), 1, "a tuple is one entry");
    assert_eq!(entries(&with(&[1]).image, Tag::Exact), 1, "one port that both ends share is one tuple");
    assert_eq!(entries(&with(&[2]).image, Tag::Exact), 0, "a rule for any client port has no tuples");
    assert!(entries(&with(&[2]).image, Tag::Pair) >= 4, "a few hosts are listed by pairs");
    let wide = with(&[3]);
    assert_eq!(entries(&wide.image, Tag::Pair), 0, "many hosts are not");
    assert!(entries(&wide.image, Tag::Client) >= 40, "but by classes");
}

/// A packet that is a question by one rule and an answer by another is a question: whoever may ask, may.
#[test]
fn both_orientations() {
    let policy = "
services: { fins: { transport: TRANSPORT, port: 9600, source_port: SOURCE } }
conduits:
  - between: [control, line-a]
    allow:
      - { name: down, client: scada, server: plc, service: fins }
      - { name: up, client: plc, server: scada, service: fins }
";
    for (scada, plc) in [("10.10.1.5", "10.20.0.11"), ("fd00:10::5", "fd00:20::11")] {
        let (s, p) = ((ip(scada), 9600), (ip(plc), 9600));
        for source_port in ["same", "9600"] {
            let text = policy.replace("SOURCE", source_port);
            Site::plant(&text.replace("TRANSPORT", "udp")).check([
                case("down", "control", Packet::udp(s, p), forward("down")),
                case("up", "line-a", Packet::udp(p, s), forward("up")),
            ]);
            Site::plant(&text.replace("TRANSPORT", "tcp")).check([
                case("opening down", "control", Packet::tcp(s, p, SYN), forward("down")),
                case("opening up", "line-a", Packet::tcp(p, s, SYN), forward("up")),
            ]);
        }
    }
}

/// An exception stands before the general rule, and decides what deviates too.
#[test]
fn exceptions() {
    let policy = "
services: { modbus: { transport: tcp, port: 502, source_port: ephemeral } }
conduits:
  - between: [control, line-a]
    mode: alert
    allow:
      - { name: guard, client: scada, server: plc, service: modbus, mode: enforce }
      - { name: rest, client: scada, server: [plc, plc-2], service: modbus }
";
    let open = |to: &str, port| Packet::tcp((ip("10.10.1.5"), port), (ip(to), 502), SYN);
    Site::plant(policy).check([
        case("the exception", "control", open("10.20.0.11", 40000), forward("guard")),
        case("the rest", "control", open("10.20.0.12", 40000), forward("rest")),
        case(
            "what deviates from the exception",
            "control",
            open("10.20.0.11", 1),
            drops(Reason::SourcePortDeviation).near("guard"),
        ),
        case(
            "what deviates from the rest",
            "control",
            open("10.20.0.12", 1),
            crate::site::reports(Reason::SourcePortDeviation).near("rest"),
        ),
        case(
            "a reversed opening of the exception",
            "line-a",
            Packet::tcp("10.20.0.11:502", "10.10.1.5:40000", SYN),
            drops(Reason::ReversedDirection).of("guard", Orientation::Return),
        ),
    ]);
}
