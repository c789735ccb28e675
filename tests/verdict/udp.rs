//! UDP lengths, and both ways of UDP.

use banchi_common::reason::Reason;
use banchi_tests::packet::Packet;

use crate::site::{Site, back, case, drops, forward};

const POLICY: &str = "
services: { bacnet: { transport: udp, reply: free, port: 47808, source_port: same } }
conduits:
  - { between: [control, line-a], allow: [{ name: bacnet, client: scada, server: plc, service: bacnet }] }
";

#[test]
fn length() {
    for (scada, plc) in
        [("10.10.1.5:47808", "10.20.0.11:47808"), ("[fd00:10::5]:47808", "[fd00:20::11]:47808")]
    {
        let ask = || Packet::udp(scada, plc).payload([0; 40]).unpadded();
        let site = Site::plant(POLICY);
        site.check((0..8).map(|length| {
            case(
                format!("a length of {length} is less than the header"),
                "control",
                ask().claim_udp_length(length),
                drops(Reason::Malformed),
            )
        }));
        site.check([
            case("the true length", "control", ask(), forward("bacnet")),
            case("the header alone", "control", Packet::udp(scada, plc), forward("bacnet")),
            case(
                "less than the packet has, as padding would make it",
                "control",
                ask().claim_udp_length(8),
                forward("bacnet"),
            ),
            case(
                "one byte less than the packet has",
                "control",
                ask().claim_udp_length(47),
                forward("bacnet"),
            ),
            case(
                "one byte more than the packet has",
                "control",
                ask().claim_udp_length(49),
                drops(Reason::Malformed),
            ),
            case("the largest length", "control", ask().claim_udp_length(65535), drops(Reason::Malformed)),
            case(
                "into padding that is not the packet's",
                "control",
                Packet::udp(scada, plc).claim_udp_length(9),
                drops(Reason::Malformed),
            ),
            case("an empty datagram, padded", "line-a", Packet::udp(plc, scada), back("bacnet")),
        ]);
    }
}

#[test]
fn both_ways() {
    Site::plant(POLICY).check([
        case(
            "the client asks",
            "control",
            Packet::udp("10.10.1.5:47808", "10.20.0.11:47808"),
            forward("bacnet"),
        ),
        case(
            "the server answers",
            "line-a",
            Packet::udp("10.20.0.11:47808", "10.10.1.5:47808"),
            back("bacnet"),
        ),
        case(
            "the server's answer from the client's zone",
            "control",
            Packet::udp("10.20.0.11:47808", "10.10.1.5:47808"),
            drops(Reason::WrongZone),
        ),
        case(
            "port 0 of the client",
            "control",
            Packet::udp("10.10.1.5:0", "10.20.0.11:47808"),
            drops(Reason::SourcePortDeviation),
        ),
        case(
            "port 0 of the server",
            "control",
            Packet::udp("10.10.1.5:47808", "10.20.0.11:0"),
            drops(Reason::UnlistedService),
        ),
        case(
            "port 0 of both",
            "control",
            Packet::udp("10.10.1.5:0", "10.20.0.11:0"),
            drops(Reason::UnlistedService),
        ),
        case(
            "the same in TCP",
            "control",
            Packet::tcp("10.10.1.5:47808", "10.20.0.11:47808", 2),
            drops(Reason::UnlistedService),
        ),
    ]);
}
