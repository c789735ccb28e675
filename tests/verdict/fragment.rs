//! Fragments: the first one has the ports, the others follow it.

use banchi_common::reason::Reason;
use banchi_tests::packet::{Extension, Packet, flags};

use crate::site::{Site, case, drops, forward, ip, related};

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

const V4: (&str, &str) = ("10.10.1.5", "10.20.0.11");
const V6: (&str, &str) = ("fd00:10::5", "fd00:20::11");

fn udp((from, to): (&str, &str), id: u32) -> Packet {
    Packet::udp((ip(from), 47808), (ip(to), 47808)).payload([7; 100]).ip_id(id)
}

/// A later fragment of a protocol.
fn later((from, to): (&str, &str), protocol: u8, id: u32, offset: u16) -> Packet {
    Packet::ip_protocol(ip(from), ip(to), protocol).payload([7; 32]).ip_id(id).fragment(offset, false)
}

#[test]
fn later_fragments_follow_the_first() {
    for hosts in [V4, V6] {
        let pieces = udp(hosts, 1).build_fragments(48);
        let [first, second, third] = pieces.try_into().expect("three pieces");
        Site::plant(POLICY).check([
            case(
                "the second before the first is an orphan",
                "control",
                second.clone(),
                drops(Reason::OrphanFragment).conduit("control-line-a"),
            ),
            case("the first has the ports", "control", first.clone(), forward("bacnet")),
            case("the second follows it", "control", second.clone(), related()),
            case("the last follows it", "control", third.clone(), related()),
            case("the last again: state is not used up", "control", third.clone(), related()),
            case("the second from another zone", "line-b", second, drops(Reason::WrongZone)),
            case("another identification", "control", later(hosts, 17, 2, 48), drops(Reason::OrphanFragment)),
            case(
                "the first of another packet",
                "control",
                udp(hosts, 2).fragment(0, true),
                forward("bacnet"),
            ),
            case(
                "now both identifications are known: the new one",
                "control",
                later(hosts, 17, 2, 48),
                related(),
            ),
            case("and the old one", "control", later(hosts, 17, 1, 48), related()),
            case("a later fragment at the largest offset", "control", later(hosts, 17, 1, 65528), related()),
        ]);
    }
}

#[test]
fn later_fragments_of_a_denied_first_are_orphans() {
    for hosts in [V4, V6] {
        let denied = Packet::udp((ip(hosts.0), 47808), (ip(hosts.1), 9)).payload([0; 64]).ip_id(5);
        let reversed = Packet::tcp((ip(hosts.1), 502), (ip(hosts.0), 40000), flags::SYN).ip_id(6);
        Site::plant(POLICY).check([
            case(
                "a first fragment of an unlisted service",
                "control",
                denied.fragment(0, true),
                drops(Reason::UnlistedService),
            ),
            case(
                "its second has nothing to follow",
                "control",
                later(hosts, 17, 5, 48),
                drops(Reason::OrphanFragment),
            ),
            case(
                "a first fragment that opens in reverse",
                "line-a",
                reversed.fragment(0, true),
                drops(Reason::ReversedDirection),
            ),
            case(
                "its second has nothing to follow either",
                "line-a",
                later((hosts.1, hosts.0), 6, 6, 48),
                drops(Reason::OrphanFragment),
            ),
        ]);
    }
}

#[test]
fn the_key_of_a_fragmented_packet() {
    let other = |protocol| later(V4, protocol, 1, 48);
    Site::plant(POLICY).check([
        case("a first fragment", "control", udp(V4, 1).fragment(0, true), forward("bacnet")),
        case("another protocol is another packet (IPv4)", "control", other(6), drops(Reason::OrphanFragment)),
        case(
            "another source",
            "control",
            later(("10.10.1.6", V4.1), 17, 1, 48),
            drops(Reason::OrphanFragment),
        ),
        case(
            "another destination",
            "control",
            later((V4.0, "10.20.0.12"), 17, 1, 48),
            drops(Reason::OrphanFragment),
        ),
        case(
            "the way back is another packet",
            "line-a",
            later((V4.1, V4.0), 17, 1, 48),
            drops(Reason::OrphanFragment),
        ),
        case(
            "an unknown source is told first",
            "control",
            later(("10.10.9.9", V4.1), 17, 1, 48),
            drops(Reason::UnknownSource),
        ),
        case(
            "an unknown destination is told first",
            "control",
            later((V4.0, "10.20.0.99"), 17, 1, 48),
            drops(Reason::UnknownDestination),
        ),
        case("an interface without a zone", "elsewhere", other(17), drops(Reason::UnlistedVlan)),
        case(
            "the same numbers in IPv6 are another packet",
            "control",
            later(V6, 17, 1, 48),
            drops(Reason::OrphanFragment),
        ),
    ]);
}

#[test]
fn identifications_of_ipv6_have_32_bits() {
    Site::plant(POLICY).check([
        case("a first fragment", "control", udp(V6, 0x1_0001).fragment(0, true), forward("bacnet")),
        case("the same in 32 bits", "control", later(V6, 17, 0x1_0001, 48), related()),
        case(
            "the same in the low 16 bits only",
            "control",
            later(V6, 17, 1, 48),
            drops(Reason::OrphanFragment),
        ),
    ]);
}

#[test]
fn ipv6_fragments_need_not_name_the_same_header() {
    let options = Extension::Destination(vec![]);
    let first = {
        // The fragment header comes before the options, which are then part of what is fragmented.
        let fragment = Extension::Other(44, vec![0, 0, 0, 1, 0, 0, 0, 9]);
        Packet::udp((ip(V6.0), 47808), (ip(V6.1), 47808))
            .payload([7; 48])
            .extension(fragment)
            .extension(options)
    };
    Site::plant(POLICY).check([
        case("a first fragment with options inside", "control", first, forward("bacnet")),
        case("a later one names the options (RFC 8200, 4.5)", "control", later(V6, 60, 9, 64), related()),
    ]);
}

#[test]
fn tiny_and_overlapping() {
    let tcp =
        |hosts: (&str, &str)| Packet::tcp((ip(hosts.0), 40000), (ip(hosts.1), 502), flags::SYN).ip_id(3);
    for hosts in [V4, V6] {
        let pieces = |size| tcp(hosts).unpadded().build_fragments(size).swap_remove(0);
        Site::plant(POLICY).check([
            case(
                "a first fragment with ports but without flags",
                "control",
                pieces(8),
                drops(Reason::Malformed),
            ),
            case("a first fragment with half the header", "control", pieces(16), drops(Reason::Malformed)),
            case(
                "its second has nothing to follow",
                "control",
                later(hosts, 6, 3, 16),
                drops(Reason::OrphanFragment),
            ),
            case(
                "a first fragment with the whole header",
                "control",
                tcp(hosts).fragment(0, true),
                forward("modbus"),
            ),
            case(
                "a second over the flags of the first (RFC 3128)",
                "control",
                later(hosts, 6, 3, 8),
                drops(Reason::Malformed),
            ),
            case("one behind the header", "control", later(hosts, 6, 3, 24), related()),
            case("UDP has no flags to hide", "control", udp(hosts, 4).fragment(0, true), forward("bacnet")),
            case("so its second may come at 8 bytes", "control", later(hosts, 17, 4, 8), related()),
            case(
                "a first fragment of UDP with nothing but its header",
                "control",
                udp(hosts, 5).build_fragments(8).swap_remove(0),
                forward("bacnet"),
            ),
        ]);
    }
}

#[test]
fn what_only_looks_like_a_fragment() {
    Site::plant(POLICY).check([
        case("do not fragment", "control", udp(V4, 1).dont_fragment(), forward("bacnet")),
        case(
            "an offset of zero without more is whole",
            "control",
            udp(V4, 1).fragment(0, false),
            forward("bacnet"),
        ),
        case("and leaves nothing to follow", "control", later(V4, 17, 1, 48), drops(Reason::OrphanFragment)),
        case("an atomic fragment is whole", "control", udp(V6, 1).fragment(0, false), forward("bacnet")),
        case(
            "and leaves nothing to follow (IPv6)",
            "control",
            later(V6, 17, 1, 48),
            drops(Reason::OrphanFragment),
        ),
        case(
            "a first fragment that UDP is longer than",
            "control",
            udp(V4, 8).build_fragments(48).swap_remove(0),
            forward("bacnet"),
        ),
        case(
            "a whole packet that UDP is longer than",
            "control",
            udp(V4, 8).claim_udp_length(2000),
            drops(Reason::Malformed),
        ),
    ]);
}

/// A first fragment shows what the message is; one that is too short to show anything is no fragment of a stack.
#[test]
fn a_message_in_fragments_has_the_direction_of_its_first() {
    let policy = "
services:
  bacnet: { transport: udp, port: 47808, source_port: same, direction: bacnet }
conduits:
  - { between: [control, line-a], allow: [{ name: bacnet, client: scada, server: plc, service: bacnet }] }
";
    // A confirmed request, WriteProperty, with values that go on for long.
    let mut request = vec![0x81, 0x0a, 0x01, 0x90, 0x01, 0x04, 0x00, 0x05, 0x01, 0x0f];
    request.resize(400, 0x21);
    for (client, server) in [V4, V6] {
        let packet = |from: &str, to: &str, id: u32| {
            Packet::udp((ip(from), 47808), (ip(to), 47808)).payload(request.clone()).ip_id(id)
        };
        let whole = packet(client, server, 1).build_fragments(200);
        let reversed = packet(server, client, 2).build_fragments(200);
        let tiny = packet(server, client, 3).build_fragments(8);
        let reversed_direction = || drops(Reason::ReversedDirection);
        let site = Site::plant(policy);
        site.check([
            case("the client asks", "control", whole[0].clone(), forward("bacnet")),
            case("and goes on", "control", whole[1].clone(), related()),
            case("the server asks", "line-a", reversed[0].clone(), reversed_direction()),
            case("and goes on", "line-a", reversed[1].clone(), drops(Reason::OrphanFragment)),
            case("the server hides what it sends", "line-a", tiny[0].clone(), drops(Reason::Malformed)),
            case("and goes on", "line-a", tiny[1].clone(), drops(Reason::OrphanFragment)),
        ]);
    }
}
