//! IPv6 neighbour discovery and multicast listeners.

use std::net::IpAddr;

use banchi_common::reason::Reason;
use banchi_tests::lab::Mac;
use banchi_tests::packet::{Extension, Packet};

use crate::site::{Site, case, drops, ip, survives};

const POLICY: &str = r#"
version: 1
defaults: { mode: enforce }
zones:
  office: { interfaces: [office], networks: [0.0.0.0/0, "::/0"] }
  line-a: { interfaces: [line-a], networks: ["fd00:20::/64"] }
  line-b: { interfaces: [line-b], networks: ["fd00:30::/64"] }
assets:
  mail: { zone: office, address: "2001:db8::1" }
  plc:  { zone: line-a, address: "fd00:20::11", mac: "00:80:f4:0a:0b:0c" }
  hmi:  { zone: line-a, address: "fd00:20::12" }
services: { modbus: { transport: tcp, port: 502 } }
conduits:
  - { between: [office, line-a], allow: [{ client: mail, server: [plc, hmi], service: modbus }] }
"#;

const BOUND: Mac = Mac([0x00, 0x80, 0xf4, 0x0a, 0x0b, 0x0c]);
const OTHER: Mac = Mac([0x00, 0x80, 0xf4, 0x0a, 0x0b, 0x0d]);

/// A message with a target address.
fn nd(kind: u8, from: &str, target: &str) -> Packet {
    let IpAddr::V6(target) = ip(target) else { panic!("not IPv6: {target}") };
    Packet::icmp(ip(from), ip("ff02::1"), kind, 0, &[&[0; 4], &target.octets()[..]].concat()).hops(255)
}

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

#[test]
fn what_a_message_claims() {
    let spoof = || drops(Reason::ArpSpoof).no_rule();
    Site::new(POLICY).check([
        case(
            "a host of the zone is at its address",
            "line-a",
            nd(ADVERTISEMENT, "fd00:20::12", "fd00:20::12"),
            survives(),
        ),
        case(
            "an unnamed host of the zone",
            "line-a",
            nd(ADVERTISEMENT, "fd00:20::77", "fd00:20::77"),
            survives(),
        ),
        case("from a link-local address", "line-a", nd(ADVERTISEMENT, "fe80::12", "fd00:20::12"), survives()),
        case(
            "a link-local address, though ::/0 is another zone's",
            "line-a",
            nd(ADVERTISEMENT, "fe80::12", "fe80::12"),
            survives(),
        ),
        case(
            "a host of another zone",
            "line-b",
            nd(ADVERTISEMENT, "fd00:30::1", "fd00:20::12"),
            spoof().zone("line-b"),
        ),
        case(
            "an unnamed host of another zone",
            "line-b",
            nd(ADVERTISEMENT, "fe80::1", "fd00:20::77"),
            spoof(),
        ),
        case(
            "what no other zone claims is the office's",
            "line-b",
            nd(ADVERTISEMENT, "fe80::1", "2001:db8::5"),
            spoof(),
        ),
        case("and the office may", "office", nd(ADVERTISEMENT, "fe80::1", "2001:db8::5"), survives()),
        case(
            "the office claims a host of the line",
            "office",
            nd(ADVERTISEMENT, "2001:db8::5", "fd00:20::12"),
            spoof(),
        ),
        case(
            "a solicitation asks for whom it likes",
            "line-a",
            nd(SOLICITATION, "fd00:20::12", "2001:db8::1"),
            survives(),
        ),
        case(
            "a solicitation from another zone's address",
            "line-b",
            nd(SOLICITATION, "fd00:20::12", "fd00:30::1"),
            spoof(),
        ),
        case(
            "a solicitation from a link-local address",
            "line-b",
            nd(SOLICITATION, "fe80::12", "fd00:30::1"),
            survives(),
        ),
        case(
            "a probe for a free address claims nothing",
            "line-a",
            nd(SOLICITATION, "::", "fd00:20::99"),
            survives(),
        ),
        case(
            "a probe for a taken address claims nothing",
            "line-b",
            nd(SOLICITATION, "::", "fd00:20::12"),
            survives(),
        ),
        case(
            "an interface without a zone",
            "elsewhere",
            nd(ADVERTISEMENT, "fd00:20::12", "fd00:20::12"),
            drops(Reason::UnlistedVlan),
        ),
    ]);
}

#[test]
fn hardware_addresses() {
    Site::new(POLICY).check([
        case(
            "the bound station",
            "line-a",
            nd(ADVERTISEMENT, "fd00:20::11", "fd00:20::11").from_mac(BOUND),
            survives(),
        ),
        case(
            "the bound station from its link-local address",
            "line-a",
            nd(ADVERTISEMENT, "fe80::11", "fd00:20::11").from_mac(BOUND),
            survives(),
        ),
        case(
            "another station",
            "line-a",
            nd(ADVERTISEMENT, "fd00:20::11", "fd00:20::11").from_mac(OTHER),
            drops(Reason::ArpSpoof),
        ),
        case(
            "another station from its own address",
            "line-a",
            nd(ADVERTISEMENT, "fd00:20::12", "fd00:20::11").from_mac(OTHER),
            drops(Reason::ArpSpoof),
        ),
        case(
            "another station asks as the bound one",
            "line-a",
            nd(SOLICITATION, "fd00:20::11", "fd00:20::12").from_mac(OTHER),
            drops(Reason::ArpSpoof),
        ),
        case(
            "the bound station claims another address: only addresses are bound",
            "line-a",
            nd(ADVERTISEMENT, "fd00:20::12", "fd00:20::12").from_mac(BOUND),
            survives(),
        ),
    ]);
}

#[test]
fn messages_stay_on_the_link() {
    let site = Site::new(POLICY);
    for kind in 133..=136 {
        let message = || nd(kind, "fe80::1", "fd00:20::12");
        site.check([0, 1, 64, 254].map(|hops| {
            let why = format!("type {kind} with a hop limit of {hops} has crossed a router");
            case(why, "line-a", message().hops(hops), drops(Reason::Malformed))
        }));
        site.check([case(format!("type {kind} with a hop limit of 255"), "line-a", message(), survives())]);
        let behind = message().extension(Extension::HopByHop(vec![5, 2, 0, 0]));
        site.check([case(format!("type {kind} behind options"), "line-a", behind, survives())]);
    }
}

#[test]
fn length() {
    let site = Site::new(POLICY);
    for (kind, least) in [(133u8, 8usize), (134, 8), (135, 24), (136, 24)] {
        site.check((0..=32).map(|length| {
            let body = vec![0; length.max(4) - 4];
            let packet = Packet::icmp(ip("fe80::1"), ip("ff02::1"), kind, 0, &body).hops(255);
            let packet = packet.claim_ip_length(length as u16);
            let wanted = if length < least { drops(Reason::Malformed) } else { survives() };
            case(format!("type {kind} of {length} bytes"), "line-a", packet, wanted)
        }));
    }
}

#[test]
fn listeners_and_routers() {
    let to_all = |kind| Packet::icmp(ip("fe80::1"), ip("ff02::16"), kind, 0, &[0; 20]).hops(1);
    let site = Site::new(POLICY);
    site.check([130, 131, 132, 143].map(|kind| {
        let packet = to_all(kind).extension(Extension::HopByHop(vec![5, 2, 0, 0]));
        case(format!("type {kind} keeps multicast alive"), "line-a", packet, survives())
    }));
    site.check([
        case(
            "a router of the zone",
            "line-a",
            Packet::icmp(ip("fe80::1"), ip("ff02::1"), 134, 0, &[0; 12]).hops(255),
            survives(),
        ),
        case(
            "a router with another zone's address",
            "line-b",
            Packet::icmp(ip("fd00:20::12"), ip("ff02::1"), 134, 0, &[0; 12]).hops(255),
            drops(Reason::ArpSpoof),
        ),
        case(
            "a redirect is no part of it",
            "line-a",
            Packet::icmp(ip("fe80::1"), ip("fd00:20::12"), 137, 0, &[0; 36]).hops(255),
            drops(Reason::WrongZone),
        ),
        case(
            "listeners on an interface without a zone",
            "elsewhere",
            to_all(143),
            drops(Reason::UnlistedVlan),
        ),
    ]);
}
