//! From a reason to a verdict: modes of conduits, rules, defaults, and by hand.

use banchi::policy::model::Mode;
use banchi_common::reason::Reason;
use banchi_tests::packet::{Packet, flags::SYN};

use crate::site::{Site, Want, case, drops, forward, ip, reports, survives};

const POLICY: &str = "
version: 1
defaults: { mode: DEFAULT }
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24] }
  line-b:  { interfaces: [line-b], networks: [10.30.0.0/24] }
  line-c:  { interfaces: [line-c], networks: [10.40.0.0/24] }
assets:
  scada:  { zone: control, address: 10.10.1.5 }
  plc:    { zone: line-a, address: 10.20.0.11 }
  plc-2:  { zone: line-a, address: 10.20.0.12 }
  robot:  { zone: line-b, address: 10.30.0.21 }
  valve:  { zone: line-c, address: 10.40.0.31 }
services:
  modbus: { transport: tcp, port: 502, source_port: ephemeral }
  fins:   { transport: udp, reply: free, port: 9600, source_port: same }
conduits:
  - between: [control, line-a]
    mode: alert
    allow:
      - { name: strict, client: scada, server: plc, service: modbus, mode: enforce }
      - { name: lax, client: scada, server: plc-2, service: modbus }
  - between: [control, line-b]
    mode: enforce
    allow:
      - { name: mild, client: scada, server: robot, service: modbus, mode: alert }
  - between: [control, line-c]
    allow:
      - { name: plain, client: scada, server: valve, service: modbus }
";

fn site(default: &str) -> Site {
    Site::new(&POLICY.replace("DEFAULT", default))
}

fn open(to: &str, client: u16, server: u16) -> Packet {
    Packet::tcp((ip("10.10.1.5"), client), (ip(to), server), SYN)
}

const PLC: &str = "10.20.0.11";
const PLC_2: &str = "10.20.0.12";
const ROBOT: &str = "10.30.0.21";
const VALVE: &str = "10.40.0.31";

#[test]
fn conduits_and_rules() {
    for (default, by_default) in
        [("alert", reports as fn(Reason) -> Want), ("enforce", drops as fn(Reason) -> Want)]
    {
        site(default).check([
            case("allowed, whatever the mode", "control", open(PLC, 40000, 502), forward("strict")),
            case(
                "allowed by a rule of an enforcing conduit",
                "control",
                open(ROBOT, 40000, 502),
                forward("mild"),
            ),
            case(
                "a deviation from a rule without a mode: the conduit's",
                "control",
                open(PLC_2, 1, 502),
                reports(Reason::SourcePortDeviation).near("lax"),
            ),
            case(
                "a deviation from an enforcing rule in an alerting conduit",
                "control",
                open(PLC, 1, 502),
                drops(Reason::SourcePortDeviation).near("strict"),
            ),
            case(
                "an unlisted service of an enforcing rule's hosts",
                "control",
                open(PLC, 40000, 9),
                drops(Reason::UnlistedService).near("strict"),
            ),
            case(
                "an unlisted service of another rule's hosts",
                "control",
                open(PLC_2, 40000, 9),
                reports(Reason::UnlistedService).near("lax"),
            ),
            case(
                "a deviation from an alerting rule in an enforcing conduit",
                "control",
                open(ROBOT, 1, 502),
                reports(Reason::SourcePortDeviation).near("mild"),
            ),
            case(
                "what no rule is near to in an alerting conduit",
                "control",
                open("10.20.0.99", 1, 502),
                reports(Reason::UnknownDestination).conduit("control-line-a"),
            ),
            case(
                "what no rule is near to in an enforcing conduit",
                "control",
                open("10.30.0.99", 1, 502),
                drops(Reason::UnknownDestination).conduit("control-line-b"),
            ),
            case(
                "a deviation in a conduit without a mode",
                "control",
                open(VALVE, 1, 502),
                by_default(Reason::SourcePortDeviation).conduit("control-line-c"),
            ),
            case(
                "an unknown source belongs to the conduit of its zones",
                "line-b",
                Packet::tcp("10.30.0.99:1", "10.10.1.5:1", SYN),
                drops(Reason::UnknownSource).conduit("control-line-b"),
            ),
            case(
                "an unknown source belongs to the conduit of its zones, alerting",
                "line-a",
                Packet::tcp("10.20.0.99:1", "10.10.1.5:1", SYN),
                reports(Reason::UnknownSource).conduit("control-line-a"),
            ),
            case(
                "a wrong zone by a rule has its mode",
                "line-b",
                open(PLC, 40000, 502),
                drops(Reason::WrongZone).near("strict"),
            ),
            case(
                "no conduit between the zones",
                "line-a",
                Packet::tcp("10.20.0.11:1", "10.30.0.21:1", SYN),
                by_default(Reason::UnlistedPair).no_conduit(),
            ),
            case(
                "a destination of no zone",
                "control",
                open("192.0.2.1", 1, 1),
                by_default(Reason::UnknownDestination).no_conduit(),
            ),
            case(
                "malformed belongs to no conduit",
                "control",
                open(PLC, 40000, 502).cut(40),
                by_default(Reason::Malformed).no_conduit(),
            ),
            case(
                "an unlisted EtherType belongs to no conduit",
                "control",
                Packet::ethernet(0x8892, &[0; 46]),
                by_default(Reason::UnlistedEthertype).no_conduit(),
            ),
            case(
                "an unlisted interface belongs to no conduit",
                "elsewhere",
                open(PLC, 40000, 502),
                by_default(Reason::UnlistedVlan).no_conduit(),
            ),
            case(
                "a spoofed ARP belongs to no conduit",
                "line-b",
                Packet::arp_request([10, 20, 0, 11].into(), [10, 30, 0, 1].into()),
                by_default(Reason::ArpSpoof).no_conduit(),
            ),
            case(
                "an orphan belongs to the conduit of its zones",
                "control",
                open(ROBOT, 1, 1).fragment(64, false),
                drops(Reason::OrphanFragment).conduit("control-line-b"),
            ),
            case(
                "an unlisted protocol in an alerting conduit",
                "control",
                Packet::ip_protocol(ip("10.10.1.5"), ip(PLC), 47),
                reports(Reason::UnlistedProtocol).conduit("control-line-a"),
            ),
            case("survival needs no mode", "control", Packet::ethernet(0x88cc, &[0; 46]), survives()),
        ]);
    }
}

#[test]
fn by_hand() {
    let site = site("alert");
    site.set_mode("control", Some("control-line-b"), Mode::Alert);
    site.set_mode("control", Some("control-line-a"), Mode::Alert);
    site.check([
        case(
            "an enforcing conduit set to alert",
            "control",
            open("10.30.0.99", 1, 502),
            reports(Reason::UnknownDestination),
        ),
        case(
            "a rule's own mode does not count any more",
            "control",
            open(PLC, 1, 502),
            reports(Reason::SourcePortDeviation).near("strict"),
        ),
    ]);
    site.set_mode("control", Some("control-line-b"), Mode::Enforce);
    site.set_mode("control", Some("control-line-a"), Mode::Enforce);
    site.check([
        case("set back", "control", open("10.30.0.99", 1, 502), drops(Reason::UnknownDestination)),
        case(
            "an alerting rule's own mode does not count either",
            "control",
            open(ROBOT, 1, 502),
            drops(Reason::SourcePortDeviation).near("mild"),
        ),
        case(
            "an alerting conduit set to enforce",
            "control",
            open(PLC_2, 1, 502),
            drops(Reason::SourcePortDeviation).near("lax"),
        ),
        case("what is allowed stays allowed", "control", open(PLC, 40000, 502), forward("strict")),
        case(
            "another conduit is as it was",
            "control",
            open(VALVE, 1, 502),
            reports(Reason::SourcePortDeviation),
        ),
        case(
            "and so is what belongs to none",
            "control",
            open("192.0.2.1", 1, 1),
            reports(Reason::UnknownDestination),
        ),
    ]);
    site.set_mode("control", None, Mode::Enforce);
    site.check([
        case(
            "what belongs to no conduit, set to enforce",
            "control",
            open("192.0.2.1", 1, 1),
            drops(Reason::UnknownDestination),
        ),
        case(
            "a conduit without a mode is not set by that",
            "control",
            open(VALVE, 1, 502),
            reports(Reason::SourcePortDeviation),
        ),
    ]);
    let states = site.view("control", |view| view.conduits().unwrap());
    let modes: Vec<_> = states.iter().map(|state| (state.mode, state.by_hand)).collect();
    assert_eq!(
        modes,
        [(Mode::Enforce, true), (Mode::Enforce, true), (Mode::Enforce, true), (Mode::Alert, false)]
    );
}

#[test]
fn conduits_of_one_way() {
    let policy = POLICY.replace("DEFAULT", "enforce").replace(
        "  - between: [control, line-a]\n    mode: alert",
        "  - from: line-a
    to: control
    mode: enforce
    allow:
      - { name: up, client: plc, server: scada, service: fins }
  - from: control
    to: line-a
    mode: alert",
    );
    Site::new(&policy).check([
        case(
            "down: the conduit that goes down",
            "control",
            open("10.20.0.99", 1, 502),
            reports(Reason::UnknownDestination).conduit("control-line-a"),
        ),
        case(
            "up: the conduit that goes up",
            "line-a",
            Packet::tcp("10.20.0.11:1", "10.10.1.99:1", SYN),
            drops(Reason::UnknownDestination).conduit("line-a-control"),
        ),
        case(
            "an answer that deviates has its rule's conduit",
            "line-a",
            Packet::tcp("10.20.0.12:502", "10.10.1.5:1", 0x10),
            reports(Reason::SourcePortDeviation).near("lax").conduit("control-line-a"),
        ),
    ]);
}
