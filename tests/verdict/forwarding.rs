//! Verdicts do not depend on how packets leave.

use std::process::{Command, Stdio};

use banchi::datapath::Options;
use banchi_common::abi::Forwarding;
use banchi_common::reason::Reason;
use banchi_tests::packet::{Packet, flags::SYN};

use crate::site::{
    FORWARDING, PLANT, Site, back, case, crosses, drops, forward, forwarding, related, reports, survives,
};

const RULES: &str = "services:
  modbus: { transport: tcp, port: 502 }
  bacnet: { transport: udp, port: 47808, source_port: same, reply: free }
conduits:
  - between: [control, line-a]
    ethertypes: [goose]
    allow:
      - { name: polling, client: scada, server: plc, service: bacnet }
      - { name: commands, client: scada, server: plc, service: modbus }
  - { between: [control, line-b], mode: alert }
";

#[test]
fn each_kind_of_verdict() {
    for way in Forwarding::ALL {
        let options = Options { trace: true, suppress_ms: 0, events_per_second: 0, ..Options::default() };
        let site = Site::by(way, &format!("{PLANT}{RULES}"), options);
        let udp = |from: &str, to: &str| Packet::udp(from, to);
        let asked = udp("10.10.1.5:47808", "10.20.0.11:47808");
        let unreachable = Packet::port_unreachable([10, 20, 0, 11], &asked);
        site.check([
            case("a question", "control", asked, forward("polling")),
            case("its answer", "line-a", udp("10.20.0.11:47808", "10.10.1.5:47808"), back("polling")),
            case("an error about it", "line-a", unreachable, related()),
            case("IPv6", "control", udp("[fd00:10::5]:47808", "[fd00:20::11]:47808"), forward("polling")),
            case(
                "another source port",
                "control",
                udp("10.10.1.5:47809", "10.20.0.11:47808"),
                drops(Reason::SourcePortDeviation),
            ),
            case(
                "the wrong way",
                "line-a",
                Packet::tcp("10.20.0.11:40000", "10.10.1.5:502", SYN),
                drops(Reason::ReversedDirection),
            ),
            case(
                "an alert",
                "control",
                Packet::tcp("10.10.1.5:40000", "10.30.0.21:22", SYN),
                reports(Reason::UnlistedPair),
            ),
            case(
                "another protocol",
                "control",
                Packet::ip_protocol([10, 10, 1, 5], [10, 20, 0, 11], 47),
                drops(Reason::UnlistedProtocol),
            ),
            case(
                "a VLAN of no zone",
                "control",
                Packet::echo_request([10, 10, 1, 5], [10, 20, 0, 11], 1, 1).vlan(9),
                drops(Reason::UnlistedVlan),
            ),
            case(
                "ARP",
                "control",
                Packet::arp_request([10, 10, 1, 5].into(), [10, 10, 0, 1].into()),
                survives(),
            ),
            case(
                "ARP for an address of another zone",
                "control",
                Packet::arp_request([10, 20, 0, 11].into(), [10, 10, 0, 1].into()),
                drops(Reason::ArpSpoof),
            ),
            case("link discovery", "control", Packet::ethernet(0x88cc, &[0; 46]), survives()),
            case(
                "a protocol below IP",
                "control",
                Packet::ethernet(0x88b8, &[0; 46]),
                crosses("control-line-a"),
            ),
            case(
                "another one",
                "control",
                Packet::ethernet(0x88ba, &[0; 46]),
                drops(Reason::UnlistedEthertype),
            ),
        ]);
    }
}

/// All other tests, with programs that forward like this.
fn again(way: Forwarding) {
    assert_eq!(forwarding(), Forwarding::Stack, "{FORWARDING} is set already");
    let mut tests = Command::new(std::env::current_exe().unwrap());
    tests.args(["--skip", "forwarding::"]).env(FORWARDING, way.name());
    let output = tests.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "by {}:\n{text}", way.name());
    let passed = text.lines().filter(|line| line.ends_with("... ok")).count();
    assert!(passed > 100, "only {passed} tests ran");
}

#[test]
#[ignore = "takes as long as all others: cargo test -p banchi-tests --test verdict forwarding:: -- --ignored"]
fn all_of_them_over_a_wire() {
    again(Forwarding::Wire);
}

#[test]
#[ignore = "takes as long as all others: cargo test -p banchi-tests --test verdict forwarding:: -- --ignored"]
fn all_of_them_by_routes() {
    again(Forwarding::Route);
}
