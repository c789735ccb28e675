//! Idioms that no public capture shows: their traffic is made up, and says nothing but its ports and its times.

use std::collections::BTreeSet;

use banchi::learn::linked::Link;
use banchi::learn::{Flow, Idiom, Ports};

use crate::recorded::{MS, Recorded, SECOND};

fn only(flows: &[Flow]) -> &Flow {
    let [flow] = flows else { panic!("{flows:#?}") };
    flow
}

fn set(ports: impl IntoIterator<Item = u16>) -> Ports {
    Ports::Set(ports.into_iter().collect())
}

#[test]
fn a_controller_with_one_port_for_each_module() {
    let mut plant = Recorded::default();
    let modules: BTreeSet<u16> = [5011, 5012].into_iter().chain(5020..=5029).collect();
    for module in &modules {
        plant.poll("10.20.0.5:5010", &format!("10.10.0.9:{module}"), 40, SECOND, 8 * MS);
    }
    let flows = plant.sorted().flows();
    let flow = only(&flows);
    assert_eq!(
        (flow.client.to_string(), flow.idiom),
        ("10.20.0.5".to_owned(), Idiom::PinnedSource),
        "{flow:#?}"
    );
    assert_eq!((&flow.client_port, &flow.server_port), (&set([5010]), &set(modules)));
}

#[test]
fn the_same_with_ports_that_look_ephemeral_on_the_wrong_side() {
    // The client's port is low and kept, the servers' are high and many: a tool from IT turns this round.
    let mut plant = Recorded::default();
    for n in 0..8 {
        plant.poll("10.20.0.5:1025", &format!("10.10.0.9:{}", 49_160 + n * 3), 40, SECOND, 8 * MS);
    }
    for flow in plant.sorted().flows() {
        assert_eq!(flow.client.to_string(), "10.20.0.5", "{flow:#?}");
        assert_eq!(flow.idiom, Idiom::PinnedSource);
    }
}

/// Stations by the last byte of their address, and their ports.
fn stations(ports: &[(u8, u16)]) -> Vec<Flow> {
    let mut plant = Recorded::default();
    for (last, port) in ports {
        plant.poll("10.10.1.5:6000", &format!("10.20.0.{last}:{port}"), 12, SECOND, 5 * MS);
    }
    plant.sorted().flows()
}

#[test]
fn ports_that_follow_from_addresses() {
    for count in [3_u8, 8, 40, 200] {
        // Every seventh is missing where there are enough.
        let mut ports: Vec<(u8, u16)> = (11..)
            .take(count.into())
            .filter(|n| count < 8 || n % 7 != 0)
            .map(|n| (n, 6000 + u16::from(n)))
            .collect();
        let swapped = (count >= 8).then(|| {
            let (a, b) = (ports[3].1, ports[4].1);
            (ports[3].1, ports[4].1) = (b, a);
            [ports[3].0, ports[4].0]
        });
        let flows = stations(&ports);
        assert_eq!(flows.len(), ports.len(), "{count} stations");
        for flow in &flows {
            assert_eq!(
                (flow.idiom, flow.client.to_string()),
                (Idiom::AddressLinked, "10.10.1.5".to_owned()),
                "{flow:#?}"
            );
            let Some(Link::Linear { base, octet, step, exceptions }) = &flow.link else {
                panic!("{flow:#?}")
            };
            assert_eq!((*base, *octet, *step), (6000, 4, 1));
            assert_eq!(exceptions.len(), swapped.map_or(0, |both| both.len()));
            assert_eq!(flow.exception, exceptions.contains_key(&flow.server));
        }
    }
}

#[test]
fn ports_that_only_a_table_links_to_addresses() {
    let ports = [(11, 7001), (12, 7005), (13, 7003), (14, 7020), (17, 7008), (21, 7013)];
    for flow in stations(&ports) {
        assert_eq!((flow.idiom, flow.link), (Idiom::AddressLinked, Some(Link::Table)));
    }
}

#[test]
fn one_service_on_all_servers_is_no_relation() {
    let ports: Vec<(u8, u16)> = (11..40).map(|n| (n, if n == 20 { 7001 } else { 7000 })).collect();
    assert!(stations(&ports).iter().all(|flow| flow.idiom != Idiom::AddressLinked));
}

#[test]
fn a_chain_in_which_each_asks_the_next() {
    let mut plant = Recorded::default();
    for n in 11..20_u8 {
        let (from, to) = (format!("10.20.0.{n}:40000"), format!("10.20.0.{}:{}", n + 1, 6001 + u16::from(n)));
        plant.poll(&from, &to, 12, SECOND, 5 * MS);
    }
    for flow in plant.sorted().flows() {
        assert!(flow.client < flow.server, "{flow:#?}");
        assert_eq!(flow.idiom, Idiom::AddressLinked, "{flow:#?}");
    }
}

#[test]
fn the_same_port_on_both_sides_and_nothing_known_of_the_payload() {
    for (client, server) in [("10.10.1.5:9700", "10.20.0.7:9700"), ("10.20.0.7:9700", "10.10.1.5:9700")] {
        let mut plant = Recorded::default();
        plant.poll(client, server, 30, SECOND, 4 * MS);
        let flows = plant.flows();
        let flow = only(&flows);
        assert_eq!(flow.idiom, Idiom::SamePort, "{flow:#?}");
        assert!(client.starts_with(&flow.client.to_string()), "{flow:#?}");
        assert!(flow.evidence.iter().any(|line| line.starts_with("timing")), "{flow:#?}");
    }
}

#[test]
fn a_capture_that_begins_with_an_answer_is_not_turned_round() {
    let mut plant = Recorded::default();
    plant.poll("10.10.1.5:9700", "10.20.0.7:9700", 30, SECOND, 4 * MS);
    plant.frames.remove(0);
    assert_eq!(only(&plant.flows()).client.to_string(), "10.10.1.5");
}

#[test]
fn each_side_at_its_own_pace_has_no_client() {
    let mut plant = Recorded::default();
    for n in 0..200 {
        plant.add(
            n * 20 * MS,
            &banchi_tests::packet::Packet::udp("10.10.1.5:9800", "10.20.0.7:9800").payload([0xe1, 7]),
        );
        plant.add(
            n * 23 * MS + MS,
            &banchi_tests::packet::Packet::udp("10.20.0.7:9800", "10.10.1.5:9800").payload([0xe2, 9]),
        );
    }
    let flows = plant.sorted().flows();
    assert!(matches!(only(&flows).idiom, Idiom::Peer | Idiom::Undecided), "{flows:#?}");
}

#[test]
fn an_answer_from_another_port_belongs_to_its_question() {
    let mut plant = Recorded::default();
    use banchi_tests::packet::Packet;
    for n in 0..20 {
        plant.add(n * SECOND, &Packet::udp("10.10.1.5:40123", "10.20.0.7:2000").payload([0xe1, n as u8]));
        plant.add(
            n * SECOND + 6 * MS,
            &Packet::udp("10.20.0.7:2001", "10.10.1.5:40123").payload([0xe2, n as u8]),
        );
    }
    let flows = plant.flows();
    let flow = only(&flows);
    assert_eq!((flow.client.to_string(), flow.packets), ("10.10.1.5".to_owned(), 40), "{flow:#?}");
    assert_eq!((&flow.server_port, &flow.reply_from), (&set([2000]), &BTreeSet::from([2001])));
}

#[test]
fn sessions_with_a_port_each_are_one_flow() {
    let mut plant = Recorded::default();
    for n in 0..30_u64 {
        let client = format!("10.10.1.5:{}", 50_000 + n * 3);
        plant.connect(n * 10 * SECOND, &client, &format!("10.20.0.7:{}", 30_000 + n * 7 % 100), 3);
    }
    let flows = plant.flows();
    let flow = only(&flows);
    assert!(flow.allotted && flow.client.to_string() == "10.10.1.5", "{flow:#?}");
}

#[test]
fn a_stream_that_nobody_answers_is_one_way_and_has_a_period() {
    let mut plant = Recorded::default();
    for n in 0..50 {
        plant.add(
            n * 100 * MS,
            &banchi_tests::packet::Packet::udp("10.20.0.7:1024", "10.10.1.5:6161").payload([0xe1, n as u8]),
        );
    }
    let flows = plant.flows();
    let flow = only(&flows);
    assert_eq!((flow.idiom, flow.client.to_string()), (Idiom::OneWay, "10.20.0.7".to_owned()));
    assert!(flow.period.is_some_and(|period| (period - 0.1).abs() < 0.01), "{flow:#?}");
}
