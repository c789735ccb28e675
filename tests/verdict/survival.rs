//! The protocols that keep a network alive: they pass whatever the policy says.

use banchi::policy::model::Mode;
use banchi_common::reason::Reason;
use banchi_common::wire::{SURVIVAL_ETHERTYPES, SURVIVAL_PROTOCOLS};
use banchi_tests::packet::{Packet, flags};

use crate::site::{Site, case, drops, survives};

const POLICY: &str = "
services: { modbus: { transport: tcp, port: 502 } }
conduits:
  - { between: [control, line-a], allow: [{ name: modbus, client: scada, server: plc, service: modbus }] }
";

#[test]
fn ethertypes() {
    let site = Site::plant(POLICY);
    assert!(!SURVIVAL_ETHERTYPES.is_empty());
    for known in SURVIVAL_ETHERTYPES {
        let frame = || Packet::ethernet(known.value, &[0; 46]);
        site.check([
            case(known.name, "control", frame(), survives().zone("control").no_conduit().no_rule()),
            case(format!("{}, in a priority tag", known.name), "control", frame().vlan(0), survives()),
            case(format!("{}, where no zone is", known.name), "elsewhere", frame(), survives().no_zone()),
            case(
                format!("{}, in a VLAN that no zone has", known.name),
                "control",
                frame().vlan(9),
                survives().no_zone(),
            ),
        ]);
        for beside in [known.value - 1, known.value + 1] {
            if SURVIVAL_ETHERTYPES.iter().all(|other| other.value != beside) {
                let frame = Packet::ethernet(beside, &[0; 46]);
                site.check([case(
                    format!("{beside:#06x}, beside {}", known.name),
                    "control",
                    frame,
                    drops(Reason::UnlistedEthertype),
                )]);
            }
        }
    }
}

#[test]
fn link_control_over_llc() {
    Site::plant(POLICY).check([
        case("spanning tree", "control", Packet::llc(&[0x42, 0x42, 3, 0, 0, 2]), survives()),
        case(
            "spanning tree where no zone is",
            "elsewhere",
            Packet::llc(&[0x42, 0x42, 3, 0, 0, 2]),
            survives(),
        ),
        case("CDP", "control", Packet::llc(&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0, 2]), survives()),
        case(
            "Cisco's spanning tree for each VLAN",
            "control",
            Packet::llc(&[0xaa, 0xaa, 3, 0, 0, 0x0c, 1, 0x0b]),
            survives(),
        ),
        case(
            "half of spanning tree's LLC",
            "control",
            Packet::llc(&[0x42, 0, 3]),
            drops(Reason::UnlistedEthertype),
        ),
    ]);
}

#[test]
fn protocols() {
    let site = Site::plant(POLICY);
    assert!(!SURVIVAL_PROTOCOLS.is_empty());
    for (number, name) in SURVIVAL_PROTOCOLS {
        let to_all =
            |from: [u8; 4]| Packet::ip_protocol(from, [224, 0, 0, 18], *number).payload([0; 8]).hops(1);
        site.check([
            case(*name, "control", to_all([10, 10, 0, 1]), survives().zone("control")),
            case(
                format!("{name}, with the option that such packets have"),
                "control",
                to_all([10, 10, 0, 1]).ip_options(&[0x94, 4, 0, 0]),
                survives(),
            ),
            case(
                format!("{name}, from an address that nobody knows"),
                "control",
                to_all([192, 0, 2, 1]),
                survives(),
            ),
            case(
                format!("{name}, where no zone is"),
                "elsewhere",
                to_all([10, 10, 0, 1]),
                drops(Reason::UnlistedVlan),
            ),
            case(
                format!("{name}, truncated"),
                "control",
                to_all([10, 10, 0, 1]).claim_ip_length(60),
                drops(Reason::Malformed),
            ),
        ]);
    }
    let vrrp6 =
        Packet::ip_protocol(crate::site::ip("fe80::1"), crate::site::ip("ff02::12"), 112).payload([0; 24]);
    site.check([case("VRRP over IPv6", "control", vrrp6, survives())]);
}

#[test]
fn no_mode_takes_them_away() {
    let site = Site::plant(POLICY);
    site.set_mode("control", None, Mode::Enforce);
    site.set_mode("control", Some("control-line-a"), Mode::Enforce);
    site.check(
        SURVIVAL_ETHERTYPES
            .iter()
            .map(|known| case(known.name, "control", Packet::ethernet(known.value, &[0; 46]), survives())),
    );
    site.check([
        case("ARP", "control", Packet::arp_request([10, 10, 1, 5].into(), [10, 10, 0, 1].into()), survives()),
        case(
            "but nothing else",
            "control",
            Packet::tcp("10.10.1.5:1", "10.20.0.11:1", flags::SYN),
            drops(Reason::UnlistedService),
        ),
    ]);
}
