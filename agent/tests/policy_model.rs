//! What is written is what the model says.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use banchi::policy::load;
use banchi::policy::model::{
    Addresses, Direction, Mode, OnAgentLoss, Policy, PortRange, Reply, ServerPort, SourcePort, Transport,
    Vlan,
};
use banchi_common::direction::Protocol;

const TEXT: &str = r#"
version: 1
gateway: { addresses: [10.10.0.1, "fd00:10::1"] }
defaults: { mode: enforce, on_agent_loss: open }
zones:
  control: { interfaces: [eth1], networks: [10.10.0.0/16, "fd00:10::/64"] }
  line-a: { interfaces: [eth2], vlans: [20, 100.20, untagged], networks: [10.20.0.0/24] }
assets:
  scada: { zone: control, address: 10.10.1.5/32, mac: "00-80-F4-0A-0B-0C" }
  plcs: { zone: line-a, addresses: [10.20.0.11-10.20.0.12, 10.20.0.32/28] }
services:
  set: { transport: udp, port: [5020-5029, 5011, 5012, 5030], source_port: same, direction: slmp, reply: none }
  linked: { transport: udp, port: { linked: { base: 6000, octet: 4 } }, source_port: 6000 }
  table: { transport: sctp, port: { by_address: { 10.10.1.5: 7001 } }, source_port: ephemeral }
  byte: { transport: udp, port: any, direction: { at: 2, mask: 0x40, request: 0, response: 64 }, reply: { window: 500ms } }
  ping: { transport: icmp }
conduits:
  - between: [control, line-a]
    allow:
      - { client: scada, server: plcs, service: [set, linked] }
      - { name: back, client: plcs, server: scada, service: [table, byte], mode: alert }
  - { name: self, from: line-a, to: gateway, mode: alert, on_agent_loss: closed, allow: [{ client: plcs, server: gateway, service: ping }] }
"#;

fn policy() -> Policy {
    load("model.yaml", TEXT).policy.unwrap()
}

#[test]
fn zones_and_assets() {
    let policy = policy();
    assert_eq!(policy.zones[1].vlans, [Vlan::Tagged(20), Vlan::Double(100, 20), Vlan::Untagged]);
    assert_eq!(policy.assets[0].addresses, [Addresses::Host("10.10.1.5".parse().unwrap())]);
    assert_eq!(policy.assets[0].mac, Some([0x00, 0x80, 0xf4, 0x0a, 0x0b, 0x0c]));
    assert_eq!(
        policy.assets[1].addresses,
        [
            Addresses::Range("10.20.0.11".parse().unwrap(), "10.20.0.12".parse().unwrap()),
            Addresses::Prefix("10.20.0.32/28".parse().unwrap()),
        ]
    );
    let (zone, asset) = (policy.zones.last().unwrap(), policy.assets.last().unwrap());
    assert!(zone.is_gateway && zone.interfaces.is_empty());
    assert_eq!((zone.name.as_str(), asset.name.as_str(), asset.zone), ("gateway", "gateway", 2));
    assert_eq!(zone.networks, ["10.10.0.1/32".parse().unwrap(), "fd00:10::1/128".parse().unwrap()]);
}

#[test]
fn services() {
    let services = policy().services;
    let range = |first, last| PortRange { first, last };
    assert_eq!(services[0].port, ServerPort::Set(vec![range(5011, 5012), range(5020, 5030)]));
    assert_eq!(services[0].source_port, SourcePort::Same);
    assert_eq!(services[0].direction, Some(Direction::Named(Protocol::Slmp)));
    assert_eq!(services[0].reply, Reply::None);
    assert_eq!(services[1].port, ServerPort::Linked { base: 6000, octet: 4, step: 1 });
    assert_eq!(services[1].source_port, SourcePort::Set(vec![range(6000, 6000)]));
    assert_eq!(services[1].reply, Reply::Window(Duration::from_secs(30)));
    assert_eq!(services[2].port, ServerPort::ByAddress([("10.10.1.5".parse().unwrap(), 7001)].into()));
    assert_eq!(services[2].source_port, SourcePort::Ephemeral);
    assert_eq!(services[3].port, ServerPort::Any);
    assert_eq!(services[3].source_port, SourcePort::Any);
    assert_eq!(
        services[3].direction,
        Some(Direction::Custom { at: 2, mask: 0x40, request: 0, response: 0x40 })
    );
    assert_eq!(services[3].reply, Reply::Window(Duration::from_millis(500)));
    assert_eq!((services[4].transport, &services[4].port), (Transport::Icmp, &ServerPort::Any));
}

#[test]
fn conduits_and_rules() {
    let policy = policy();
    assert_eq!(policy.default_mode, Mode::Enforce);
    let [first, second] = policy.conduits.as_slice() else { unreachable!() };
    assert_eq!((first.name.as_str(), first.zones, first.ordered), ("control-line-a", (0, 1), false));
    assert_eq!((first.mode, first.agent_loss.then), (Mode::Enforce, OnAgentLoss::Open));
    assert_eq!((second.name.as_str(), second.zones, second.ordered), ("self", (1, 2), true));
    assert_eq!((second.mode, second.agent_loss.then), (Mode::Alert, OnAgentLoss::Closed));
    let names: Vec<&str> = policy.rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(
        names,
        ["scada > plcs : set", "scada > plcs : linked", "back: table", "back: byte", "plcs > gateway : ping"]
    );
    let zones: Vec<_> = policy.rules.iter().map(|rule| (rule.client_zone, rule.server_zone)).collect();
    assert_eq!(zones, [(0, 1), (0, 1), (1, 0), (1, 0), (1, 2)]);
    assert_eq!(policy.rules[3].mode, Some(Mode::Alert));
    for (rule, text) in [(0, "service: [set, linked]"), (3, "name: back"), (4, "name: self")] {
        assert!(TEXT.lines().nth(policy.rules[rule].line - 1).unwrap().contains(text), "{text}");
    }
}
