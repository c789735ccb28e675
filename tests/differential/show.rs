//! A policy in the words of its file, and a disagreement in words.

use std::fmt::Write as _;

use banchi::policy::model::{Addresses, Mode, Policy, PortRange, ServerPort, SourcePort, Vlan};
use banchi_tests::oracle::{Judgement, TestPacket};

/// Everything about a disagreement.
pub(crate) fn disagreement(
    policy: &Policy,
    packet: &TestPacket,
    oracle: &Judgement,
    subject: &Judgement,
    again: &str,
) -> String {
    format!(
        "the oracle and the subject disagree\n\npolicy:\n{}\npacket:\n{packet:#?}\n\noracle:  {oracle:?}\n\
         subject: {subject:?}\n\nagain: {again}\n",
        yaml(policy)
    )
}

/// The policy as a file.
pub(crate) fn yaml(policy: &Policy) -> String {
    let mut text = String::from("version: 1\n");
    let mut line = |words: String| writeln!(text, "{words}").expect("a string takes everything");
    let mode = |mode: Mode| if mode == Mode::Alert { "alert" } else { "enforce" };
    for asset in policy.assets.iter().filter(|asset| policy.zones[asset.zone].is_gateway) {
        line(format!("gateway: {{ addresses: [{}] }}", list(&asset.addresses, addresses)));
    }
    line(format!("defaults: {{ mode: {} }}", mode(policy.default_mode)));
    line("zones:".to_owned());
    for zone in policy.zones.iter().filter(|zone| !zone.is_gateway) {
        let vlans = list(&zone.vlans, |vlan| match vlan {
            Vlan::Untagged => "untagged".to_owned(),
            Vlan::Tagged(vid) => vid.to_string(),
            Vlan::Double(outer, inner) => format!("\"{outer}.{inner}\""),
        });
        let vlans = if zone.vlans.is_empty() { String::new() } else { format!(" vlans: [{vlans}],") };
        let networks = list(&zone.networks, |net| format!("\"{net}\""));
        line(format!(
            "  {}: {{ interfaces: [{}],{vlans} networks: [{networks}] }}",
            zone.name,
            zone.interfaces.join(", ")
        ));
    }
    line("assets:".to_owned());
    for asset in policy.assets.iter().filter(|asset| !policy.zones[asset.zone].is_gateway) {
        let mac = asset.mac.map_or(String::new(), |mac| {
            format!(", mac: \"{}\"", mac.map(|byte| format!("{byte:02x}")).join(":"))
        });
        let zone = &policy.zones[asset.zone].name;
        let addresses = list(&asset.addresses, addresses);
        line(format!("  {}: {{ zone: {zone}, addresses: [{addresses}]{mac} }}", asset.name));
    }
    line("services:".to_owned());
    for service in &policy.services {
        let transport = format!("{:?}", service.transport).to_lowercase();
        let port = match &service.port {
            ServerPort::Any if transport == "icmp" => String::new(),
            ServerPort::Any => ", port: any".to_owned(),
            ServerPort::Set(ranges) => format!(", port: [{}]", list(ranges, ports)),
            ServerPort::Linked { base, octet, step } => {
                format!(", port: {{ linked: {{ base: {base}, octet: {octet}, step: {step} }} }}")
            }
            ServerPort::ByAddress(table) => {
                let entries: Vec<_> =
                    table.iter().map(|(host, port)| format!("\"{host}\": {port}")).collect();
                format!(", port: {{ by_address: {{ {} }} }}", entries.join(", "))
            }
        };
        let source = match &service.source_port {
            SourcePort::Any => String::new(),
            SourcePort::Ephemeral => ", source_port: ephemeral".to_owned(),
            SourcePort::Same => ", source_port: same".to_owned(),
            SourcePort::Set(ranges) => format!(", source_port: [{}]", list(ranges, ports)),
        };
        line(format!("  {}: {{ transport: {transport}{port}{source} }}", service.name));
    }
    line("conduits:".to_owned());
    for (id, conduit) in policy.conduits.iter().enumerate() {
        let name = |zone: usize| &policy.zones[zone].name;
        let (a, b) = (name(conduit.zones.0), name(conduit.zones.1));
        let zones =
            if conduit.ordered { format!("from: {a}, to: {b}") } else { format!("between: [{a}, {b}]") };
        let head = format!("  - {{ name: {}, {zones}, mode: {}", conduit.name, mode(conduit.mode));
        let rules: Vec<_> = policy.rules.iter().filter(|rule| rule.conduit == id).collect();
        if rules.is_empty() {
            line(format!("{head} }}"));
            continue;
        }
        line(format!("{head}, allow: ["));
        for rule in rules {
            let assets = |ids: &[usize]| list(ids, |asset| policy.assets[*asset].name.clone());
            let own = rule.mode.map_or(String::new(), |own| format!(", mode: {}", mode(own)));
            line(format!(
                "      {{ name: {}, client: [{}], server: [{}], service: {}{own} }},",
                rule.name,
                assets(&rule.clients),
                assets(&rule.servers),
                policy.services[rule.service].name
            ));
        }
        line("    ] }".to_owned());
    }
    text
}

fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn addresses(addresses: &Addresses) -> String {
    match addresses {
        Addresses::Host(host) => format!("\"{host}\""),
        Addresses::Range(first, last) => format!("\"{first}-{last}\""),
        Addresses::Prefix(net) => format!("\"{net}\""),
    }
}

fn ports(range: &PortRange) -> String {
    if range.first == range.last {
        range.first.to_string()
    } else {
        format!("{}-{}", range.first, range.last)
    }
}
