//! Events: what they say, and that none is lost without being counted.

use banchi::datapath::Options;
use banchi::events::{Clock, Names, Report};
use banchi_common::abi::{CAPTURE, Event, EventKind, Mode, Reports};
use banchi_common::reason::{Reason, Verdict};
use banchi_tests::lab::Mac;
use banchi_tests::packet::{Packet, Tag, flags::SYN};

use crate::site::{Site, ip};

const POLICY: &str = r#"
version: 1
defaults: { mode: enforce }
zones:
  control: { interfaces: [port], vlans: [untagged, 20, 100.20], networks: [10.10.0.0/16, "fd00:10::/64"] }
  line-a:  { interfaces: [line], networks: [10.20.0.0/24, "fd00:20::/64"] }
assets:
  scada: { zone: control, addresses: [10.10.1.5, "fd00:10::5"] }
  plc:   { zone: line-a, addresses: [10.20.0.11, "fd00:20::11"] }
services: { fins: { transport: udp, reply: free, port: 9600, source_port: same } }
conduits:
  - { between: [line-a, control], mode: alert, allow: [{ name: none, client: plc, server: scada, service: fins }, { name: fins, client: scada, server: plc, service: fins }] }
"#;

fn site(suppress_ms: u32, events_per_second: u32, ring_bytes: u32) -> Site {
    // Suppression and rates are of each CPU.
    let cpu = rustix::thread::sched_getaffinity(None).unwrap();
    let first = (0..rustix::thread::CpuSet::MAX_CPU).find(|at| cpu.is_set(*at)).unwrap();
    let mut one = rustix::thread::CpuSet::new();
    one.set(first);
    rustix::thread::sched_setaffinity(None, &one).unwrap();
    Site::with(
        POLICY,
        Options { suppress_ms, events_per_second, ring_bytes, trace: true, ..Options::default() },
    )
}

/// Runs packets that came in by `port`, and returns their events.
fn events(site: &Site, packets: impl IntoIterator<Item = Packet>) -> Vec<Event> {
    let mut ring = site.view("port", |view| view.take_events().unwrap());
    for packet in packets {
        let _ = site.run("port", &packet.build());
    }
    let mut found = Vec::new();
    while let Some(record) = ring.next() {
        found.push(bytemuck::pod_read_unaligned(&record));
    }
    found
}

fn reports(site: &Site, reason: Reason) -> Reports {
    let all = site.counters("port").reports;
    all.into_iter().find(|(known, _)| *known == reason).map(|(_, reports)| reports).unwrap_or_default()
}

fn sum(reports: &Reports) -> u64 {
    reports.sent + reports.suppressed + reports.limited + reports.lost
}

fn deviating(client: u16) -> Packet {
    Packet::udp((ip("10.10.1.5"), client), (ip("10.20.0.11"), 9600))
}

const RING: u32 = 1 << 20;

#[test]
fn fields_of_ipv4() {
    let site = site(0, 0, RING);
    let packet = deviating(1234).payload([0xab; 200]).vlan(20);
    let [event] = events(&site, [packet.clone()])[..] else { panic!("one packet, one event") };
    let frame = packet.build();
    assert_eq!(event.kind, EventKind::Deviation as u8);
    assert_eq!(event.source, [0, 0x0a0a_0105]);
    assert_eq!(event.destination, [0, 0x0a14_000b]);
    assert_eq!((event.source_port, event.destination_port), (1234, 9600));
    assert_eq!((event.ethertype, event.family, event.protocol), (0x0800, 4, 17));
    assert_eq!((event.outer_vid, event.inner_vid), (20, 0));
    assert_eq!(event.interface, 1, "the interface of the test-run");
    assert_eq!(event.rule as usize, site.rule("fins") + 1, "the rule that fits best");
    assert_eq!(event.conduit, 1);
    assert_eq!((event.zone, event.destination_zone), (1, 2), "from control, to line-a");
    assert_eq!(event.reason, Reason::SourcePortDeviation as u8);
    assert_eq!((event.verdict, event.mode), (Verdict::WouldDrop as u8, Mode::Alert as u8));
    assert_eq!(event.length as usize, frame.len());
    assert_eq!(event.repeats, 0);
    assert_eq!(usize::from(event.captured), CAPTURE, "no more than there is room for");
    assert_eq!(event.bytes(), &frame[..CAPTURE], "the first bytes, from the Ethernet header");
    assert!(event.time_ns > 0);
}

#[test]
fn fields_of_others() {
    let site = site(0, 0, RING);
    let v6 = Packet::udp((ip("fd00:10::5"), 1), (ip("fd00:20::99"), 2)).tag(Tag::service(100)).vlan(20);
    let raw = Packet::ethernet(0x8892, &[1, 2, 3]).unpadded();
    let cut = deviating(9600).cut(14);
    let outside = Packet::tcp((ip("10.10.1.5"), 40000), (ip("10.20.0.11"), 502), SYN).vlan(7);
    let found = events(&site, [v6.clone(), raw.clone(), cut.clone(), outside.clone()]);
    assert_eq!(found.len(), 4, "one for each");
    let reasons: Vec<u8> = found.iter().map(|event| event.reason).collect();
    let expected =
        [Reason::UnknownDestination, Reason::UnlistedEthertype, Reason::Malformed, Reason::UnlistedVlan];
    assert_eq!(reasons, expected.map(|reason| reason as u8), "in the order of the packets");

    assert_eq!(found[0].source, [0xfd00_0010_0000_0000, 5]);
    assert_eq!(found[0].destination, [0xfd00_0020_0000_0000, 0x99]);
    assert_eq!((found[0].family, found[0].ethertype), (6, 0x86dd));
    assert_eq!((found[0].outer_vid, found[0].inner_vid), (100, 20));
    assert_eq!(
        (found[0].rule, found[0].conduit, found[0].destination_zone),
        (0, 1, 2),
        "no rule, but a conduit"
    );

    assert_eq!(found[1].bytes(), raw.build(), "a short frame as a whole");
    assert_eq!((found[1].family, found[1].ethertype, found[1].protocol), (0, 0x8892, 0));
    assert_eq!(
        (found[1].verdict, found[1].mode),
        (Verdict::Drop as u8, Mode::Enforce as u8),
        "the default mode"
    );

    assert_eq!((found[2].captured, found[2].length), (14, 14), "the shortest frame");
    assert_eq!(found[2].bytes(), cut.build());

    assert_eq!((found[3].zone, found[3].outer_vid), (0, 7), "the VLAN that no zone has");
    assert_eq!((found[3].source_port, found[3].destination_port), (40000, 502), "and what was in it");
}

#[test]
fn what_passes_makes_no_event() {
    let site = site(0, 0, RING);
    let first = deviating(9600).payload([0; 64]).fragment(0, true);
    let found = events(
        &site,
        [deviating(9600), Packet::ethernet(0x88cc, &[0; 46]), first, deviating(1).fragment(64, false)],
    );
    assert!(found.is_empty(), "allowed, survival, first fragment and its second: {}", found.len());
}

#[test]
fn repeats_are_counted() {
    const N: u64 = 500;
    let site = site(3_600_000, 0, RING);
    let found = events(&site, (0..N).map(|at| deviating(1000 + at as u16)));
    assert_eq!(found.len(), 1, "the client's port is noise: one event for the flow");
    let counted = reports(&site, Reason::SourcePortDeviation);
    assert_eq!((counted.sent, counted.suppressed, counted.limited, counted.lost), (1, N - 1, 0, 0));
}

#[test]
fn what_tells_flows_apart() {
    let site = site(3_600_000, 0, RING);
    let (s, p) = (ip("10.10.1.5"), ip("10.20.0.11"));
    let kinds = [
        Packet::udp((s, 1), (p, 9600)),
        Packet::udp((s, 1), (p, 9601)),
        Packet::tcp((s, 1), (p, 9600), SYN),
        Packet::udp((s, 1), (ip("10.20.0.12"), 9600)),
        Packet::udp((ip("10.10.1.6"), 1), (p, 9600)),
        Packet::udp((ip("fd00:10::5"), 1), (ip("fd00:20::11"), 9600)),
        Packet::ethernet(0x8892, &[0; 46]),
        Packet::ethernet(0x88b8, &[0; 46]),
    ];
    let count = kinds.len();
    let found = events(&site, kinds.iter().cloned().cycle().take(count * 10));
    assert_eq!(found.len(), count, "one for each flow, whatever the others do");
    let all = site.counters("port").reports;
    assert_eq!(
        all.iter().map(|(_, reports)| sum(reports)).sum::<u64>(),
        count as u64 * 10,
        "every packet is accounted for"
    );
    assert_eq!(all.iter().map(|(_, reports)| reports.suppressed).sum::<u64>(), count as u64 * 9);
}

#[test]
fn each_address_that_is_claimed_has_its_own_event() {
    let site = site(3_600_000, 0, RING);
    let station = Mac([2, 0, 0, 0, 0, 9]);
    let arp = |claimed: &str| Packet::arp_reply(station, claimed.parse().unwrap(), [10, 10, 1, 7].into());
    let advert = |claimed: &str| {
        let std::net::IpAddr::V6(claimed) = ip(claimed) else { unreachable!() };
        let body: Vec<u8> = [0x20, 0, 0, 0].into_iter().chain(claimed.octets()).collect();
        Packet::icmp(ip("fd00:10::7"), ip("fd00:10::5"), 136, 0, &body).hops(255)
    };
    let claims = [arp("10.20.0.11"), arp("10.20.0.12"), advert("fd00:20::11"), advert("fd00:20::12")];
    let found = events(&site, claims.iter().cloned().cycle().take(40));
    assert_eq!(found.len(), 4, "one for each address");
    assert!(found.iter().all(|event| event.reason == Reason::ArpSpoof as u8));
    let v4 = |last: u64| [0, 0x0a14_0000 + last];
    assert_eq!([found[0].source, found[1].source], [v4(11), v4(12)], "ARP has no other source");
    assert_eq!(found[2].source, [0xfd00_0010_0000_0000, 7], "who sent it");
    assert_eq!(reports(&site, Reason::ArpSpoof).suppressed, 36);
    let shown = Report::of(&found[0], &Names::none(), &Clock::booted_at(0)).unwrap();
    assert_eq!((shown.src, shown.dst, shown.transport), (Some(ip("10.20.0.11")), None, None));
}

#[test]
fn repeats_are_told_when_the_window_is_over() {
    let site = site(1, 0, RING);
    let mut ring = site.view("port", |view| view.take_events().unwrap());
    let mut found: Vec<Event> = Vec::new();
    let began = std::time::Instant::now();
    let mut sent = 0u64;
    // Until repeats were told of several times; the clock alone says when.
    while found.iter().filter(|event| event.repeats > 0).count() < 3 {
        assert!(began.elapsed().as_secs() < 20, "no repeats were told of");
        let _ = site.run("port", &deviating(1).build());
        sent += 1;
        while let Some(record) = ring.next() {
            found.push(bytemuck::pod_read_unaligned(&record));
        }
    }
    let counted = reports(&site, Reason::SourcePortDeviation);
    assert_eq!(counted.sent, found.len() as u64, "what was sent came");
    assert_eq!(sum(&counted), sent, "every packet is accounted for");
    let told: u64 = found.iter().map(|event| event.repeats).sum();
    assert_eq!(told, counted.suppressed, "the last packet was an event, so no repeat is untold");
    assert!(found.windows(2).all(|pair| pair[1].time_ns - pair[0].time_ns >= 1_000_000), "a window apart");
}

#[test]
fn a_flood_of_one_reason_leaves_the_others_alone() {
    const LIMIT: u32 = 5;
    let site = site(0, LIMIT, RING);
    let flood = (0..400).map(|at| Packet::udp((ip("10.10.1.5"), 1), (ip("10.20.0.200"), at)));
    let other = [Packet::ethernet(0x8892, &[0; 46])];
    let began = std::time::Instant::now();
    let found = events(&site, flood.chain(other));
    let seconds = began.elapsed().as_secs() + 2;
    let flooding = reports(&site, Reason::UnknownDestination);
    assert_eq!(sum(&flooding), 400, "every packet is accounted for");
    assert!(flooding.sent >= u64::from(LIMIT) && flooding.sent <= u64::from(LIMIT) * seconds, "{flooding:?}");
    assert_eq!(flooding.limited, 400 - flooding.sent);
    assert_eq!(
        found.last().unwrap().reason,
        Reason::UnlistedEthertype as u8,
        "the other reason has its own rate"
    );
    assert_eq!(found.len() as u64, flooding.sent + 1);
}

#[test]
fn a_full_ring_is_counted() {
    const N: u64 = 200;
    let site = site(0, 0, 4096);
    let found = events(&site, (0..N).map(|at| deviating(1000 + at as u16)));
    let counted = reports(&site, Reason::SourcePortDeviation);
    assert!(!found.is_empty() && (found.len() as u64) < N, "{} events in a page", found.len());
    assert_eq!(counted.sent, found.len() as u64, "what was sent came");
    assert_eq!(counted.lost, N - counted.sent, "what did not is counted");
    assert_eq!(sum(&counted), N, "every packet is accounted for");
}
