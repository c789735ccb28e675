//! ARP: who claims which address.

use std::net::Ipv4Addr;

use banchi_common::reason::Reason;
use banchi_tests::lab::Mac;
use banchi_tests::packet::{Packet, ethertype};

use crate::site::{Site, case, drops, survives};

const POLICY: &str = r#"
version: 1
defaults: { mode: enforce }
gateway: { addresses: [10.20.0.1] }
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24] }
assets:
  scada: { zone: control, address: 10.10.1.5 }
  plc:   { zone: line-a, address: 10.20.0.11, mac: "00:80:f4:0a:0b:0c" }
  hmi:   { zone: line-a, address: 10.20.0.12 }
services: { modbus: { transport: tcp, port: 502 } }
conduits:
  - { between: [control, line-a], allow: [{ client: scada, server: [plc, hmi], service: modbus }] }
"#;

const BOUND: Mac = Mac([0x00, 0x80, 0xf4, 0x0a, 0x0b, 0x0c]);
const OTHER: Mac = Mac([0x00, 0x80, 0xf4, 0x0a, 0x0b, 0x0d]);
const SCADA: Ipv4Addr = Ipv4Addr::new(10, 10, 1, 5);
const PLC: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 11);
const HMI: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 12);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 99);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);
const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

#[test]
fn what_a_message_claims() {
    let spoof = || drops(Reason::ArpSpoof).no_rule().no_conduit();
    Site::new(POLICY).check([
        case(
            "a host of the zone asks for the gateway",
            "line-a",
            Packet::arp_request(HMI, GATEWAY),
            survives().zone("line-a"),
        ),
        case("a host of the zone answers", "line-a", Packet::arp_reply(OTHER, HMI, GATEWAY), survives()),
        case(
            "an unnamed host of the zone: it may not speak, but is no lie",
            "line-a",
            Packet::arp_request(STRANGER, GATEWAY),
            survives(),
        ),
        case(
            "an address of no zone",
            "line-a",
            Packet::arp_request([192, 168, 1, 1].into(), GATEWAY),
            survives(),
        ),
        case(
            "a host asks for another zone's: only the sender claims",
            "line-a",
            Packet::arp_request(HMI, SCADA),
            survives(),
        ),
        case("a host announces itself", "line-a", Packet::arp_request(HMI, HMI), survives()),
        case("a probe claims nothing (RFC 5227)", "line-a", Packet::arp_request(NOBODY, HMI), survives()),
        case("a probe for another zone's address", "line-a", Packet::arp_request(NOBODY, SCADA), survives()),
        case(
            "a question as another zone's host",
            "line-a",
            Packet::arp_request(SCADA, GATEWAY),
            spoof().zone("line-a"),
        ),
        case("an answer as another zone's host", "line-a", Packet::arp_reply(OTHER, SCADA, HMI), spoof()),
        case(
            "an answer as another zone's unnamed host",
            "line-a",
            Packet::arp_reply(OTHER, [10, 10, 200, 200].into(), HMI),
            spoof(),
        ),
        case(
            "an announcement of another zone's host",
            "control",
            Packet::arp_request(HMI, HMI),
            spoof().zone("control"),
        ),
        case("a host that says it is the gateway", "line-a", Packet::arp_reply(OTHER, GATEWAY, HMI), spoof()),
        case(
            "the gateway's address from another zone",
            "control",
            Packet::arp_reply(OTHER, GATEWAY, SCADA),
            spoof(),
        ),
        case(
            "an interface without a zone",
            "elsewhere",
            Packet::arp_request(HMI, GATEWAY),
            drops(Reason::UnlistedVlan),
        ),
    ]);
}

#[test]
fn hardware_addresses() {
    let says = |inside, frame| Packet::arp(2, inside, PLC, OTHER, HMI).from_mac(frame);
    Site::new(POLICY).check([
        case("the bound station", "line-a", says(BOUND, BOUND), survives()),
        case("another station", "line-a", says(OTHER, OTHER), drops(Reason::ArpSpoof)),
        case(
            "another station in the bound one's frame",
            "line-a",
            says(OTHER, BOUND),
            drops(Reason::ArpSpoof),
        ),
        case(
            "the bound one in another station's frame",
            "line-a",
            says(BOUND, OTHER),
            drops(Reason::ArpSpoof),
        ),
        case(
            "a probe for the bound address by another",
            "line-a",
            Packet::arp(1, OTHER, NOBODY, Mac([0; 6]), PLC),
            survives(),
        ),
        case(
            "an address without a binding takes any station",
            "line-a",
            Packet::arp(2, OTHER, HMI, BOUND, PLC),
            survives(),
        ),
        case(
            "and may differ from its frame, as proxies do",
            "line-a",
            Packet::arp(2, OTHER, HMI, BOUND, PLC).from_mac(BOUND),
            survives(),
        ),
    ]);
}

#[test]
fn form() {
    let message = || Packet::arp_request(HMI, GATEWAY).build()[14..42].to_vec();
    let with = |at: usize, byte: u8| {
        let mut bytes = message();
        bytes[at] = byte;
        Packet::ethernet(ethertype::ARP, &bytes)
    };
    let malformed = || drops(Reason::Malformed);
    let site = Site::new(POLICY);
    site.check([
        case("as it should be", "line-a", Packet::ethernet(ethertype::ARP, &message()), survives()),
        case("hardware that is not Ethernet", "line-a", with(1, 6), malformed()),
        case("hardware that is not Ethernet, high byte", "line-a", with(0, 1), malformed()),
        case("a protocol that is not IPv4", "line-a", with(3, 6), malformed()),
        case("a hardware address of another length", "line-a", with(4, 8), malformed()),
        case("a protocol address of another length", "line-a", with(5, 16), malformed()),
        case("padded to the shortest frame", "line-a", Packet::arp_request(HMI, GATEWAY), survives()),
    ]);
    site.check([0, 3, 4, 8, 9, 23].map(|operation| {
        let why = format!("operation {operation} claims as the others do");
        case(why, "line-a", with(7, operation), survives())
    }));
    site.check((0..28).map(|length| {
        let packet = Packet::ethernet(ethertype::ARP, &message()[..length]).unpadded();
        case(format!("{length} bytes are too few"), "line-a", packet, malformed())
    }));
}
