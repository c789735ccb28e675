//! A policy in the words of its file, and a disagreement in words.

use std::fmt::Write as _;

use banchi::policy::model::{
    Addresses, CLASSES, Class, Classes, Direction, Mode, Policy, PortRange, Reply, ServerPort, Service,
    SourcePort, Vlan,
};
use banchi_tests::oracle::Judgement;

use super::cases::Case;

/// Everything about a disagreement over the packet at a place of a case.
pub(crate) fn disagreement(
    policy: &Policy,
    case: &Case,
    place: usize,
    oracle: &Judgement,
    subject: &Judgement,
    again: &str,
) -> String {
    let mut packets = String::new();
    for timed in &case.packets[..=place] {
        let frame = timed.packet.frame();
        let bytes: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        write!(packets, "at {} ns: {:#?}\n{bytes}\n", timed.at, timed.packet)
            .expect("a string takes everything");
    }
    format!(
        "the oracle and the subject disagree about the last packet\n\npolicy:\n{}\npackets:\n{packets}\n\
         oracle:  {oracle:?}\nsubject: {subject:?}\n\nagain: {again}\n",
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
        let more = more_of(service);
        line(format!("  {}: {{ transport: {transport}{port}{source}{more} }}", service.name));
    }
    line("conduits:".to_owned());
    for (id, conduit) in policy.conduits.iter().enumerate() {
        let name = |zone: usize| &policy.zones[zone].name;
        let (a, b) = (name(conduit.zones.0), name(conduit.zones.1));
        let zones =
            if conduit.ordered { format!("from: {a}, to: {b}") } else { format!("between: [{a}, {b}]") };
        let mut head = format!("  - {{ name: {}, {zones}, mode: {}", conduit.name, mode(conduit.mode));
        if !conduit.ethertypes.is_empty() {
            let kinds = list(&conduit.ethertypes, |kind| match kind.0 {
                sap @ 0..0x100 => format!("llc-{sap:#04x}"),
                kind => format!("\"{kind:#06x}\""),
            });
            head += &format!(", ethertypes: [{kinds}]");
        }
        let rules: Vec<_> = policy.rules.iter().filter(|rule| rule.conduit == id).collect();
        if rules.is_empty() {
            line(format!("{head} }}"));
            continue;
        }
        line(format!("{head}, allow: ["));
        for rule in rules {
            let assets = |ids: &[usize]| list(ids, |asset| policy.assets[*asset].name.clone());
            let mut own = rule.mode.map_or(String::new(), |own| format!(", mode: {}", mode(own)));
            if !rule.reply_to.is_empty() {
                own += &format!(", reply_to: [{}]", assets(&rule.reply_to));
            }
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

/// What a service has besides transport and ports.
fn more_of(service: &Service) -> String {
    let mut text = String::new();
    let classes = |classes: Classes| {
        let held: Vec<Class> = CLASSES.into_iter().filter(|class| classes.holds(*class)).collect();
        list(&held, |class| match class {
            Class::Notification => "notify".to_owned(),
            other => other.name().to_owned(),
        })
    };
    if let Some(direction) = &service.direction {
        text += &match direction {
            Direction::Named(protocol) => format!(", direction: {}", protocol.about().name),
            Direction::Custom { at, mask, request, response } => format!(
                ", direction: {{ at: {at}, mask: {mask:#04x}, request: {request:#04x}, response: {response:#04x} }}"
            ),
        };
        let (client, server) = (classes(service.client_may), classes(service.server_may));
        text += &format!(", client_may: [{client}], server_may: [{server}]");
    }
    if service.transport == banchi_common::abi::Transport::Udp {
        text += &match service.reply {
            Reply::Window(window) => format!(", reply: {{ window: {}ms }}", window.as_millis()),
            Reply::Strict(window) => format!(", reply: {{ window: {}ms, strict: true }}", window.as_millis()),
            Reply::Free => ", reply: free".to_owned(),
            Reply::None => ", reply: none".to_owned(),
        };
    }
    if !service.reply_from.is_empty() {
        text += &format!(", reply_from: [{}]", list(&service.reply_from, ports));
    }
    if service.peer {
        text += ", peer: true";
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
