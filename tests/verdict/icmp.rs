//! ICMP and ICMPv6: echo, errors, and the rest.

use banchi_common::reason::{Orientation, Reason};
use banchi_tests::packet::{
    Packet,
    flags::{ACK, SYN},
};

use crate::site::{Site, back, case, drops, forward, ip, related};

const POLICY: &str = r#"
version: 1
defaults: { mode: enforce }
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16, "fd00:10::/64"] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24, "fd00:20::/64"] }
  line-b:  { interfaces: [line-b], networks: [10.30.0.0/24, "fd00:30::/64"] }
assets:
  scada: { zone: control, addresses: [10.10.1.5, "fd00:10::5"] }
  hmi:   { zone: control, addresses: [10.10.1.6, "fd00:10::6"] }
  plc:   { zone: line-a, addresses: [10.20.0.11, "fd00:20::11"] }
  robot: { zone: line-b, addresses: [10.30.0.21, "fd00:30::21"] }
  line:  { zone: line-a, addresses: [10.20.0.0/25, "fd00:20::/80"] }
services:
  ping:   { transport: icmp }
  modbus: { transport: tcp, port: 502, source_port: ephemeral }
  bacnet: { transport: udp, reply: free, port: 47808, source_port: same }
  m3ua:   { transport: sctp, port: 2905, source_port: same }
conduits:
  - from: control
    to: line-a
    allow:
      - { name: ping, client: scada, server: plc, service: ping }
      - { name: ping-line, client: hmi, server: line, service: ping }
      - { name: modbus, client: scada, server: plc, service: modbus }
      - { name: bacnet, client: scada, server: plc, service: bacnet }
      - { name: m3ua, client: scada, server: plc, service: m3ua }
"#;

struct Plant {
    scada: &'static str,
    hmi: &'static str,
    plc: &'static str,
    robot: &'static str,
    stranger: &'static str,
    other: &'static str,
    router: &'static str,
}

const PLANTS: [Plant; 2] = [
    Plant {
        scada: "10.10.1.5",
        hmi: "10.10.1.6",
        plc: "10.20.0.11",
        robot: "10.30.0.21",
        stranger: "10.10.9.9",
        other: "10.20.0.100",
        router: "10.20.0.200",
    },
    Plant {
        scada: "fd00:10::5",
        hmi: "fd00:10::6",
        plc: "fd00:20::11",
        robot: "fd00:30::21",
        stranger: "fd00:10::99",
        other: "fd00:20::100",
        router: "fd00:20:0:0:1::1",
    },
];

#[test]
fn echo() {
    for Plant { scada, hmi, plc, robot, stranger, other, .. } in PLANTS {
        let ask = |from, to| Packet::echo_request(ip(from), ip(to), 7, 1).payload([0, 7, 0, 1, 0xaa]);
        let answer = |from, to| Packet::echo_reply(ip(from), ip(to), 7, 1);
        Site::new(POLICY).check([
            case("the client pings", "control", ask(scada, plc), forward("ping").conduit("control-line-a")),
            case("the server answers", "line-a", answer(plc, scada), back("ping").conduit("control-line-a")),
            case(
                "the server pings",
                "line-a",
                ask(plc, scada),
                drops(Reason::ReversedDirection).near("ping").conduit("control-line-a"),
            ),
            case(
                "the client answers what nobody may ask",
                "control",
                answer(scada, plc),
                drops(Reason::UnlistedService).near("ping").conduit("control-line-a"),
            ),
            case("a client of a network pings", "control", ask(hmi, other), forward("ping-line")),
            case("a host of the network answers", "line-a", answer(other, hmi), back("ping-line")),
            case(
                "a host of the network that a rule names alone",
                "control",
                ask(hmi, plc),
                forward("ping-line"),
            ),
            case(
                "the client pings another host of the network",
                "control",
                ask(scada, other),
                drops(Reason::UnlistedPair).no_rule(),
            ),
            case(
                "the client pings another zone",
                "control",
                ask(scada, robot),
                drops(Reason::UnlistedPair).no_rule().no_conduit(),
            ),
            case("an unknown host pings", "control", ask(stranger, plc), drops(Reason::UnknownSource)),
            case(
                "the client's address pings from another zone",
                "line-b",
                ask(scada, plc),
                drops(Reason::WrongZone).of("ping", Orientation::Forward),
            ),
        ]);
    }
}

#[test]
fn errors_about_permitted_packets() {
    for Plant { scada, plc, router, .. } in PLANTS {
        let (s, p) = (ip(scada), ip(plc));
        let modbus = Packet::tcp((s, 40000), (p, 502), SYN);
        let answer = Packet::tcp((p, 502), (s, 40000), ACK);
        let bacnet = Packet::udp((s, 47808), (p, 47808)).payload([0; 8]);
        let m3ua = Packet::sctp((s, 2905), (p, 2905));
        let ping = Packet::echo_request(s, p, 7, 1).payload([0, 7, 0, 1]);
        let pong = Packet::echo_reply(p, s, 7, 1);
        let error = |from, about: &Packet| Packet::port_unreachable(ip(from), about);
        let site = Site::new(POLICY);
        site.check([
            case("the server's host has no such port", "line-a", error(plc, &bacnet), related()),
            case("a router on the way cannot reach the server", "line-a", error(router, &bacnet), related()),
            case("about TCP", "line-a", error(plc, &modbus), related()),
            case("about SCTP", "line-a", error(plc, &m3ua), related()),
            case("about an echo request", "line-a", error(router, &ping), related()),
            case("the client's host about an answer", "control", error(scada, &answer), related()),
            case("the client's host about an echo reply", "control", error(scada, &pong), related()),
        ]);
        let kinds: &[u8] = if s.is_ipv4() { &[3, 5, 11, 12] } else { &[1, 2, 3, 4] };
        site.check(kinds.iter().map(|kind| {
            let why = format!("an error of type {kind} about a permitted packet");
            case(why, "line-a", Packet::icmp_error(ip(router), *kind, 0, &bacnet), related())
        }));
    }
}

#[test]
fn errors_about_other_packets() {
    for Plant { scada, plc, hmi, robot, stranger, .. } in PLANTS {
        let (s, p) = (ip(scada), ip(plc));
        let bacnet = || Packet::udp((s, 47808), (p, 47808)).payload([0; 8]);
        let error = |from, about: &Packet| Packet::port_unreachable(ip(from), about);
        let to = |to, about: &Packet| {
            let quoted = about.ip_packet();
            let quoted = if p.is_ipv4() { &quoted[..28] } else { &quoted[..] };
            Packet::icmp(p, ip(to), if p.is_ipv4() { 3 } else { 1 }, 3, &[&[0; 4], quoted].concat())
        };
        let unrelated = || drops(Reason::UnrelatedIcmpError).conduit("control-line-a");
        let short = |length: usize| {
            let quoted = bacnet().ip_packet();
            Packet::icmp(p, s, if p.is_ipv4() { 3 } else { 1 }, 3, &[&[0; 4], &quoted[..length]].concat())
        };
        let header = if p.is_ipv4() { 20 } else { 40 };
        let site = Site::new(POLICY);
        site.check([
            case(
                "about an unlisted service",
                "line-a",
                error(plc, &Packet::udp((s, 47808), (p, 9)).payload([0; 8])),
                unrelated(),
            ),
            case(
                "about an unlisted client port",
                "line-a",
                error(plc, &Packet::udp((s, 1), (p, 47808)).payload([0; 8])),
                unrelated(),
            ),
            case(
                "about an unlisted transport",
                "line-a",
                error(plc, &Packet::ip_protocol(s, p, 47).payload([0; 8])),
                unrelated(),
            ),
            case("about a packet of another sender", "line-a", to(hmi, &bacnet()), unrelated()),
            case(
                "about a packet between others",
                "line-a",
                to(scada, &Packet::udp((ip(hmi), 1), (ip(robot), 1)).payload([0; 8])),
                unrelated(),
            ),
            case(
                "from the sender's own zone",
                "control",
                error(scada, &bacnet()),
                drops(Reason::UnrelatedIcmpError),
            ),
            case(
                "from a zone that the packet never went to",
                "line-b",
                error(robot, &bacnet()),
                drops(Reason::UnrelatedIcmpError),
            ),
            case(
                "from an unknown host about an unlisted packet",
                "control",
                Packet::port_unreachable(ip(stranger), &Packet::udp((p, 9), (s, 9)).payload([0; 8])),
                drops(Reason::UnknownSource),
            ),
            case("from nowhere", "elsewhere", error(plc, &bacnet()), drops(Reason::UnlistedVlan)),
        ]);
        site.check((0..header + 8).map(|length| {
            case(format!("that quotes {length} bytes, too few to tell"), "line-a", short(length), unrelated())
        }));
        site.check([case("that quotes just enough", "line-a", short(header + 8), related())]);
    }
}

#[test]
fn quotations_that_hide_something() {
    let (s, p) = (ip("10.10.1.5"), ip("10.20.0.11"));
    let quoting = |bytes: &[u8]| Packet::icmp(p, s, 3, 3, &[&[0; 4], bytes].concat());
    let about = Packet::udp((s, 47808), (p, 47808)).payload([0; 8]);
    let changed = |at: usize, value: u8| {
        let mut bytes = about.ip_packet();
        bytes[at] = value;
        bytes
    };
    let options = Packet::udp((s, 47808), (p, 47808)).payload([0; 8]).ip_options(&[1; 8]).ip_packet();
    let unrelated = || drops(Reason::UnrelatedIcmpError);
    Site::new(POLICY).check([
        case("the quotation as it was", "line-a", quoting(&about.ip_packet()), related()),
        case("a quotation with options", "line-a", quoting(&options), related()),
        case("another version inside", "line-a", quoting(&changed(0, 0x65)), unrelated()),
        case("a header that is too short", "line-a", quoting(&changed(0, 0x44)), unrelated()),
        case("a header that is longer than the quotation", "line-a", quoting(&changed(0, 0x4f)), unrelated()),
        case("a later fragment, which has no ports", "line-a", quoting(&changed(7, 1)), unrelated()),
        case("a first fragment has them", "line-a", quoting(&changed(6, 0x20)), related()),
        case(
            "a wrong total length inside: routers change it",
            "line-a",
            quoting(&changed(3, 200)),
            related(),
        ),
        case(
            "an error about an error",
            "line-a",
            quoting(&Packet::port_unreachable(s, &about).ip_packet()),
            unrelated(),
        ),
        case(
            "IPv6 in an error of IPv4",
            "line-a",
            quoting(&Packet::udp("[fd00:10::5]:47808", "[fd00:20::11]:47808").ip_packet()),
            unrelated(),
        ),
    ]);
}

#[test]
fn other_messages() {
    let (s, p) = (ip("10.10.1.5"), ip("10.20.0.11"));
    let (s6, p6) = (ip("fd00:10::5"), ip("fd00:20::11"));
    let unlisted = || drops(Reason::UnlistedProtocol).conduit("control-line-a").no_rule();
    let site = Site::new(POLICY);
    site.check([1, 2, 4, 6, 7, 9, 10, 13, 14, 15, 16, 17, 18, 30, 40, 42, 43, 255].map(|kind| {
        case(
            format!("ICMP type {kind} is neither echo nor error"),
            "control",
            Packet::icmp(s, p, kind, 0, &[0; 20]),
            unlisted(),
        )
    }));
    site.check([0, 5, 100, 127, 137, 138, 139, 140, 141, 144, 151, 160, 200, 255].map(|kind| {
        case(
            format!("ICMPv6 type {kind} is neither echo nor error"),
            "control",
            Packet::icmp(s6, p6, kind, 0, &[0; 20]),
            unlisted(),
        )
    }));
    site.check([
        case(
            "an echo of another code is an echo",
            "control",
            Packet::icmp(s, p, 8, 1, &[0; 4]),
            forward("ping"),
        ),
        case("a header of 7 bytes", "control", Packet::icmp(s, p, 8, 0, &[0; 3]), drops(Reason::Malformed)),
        case(
            "a header of 7 bytes (IPv6)",
            "control",
            Packet::icmp(s6, p6, 128, 0, &[0; 3]),
            drops(Reason::Malformed),
        ),
    ]);
}
