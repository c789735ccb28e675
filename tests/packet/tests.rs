//! Literal bytes for one packet of each kind, and another parser's opinion on the rest.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::*;

const A: &str = "10.10.1.5:47808";
const B: &str = "10.20.0.11:47808";
const A6: &str = "[fd00:10::5]:47808";
const B6: &str = "[fd00:20::11]:47808";

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn udp_on_a_vlan_byte_by_byte() {
    let frame = Packet::udp(A, B).vlan(20).payload([0x81, 0x0b]).build();
    #[rustfmt::skip]
    let expected = [
        0x02, 0x04, 10, 20, 0, 11, 0x02, 0x04, 10, 10, 1, 5, 0x81, 0x00, 0x00, 20, 0x08, 0x00,
        0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0x65, 0xa2, 10, 10, 1, 5, 10, 20, 0, 11,
        0xba, 0xc0, 0xba, 0xc0, 0, 10, 0xf4, 0x1f, 0x81, 0x0b,
    ];
    assert_eq!(frame[..48], expected);
    assert_eq!(frame[48..], [0; 12], "padded to the shortest frame");
}

#[test]
fn arp_request_byte_by_byte() {
    let frame = Packet::arp_request([10, 10, 1, 5].into(), [10, 10, 0, 1].into()).unpadded().build();
    #[rustfmt::skip]
    let expected = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x04, 10, 10, 1, 5, 0x08, 0x06,
        0, 1, 0x08, 0x00, 6, 4, 0, 1,
        0x02, 0x04, 10, 10, 1, 5, 10, 10, 1, 5, 0, 0, 0, 0, 0, 0, 10, 10, 0, 1,
    ];
    assert_eq!(frame, expected);
}

#[test]
fn two_tags_keep_their_order() {
    let frame =
        Packet::udp(A, B).tag(Tag::service(100)).tag(Tag { priority: 5, ..Tag::customer(20) }).build();
    assert_eq!(frame[12..22], [0x88, 0xa8, 0, 100, 0x81, 0x00, 0xa0, 20, 0x08, 0x00]);
}

#[test]
fn llc_frames_have_a_length() {
    let frame = Packet::llc(&[0x42, 0x42, 0x03]).build();
    assert_eq!(frame[12..17], [0, 3, 0x42, 0x42, 0x03]);
}

/// Checks every checksum and length with another implementation.
fn check(frame: &[u8]) {
    let parsed = SlicedPacket::from_ethernet(frame).unwrap();
    let transport = parsed.transport.unwrap();
    match (parsed.net.unwrap(), transport) {
        (NetSlice::Ipv4(ip), transport) => {
            let header = ip.header();
            assert_eq!(header.to_header().calc_header_checksum(), header.header_checksum());
            match transport {
                TransportSlice::Udp(udp) => assert_eq!(
                    udp.to_header().calc_checksum_ipv4(&header.to_header(), udp.payload()).unwrap(),
                    udp.checksum()
                ),
                TransportSlice::Tcp(tcp) => {
                    assert_eq!(
                        tcp.calc_checksum_ipv4(header.source(), header.destination()).unwrap(),
                        tcp.checksum()
                    );
                }
                TransportSlice::Icmpv4(icmp) => {
                    assert_eq!(icmp.icmp_type().calc_checksum(icmp.payload()), icmp.checksum());
                }
                TransportSlice::Icmpv6(_) => panic!("ICMPv6 in IPv4"),
            }
        }
        (NetSlice::Ipv6(ip), transport) => {
            let (from, to) = (ip.header().source(), ip.header().destination());
            match transport {
                TransportSlice::Udp(udp) => {
                    assert_eq!(
                        udp.to_header().calc_checksum_ipv6_raw(from, to, udp.payload()).unwrap(),
                        udp.checksum()
                    );
                }
                TransportSlice::Tcp(tcp) => {
                    assert_eq!(tcp.calc_checksum_ipv6(from, to).unwrap(), tcp.checksum());
                }
                TransportSlice::Icmpv6(icmp) => assert!(icmp.is_checksum_valid(from, to)),
                TransportSlice::Icmpv4(_) => panic!("ICMP in IPv6"),
            }
        }
        (NetSlice::Arp(_), _) => panic!("ARP has no transport"),
    }
}

#[test]
fn another_parser_agrees() {
    let payload = *b"an odd one.";
    for (from, to) in [(A, B), (A6, B6)] {
        let (source, destination) = (from.endpoint().ip(), to.endpoint().ip());
        let udp = Packet::udp(from, to).payload(payload);
        for packet in [
            udp.clone(),
            udp.clone().vlan(20),
            udp.clone().tag(Tag::service(7)).vlan(20),
            udp.clone().ip_options(&[0x94, 4, 0, 0]),
            udp.clone().extension(Extension::HopByHop(vec![5, 2, 0, 0])),
            udp.clone()
                .extension(Extension::Destination(vec![1, 3, 0, 0, 0]))
                .extension(Extension::Routing(2, vec![])),
            udp.clone().extension(Extension::Authentication(vec![0; 12])),
            Packet::tcp(from, to, flags::SYN),
            Packet::tcp(from, to, flags::PSH | flags::ACK).sequence(7, 9).payload(payload),
            Packet::tcp(from, to, flags::SYN).tcp_options(&[2, 4, 5, 0xb4]),
            Packet::echo_request(source, destination, 1, 2).payload([0, 1, 0, 2, 0xaa]),
            Packet::port_unreachable(destination, &udp),
        ] {
            check(&packet.build());
            check(&packet.unpadded().build());
        }
    }
}

#[test]
fn an_error_quotes_what_routers_quote() {
    let about = Packet::udp(A, B).payload([0xee; 100]);
    let error = Packet::port_unreachable(addr("10.20.0.11"), &about).ip_packet();
    assert_eq!(error[..2], [0x45, 0]);
    assert_eq!(error[16..20], [10, 10, 1, 5], "to the sender");
    assert_eq!(error[20..22], [3, 3]);
    assert_eq!(error[28..], about.ip_packet()[..28], "the header and 8 bytes");

    let about = Packet::udp(A6, B6).payload([0xee; 100]);
    let error = Packet::port_unreachable(addr("fd00:20::11"), &about).ip_packet();
    assert_eq!(error[48..], about.ip_packet(), "all of a packet that is not long");
}

#[test]
fn fragments_hold_all_of_the_packet() {
    let payload: Vec<u8> = (0..=99).collect();
    let whole = Packet::udp(A, B).payload(&payload).ip_id(7).unpadded();
    let frames = whole.build_fragments(48);
    let rest: Vec<u8> = frames.iter().flat_map(|f| f[34..].to_vec()).collect();
    assert_eq!(rest, whole.ip_packet()[20..]);
    let flags: Vec<_> = frames.iter().map(|f| [f[20], f[21]]).collect();
    assert_eq!(flags, [[0x20, 0], [0x20, 6], [0, 12]], "more, more at 48 bytes, last at 96 bytes");

    let whole = Packet::udp(A6, B6).payload(&payload).ip_id(7).unpadded();
    let frames = whole.build_fragments(48);
    let heads: Vec<_> = frames.iter().map(|f| f[54..62].to_vec()).collect();
    assert_eq!(heads[0], [17, 0, 0, 1, 0, 0, 0, 7]);
    assert_eq!(heads[2], [17, 0, 0, 96, 0, 0, 0, 7]);
    assert!(frames.iter().all(|f| f[20] == 44), "the IPv6 header names the fragment header");
}

#[test]
fn sctp_has_its_own_checksum() {
    let packet = Packet::sctp("10.0.0.1:2905", "10.0.0.2:2905").payload([14, 0, 0, 4]).ip_packet();
    let mut segment = packet[20..].to_vec();
    let claimed = u32::from_le_bytes(segment[8..12].try_into().unwrap());
    segment[8..12].fill(0);
    assert_eq!(claimed, checksum::crc32c(&segment));
}

#[test]
fn wrong_on_request_and_nowhere_else() {
    let right = Packet::udp(A, B).payload([1, 2, 3]);
    let build = |packet: Packet| packet.unpadded().build();
    let differs = |wrong: Packet| {
        let (a, b) = (build(right.clone()), build(wrong));
        a.iter().zip(&b).enumerate().filter(|(_, (x, y))| x != y).map(|(n, _)| n).collect::<Vec<_>>()
    };
    assert_eq!(differs(right.clone().claim_ip_length(200)), [17, 24, 25], "length, header checksum");
    assert_eq!(differs(right.clone().claim_ihl(4)), [14, 24], "version and length, header checksum");
    assert_eq!(differs(right.clone().claim_version(5)), [14, 24]);
    assert_eq!(differs(right.clone().claim_udp_length(7)), [39, 41], "length, UDP checksum");
    assert_eq!(differs(right.clone().wrong_checksum()), [40]);
    assert_eq!(right.clone().cut(20).build(), build(right.clone())[..20]);
}
