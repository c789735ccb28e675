//! Ports that are computed from the server's address, or looked up by it.

use banchi_common::reason::Reason;
use banchi_tests::packet::Packet;

use crate::site::{Site, back, case, drops, forward, ip};

/// A service of port `port`, from 6000, to a network of servers: `plant` is their zone's network and addresses.
fn linked(port: &str, source_port: &str, network: &str, servers: &str) -> Site {
    Site::new(&format!(
        r#"
version: 1
defaults: {{ mode: enforce }}
zones:
  control: {{ interfaces: [control], networks: [172.16.0.0/24, "fd00:172::/64"] }}
  ring:    {{ interfaces: [ring], networks: ["{network}"] }}
assets:
  scada: {{ zone: control, addresses: [172.16.0.5, "fd00:172::5"] }}
  set:   {{ zone: ring, addresses: ["{servers}"] }}
services: {{ ring: {{ transport: udp, reply: free, source_port: {source_port}, port: {port} }} }}
conduits:
  - {{ between: [control, ring], allow: [{{ name: ring, client: scada, server: set, service: ring }}] }}
"#
    ))
}

/// Each server has its port, and the ports beside it belong to its neighbours.
fn check(site: &Site, server: &str, port: u16, beside: &[u16]) {
    let (s, p) = (ip(if ip(server).is_ipv4() { "172.16.0.5" } else { "fd00:172::5" }), ip(server));
    let wrong = || drops(Reason::AddressPortMismatch).near("ring").conduit("control-ring");
    site.check([
        case(
            format!("{server} is asked on its port {port}"),
            "control",
            Packet::udp((s, 6000), (p, port)),
            forward("ring"),
        ),
        case(
            format!("{server} answers from its port {port}"),
            "ring",
            Packet::udp((p, port), (s, 6000)),
            back("ring"),
        ),
        case(
            format!("{server} is asked on its port {port} from another"),
            "control",
            Packet::udp((s, 6001), (p, port)),
            drops(Reason::SourcePortDeviation).near("ring"),
        ),
        case(
            format!("{server} answers from its port {port} to another"),
            "ring",
            Packet::udp((p, port), (s, 5999)),
            drops(Reason::SourcePortDeviation).near("ring"),
        ),
    ]);
    for other in beside {
        site.check([
            case(
                format!("{server} is asked on {other}, not {port}"),
                "control",
                Packet::udp((s, 6000), (p, *other)),
                wrong(),
            ),
            case(
                format!("{server} answers from {other}, not {port}"),
                "ring",
                Packet::udp((p, *other), (s, 6000)),
                wrong(),
            ),
            case(
                format!("{server} is asked on {other}, not {port}, and from another port"),
                "control",
                Packet::udp((s, 5999), (p, *other)),
                drops(Reason::UnlistedService),
            ),
            case(
                format!("{server} answers from {other}, not {port}, and to another port"),
                "ring",
                Packet::udp((p, *other), (s, 5999)),
                drops(Reason::UnlistedService),
            ),
        ]);
    }
}

#[test]
fn every_octet_of_ipv4() {
    // (octet, network of the zone and of the servers, addresses with the value of the octet)
    let table: [(u8, &str, [(&str, u16); 4]); 4] = [
        (1, "0.0.0.0/0", [("1.2.3.4", 1), ("10.2.3.4", 10), ("127.2.3.4", 127), ("223.2.3.4", 223)]),
        (2, "10.0.0.0/8", [("10.0.3.4", 0), ("10.1.3.4", 1), ("10.128.3.4", 128), ("10.255.3.4", 255)]),
        (3, "10.20.0.0/16", [("10.20.0.4", 0), ("10.20.1.4", 1), ("10.20.128.4", 128), ("10.20.255.4", 255)]),
        (
            4,
            "10.20.30.0/24",
            [("10.20.30.0", 0), ("10.20.30.1", 1), ("10.20.30.128", 128), ("10.20.30.255", 255)],
        ),
    ];
    for (octet, network, servers) in table {
        let site =
            linked(&format!("{{ linked: {{ base: 6000, octet: {octet} }} }}"), "6000", network, network);
        for (server, value) in servers {
            let port = 6000 + value;
            let beside: Vec<u16> = [port.wrapping_sub(1), port + 1, 6000, 6255]
                .into_iter()
                .filter(|p| *p != port && (6000..=6255).contains(p))
                .collect();
            check(&site, server, port, &beside);
        }
    }
}

#[test]
fn single_hosts_as_exact_tuples() {
    let site =
        linked("{ linked: { base: 6000, octet: 4 } }", "6000", "10.20.0.0/24", "10.20.0.11-10.20.0.18");
    for octet in 11..=18u16 {
        check(
            &site,
            &format!("10.20.0.{octet}"),
            6000 + octet,
            &[6000, 6000 + octet - 1, 6000 + octet + 1, 6255],
        );
    }
    site.check([
        case(
            "beyond every address",
            "control",
            Packet::udp("172.16.0.5:6000", "10.20.0.11:6256"),
            drops(Reason::UnlistedService),
        ),
        case(
            "below every address",
            "control",
            Packet::udp("172.16.0.5:6000", "10.20.0.11:5999"),
            drops(Reason::UnlistedService),
        ),
        case(
            "a host that is no server, on the port of its address",
            "control",
            Packet::udp("172.16.0.5:6000", "10.20.0.19:6019"),
            drops(Reason::UnknownDestination),
        ),
        case(
            "the server asks the client's port that would be its own",
            "ring",
            Packet::udp("10.20.0.11:6000", "172.16.0.5:6011"),
            drops(Reason::ReversedDirection).near("ring"),
        ),
    ]);
}

#[test]
fn steps() {
    let site =
        linked("{ linked: { base: 100, octet: 4, step: 256 } }", "6000", "10.20.0.0/24", "10.20.0.0/24");
    check(&site, "10.20.0.0", 100, &[356, 612]);
    check(&site, "10.20.0.1", 356, &[100, 355, 357, 612]);
    check(&site, "10.20.0.255", 65380, &[65124, 65379]);
    let largest =
        linked("{ linked: { base: 0, octet: 4, step: 257 } }", "6000", "10.20.0.0/24", "10.20.0.128/25");
    check(&largest, "10.20.0.255", 65535, &[65278, 65534, 1]);
    check(&largest, "10.20.0.128", 32896, &[32639, 33153]);
}

#[test]
fn octets_of_ipv6() {
    let table: [(u8, &str, [(&str, u16); 3]); 6] = [
        (1, "2000::/3", [("2001:db8::1", 0x20), ("2100::1", 0x21), ("3f00::1", 0x3f)]),
        (2, "fc00::/8", [("fc00::1", 0), ("fc01::1", 1), ("fcff::1", 255)]),
        (8, "fd00::/48", [("fd00::1", 0), ("fd00:0:0:1::1", 1), ("fd00:0:0:ff::1", 255)]),
        (9, "fd00:20::/64", [("fd00:20::1", 0), ("fd00:20:0:0:100::1", 1), ("fd00:20:0:0:ff00::1", 255)]),
        (15, "fd00:20::/64", [("fd00:20::1", 0), ("fd00:20::1aa", 1), ("fd00:20::ff01", 255)]),
        (16, "fd00:20::/64", [("fd00:20::", 0), ("fd00:20::1", 1), ("fd00:20::ff", 255)]),
    ];
    for (octet, network, servers) in table {
        let site =
            linked(&format!("{{ linked: {{ base: 6000, octet: {octet} }} }}"), "6000", network, network);
        for (server, value) in servers {
            let port = 6000 + value;
            let beside: Vec<u16> =
                [port - 1, port + 1].into_iter().filter(|p| (6000..=6255).contains(p)).collect();
            check(&site, server, port, &beside);
        }
    }
    let hosts =
        linked("{ linked: { base: 6000, octet: 16 } }", "6000", "fd00:20::/64", "fd00:20::11-fd00:20::18");
    check(&hosts, "fd00:20::11", 6017, &[6016, 6018]);
    check(&hosts, "fd00:20::18", 6024, &[6023, 6025]);
}

#[test]
fn by_address() {
    for servers in ["10.20.0.11-10.20.0.13", "fd00:20::11-fd00:20::13"] {
        let base = if servers.contains(':') { "fd00:20::" } else { "10.20.0." };
        let network = if servers.contains(':') { "fd00:20::/64" } else { "10.20.0.0/24" };
        for source_port in ["6000", "[6000, 7500-9500]"] {
            let table = format!(
                "{{ by_address: {{ \"{base}11\": 7001, \"{base}12\": 7005, \"{base}13\": 65535 }} }}"
            );
            let site = linked(&table, source_port, network, servers);
            check(&site, &format!("{base}11"), 7001, &[7005, 65535]);
            check(&site, &format!("{base}12"), 7005, &[7001, 65535]);
            check(&site, &format!("{base}13"), 65535, &[7001, 7005]);
            let from = if servers.contains(':') { "fd00:172::5" } else { "172.16.0.5" };
            let ask = |port| Packet::udp((ip(from), 6000), (ip(&format!("{base}11")), port));
            site.check([
                case("a port of nobody, beside one", "control", ask(7002), drops(Reason::UnlistedService)),
                case("a port of nobody, between two", "control", ask(7003), drops(Reason::UnlistedService)),
            ]);
        }
    }
}

/// Where both ports follow from the address, there is one tuple for each server.
#[test]
fn linked_and_same() {
    for servers in ["10.20.0.11-10.20.0.18", "10.20.0.0/24"] {
        let site = linked("{ linked: { base: 6000, octet: 4 } }", "same", "10.20.0.0/24", servers);
        let (s, p) = (ip("172.16.0.5"), ip("10.20.0.11"));
        site.check([
            case(
                "both ports are the address's",
                "control",
                Packet::udp((s, 6011), (p, 6011)),
                forward("ring"),
            ),
            case("answered", "ring", Packet::udp((p, 6011), (s, 6011)), back("ring")),
            case(
                "another client port",
                "control",
                Packet::udp((s, 6012), (p, 6011)),
                drops(Reason::SourcePortDeviation).near("ring"),
            ),
            case(
                "another client port, answered",
                "ring",
                Packet::udp((p, 6011), (s, 6012)),
                drops(Reason::SourcePortDeviation).near("ring"),
            ),
            case(
                "both ports are the neighbour's",
                "control",
                Packet::udp((s, 6012), (p, 6012)),
                drops(Reason::AddressPortMismatch).near("ring"),
            ),
            case(
                "answered from both of the neighbour's",
                "ring",
                Packet::udp((p, 6012), (s, 6012)),
                drops(Reason::AddressPortMismatch).near("ring"),
            ),
            case("neither", "control", Packet::udp((s, 6013), (p, 6012)), drops(Reason::UnlistedService)),
        ]);
    }
}
