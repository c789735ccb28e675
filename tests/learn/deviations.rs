//! A policy that was learnt, through the real program: it lets its own traffic pass, and finds what deviates.
//!
//! Needs root.

use std::collections::BTreeMap;

use banchi::backtest::{Fate, Tested};
use banchi::capture::Frame;
use banchi::learn::draft::{Options, draft};
use banchi::learn::flows;
use banchi_common::reason::Reason;
use banchi_tests::packet::{Packet, flags};

use crate::recorded::{MS, Recorded, SECOND, noise};

/// VLANs of the two zones.
const CONTROL: u16 = 10;
const LINE: u16 = 20;
/// Deviations that are injected.
const INJECTED: usize = 1_000;

fn mac(address: &str) -> banchi_tests::lab::Mac {
    let host = address.split(':').next().unwrap();
    let octets: Vec<u8> = host.split('.').map(|byte| byte.parse().unwrap()).collect();
    banchi_tests::lab::Mac([0x02, 0x10, octets[0], octets[1], octets[2], octets[3]])
}

fn vlan(address: &str) -> u16 {
    if address.starts_with("10.10.") { CONTROL } else { LINE }
}

/// From its own station in its own zone.
fn sent(packet: Packet, from: &str) -> Packet {
    packet.from_mac(mac(from)).vlan(vlan(from))
}

/// A plant: a ring of linked stations, one with the same port on both sides, one that is asked seldom, and Modbus.
fn plant() -> Recorded {
    let mut plant = Recorded::default();
    let mut udp = |at: u64, from: &str, to: &str, n: u64| {
        plant
            .frames
            .push((crate::recorded::START + at, sent(Packet::udp(from, to).payload(noise(n)), from).build()));
    };
    let seconds = 600;
    for n in 0..seconds {
        let at = n * SECOND + n % 7 * MS;
        for station in 11..19_u16 {
            let server = format!("10.20.0.{station}:{}", 6000 + station);
            udp(at + u64::from(station) * 10 * MS, "10.10.1.5:6000", &server, n);
            udp(at + u64::from(station) * 10 * MS + 4 * MS, &server, "10.10.1.5:6000", n + 1);
        }
        udp(at + 400 * MS, "10.10.1.6:9700", "10.20.0.30:9700", n);
        udp(at + 404 * MS, "10.20.0.30:9700", "10.10.1.6:9700", n + 5);
        if n % 120 == 0 {
            udp(at + 500 * MS, "10.10.1.7:9800", "10.20.0.40:9801", n);
            udp(at + 507 * MS, "10.20.0.40:9801", "10.10.1.7:9800", n + 5);
        }
    }
    for n in 0..20 {
        let (client, server) = (format!("10.10.1.8:{}", 50_000 + n), "10.20.0.50:502");
        let mut tcp = |at: u64, from: &str, to: &str, flags: u16| {
            let at = crate::recorded::START + n * 25 * SECOND + at;
            plant.frames.push((at, sent(Packet::tcp(from, to, flags), from).build()));
        };
        tcp(0, &client, server, flags::SYN);
        tcp(MS, server, &client, flags::SYN | flags::ACK);
        tcp(2 * MS, &client, server, flags::ACK);
    }
    plant.sorted()
}

/// Something that should not be, and what it is found as.
fn deviation(kind: usize, random: &mut fastrand::Rng) -> (u64, Vec<u8>, Reason) {
    let at = random.u64(0..600) * SECOND + 900 * MS;
    let station = random.u16(11..19);
    let server = format!("10.20.0.{station}:{}", 6000 + station);
    let neighbour = format!("10.20.0.{station}:{}", 6000 + 11 + (station - 11 + random.u16(1..8)) % 8);
    let stray = random.u16(7000..9000);
    let udp = |from: &str, to: &str| Packet::udp(from, to).payload(noise(7));
    let (packet, reason) = match kind % 8 {
        0 => (sent(udp(&format!("10.10.1.5:{stray}"), &server), "10.10.1.5"), Reason::SourcePortDeviation),
        1 => (
            sent(udp(&format!("10.10.1.6:{stray}"), "10.20.0.30:9700"), "10.10.1.6"),
            Reason::SourcePortDeviation,
        ),
        2 => (sent(udp("10.10.1.5:6000", &neighbour), "10.10.1.5"), Reason::AddressPortMismatch),
        3 => {
            let opening = Packet::tcp("10.20.0.50:502", format!("10.10.1.8:{stray}").as_str(), flags::SYN);
            (sent(opening, "10.20.0.50"), Reason::ReversedDirection)
        }
        4 => {
            // Long after the last question, and long before the next.
            let at = random.u64(0..5) * 120 * SECOND + random.u64(40..110) * SECOND;
            let answer = sent(udp("10.20.0.40:9801", "10.10.1.7:9800"), "10.20.0.40");
            return (at, answer.build(), Reason::UnsolicitedReply);
        }
        5 => {
            let from = format!("10.10.1.{}", random.u8(100..200));
            (sent(udp(&format!("{from}:6000"), &server), &from), Reason::UnknownSource)
        }
        6 => (udp("10.10.1.5:6000", &server).from_mac(mac("10.10.1.5")).vlan(LINE), Reason::WrongZone),
        _ => (udp("10.10.1.5:6000", &server).from_mac(mac("10.10.1.66")).vlan(CONTROL), Reason::MacMismatch),
    };
    (at, packet.build(), reason)
}

#[test]
fn a_learnt_policy_lets_its_own_traffic_pass_and_finds_what_deviates() {
    let plant = plant();
    let traffic = plant.traffic();
    let options = Options { macs: true, ..Options::default() };
    let draft = draft(&traffic, &flows(&traffic), &options);
    let loaded = banchi::policy::load("draft.yaml", &draft.text);
    let policy =
        loaded.policy.as_ref().unwrap_or_else(|| panic!("{:#?}\n{}", loaded.diagnostics, draft.text));
    assert_eq!(loaded.warnings(), 0, "{:#?}\n{}", loaded.diagnostics, draft.text);
    let image = banchi::image::compile(policy).unwrap();

    let mut random = fastrand::Rng::with_seed(6);
    let mut all: Vec<(u64, Vec<u8>, Option<Reason>)> =
        plant.frames.iter().map(|(at, bytes)| (*at, bytes.clone(), None)).collect();
    for kind in 0..INJECTED {
        let (at, bytes, reason) = deviation(kind, &mut random);
        all.push((crate::recorded::START + at, bytes, Some(reason)));
    }
    all.sort();
    // Namespaces belong to threads, and the harness uses its own again.
    let outcome = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let mut tested =
                    Tested::load(policy, &image).expect("the kernel takes the program; this needs root");
                let mut wrong: BTreeMap<(Option<Reason>, Option<Reason>), u64> = BTreeMap::new();
                let mut found = 0;
                for (number, (at, bytes, wanted)) in (1..).zip(&all) {
                    let frame =
                        Frame { at: *at, file: 0, number, interface: None, bytes: bytes.clone(), missing: 0 };
                    let fate = tested.run(&frame, &[]).unwrap();
                    assert!(matches!(fate, Fate::Judged(_)), "{fate:?}");
                    match (wanted, fate.against()) {
                        (wanted, against) if *wanted == against => found += usize::from(against.is_some()),
                        (wanted, against) => *wrong.entry((*wanted, against)).or_default() += 1,
                    }
                }
                (found, wrong)
            })
            .join()
            .unwrap()
    });
    assert_eq!(outcome, (INJECTED, BTreeMap::new()), "{}", draft.text);
}
