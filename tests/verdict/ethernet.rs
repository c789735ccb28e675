//! EtherTypes that are neither IP nor ARP, and interfaces.

use banchi_common::reason::Reason;
use banchi_tests::packet::{Packet, ethertype};

use crate::site::{Site, case, crosses, drops, forward, survives};

const POLICY: &str = "
services: { modbus: { transport: tcp, port: 502 } }
conduits:
  - { between: [control, line-a], allow: [{ name: modbus, client: scada, server: plc, service: modbus }] }
";

const SYN: u16 = banchi_tests::packet::flags::SYN;

#[test]
fn what_is_neither_ip_nor_arp() {
    let ours = |kind| Packet::ethernet(kind, &[0; 46]);
    Site::plant(POLICY).check([
        case(
            "PROFINET is not listed",
            "control",
            ours(ethertype::PROFINET),
            drops(Reason::UnlistedEthertype),
        ),
        case("GOOSE is not listed", "control", ours(ethertype::GOOSE), drops(Reason::UnlistedEthertype)),
        case("EtherCAT is not listed", "line-a", ours(ethertype::ETHERCAT), drops(Reason::UnlistedEthertype)),
        case("IPX is not listed", "control", ours(0x8137), drops(Reason::UnlistedEthertype)),
        case("0x0600 is the first EtherType", "control", ours(0x0600), drops(Reason::UnlistedEthertype)),
        case(
            "0x05ff is a length, of LLC that is not known",
            "control",
            ours(0x05ff),
            drops(Reason::UnlistedEthertype),
        ),
        case("a length of 0", "control", ours(0), drops(Reason::UnlistedEthertype)),
        case("0xffff is reserved", "control", ours(0xffff), drops(Reason::UnlistedEthertype)),
        case("IPv4 one bit off", "control", ours(0x0801), drops(Reason::UnlistedEthertype)),
        case("RARP is not ARP", "control", ours(0x8035), drops(Reason::UnlistedEthertype)),
        case(
            "nothing but a header, not listed",
            "control",
            Packet::ethernet(0x8892, &[]).unpadded(),
            drops(Reason::UnlistedEthertype),
        ),
        case(
            "nothing but a header, of LLDP",
            "control",
            Packet::ethernet(0x88cc, &[]).unpadded(),
            survives(),
        ),
        case(
            "nothing but a header, of LLC",
            "control",
            Packet::ethernet(3, &[]).unpadded(),
            drops(Reason::UnlistedEthertype),
        ),
        case(
            "LLC that is not spanning tree",
            "control",
            Packet::llc(&[0xe0, 0xe0, 3]),
            drops(Reason::UnlistedEthertype),
        ),
        case(
            "SNAP that is not Cisco's",
            "control",
            Packet::llc(&[0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0]),
            drops(Reason::UnlistedEthertype),
        ),
        case(
            "SNAP that is cut short",
            "control",
            Packet::llc(&[0xaa, 0xaa, 3, 0, 0, 0x0c]).unpadded(),
            drops(Reason::UnlistedEthertype),
        ),
    ]);
}

#[test]
fn interfaces() {
    let open = || Packet::tcp("10.10.1.5:40000", "10.20.0.11:502", SYN);
    Site::plant(POLICY).check([
        case(
            "the interface of the client's zone",
            "control",
            open(),
            forward("modbus").zone("control").conduit("control-line-a"),
        ),
        case(
            "an interface that no zone has",
            "elsewhere",
            open(),
            drops(Reason::UnlistedVlan).no_zone().no_conduit().no_rule(),
        ),
        case("an interface of another zone", "line-b", open(), drops(Reason::WrongZone).zone("line-b")),
        case(
            "unlisted EtherType on an unlisted interface",
            "elsewhere",
            Packet::ethernet(0x8892, &[0; 46]),
            drops(Reason::UnlistedVlan),
        ),
        case(
            "link control passes on an unlisted interface too",
            "elsewhere",
            Packet::ethernet(0x88cc, &[0; 46]),
            survives().no_zone(),
        ),
        case(
            "ARP on an unlisted interface",
            "elsewhere",
            Packet::arp_request([10, 10, 1, 5].into(), [10, 10, 0, 1].into()),
            drops(Reason::UnlistedVlan),
        ),
        case(
            "a cut packet on an unlisted interface",
            "elsewhere",
            open().cut(30),
            drops(Reason::UnlistedVlan),
        ),
    ]);
}

#[test]
fn what_a_conduit_lets_cross_below_ip() {
    let site = Site::plant(
        "
services: { modbus: { transport: tcp, port: 502 } }
conduits:
  - { between: [control, line-a], ethertypes: [profinet, \"0x8137\", bacnet-ethernet, llc-0xf0],
      allow: [{ name: modbus, client: scada, server: plc, service: modbus }] }
  - { name: goose-down, from: control, to: line-b, ethertypes: [goose] }
",
    );
    let frame = |kind| Packet::ethernet(kind, &[0; 46]);
    let unlisted = || drops(Reason::UnlistedEthertype).no_conduit();
    site.check([
        case("PROFINET, one way", "control", frame(ethertype::PROFINET), crosses("control-line-a")),
        case("PROFINET, the other way", "line-a", frame(ethertype::PROFINET), crosses("control-line-a")),
        case("PROFINET from a zone that is no end", "line-b", frame(ethertype::PROFINET), unlisted()),
        case(
            "PROFINET with a priority tag",
            "control",
            frame(ethertype::PROFINET).vlan(0),
            crosses("control-line-a"),
        ),
        case("an EtherType by number", "line-a", frame(0x8137), crosses("control-line-a")),
        case("the number beside it", "line-a", frame(0x8138), unlisted()),
        case("GOOSE, the way that is listed", "control", frame(ethertype::GOOSE), crosses("goose-down")),
        case("GOOSE, the way back", "line-b", frame(ethertype::GOOSE), unlisted()),
        case("BACnet over LLC", "control", Packet::llc(&[0x82, 0x82, 3, 1]), crosses("control-line-a")),
        case("a SAP by number", "line-a", Packet::llc(&[0xf0, 0xf0, 3]), crosses("control-line-a")),
        case("another SAP", "line-a", Packet::llc(&[0xe0, 0xe0, 3]), unlisted()),
        case(
            "a SAP is no EtherType: 0x0082 is a length",
            "control",
            Packet::ethernet(0x0082, &[0x10, 0x10, 3]),
            unlisted(),
        ),
        case("LLC without a SAP", "control", Packet::ethernet(0, &[]).unpadded(), unlisted()),
    ]);
}
