//! A server that hides a question in fragments, so that it passes as an answer.

use banchi_common::reason::Reason;
use banchi_tests::packet::{Packet, flags};

use crate::site::{Site, back, case, drops, forward};

const POLICY: &str = "
services:
  s7:    { transport: tcp, port: 102, direction: s7 }
  slmp:  { transport: udp, port: 5010, source_port: same, direction: slmp }
  pmu:   { transport: udp, port: 4713, direction: c37-118 }
  late:  { transport: udp, port: 5011, source_port: same, direction:
           { at: 200, mask: 0xff, request: 0x01, response: 0x02 } }
conduits:
  - between: [control, line-a]
    allow:
      - { name: s7, client: scada, server: plc, service: s7 }
      - { name: slmp, client: scada, server: plc, service: slmp }
      - { name: pmu, client: scada, server: plc, service: pmu }
      - { name: late, client: scada, server: plc, service: late }
";

/// First fragment of a packet, with so many bytes behind the IP header.
fn first(packet: Packet, size: usize) -> Vec<u8> {
    packet.build_fragments(size).swap_remove(0)
}

#[test]
fn a_tcp_header_that_the_first_fragment_does_not_have_whole() {
    let segment = Packet::tcp("10.20.0.11:102", "10.10.1.5:40000", flags::ACK | flags::PSH)
        .tcp_options(&[1; 40])
        .payload([0x03; 64]);
    Site::plant(POLICY).check([
        case("its options go on", "line-a", first(segment.clone(), 24), drops(Reason::Malformed)),
        case("its options end with it", "line-a", first(segment, 64), drops(Reason::Malformed)),
    ]);
}

/// What a message says of its length is held against the datagram, and not against the part of it that came first.
#[test]
fn a_datagram_in_fragments_shows_what_it_is() {
    let slmp = |subheader: u8, rest: usize| {
        let length = (rest as u16).to_le_bytes();
        let mut message =
            vec![subheader, 0, 0, 0xff, 0xff, 0x03, 0, length[0], length[1], 0x10, 0, 1, 0x14, 0, 0];
        message.resize(9 + rest, 0x11);
        message
    };
    let answer = |payload: Vec<u8>| Packet::udp("10.20.0.11:5010", "10.10.1.5:5010").payload(payload);
    let data = {
        let mut data = vec![0xaa, 0x01, 0x02, 0x00];
        data.resize(512, 0);
        data
    };
    let data = Packet::udp("10.20.0.11:4713", "10.10.1.5:40000").payload(data);
    Site::plant(POLICY).check([
        case(
            "a whole request of a server",
            "line-a",
            answer(slmp(0x50, 400)),
            drops(Reason::ReversedDirection),
        ),
        case(
            "its first fragment",
            "line-a",
            first(answer(slmp(0x50, 400)), 200),
            drops(Reason::ReversedDirection),
        ),
        case("that of a response", "line-a", first(answer(slmp(0xd0, 400)), 200), back("slmp")),
        case(
            "a length beyond the datagram",
            "line-a",
            first(answer(slmp(0x50, 400)[..300].to_vec()), 272),
            drops(Reason::UnsolicitedReply),
        ),
        case("a long report, whole", "line-a", data.clone(), back("pmu")),
        case("a long report, its first fragment", "line-a", first(data, 256), back("pmu")),
    ]);
}

#[test]
fn a_byte_that_the_first_fragment_does_not_have() {
    let message = |class: u8| {
        let mut message = vec![0; 400];
        message[200] = class;
        message
    };
    let ask = |class| Packet::udp("10.10.1.5:5011", "10.20.0.11:5011").payload(message(class));
    let answer = |class| Packet::udp("10.20.0.11:5011", "10.10.1.5:5011").payload(message(class));
    Site::plant(POLICY).check([
        case("a question", "control", ask(1), forward("late")),
        case("a question, with the byte", "control", first(ask(1), 216), forward("late")),
        case("a question, without", "control", first(ask(1), 208), drops(Reason::Malformed)),
        case(
            "a request of the server, with the byte",
            "line-a",
            first(answer(1), 216),
            drops(Reason::ReversedDirection),
        ),
        case("a request of the server, without", "line-a", first(answer(1), 208), drops(Reason::Malformed)),
        case("an answer, with the byte", "line-a", first(answer(2), 216), back("late")),
    ]);
}
