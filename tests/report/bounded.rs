//! A report of very many flows stays a file that a browser opens.

use banchi::report::{Source, render};
use banchi_tests::packet::Packet;

use crate::recorded::{MS, Recorded, noise};

/// Hosts of each of two zones.
const HOSTS: u64 = 120;

#[test]
fn many_flows_are_drawn_together_and_tables_say_how_many_more() {
    let mut recorded = Recorded::default();
    let mut at = 0;
    for client in 0..HOSTS {
        for server in 0..50 {
            at += 10 * MS;
            let ends = [format!("10.1.0.{client}:9{client:03}"), format!("10.2.0.{server}:7000")];
            recorded.add(at, &Packet::udp(ends[0].as_str(), ends[1].as_str()).payload(noise(at)));
            recorded.add(at + MS, &Packet::udp(ends[1].as_str(), ends[0].as_str()).payload(noise(at)));
        }
    }
    let policy = crate::policy(
        "version: 1\nzones:\n  a: { interfaces: [e0], networks: [10.1.0.0/24] }\n  b: { interfaces: [e1], networks: \
         [10.2.0.0/24] }\nassets:\n  all-a: { zone: a, address: 10.1.0.0/24 }\n  all-b: { zone: b, address: 10.2.0.0/24 }\n\
         services:\n  s: { transport: udp, port: 7000 }\nconduits:\n  - between: [a, b]\n    allow:\n      - { client: \
         all-a, server: all-b, service: s }\n",
    );
    let (traffic, gathered) = crate::held(&recorded.sorted(), &policy);
    let flows = gathered.lines.len() as u64;
    assert_eq!(flows, HOSTS * 50);
    let page = render(Source {
        policy: &policy,
        policy_name: Some("policy.yaml".to_owned()),
        gathered,
        traffic: &traffic,
        captures: vec![("many.pcap".to_owned(), flows * 2)],
        status: None,
        old: None,
        made: "2026-01-01T00:00:00Z".to_owned(),
    });
    assert!(page.contains("boxes are assets of the policy"), "hosts are drawn together");
    assert!(page.matches("<g class=\"node\"").count() == 2);
    assert!(page.contains("5\u{202f}600 more flows are not shown"));
    // The data of all flows is most of it.
    assert!(page.len() < 4_000_000, "{}", page.len());
}
