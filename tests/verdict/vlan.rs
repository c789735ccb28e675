//! Which zone a frame comes from: interface and tags.

use banchi_common::reason::Reason;
use banchi_tests::packet::{Packet, Tag, flags};

use crate::site::{Site, Want, case, drops, forward, survives};

/// Zones are VLANs of two interfaces; the same numbers mean other zones on the other one.
const POLICY: &str = "
version: 1
defaults: { mode: enforce }
zones:
  plain:  { interfaces: [port], vlans: [untagged], networks: [10.1.0.0/24] }
  first:  { interfaces: [port], vlans: [1], networks: [10.2.0.0/24] }
  last:   { interfaces: [port], vlans: [4094], networks: [10.3.0.0/24] }
  double: { interfaces: [port], vlans: [100.20, 4094.4094], networks: [10.4.0.0/24] }
  trunk:  { interfaces: [other], vlans: [1, 100.20], networks: [10.5.0.0/24] }
  target: { interfaces: [target], networks: [10.9.0.0/24] }
assets:
  at-plain:  { zone: plain, address: 10.1.0.1 }
  at-first:  { zone: first, address: 10.2.0.1 }
  at-last:   { zone: last, address: 10.3.0.1 }
  at-double: { zone: double, address: 10.4.0.1 }
  at-trunk:  { zone: trunk, address: 10.5.0.1 }
  server:    { zone: target, address: 10.9.0.1 }
services: { modbus: { transport: tcp, port: 502 } }
conduits:
  - { from: plain, to: target, allow: [{ name: plain, client: at-plain, server: server, service: modbus }] }
  - { from: first, to: target, allow: [{ name: first, client: at-first, server: server, service: modbus }] }
  - { from: last, to: target, allow: [{ name: last, client: at-last, server: server, service: modbus }] }
  - { from: double, to: target, allow: [{ name: double, client: at-double, server: server, service: modbus }] }
  - { from: trunk, to: target, allow: [{ name: trunk, client: at-trunk, server: server, service: modbus }] }
";

fn open(from: &str) -> Packet {
    Packet::tcp(format!("{from}:40000").as_str(), "10.9.0.1:502", flags::SYN)
}

fn old(id: u16) -> Tag {
    Tag { ethertype: 0x9100, ..Tag::customer(id) }
}

#[test]
fn one_tag() {
    let unlisted = || drops(Reason::UnlistedVlan).no_zone();
    Site::new(POLICY).check([
        case("no tag is the untagged zone", "port", open("10.1.0.1"), forward("plain").zone("plain")),
        case(
            "VID 0 is a priority only",
            "port",
            open("10.1.0.1").tag(Tag::priority(6)),
            forward("plain").zone("plain"),
        ),
        case(
            "VID 1 is a VLAN as any other",
            "port",
            open("10.2.0.1").vlan(1),
            forward("first").zone("first"),
        ),
        case("the last VID", "port", open("10.3.0.1").vlan(4094), forward("last").zone("last")),
        case(
            "priority and drop eligibility are not part of the VID",
            "port",
            open("10.2.0.1").tag(Tag { priority: 7, drop_eligible: true, ..Tag::customer(1) }),
            forward("first"),
        ),
        case("a VID that no zone has", "port", open("10.2.0.1").vlan(2), unlisted()),
        case("the reserved VID", "port", open("10.3.0.1").vlan(4095), unlisted()),
        case("the outer VID of a double tag alone", "port", open("10.4.0.1").vlan(100), unlisted()),
        case("the inner VID of a double tag alone", "port", open("10.4.0.1").vlan(20), unlisted()),
        case(
            "a host of one VLAN in another",
            "port",
            open("10.2.0.1").vlan(4094),
            drops(Reason::WrongZone).zone("last"),
        ),
        case(
            "a host of a VLAN without its tag",
            "port",
            open("10.2.0.1"),
            drops(Reason::WrongZone).zone("plain"),
        ),
        case(
            "an untagged host in a VLAN",
            "port",
            open("10.1.0.1").vlan(1),
            drops(Reason::WrongZone).zone("first"),
        ),
        case("a service tag alone is a tag", "port", open("10.2.0.1").tag(Tag::service(1)), forward("first")),
        case("an old service tag alone is a tag", "port", open("10.2.0.1").tag(old(1)), forward("first")),
        case(
            "VID 1 of the other interface is another zone",
            "other",
            open("10.5.0.1").vlan(1),
            forward("trunk").zone("trunk"),
        ),
        case(
            "the host of VID 1 at the other interface's VID 1",
            "other",
            open("10.2.0.1").vlan(1),
            drops(Reason::WrongZone).zone("trunk"),
        ),
        case("the other interface has no untagged zone", "other", open("10.5.0.1"), unlisted()),
        case("nor does VID 0 make one", "other", open("10.5.0.1").vlan(0), unlisted()),
        case("an interface that no zone has", "elsewhere", open("10.2.0.1").vlan(1), unlisted()),
        case("an interface without VLANs takes no tag", "target", open("10.9.0.1").vlan(1), unlisted()),
        case(
            "an interface without VLANs takes VID 0",
            "target",
            Packet::tcp("10.9.0.1:502", "10.1.0.1:40000", flags::ACK).vlan(0),
            crate::site::back("plain").zone("target"),
        ),
    ]);
}

#[test]
fn two_tags() {
    let unlisted = || drops(Reason::UnlistedVlan).no_zone();
    let tags = |outer, inner| open("10.4.0.1").tag(outer).tag(inner);
    let good = || forward("double").zone("double");
    let mut cases = Vec::new();
    for (name, outer) in
        [("802.1ad", Tag::service(100)), ("802.1Q", Tag::customer(100)), ("0x9100", old(100))]
    {
        cases.push(case(
            format!("a listed pair, outside {name}"),
            "port",
            tags(outer, Tag::customer(20)),
            good(),
        ));
    }
    cases.extend([
        case("a listed pair, inside 802.1ad", "port", tags(Tag::service(100), Tag::service(20)), good()),
        case("a listed pair, inside 0x9100", "port", tags(Tag::service(100), old(20)), good()),
        case("the pair of the largest VIDs", "port", tags(Tag::service(4094), Tag::customer(4094)), good()),
        case("inner and outer exchanged", "port", tags(Tag::service(20), Tag::customer(100)), unlisted()),
        case("another inner VID", "port", tags(Tag::service(100), Tag::customer(21)), unlisted()),
        case("another outer VID", "port", tags(Tag::service(101), Tag::customer(20)), unlisted()),
        case("a listed single VID twice", "port", tags(Tag::service(1), Tag::customer(1)), unlisted()),
        case(
            "an outer VID 0 leaves the inner one",
            "port",
            open("10.2.0.1").tag(Tag::priority(5)).vlan(1),
            forward("first"),
        ),
        case(
            "an inner VID 0 leaves the outer one",
            "port",
            open("10.2.0.1").vlan(1).tag(Tag::priority(5)),
            forward("first"),
        ),
        case("twice VID 0 is no VLAN", "port", open("10.1.0.1").vlan(0).vlan(0), forward("plain")),
        case(
            "an outer VID 0 does not make a double tag",
            "port",
            open("10.4.0.1").vlan(0).vlan(20),
            unlisted(),
        ),
        case(
            "the pair at the other interface is another zone",
            "other",
            tags(Tag::service(100), Tag::customer(20)),
            drops(Reason::WrongZone).zone("trunk"),
        ),
        case(
            "the other interface's host in the pair",
            "other",
            open("10.5.0.1").tag(Tag::service(100)).vlan(20),
            forward("trunk").zone("trunk"),
        ),
        case(
            "a pair that only the other interface lacks",
            "other",
            tags(Tag::service(4094), Tag::customer(4094)),
            unlisted(),
        ),
        case(
            "an interface that no zone has",
            "elsewhere",
            tags(Tag::service(100), Tag::customer(20)),
            unlisted(),
        ),
    ]);
    Site::new(POLICY).check(cases);
}

#[test]
fn three_tags() {
    let three = |packet: Packet| packet.tag(Tag::service(100)).vlan(20);
    Site::new(POLICY).check([
        case(
            "a third tag is no EtherType that is listed",
            "port",
            three(open("10.4.0.1")).vlan(1),
            drops(Reason::UnlistedEthertype).zone("double"),
        ),
        case(
            "two of VID 0 do not make room for a third",
            "port",
            open("10.2.0.1").vlan(0).vlan(0).vlan(1),
            drops(Reason::UnlistedEthertype).zone("plain"),
        ),
        case(
            "a third tag, of VID 0",
            "port",
            three(open("10.4.0.1")).vlan(0),
            drops(Reason::UnlistedEthertype).zone("double"),
        ),
    ]);
}

#[test]
fn tags_around_what_is_not_ip() {
    let lldp = || Packet::ethernet(0x88cc, &[0; 46]);
    let arp = || Packet::arp_request([10, 2, 0, 1].into(), [10, 2, 0, 254].into());
    let unlisted = || -> Want { drops(Reason::UnlistedVlan) };
    Site::new(POLICY).check([
        case("link control in a listed VLAN", "port", lldp().vlan(1), survives().zone("first")),
        case("link control in an unlisted VLAN", "port", lldp().vlan(7), survives().no_zone()),
        case(
            "PTP in a priority tag",
            "port",
            Packet::ethernet(0x88f7, &[0; 46]).tag(Tag::priority(7)),
            survives().zone("plain"),
        ),
        case("ARP in its VLAN", "port", arp().vlan(1), survives().zone("first")),
        case("ARP in another VLAN", "port", arp().vlan(4094), drops(Reason::ArpSpoof).zone("last")),
        case("ARP in an unlisted VLAN", "port", arp().vlan(7), unlisted()),
        case(
            "PROFINET in a listed VLAN",
            "port",
            Packet::ethernet(0x8892, &[0; 46]).vlan(1),
            drops(Reason::UnlistedEthertype),
        ),
    ]);
}

/// Without any VLAN in the policy the zone table has no room for VIDs, and no tag may reach past it.
#[test]
fn a_policy_without_vlans() {
    let policy = "
services: { modbus: { transport: tcp, port: 502 } }
conduits:
  - { between: [control, line-a], allow: [{ name: modbus, client: scada, server: plc, service: modbus }] }
";
    let open = || Packet::tcp("10.10.1.5:40000", "10.20.0.11:502", flags::SYN);
    let unlisted = || drops(Reason::UnlistedVlan).no_zone();
    Site::plant(policy).check([
        case("no tag", "control", open(), forward("modbus")),
        case("VID 0", "control", open().vlan(0), forward("modbus")),
        case("VID 1", "control", open().vlan(1), unlisted()),
        case("VID 2 does not reach the next interface", "control", open().vlan(2), unlisted()),
        case("two tags", "control", open().tag(Tag::service(1)).vlan(1), unlisted()),
        case("an outer VID 0 and an inner VID", "control", open().vlan(0).vlan(1), unlisted()),
        case("a tag on the second interface", "line-a", open().vlan(1), unlisted()),
    ]);
}
