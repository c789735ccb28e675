//! The IPv6 header and its extensions.

use banchi_common::reason::Reason;
use banchi_common::wire::MAX_EXTENSIONS;
use banchi_tests::packet::{Extension, Packet, flags};

use crate::site::{Site, back, case, drops, forward, ip};

const POLICY: &str = "
services:
  modbus: { transport: tcp, port: 502 }
  bacnet: { transport: udp, reply: free, port: 47808, source_port: same }
conduits:
  - between: [control, line-a]
    allow:
      - { name: modbus, client: scada, server: plc, service: modbus }
      - { name: bacnet, client: scada, server: plc, service: bacnet }
";

fn open() -> Packet {
    Packet::tcp("[fd00:10::5]:40000", "[fd00:20::11]:502", flags::SYN)
}

fn ask() -> Packet {
    Packet::udp("[fd00:10::5]:47808", "[fd00:20::11]:47808").payload([0x81, 0x0a])
}

fn many(count: usize) -> Packet {
    (0..count).fold(ask(), |packet, _| packet.extension(Extension::HopByHop(vec![])))
}

#[test]
fn number_of_extension_headers() {
    let site = Site::plant(POLICY);
    site.check((0..=MAX_EXTENSIONS).map(|count| {
        case(format!("{count} extension headers are followed"), "control", many(count), forward("bacnet"))
    }));
    site.check((MAX_EXTENSIONS + 1..MAX_EXTENSIONS + 4).map(|count| {
        case(
            format!("{count} extension headers are too many"),
            "control",
            many(count),
            drops(Reason::Malformed),
        )
    }));
}

#[test]
fn kinds_of_extension_headers() {
    let esp = Packet::ip_protocol(ip("fd00:10::5"), ip("fd00:20::11"), 50).payload([0; 40]);
    let none = Packet::ip_protocol(ip("fd00:10::5"), ip("fd00:20::11"), 59);
    let atomic = Extension::Other(44, vec![0, 0, 0, 0, 0, 0, 0, 7]);
    Site::plant(POLICY).check([
        case(
            "hop-by-hop options",
            "control",
            ask().extension(Extension::HopByHop(vec![5, 2, 0, 0])),
            forward("bacnet"),
        ),
        case(
            "options for the destination",
            "control",
            ask().extension(Extension::Destination(vec![1, 0])),
            forward("bacnet"),
        ),
        case(
            "long options",
            "control",
            ask().extension(Extension::Destination(vec![0; 254])),
            forward("bacnet"),
        ),
        case(
            "the longest options that fit into a frame",
            "control",
            ask().extension(Extension::Destination(vec![0; 1390])),
            forward("bacnet"),
        ),
        case(
            "routing, with nothing left to visit",
            "control",
            ask().extension(Extension::Routing(2, vec![0; 20])),
            forward("bacnet"),
        ),
        case(
            "authentication, whose length counts words",
            "control",
            ask().extension(Extension::Authentication(vec![0; 12])),
            forward("bacnet"),
        ),
        case(
            "an atomic fragment is a whole packet",
            "control",
            ask().extension(atomic.clone()),
            forward("bacnet"),
        ),
        case(
            "an atomic fragment behind options",
            "control",
            ask().extension(Extension::HopByHop(vec![])).extension(atomic),
            forward("bacnet"),
        ),
        case(
            "one of each",
            "control",
            ask()
                .extension(Extension::HopByHop(vec![]))
                .extension(Extension::Destination(vec![]))
                .extension(Extension::Routing(0, vec![]))
                .extension(Extension::Authentication(vec![0; 12])),
            forward("bacnet"),
        ),
        case(
            "TCP behind options",
            "control",
            open().extension(Extension::Destination(vec![])),
            forward("modbus"),
        ),
        case(
            "an answer behind options",
            "line-a",
            Packet::udp("[fd00:20::11]:47808", "[fd00:10::5]:47808").extension(Extension::HopByHop(vec![])),
            back("bacnet"),
        ),
        case(
            "encrypted: its ports cannot be seen",
            "control",
            esp,
            drops(Reason::UnlistedProtocol).conduit("control-line-a"),
        ),
        case("nothing behind the header", "control", none, drops(Reason::UnlistedProtocol)),
        case(
            "mobility is not followed",
            "control",
            ask().extension(Extension::Other(135, vec![0; 8])),
            drops(Reason::UnlistedProtocol),
        ),
        case(
            "IGMP is of IPv4",
            "control",
            Packet::ip_protocol(ip("fd00:10::5"), ip("fd00:20::11"), 2).payload([0; 8]),
            drops(Reason::UnlistedProtocol),
        ),
        case(
            "ICMP is of IPv4",
            "control",
            Packet::ip_protocol(ip("fd00:10::5"), ip("fd00:20::11"), 1).payload([8, 0, 0, 0, 0, 0, 0, 0]),
            drops(Reason::UnlistedProtocol),
        ),
    ]);
}

#[test]
fn lengths() {
    // Counts 8 bytes beyond the first 8: 255 is 2048 bytes.
    let beyond = Extension::Other(60, vec![0, 255, 0, 0, 0, 0, 0, 0]);
    let by_one = Extension::Other(60, vec![0, 2, 0, 0, 0, 0, 0, 0]);
    Site::plant(POLICY).check([
        case("padding behind the packet", "control", ask(), forward("bacnet")),
        case(
            "a trailer behind the packet",
            "control",
            [ask().build(), vec![0xff; 16]].concat(),
            forward("bacnet"),
        ),
        case(
            "one byte more than the frame has",
            "control",
            ask().unpadded().claim_ip_length(11),
            drops(Reason::Malformed),
        ),
        case(
            "much more than the frame has",
            "control",
            ask().claim_ip_length(65535),
            drops(Reason::Malformed),
        ),
        case("one byte less than UDP claims", "control", ask().claim_ip_length(9), drops(Reason::Malformed)),
        case("zero: a jumbogram, or nothing", "control", ask().claim_ip_length(0), drops(Reason::Malformed)),
        case(
            "an extension header far beyond the packet",
            "control",
            ask().extension(beyond),
            drops(Reason::Malformed),
        ),
        case(
            "an extension header one unit beyond the packet",
            "control",
            ask().extension(by_one),
            drops(Reason::Malformed),
        ),
        case("a full frame", "control", ask().payload(vec![0; 1452]), forward("bacnet")),
        case("hop limit of 0", "control", ask().hops(0), forward("bacnet")),
    ]);
}

#[test]
fn version() {
    let cases = (0..16).map(|version| {
        let wanted = if version == 6 { forward("bacnet") } else { drops(Reason::Malformed) };
        case(
            format!("version {version} behind the EtherType of IPv6"),
            "control",
            ask().claim_version(version),
            wanted,
        )
    });
    Site::plant(POLICY).check(cases);
}

/// The code for IPv6 is left out where the policy has none.
#[test]
fn a_policy_without_ipv6() {
    let policy = "
version: 1
defaults: { mode: enforce }
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24] }
assets:
  scada: { zone: control, address: 10.10.1.5 }
  plc:   { zone: line-a, address: 10.20.0.11 }
services: { modbus: { transport: tcp, port: 502 } }
conduits:
  - { between: [control, line-a], allow: [{ name: modbus, client: scada, server: plc, service: modbus }] }
";
    Site::new(policy).check([
        case(
            "IPv4",
            "control",
            Packet::tcp("10.10.1.5:40000", "10.20.0.11:502", flags::SYN),
            forward("modbus"),
        ),
        case("IPv6 is of nobody", "control", open(), drops(Reason::UnknownSource).no_rule()),
        case(
            "an IPv6 address whose low bits are an IPv4 host's",
            "control",
            Packet::tcp("[::10.10.1.5]:40000", "[::10.20.0.11]:502", flags::SYN),
            drops(Reason::UnknownSource),
        ),
        case(
            "a mapped address",
            "control",
            Packet::tcp("[::ffff:10.10.1.5]:40000", "[::ffff:10.20.0.11]:502", flags::SYN),
            drops(Reason::UnknownSource),
        ),
    ]);
}
