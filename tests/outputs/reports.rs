//! Events that never happened, with packets to them.

use std::net::IpAddr;
use std::sync::Arc;

use banchi::events::{Clock, Names, Report};
use banchi::policy;
use banchi_common::abi::{Event, EventKind, Mode};
use banchi_common::reason::{Reason, Verdict};
use banchi_tests::lab::Mac;
use banchi_tests::packet::Packet;
use bytemuck::Zeroable as _;

const POLICY: &str = r#"
version: 1
zones:
  control: { interfaces: [eth1], networks: [10.10.0.0/16, "fd00:10::/64"] }
  line-a: { interfaces: [eth2], vlans: [20], networks: [10.20.0.0/24, "fd00:20::/64"] }
assets:
  scada: { zone: control, address: 10.10.1.5 }
  plcs: { zone: line-a, addresses: [10.20.0.11-10.20.0.18] }
services:
  modbus: { transport: tcp, port: 502, direction: modbus }
conduits:
  - between: [control, line-a]
    allow:
      - { client: scada, server: plcs, service: modbus }
"#;

/// 2026-03-04T05:06:07Z.
const BOOT: u64 = 1_772_600_767_000_000_000;

pub(crate) fn names() -> Names {
    let loaded = policy::load("policy.yaml", POLICY);
    let policy = loaded.policy.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    let mut names = Names::of(&policy, &[]);
    names.add_interface(1, "eth1");
    names.add_interface(2, "eth2.\"20]\\");
    names
}

pub(crate) fn report(event: &Event, names: &Names) -> Arc<Report> {
    Arc::new(Report::of(event, names, &Clock::booted_at(BOOT)).unwrap())
}

/// An event about a packet, from zone 1 to zone 2.
pub(crate) fn event(number: u64, packet: &Packet, reason: Reason, verdict: Verdict) -> Event {
    let macs = [Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])];
    let frame = packet.clone().from_mac(macs[0]).to_mac(macs[1]).build();
    let mut headers = banchi_common::wire::Headers::default();
    banchi_common::wire::parse(&banchi_common::wire::Bytes(&frame), &mut headers);
    let mut event = Event {
        time_ns: 1_000_000_000 * number + 123_456_789,
        source: [headers.source.hi, headers.source.lo],
        destination: [headers.destination.hi, headers.destination.lo],
        interface: 1,
        length: frame.len() as u32,
        generation: 1,
        source_port: headers.source_port,
        destination_port: headers.destination_port,
        ethertype: headers.ethertype,
        outer_vid: headers.outer_vid,
        inner_vid: headers.inner_vid,
        conduit: 1,
        zone: 1,
        destination_zone: 2,
        kind: EventKind::Deviation as u8,
        reason: reason as u8,
        verdict: verdict as u8,
        mode: if verdict == Verdict::Drop { Mode::Enforce as u8 } else { Mode::Alert as u8 },
        family: headers.family,
        protocol: headers.protocol,
        captured: frame.len().min(96) as u16,
        ..Event::zeroed()
    };
    let data: &mut [u8] = bytemuck::cast_slice_mut(&mut event.data);
    let length = frame.len().min(96);
    data[..length].copy_from_slice(&frame[..length]);
    event
}

/// One of each kind that outputs tell apart.
pub(crate) fn samples() -> Vec<Arc<Report>> {
    let names = names();
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let (scada, plc) = (address("10.10.1.5"), address("10.20.0.11"));
    let (six, other) = (address("fd00:10::5"), address("fd00:20::11"));
    let modbus =
        Packet::tcp((scada, 40_000), (plc, 502), 0x018).payload([0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 1]);
    let mut reversed = event(1, &modbus, Reason::ReversedDirection, Verdict::Drop);
    (reversed.rule, reversed.orientation, reversed.class) = (1, 2, 1);
    reversed.interface = 2;
    let pair = Packet::udp((scada, 47_808), (plc, 47_809)).vlan(20).payload([7; 200]);
    let mut unlisted = event(2, &pair, Reason::UnlistedService, Verdict::WouldDrop);
    (unlisted.rule, unlisted.repeats) = (1, 41);
    let echo = Packet::echo_request(six, other, 7, 1);
    let ping = event(3, &echo, Reason::UnknownSource, Verdict::WouldDrop);
    let mut goose = event(4, &Packet::ethernet(0x88b8, &[1; 60]), Reason::UnlistedEthertype, Verdict::Drop);
    (goose.conduit, goose.destination_zone) = (0, 0);
    let mut repeats = unlisted;
    (repeats.kind, repeats.time_ns, repeats.repeats) = (EventKind::Repeats as u8, 9_000_000_001, 1_000);
    (repeats.captured, repeats.interface, repeats.source_port, repeats.length) = (0, 0, 0, 0);
    let mut granted = event(5, &modbus, Reason::Granted, Verdict::Pass);
    (granted.rule, granted.orientation) = (1, 1);
    [reversed, unlisted, ping, goose, repeats, granted].iter().map(|event| report(event, &names)).collect()
}

/// Events that differ in their times.
pub(crate) fn numbered(range: std::ops::Range<u64>) -> Vec<Arc<Report>> {
    let names = names();
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let packet = Packet::udp((address("10.10.1.5"), 1), (address("10.20.0.11"), 2));
    let event = |number| event(number, &packet, Reason::UnlistedService, Verdict::WouldDrop);
    range.map(|number| report(&event(number), &names)).collect()
}
