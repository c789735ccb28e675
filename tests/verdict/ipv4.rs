//! The IPv4 header.

use banchi_common::reason::Reason;
use banchi_tests::packet::{Packet, flags};

use crate::site::{Site, back, case, drops, forward};

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
    Packet::tcp("10.10.1.5:40000", "10.20.0.11:502", flags::SYN)
}

fn ask() -> Packet {
    Packet::udp("10.10.1.5:47808", "10.20.0.11:47808").payload([0x81, 0x0a])
}

/// Sets one byte of the frame, counted from the IP header.
fn with(packet: Packet, at: usize, byte: u8) -> Vec<u8> {
    let mut frame = packet.build();
    frame[14 + at] = byte;
    frame
}

#[test]
fn header_length() {
    let options = |words: usize| ask().ip_options(&vec![1; words * 4]);
    let mut cases = vec![
        case("no options", "control", ask(), forward("bacnet")),
        case("options of one word", "control", options(1), forward("bacnet")),
        case("a header of 60 bytes, the most there is", "control", options(10), forward("bacnet")),
        case("TCP behind the longest header", "control", open().ip_options(&[1; 40]), forward("modbus")),
        case(
            "an answer behind options",
            "line-a",
            Packet::udp("10.20.0.11:47808", "10.10.1.5:47808").ip_options(&[1; 8]),
            back("bacnet"),
        ),
        case(
            "a header of 60 bytes and UDP cut short",
            "control",
            options(10).claim_ip_length(67),
            drops(Reason::Malformed),
        ),
        case(
            "a header that is longer than the packet",
            "control",
            ask().claim_ihl(15),
            drops(Reason::Malformed),
        ),
        case(
            "ports are read behind the options, not at byte 20",
            "control",
            ask().claim_ihl(6),
            drops(Reason::Malformed),
        ),
    ];
    for words in 0..5 {
        let why = format!("a header of {words} words is too short to be one");
        cases.push(case(why, "control", ask().claim_ihl(words), drops(Reason::Malformed)));
    }
    for words in 1..=10 {
        let why = format!("{words} words of options");
        cases.push(case(why, "control", options(words), forward("bacnet")));
    }
    Site::plant(POLICY).check(cases);
}

#[test]
fn version() {
    let cases = (0..16).map(|version| {
        let wanted = if version == 4 { forward("bacnet") } else { drops(Reason::Malformed) };
        case(
            format!("version {version} behind the EtherType of IPv4"),
            "control",
            ask().claim_version(version),
            wanted,
        )
    });
    Site::plant(POLICY).check(cases);
}

#[test]
fn total_length() {
    let long = || ask().payload([0; 100]);
    Site::plant(POLICY).check([
        case("padded to the shortest frame", "control", ask(), forward("bacnet")),
        case("the same without padding", "control", ask().unpadded(), forward("bacnet")),
        case("the total length of the frame, to the byte", "control", long().unpadded(), forward("bacnet")),
        case(
            "one byte more than the frame has",
            "control",
            long().unpadded().claim_ip_length(129),
            drops(Reason::Malformed),
        ),
        case(
            "much more than the frame has",
            "control",
            long().claim_ip_length(65535),
            drops(Reason::Malformed),
        ),
        case("into the padding is within the frame", "control", ask().claim_ip_length(46), forward("bacnet")),
        case("one past the padding", "control", ask().claim_ip_length(47), drops(Reason::Malformed)),
        case(
            "zero, as hardware that segments writes it",
            "control",
            long().claim_ip_length(0),
            drops(Reason::Malformed),
        ),
        case("less than the header", "control", long().claim_ip_length(19), drops(Reason::Malformed)),
        case("the header alone", "control", long().claim_ip_length(20), drops(Reason::Malformed)),
        case(
            "one byte less than UDP claims",
            "control",
            long().claim_ip_length(127),
            drops(Reason::Malformed),
        ),
        case(
            "a trailer behind the packet",
            "control",
            [long().unpadded().build(), vec![0xff; 16]].concat(),
            forward("bacnet"),
        ),
        case("a full frame", "control", ask().payload(vec![0; 1472]), forward("bacnet")),
    ]);
}

#[test]
fn fields_that_decide_nothing() {
    Site::plant(POLICY).check([
        case("type of service", "control", with(ask(), 1, 0xb8), forward("bacnet")),
        case("time to live of 1", "control", ask().hops(1), forward("bacnet")),
        case("time to live of 0", "control", ask().hops(0), forward("bacnet")),
        case("do not fragment", "control", ask().dont_fragment(), forward("bacnet")),
        case("the reserved flag", "control", with(ask(), 6, 0x80), forward("bacnet")),
        case("an identification without fragments", "control", ask().ip_id(0xbeef), forward("bacnet")),
        case(
            "a wrong header checksum is for the receiver",
            "control",
            with(ask(), 10, 0xff),
            forward("bacnet"),
        ),
        case(
            "a wrong UDP checksum is for the receiver",
            "control",
            ask().wrong_checksum(),
            forward("bacnet"),
        ),
    ]);
}

#[test]
fn protocols() {
    let other = |number| Packet::ip_protocol([10, 10, 1, 5], [10, 20, 0, 11], number).payload([0; 40]);
    let unlisted = [
        (4, "IP in IP"),
        (41, "IPv6 in IPv4"),
        (47, "GRE"),
        (50, "ESP"),
        (51, "AH"),
        (89, "OSPF"),
        (0, "hop-by-hop options"),
        (58, "ICMPv6 over IPv4"),
        (136, "UDP-Lite"),
        (255, "reserved"),
    ];
    let site = Site::plant(POLICY);
    site.check(unlisted.map(|(number, name)| {
        let why = format!("{name} is no transport of a service");
        case(
            why,
            "control",
            other(number),
            drops(Reason::UnlistedProtocol).conduit("control-line-a").no_rule(),
        )
    }));
    site.check([
        case(
            "the hosts are told first: source",
            "control",
            Packet::ip_protocol([10, 10, 9, 9], [10, 20, 0, 11], 47).payload([0; 40]),
            drops(Reason::UnknownSource),
        ),
        case(
            "the hosts are told first: destination",
            "control",
            Packet::ip_protocol([10, 10, 1, 5], [10, 20, 0, 99], 47).payload([0; 40]),
            drops(Reason::UnknownDestination),
        ),
        case("the hosts are told first: zone", "line-b", other(47), drops(Reason::WrongZone)),
        case(
            "the right ports in another transport",
            "control",
            Packet::sctp("10.10.1.5:47808", "10.20.0.11:47808"),
            drops(Reason::UnlistedService),
        ),
    ]);
}
