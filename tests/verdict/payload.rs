//! Which bytes say what a packet is, and by whose service.

use banchi_common::direction::Class;
use banchi_common::reason::{Orientation, Reason};
use banchi_tests::packet::{Extension, Packet, flags::ACK};

use crate::site::{Case, Site, Want, case, drops, forward};

/// Each transport has a service whose requests have bit 0x40 clear in the third byte, and responses have it set.
const POLICY: &str = "
services:
  tcp:  { transport: tcp, port: 9600, direction: { at: 2, mask: 0xc0, request: 0x80, response: 0xc0 } }
  udp:  { transport: udp, port: 9600, direction: { at: 2, mask: 0xc0, request: 0x80, response: 0xc0 }, reply: free }
  sctp: { transport: sctp, port: 9600, direction: { at: 2, mask: 0xc0, request: 0x80, response: 0xc0 } }
  far:  { transport: udp, port: 9601, direction: { at: 65535, mask: 0xff, request: 1, response: 2 } }
conduits:
  - between: [control, line-a]
    allow:
      - { name: tcp, client: scada, server: plc, service: tcp }
      - { name: udp, client: scada, server: plc, service: udp }
      - { name: sctp, client: scada, server: plc, service: sctp }
      - { name: far, client: scada, server: plc, service: far }
";

const ENDS: [(&str, &str); 2] =
    [("10.10.1.5:40000", "10.20.0.11:9600"), ("[fd00:10::5]:40000", "[fd00:20::11]:9600")];

fn request(rule: &'static str) -> Want {
    forward(rule).class(Class::Request)
}

fn undecidable(rule: &'static str) -> Want {
    forward(rule).class(Class::Undecidable)
}

/// A client that answers.
fn response(rule: &'static str) -> Want {
    drops(Reason::ReversedDirection).of(rule, Orientation::Forward).class(Class::Response)
}

/// A first fragment that is too short to show what it is.
fn hidden(rule: &'static str) -> Want {
    drops(Reason::Malformed).of(rule, Orientation::Forward).class(Class::Undecidable)
}

/// Every class over every transport. What shows nothing gets `otherwise`.
fn classes(
    how: &str,
    otherwise: fn(&'static str) -> Want,
    packets: impl Fn() -> Vec<(&'static str, Packet)>,
) -> Vec<Case> {
    let payloads: [(&str, &[u8], fn(&'static str) -> Want); 6] = [
        ("a request", &[0, 0, 0x80], request),
        ("a request, whatever the other bits", &[0xff, 0xff, 0xbf, 0xff], request),
        ("a response", &[0, 0, 0xc0], response),
        ("neither", &[0x80, 0x80, 0x40, 0x80], otherwise),
        ("too short", &[0x80, 0x80], otherwise),
        ("nothing", &[], otherwise),
    ];
    let mut cases = Vec::new();
    for (why, payload, want) in payloads {
        for (rule, packet) in packets() {
            cases.push(case(format!("{rule}, {how}: {why}"), "control", packet.payload(payload), want(rule)));
        }
    }
    cases
}

#[test]
fn the_payload_of_each_transport() {
    let site = Site::plant(POLICY);
    for (scada, plc) in ENDS {
        let all = || {
            vec![
                ("tcp", Packet::tcp(scada, plc, ACK)),
                ("udp", Packet::udp(scada, plc)),
                ("sctp", Packet::sctp(scada, plc)),
            ]
        };
        site.check(classes("plain", undecidable, all));
        site.check(classes("a first fragment", hidden, || {
            all().into_iter().map(|(rule, packet)| (rule, packet.ip_id(7).fragment(0, true))).collect()
        }));
        site.check(classes("with IP options", undecidable, || {
            let with = |packet: Packet| {
                if scada.starts_with('[') {
                    packet.extension(Extension::HopByHop(vec![1, 4, 0, 0, 0, 0]))
                } else {
                    packet.ip_options(&[1, 1, 1, 0])
                }
            };
            all().into_iter().map(|(rule, packet)| (rule, with(packet))).collect()
        }));
        site.check(classes("with TCP options", undecidable, || {
            vec![("tcp", Packet::tcp(scada, plc, ACK).tcp_options(&[1, 1, 0x80, 0x80, 0xc0]))]
        }));
    }
}

#[test]
fn what_is_no_payload() {
    let site = Site::plant(POLICY);
    for (scada, plc) in ENDS {
        let udp = || Packet::udp(scada, plc);
        let mut padded = udp().payload([0x80, 0x80]).unpadded().build();
        padded.extend([0x80; 20]);
        site.check([
            case("bytes behind the IP packet", "control", padded, undecidable("udp")),
            case(
                "bytes behind the datagram",
                "control",
                udp().payload([0x80; 3]).claim_udp_length(10),
                undecidable("udp"),
            ),
            case(
                "the last byte of the datagram",
                "control",
                udp().payload([0x80; 4]).claim_udp_length(11),
                request("udp"),
            ),
            case(
                "of a datagram that goes on in other fragments, the byte that is here",
                "control",
                udp().payload([0x80; 3]).ip_id(7).fragment(0, true).claim_udp_length(400),
                request("udp"),
            ),
            case(
                "the byte that is not",
                "control",
                udp().payload([0x80; 2]).ip_id(7).fragment(0, true).claim_udp_length(400),
                hidden("udp"),
            ),
            case(
                "a byte that no frame has",
                "control",
                Packet::udp(scada, plc.replace("9600", "9601").as_str()).payload([0; 1400]),
                undecidable("far"),
            ),
        ]);
    }
}

/// A packet between the ports of two services is read by each in its own way.
#[test]
fn each_service_reads_by_itself() {
    // The same port asks and answers: what plc sends is a question of `up`, or an answer of `down`.
    let site = Site::plant(
        "
services:
  down: { transport: udp, port: 9600, source_port: 9700, direction: { at: 0, mask: 1, request: 0, response: 1 } }
  up:   { transport: udp, port: 9700, source_port: 9600, direction: { at: 1, mask: 1, request: 0, response: 1 } }
conduits:
  - between: [control, line-a]
    allow:
      - { name: down, client: scada, server: plc, service: down }
      - { name: up, client: plc, server: scada, service: up }
",
    );
    let says = |payload: [u8; 2]| Packet::udp("10.20.0.11:9600", "10.10.1.5:9700").payload(payload);
    let back = |reason, class| drops(reason).of("down", Orientation::Return).class(class);
    site.check([
        case("a request of `up`", "line-a", says([0, 0]), request("up")),
        case("a request of `up`, whatever `down` reads", "line-a", says([1, 0]), request("up")),
        case(
            "a response of both is an answer",
            "line-a",
            says([1, 1]),
            crate::site::back("down").class(Class::Response),
        ),
        case(
            "a response by `up` is no question, and a request by `down` is no answer",
            "line-a",
            says([0, 1]),
            back(Reason::ReversedDirection, Class::Request),
        ),
    ]);
}

/// Nobody sends from an address of many: not within a network that may ask either.
#[test]
fn what_no_host_can_ask_from() {
    let site = Site::new(
        r#"
version: 1
defaults: { mode: enforce }
zones:
  world:  { interfaces: [world], networks: [0.0.0.0/0, "::/0"] }
  line-a: { interfaces: [line-a], networks: [10.20.0.0/24, "fd00:20::/64"] }
assets:
  all:  { zone: world, addresses: [0.0.0.0/0, "::/0"] }
  plc:  { zone: line-a, addresses: [10.20.0.11, "fd00:20::11"] }
services: { it: { transport: udp, port: 9600 } }
conduits: [{ from: world, to: line-a, allow: [{ name: it, client: all, server: plc, service: it }] }]
"#,
    );
    let asks = |from: &str| {
        let to = if from.starts_with('[') { "[fd00:20::11]:9600" } else { "10.20.0.11:9600" };
        Packet::udp(format!("{from}:9600").as_str(), to)
    };
    let malformed = || drops(Reason::Malformed).of("it", Orientation::Forward);
    site.check([
        case("the last address below multicast", "world", asks("223.255.255.255"), forward("it")),
        case("the first of multicast", "world", asks("224.0.0.0"), malformed()),
        case("the last of multicast", "world", asks("239.255.255.255"), malformed()),
        case("behind multicast", "world", asks("240.0.0.0"), forward("it")),
        case("the broadcast", "world", asks("255.255.255.255"), malformed()),
        case("one below", "world", asks("255.255.255.254"), forward("it")),
        case("multicast of IPv6", "world", asks("[ff02::1]"), malformed()),
        case("the last below it", "world", asks("[feff:ffff::1]"), forward("it")),
    ]);
}
