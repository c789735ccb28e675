//! Every message of `direction::samples`, cut at every length, through the loaded program: it shows itself as what the
//! table says, and each side may send what the protocol lets it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use banchi_common::abi::Transport;
use banchi_common::direction::{Class, Classes, PROTOCOLS, Sample, samples};
use banchi_common::reason::Reason;
use banchi_tests::packet::{Packet, flags};
use banchi_tests::protocols::{ports, services_and_conduits};

use crate::site::{Site, back, case, drops, forward};

const SCADA: &str = "10.10.1.5";
const PLC: &str = "10.20.0.11";

fn packet(sample: &Sample, length: usize, port: u16, answer: bool) -> Packet {
    let (from, to) = if answer { (PLC, SCADA) } else { (SCADA, PLC) };
    let (from, to) = (format!("{from}:{port}"), format!("{to}:{port}"));
    let packet = match sample.transport {
        Transport::Tcp => Packet::tcp(from.as_str(), to.as_str(), flags::ACK | flags::PSH),
        _ => Packet::udp(from.as_str(), to.as_str()),
    };
    packet.payload(&sample.bytes[..length])
}

#[test]
fn every_message_at_every_length() {
    let site = Site::plant(&services_and_conduits(["control", "line-a"], "scada", "plc"));
    let ports = ports();
    let mut wrong = String::new();
    let mut tried: BTreeMap<(&str, Class), usize> = BTreeMap::new();
    for sample in samples() {
        let about = sample.protocol.about();
        let port = ports[&(sample.protocol, sample.transport as u8)];
        *tried.entry((about.name, sample.class)).or_default() += 1;
        for length in 0..=sample.bytes.len() {
            let decided = sample.class != Class::Undecidable && length >= sample.needed;
            let class = if decided { sample.class } else { Class::Undecidable };
            for answer in [false, true] {
                let from = if answer { "line-a" } else { "control" };
                let outcome = site.run(from, &packet(sample, length, port, answer).build());
                let may = if answer {
                    about.server.with(Classes::RESPONSE)
                } else {
                    about.client.with(Classes::REQUEST)
                };
                let wanted = match class {
                    // It has been asked from the other point of view, which shares no state with this one.
                    Class::Undecidable if answer && sample.transport != Transport::Tcp => {
                        Reason::UnsolicitedReply
                    }
                    Class::Undecidable => Reason::Allowed,
                    class if may.holds(class) => Reason::Allowed,
                    _ => Reason::ReversedDirection,
                };
                if (outcome.class, outcome.reason) != (class, wanted) {
                    let _ = writeln!(
                        wrong,
                        "- {} {} ({}), {length} bytes, answer {answer}: {:?} {:?}, not {class:?} {wanted:?}",
                        about.name, sample.what, sample.source, outcome.class, outcome.reason
                    );
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    for about in PROTOCOLS {
        for class in [Class::Request, Class::Response, Class::Undecidable] {
            assert!(
                tried.contains_key(&(about.name, class)),
                "{} has no message that is {class:?}",
                about.name
            );
        }
    }
    println!("{tried:?}");
}

/// Padding of a short frame, and what stands behind the datagram, are not the payload.
#[test]
fn what_is_behind_the_datagram_does_not_count() {
    let site = Site::plant(
        "services: { s: { transport: udp, port: 5000, source_port: same, reply: free, direction: \
         { at: 1, mask: 0xff, request: 0x01, response: 0x02 } } }
conduits: [{ between: [control, line-a], allow: [{ name: s, client: scada, server: plc, service: s }] }]",
    );
    let to = || Packet::udp("10.10.1.5:5000", "10.20.0.11:5000");
    let from = || Packet::udp("10.20.0.11:5000", "10.10.1.5:5000");
    site.check([
        case("a request of the client", "control", to().payload([0, 1]), forward("s")),
        case("a response of the client", "control", to().payload([0, 2]), drops(Reason::ReversedDirection)),
        case("a response of the server", "line-a", from().payload([0, 2]), back("s")),
        case("a request of the server", "line-a", from().payload([0, 1]), drops(Reason::ReversedDirection)),
        case("neither, of the client", "control", to().payload([0, 3]), forward("s")),
        case("neither, of the server", "line-a", from().payload([0, 3]), back("s")),
        case("too short, of the server", "line-a", from().payload([1]), back("s")),
        case(
            "a shorter datagram than packet: it ends there",
            "line-a",
            from().payload([0, 1]).claim_udp_length(9),
            back("s"),
        ),
    ]);
}
