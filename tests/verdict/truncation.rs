//! Packets that end too early, at every byte.

use banchi_common::reason::Reason;
use banchi_common::wire::MAX_EXTENSIONS;
use banchi_tests::packet::{Extension, Packet, Tag, flags};

use crate::site::{Case, Site, case, drops, forward, ip, related, survives};

const POLICY: &str = r#"
version: 1
defaults: { mode: enforce }
zones:
  control: { interfaces: [port], vlans: [untagged, 20, 100, 100.20], networks: [10.10.0.0/16, "fd00:10::/64"] }
  line-a:  { interfaces: [line], networks: [10.20.0.0/24, "fd00:20::/64"] }
assets:
  scada: { zone: control, addresses: [10.10.1.5, "fd00:10::5"] }
  plc:   { zone: line-a, addresses: [10.20.0.11, "fd00:20::11"] }
services:
  modbus: { transport: tcp, port: 502 }
  bacnet: { transport: udp, reply: free, port: 47808, source_port: same }
  diameter: { transport: sctp, port: 3868 }
  ping: { transport: icmp }
conduits:
  - between: [control, line-a]
    allow:
      - { name: modbus, client: scada, server: plc, service: modbus }
      - { name: bacnet, client: scada, server: plc, service: bacnet }
      - { name: diameter, client: scada, server: plc, service: diameter }
      - { name: ping, client: scada, server: plc, service: ping }
"#;

/// Every length from the shortest frame of a test-run up to one byte less than the whole.
fn cuts(what: &str, packet: &Packet) -> Vec<Case> {
    let whole = packet.clone().unpadded().build();
    let cut = |length| {
        let why = format!("{what}, cut after {length} of {} bytes", whole.len());
        case(why, "port", whole[..length].to_vec(), drops(Reason::Malformed))
    };
    (14..whole.len()).map(cut).collect()
}

#[test]
fn every_point_of_every_header() {
    let tcp = || Packet::tcp("10.10.1.5:40000", "10.20.0.11:502", flags::SYN).tcp_options(&[2, 4, 5, 0xb4]);
    let udp = || Packet::udp("10.10.1.5:47808", "10.20.0.11:47808").payload([1, 2, 3]);
    let tcp6 = || Packet::tcp("[fd00:10::5]:40000", "[fd00:20::11]:502", flags::SYN);
    let udp6 = || Packet::udp("[fd00:10::5]:47808", "[fd00:20::11]:47808").payload([1, 2, 3]);
    let sctp = || Packet::sctp("10.10.1.5:3868", "10.20.0.11:3868").payload([1, 0, 0, 4]);
    let ping = || Packet::echo_request(ip("10.10.1.5"), ip("10.20.0.11"), 1, 1).payload([0; 8]);
    let ping6 = || Packet::echo_request(ip("fd00:10::5"), ip("fd00:20::11"), 1, 1).payload([0; 8]);
    let arp = || Packet::arp_request([10, 10, 1, 5].into(), [10, 10, 0, 1].into());
    let error =
        || Packet::port_unreachable(ip("10.10.1.5"), &Packet::udp("10.20.0.11:47808", "10.10.1.5:47808"));
    let mut seven = udp6();
    for _ in 0..MAX_EXTENSIONS {
        seven = seven.extension(Extension::HopByHop(vec![]));
    }
    let table = [
        ("TCP", tcp(), forward("modbus")),
        ("UDP", udp(), forward("bacnet")),
        ("SCTP", sctp(), forward("diameter")),
        ("echo", ping(), forward("ping")),
        ("TCP over IPv6", tcp6(), forward("modbus")),
        ("UDP over IPv6", udp6(), forward("bacnet")),
        ("echo over IPv6", ping6(), forward("ping")),
        ("UDP behind as many extension headers as are followed", seven, forward("bacnet")),
        ("UDP behind IPv4 options", udp().ip_options(&[0x94, 4, 0, 0]), forward("bacnet")),
        ("UDP in a VLAN", udp().vlan(20), forward("bacnet")),
        ("UDP over IPv6 in a VLAN", udp6().vlan(20), forward("bacnet")),
        ("UDP in two tags", udp().tag(Tag::service(100)).vlan(20), forward("bacnet")),
        ("TCP over IPv6 in two tags", tcp6().tag(Tag::service(100)).vlan(20), forward("modbus")),
        ("ARP", arp(), survives()),
        ("ARP in a VLAN", arp().vlan(20), survives()),
        ("an ICMP error", error(), related()),
    ];
    let site = Site::new(POLICY);
    for (what, packet, whole) in table {
        site.check(cuts(what, &packet));
        site.check([case(format!("{what}, whole"), "port", packet.unpadded(), whole)]);
    }
}

/// The IP length says less than the headers need, and padding behind it looks like the rest.
#[test]
fn the_ip_length_ends_the_packet_and_not_the_frame() {
    let site = Site::new(POLICY);
    let tcp = Packet::tcp("10.10.1.5:40000", "10.20.0.11:502", flags::SYN);
    site.check((0..40).map(|length| {
        let why = format!("TCP in a total length of {length} bytes");
        case(why, "port", tcp.clone().claim_ip_length(length), drops(Reason::Malformed))
    }));
    let udp = Packet::udp("[fd00:10::5]:47808", "[fd00:20::11]:47808");
    site.check((0..8).map(|length| {
        let why = format!("UDP in a payload length of {length} bytes");
        case(why, "port", udp.clone().claim_ip_length(length), drops(Reason::Malformed))
    }));
    let behind = udp.extension(Extension::Destination(vec![0; 14]));
    site.check((0..24).map(|length| {
        let why = format!("an extension header and UDP in a payload length of {length} bytes");
        case(why, "port", behind.clone().claim_ip_length(length), drops(Reason::Malformed))
    }));
    let fragment = Packet::udp("[fd00:10::5]:47808", "[fd00:20::11]:47808").fragment(64, true);
    site.check((0..8).map(|length| {
        let why = format!("a fragment header in a payload length of {length} bytes");
        case(why, "port", fragment.clone().claim_ip_length(length), drops(Reason::Malformed))
    }));
}
