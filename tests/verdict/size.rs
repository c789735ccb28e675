//! Rules between large sets: sums of entries, not products.

use std::net::IpAddr;

use banchi_common::reason::Reason;
use banchi_tests::packet::{Packet, flags::SYN};

use crate::site::{Site, back, case, drops, forward, ip};

fn policy(net: (&str, &str), clients: &str, servers: &str) -> String {
    format!(
        r#"
version: 1
defaults: {{ mode: enforce }}
zones:
  control: {{ interfaces: [control], networks: ["{}"] }}
  line-a:  {{ interfaces: [line-a], networks: ["{}"] }}
assets:
  clients: {{ zone: control, addresses: [{clients}] }}
  servers: {{ zone: line-a, addresses: [{servers}] }}
services: {{ modbus: {{ transport: tcp, port: 502, source_port: ephemeral }} }}
conduits:
  - {{ between: [control, line-a], allow: [{{ name: all, client: clients, server: servers, service: modbus }}] }}
"#,
        net.0, net.1
    )
}

fn size(site: &Site) -> usize {
    site.image.entries.iter().map(|(_, count)| count).sum()
}

#[test]
fn a_thousand_by_a_thousand() {
    let site = Site::new(&policy(
        ("10.10.0.0/16", "10.20.0.0/16"),
        "10.10.0.1-10.10.3.232",
        "10.20.0.1-10.20.3.232",
    ));
    let entries = size(&site);
    assert!((2_000..10_000).contains(&entries), "{entries} entries for a million pairs");
    let ask =
        |from: [u8; 4], to: [u8; 4]| Packet::tcp((IpAddr::from(from), 40000), (IpAddr::from(to), 502), SYN);
    site.check([
        case("first to first", "control", ask([10, 10, 0, 1], [10, 20, 0, 1]), forward("all")),
        case("first to last", "control", ask([10, 10, 0, 1], [10, 20, 3, 232]), forward("all")),
        case("last to first", "control", ask([10, 10, 3, 232], [10, 20, 0, 1]), forward("all")),
        case("last to last", "control", ask([10, 10, 3, 232], [10, 20, 3, 232]), forward("all")),
        case(
            "one before the first client",
            "control",
            ask([10, 10, 0, 0], [10, 20, 0, 1]),
            drops(Reason::UnknownSource),
        ),
        case(
            "one past the last client",
            "control",
            ask([10, 10, 3, 233], [10, 20, 0, 1]),
            drops(Reason::UnknownSource),
        ),
        case(
            "one past the last server",
            "control",
            ask([10, 10, 0, 1], [10, 20, 3, 233]),
            drops(Reason::UnknownDestination),
        ),
    ]);
    for at in (0..1000u32).step_by(37) {
        let (client, server) = (0x0a0a_0001 + at, 0x0a14_0001 + (at * 613) % 1000);
        let (c, s) = (client.to_be_bytes(), server.to_be_bytes());
        site.check([
            case(format!("{c:?} > {s:?}"), "control", ask(c, s), forward("all")),
            case(
                format!("{s:?} > {c:?}"),
                "line-a",
                Packet::tcp((IpAddr::from(s), 502), (IpAddr::from(c), 40000), 0x10),
                back("all"),
            ),
            case(
                format!("{c:?} > {s:?} from a wrong port"),
                "control",
                Packet::tcp((IpAddr::from(c), 1), (IpAddr::from(s), 502), SYN),
                drops(Reason::SourcePortDeviation).near("all"),
            ),
        ]);
    }
}

#[test]
fn a_thousand_by_a_thousand_in_ipv6() {
    let site = Site::new(&policy(
        ("fd00:10::/64", "fd00:20::/64"),
        "\"fd00:10::1-fd00:10::3e8\"",
        "\"fd00:20::1-fd00:20::3e8\"",
    ));
    let entries = size(&site);
    assert!(entries < 10_000, "{entries} entries for a million pairs");
    for at in (1..=1000u32).step_by(111) {
        let (c, s) = (ip(&format!("fd00:10::{at:x}")), ip(&format!("fd00:20::{:x}", (at * 613) % 1000 + 1)));
        site.check([
            case(format!("{c} > {s}"), "control", Packet::tcp((c, 40000), (s, 502), SYN), forward("all")),
            case(format!("{s} > {c}"), "line-a", Packet::tcp((s, 502), (c, 40000), 0x10), back("all")),
        ]);
    }
}

/// Networks of any size cost one entry each.
#[test]
fn networks() {
    let site = Site::new(&policy(("10.0.0.0/8", "192.168.0.0/16"), "10.0.0.0/8", "192.168.0.0/16"));
    let entries = size(&site);
    assert!(entries < 50, "{entries} entries for two networks");
    site.check([
        case(
            "somewhere to somewhere",
            "control",
            Packet::tcp("10.77.1.2:40000", "192.168.99.3:502", SYN),
            forward("all"),
        ),
        case("and back", "line-a", Packet::tcp("192.168.99.3:502", "10.77.1.2:40000", 0x10), back("all")),
    ]);
}
