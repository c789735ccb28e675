//! The same idioms in frames with and without a tag, through a gateway that bridges: what a trunk looks like.
//!
//! The frames are built here and not by a stack, so that each tag is what it says. Hosts have no interface for the
//! tag and answer nothing by themselves; the answers are built as well.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use banchi_tests::agent::{Agent, Events, Mode};
use banchi_tests::lab::{DEADLINE, Gateway, Lab, Mac, RawSocket, Zone};
use banchi_tests::packet::{Packet, Tag, flags};

const POLICY: &str = r#"
version: 1
zones:
  left:  { interfaces: [left], vlans: [untagged, 20], networks: [10.30.0.0/25, "fd00:30::/65"] }
  right: { interfaces: [right], vlans: [untagged, 20], networks: [10.30.0.128/25, "fd00:30::8000:0:0:0/65"] }
assets:
  master:   { zone: left, addresses: [10.30.0.1, "fd00:30::1"] }
  slaves:   { zone: right, addresses: [10.30.0.130, 10.30.0.131, "fd00:30::8000:0:0:130", "fd00:30::8000:0:0:131"] }
  slaves-4: { zone: right, addresses: [10.30.0.130, 10.30.0.131] }
  slaves-6: { zone: right, addresses: ["fd00:30::8000:0:0:130", "fd00:30::8000:0:0:131"] }
services:
  modbus: { transport: tcp, port: 502 }
  bacnet: { transport: udp, port: 47808, source_port: same }
  melsec: { transport: udp, source_port: 5010, port: [5011, 5012, 5020-5029] }
  ring-4: { transport: udp, source_port: 6000, port: { linked: { base: 6000, octet: 4 } } }
  ring-6: { transport: udp, source_port: 6000, port: { linked: { base: 6000, octet: 16 } } }
conduits:
  - between: [left, right]
    allow:
      - { name: polling, client: master, server: slaves, service: [modbus, bacnet, melsec] }
      - { name: ring,    client: master, server: slaves-4, service: ring-4 }
      - { name: ring-6,  client: master, server: slaves-6, service: ring-6 }
"#;

/// How frames are tagged, the VLANs that an event names, and whether those are in a zone.
fn tags() -> [(Option<Tag>, &'static [u16], bool); 4] {
    [
        (None, &[], true),
        (Some(Tag::customer(20)), &[20], true),
        (Some(Tag::priority(5)), &[], true),
        (Some(Tag::customer(30)), &[30], false),
    ]
}

const MASTER: [&str; 2] = ["10.30.0.1", "[fd00:30::1]"];
const ROGUE: [&str; 2] = ["10.30.0.9", "[fd00:30::9]"];
const SLAVE: [&str; 2] = ["10.30.0.130", "[fd00:30::8000:0:0:130]"];
const NEIGHBOUR: [&str; 2] = ["10.30.0.131", "[fd00:30::8000:0:0:131]"];
/// What base 6000 and the last byte of the slave's and of the neighbour's address give.
const LINKED: [u16; 2] = [6130, 6000 + 0x30];
const LINKED_NEIGHBOUR: [u16; 2] = [6131, 6000 + 0x31];

/// The source port of what shows that events are followed.
const PROBE: u16 = 1;

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Right,
    Left,
}

/// Every kind of packet, of the family 0 (IPv4) or 1 (IPv6), with the reason where it deviates.
fn packets(family: usize) -> Vec<(Way, Packet, Option<&'static str>)> {
    let end = |host: [&str; 2], port: u16| format!("{}:{port}", host[family]);
    let udp =
        |from: ([&str; 2], u16), to: ([&str; 2], u16)| Packet::udp(&*end(from.0, from.1), &*end(to.0, to.1));
    let tcp = |from: ([&str; 2], u16), to: ([&str; 2], u16), flags| {
        Packet::tcp(&*end(from.0, from.1), &*end(to.0, to.1), flags)
    };
    let (linked, other) = (LINKED[family], LINKED_NEIGHBOUR[family]);
    vec![
        (Way::Right, udp((MASTER, 47808), (SLAVE, 47808)), None),
        (Way::Left, udp((SLAVE, 47808), (MASTER, 47808)), None),
        (Way::Right, udp((MASTER, 47809), (SLAVE, 47808)), Some("source-port-deviation")),
        (Way::Left, udp((SLAVE, 47808), (MASTER, 47809)), Some("source-port-deviation")),
        (Way::Right, udp((MASTER, 5010), (SLAVE, 5011)), None),
        (Way::Right, udp((MASTER, 5010), (SLAVE, 5029)), None),
        (Way::Left, udp((SLAVE, 5029), (MASTER, 5010)), None),
        (Way::Right, udp((MASTER, 5009), (SLAVE, 5011)), Some("source-port-deviation")),
        (Way::Right, udp((MASTER, 5010), (SLAVE, 5030)), Some("unlisted-service")),
        (Way::Right, udp((MASTER, 6000), (SLAVE, linked)), None),
        (Way::Left, udp((SLAVE, linked), (MASTER, 6000)), None),
        (Way::Right, udp((MASTER, 6000), (NEIGHBOUR, other)), None),
        (Way::Right, udp((MASTER, 6000), (SLAVE, other)), Some("address-port-mismatch")),
        (Way::Left, udp((SLAVE, other), (MASTER, 6000)), Some("address-port-mismatch")),
        (Way::Right, tcp((MASTER, 40000), (SLAVE, 502), flags::SYN), None),
        (Way::Left, tcp((SLAVE, 502), (MASTER, 40000), flags::SYN | flags::ACK), None),
        (Way::Right, tcp((MASTER, 40000), (SLAVE, 502), flags::ACK), None),
        (Way::Left, tcp((SLAVE, 40000), (MASTER, 502), flags::SYN), Some("reversed-direction")),
        (Way::Left, tcp((SLAVE, 502), (MASTER, 40001), flags::SYN), Some("reversed-direction")),
        (Way::Right, tcp((ROGUE, 40000), (SLAVE, 502), flags::SYN), Some("unknown-source")),
        // Not with the slave's own hardware address: bridges would take it to have moved.
        (
            Way::Right,
            tcp((SLAVE, 40000), (NEIGHBOUR, 502), flags::SYN).from_mac(Mac([2, 9, 9, 9, 9, 9])),
            Some("wrong-zone"),
        ),
    ]
}

#[test]
fn every_idiom_tagged_and_untagged_in_both_modes_and_families() -> Result<()> {
    let network = |name| Zone::new(name).network("10.30.0.254/24").network("fd00:30::fe/64");
    // The hosts' own addresses are in no packet of the test: their stacks stay silent.
    let zones = [
        network("left").host("a", &["10.30.0.100", "fd00:30::100"]),
        network("right").host("b", &["10.30.0.200", "fd00:30::8000:0:0:200"]),
    ];
    let lab = Lab::new(Gateway::Bridges, &zones)?;
    let ends = Ends { left: lab.host("a").raw("eth0")?, right: lab.host("b").raw("eth0")? };
    let agent = Agent::start_with(&lab, POLICY, &["--suppress", "0", "--rate", "0"])?;
    let events = agent.follow(|number| {
        ends.left.send(
            &Packet::udp(("10.30.0.9".parse::<Ipv4Addr>()?, PROBE), &*format!("10.30.0.130:{}", 10 + number))
                .build(),
        )
    })?;
    let mut wrong = Vec::new();
    for mode in [Mode::Alert, Mode::Enforce] {
        agent.set_mode(mode)?;
        let mut number = 0_u32;
        for (tag, vlans, listed) in tags() {
            for (way, packet, reason) in [packets(0), packets(1)].concat() {
                number += 1;
                let packet = tag.into_iter().fold(packet, Packet::tag);
                let packet = packet.payload(format!("{mode:?} number {number:06}"));
                let reason = if listed { reason } else { Some("unlisted-vlan") };
                if let Err(error) = ends.play(&events, way, &packet, reason, vlans, mode) {
                    wrong.push(format!("{mode:?} {vlans:?} {way:?} {reason:?}: {error:#}; {packet:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    agent.stop()
}

struct Ends {
    left: RawSocket,
    right: RawSocket,
}

impl Ends {
    fn play(
        &self,
        events: &Events,
        way: Way,
        packet: &Packet,
        reason: Option<&str>,
        vlans: &[u16],
        mode: Mode,
    ) -> Result<()> {
        let beginning = events.count();
        let (from, to) = match way {
            Way::Right => (&self.left, &self.right),
            Way::Left => (&self.right, &self.left),
        };
        let frame = packet.build();
        from.send(&frame)?;
        // This one always passes, and comes behind the other.
        let asker = if way == Way::Right { [10, 30, 0, 100] } else { [10, 30, 0, 200] };
        let last = Packet::arp_request(asker.into(), [10, 30, 0, 253].into()).build();
        from.send(&last)?;
        let arrived = to.receive_until(|seen| seen == last, DEADLINE)?;
        let passed = arrived.contains(&frame);
        let stopped = mode == Mode::Enforce && reason.is_some();
        ensure!(passed != stopped, "{}", if passed { "it arrived" } else { "it did not arrive" });

        if let Some(reason) = reason {
            let event = events.wait_from(beginning, |e| e.src_port != Some(PROBE), DEADLINE)?;
            let event = event.context("no event")?;
            let verdict = if stopped { "drop" } else { "would-drop" };
            let seen = (event.reason.as_str(), event.verdict.as_str(), event.mode, &event.vlans[..]);
            ensure!(seen == (reason, verdict, mode, vlans), "reported as {event:?}");
        }
        // An allowed packet is not reported: the next event would be about it, and wrong.
        Ok(())
    }
}
