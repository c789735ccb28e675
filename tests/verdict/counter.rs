//! Counters: every packet once, with its rule or with its conduit and reason.

use banchi_common::reason::Reason;
use banchi_tests::packet::{
    Packet,
    flags::{ACK, SYN},
};

use crate::site::{Site, figures, ip};

const POLICY: &str = "
services:
  modbus: { transport: tcp, port: 502, source_port: ephemeral }
  fins:   { transport: udp, reply: free, port: 9600, source_port: same }
conduits:
  - between: [control, line-a]
    allow:
      - { name: modbus, client: scada, server: plc, service: modbus }
      - { name: fins, client: scada, server: plc, service: fins }
  - { between: [control, line-b], allow: [{ name: robot, client: scada, server: robot, service: fins }] }
";

fn run(site: &Site, from: &str, frame: &[u8]) {
    let _ = site.run(from, frame);
}

fn send(site: &Site, from: &str, times: u64, packet: &Packet) -> u64 {
    let frame = packet.build();
    (0..times).for_each(|_| run(site, from, &frame));
    times * frame.len() as u64
}

#[test]
fn rules_count_each_way() {
    let site = Site::plant(POLICY);
    let (s, p) = (ip("10.10.1.5"), ip("10.20.0.11"));
    let asked = send(&site, "control", 5, &Packet::tcp((s, 40000), (p, 502), SYN));
    let more = send(&site, "control", 2, &Packet::tcp((s, 40000), (p, 502), ACK).payload([0; 300]));
    let other = send(&site, "control", 3, &Packet::udp((s, 9600), (p, 9600)));
    let answered = send(&site, "line-a", 4, &Packet::tcp((p, 502), (s, 40000), ACK).payload([0; 100]));
    let control = site.counters("control").rules;
    let line = site.counters("line-a").rules;
    let at = |name| site.rule(name);
    assert_eq!(control.len(), site.policy.rules.len(), "a row for each rule");
    assert_eq!(
        figures(&control[at("modbus")].0),
        (7, asked + more),
        "forward packets and bytes of the frame"
    );
    assert_eq!(figures(&control[at("modbus")].1), (0, 0), "nothing came back here");
    assert_eq!(figures(&control[at("fins")].0), (3, other), "another rule counts for itself");
    assert_eq!(figures(&control[at("robot")].0), (0, 0), "a rule that matched nothing");
    assert_eq!(figures(&line[at("modbus")].0), (0, 0), "nothing was asked here");
    assert_eq!(figures(&line[at("modbus")].1), (4, answered), "return packets and bytes");
    assert!(control[at("modbus")].0.last_ns > 0, "the time of the last one");
    assert_eq!(control[at("robot")].0.last_ns, 0, "never");
    assert!(
        site.counters("control").reasons.iter().all(Vec::is_empty),
        "allowed packets have no other counter"
    );
    assert!(site.counters("control").reports.is_empty(), "and no report");
}

#[test]
fn reasons_count_by_conduit() {
    let site = Site::plant(POLICY);
    let (s, p, r) = (ip("10.10.1.5"), ip("10.20.0.11"), ip("10.30.0.21"));
    let near = send(&site, "control", 3, &Packet::udp((s, 9601), (p, 9600)));
    let far = send(&site, "control", 2, &Packet::udp((s, 9601), (r, 9600)));
    let nobody = send(&site, "control", 4, &Packet::udp((s, 1), (ip("192.0.2.1"), 1)));
    let alive = send(&site, "control", 6, &Packet::ethernet(0x88cc, &[0; 46]));
    let asked = send(&site, "control", 1, &Packet::arp_request([10, 10, 1, 5].into(), [10, 10, 0, 1].into()));
    let cut = send(&site, "control", 2, &Packet::udp((s, 9600), (p, 9600)).cut(20));
    let mut pieces = Packet::udp((s, 9600), (p, 9600)).payload([0; 100]).build_fragments(48);
    let related: u64 = pieces
        .drain(1..)
        .map(|piece| {
            run(&site, "control", &piece);
            piece.len() as u64
        })
        .sum();
    // Before the first fragment they are orphans, and behind it related.
    run(&site, "control", &pieces[0]);
    let again = Packet::udp((s, 9600), (p, 9600)).payload([0; 100]).build_fragments(48).split_off(1);
    again.iter().for_each(|piece| run(&site, "control", piece));

    let counters = site.counters("control");
    let find = |conduit: Option<&str>, reason| {
        let row = &counters.reasons[conduit.map_or(0, |name| site.conduit(name) + 1)];
        row.iter().find(|(known, _)| *known == reason).map(|(_, count)| figures(count)).unwrap_or_default()
    };
    assert_eq!(
        counters.reasons.len(),
        site.policy.conduits.len() + 1,
        "a row for each conduit, and one for none"
    );
    assert_eq!(
        find(Some("control-line-a"), Reason::SourcePortDeviation),
        (3, near),
        "in the conduit of the rule"
    );
    assert_eq!(
        find(Some("control-line-b"), Reason::SourcePortDeviation),
        (2, far),
        "another conduit counts for itself"
    );
    assert_eq!(find(None, Reason::SourcePortDeviation), (0, 0), "and not where there is none");
    assert_eq!(find(None, Reason::UnknownDestination), (4, nobody), "what belongs to no conduit");
    assert_eq!(find(None, Reason::Survival), (7, alive + asked), "survival, ARP included");
    assert_eq!(find(None, Reason::Malformed), (2, cut), "a cut packet has the bytes that came");
    assert_eq!(find(Some("control-line-a"), Reason::OrphanFragment), (2, related), "orphans");
    assert_eq!(find(Some("control-line-a"), Reason::Related), (2, related), "fragments that followed");
    let of_rules: u64 = counters.rules.iter().map(|(there, back)| there.packets + back.packets).sum();
    let of_reasons: u64 = counters.reasons.iter().flatten().map(|(_, count)| count.packets).sum();
    assert_eq!(of_rules + of_reasons, 3 + 2 + 4 + 6 + 1 + 2 + 2 + 1 + 2, "every packet is counted once");
    assert_eq!(figures(&counters.rules[site.rule("fins")].0).0, 1, "the first fragment is the rule's");
}
