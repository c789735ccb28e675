//! From what grants let through to lines for a policy. A person decides; nothing here becomes a rule by itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::SeenFlow;
use crate::control::GrantStatus;
use crate::policy::catalogue;
use crate::policy::model::{PortRange, ServerPort, SourcePort, Transport};

/// Lines of a policy that would allow the flows of grants, with where they are from.
pub fn suggest(grants: &[GrantStatus]) -> String {
    let mut services: BTreeMap<String, String> = BTreeMap::new();
    let mut rules = String::new();
    for status in grants {
        let wish = &status.grant.wish;
        let mut ends: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
        for flow in &status.flows {
            let (name, definition) = service(flow);
            if let Some(definition) = definition {
                services.insert(name.clone(), definition);
            }
            let names = ends.entry((&flow.client, &flow.server)).or_default();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let _ = writeln!(
            rules,
            "  # grant {}, {} to {}, by {}: {}",
            status.grant.id, status.grant.since, status.grant.until, status.grant.by, wish.reason
        );
        if ends.is_empty() {
            let _ = writeln!(rules, "  # nothing was asked");
        }
        for ((client, server), names) in ends {
            let _ = writeln!(
                rules,
                "  - {{ client: {}, server: {}, service: [{}] }}  # {client} > {server}",
                wish.client,
                wish.server,
                names.join(", ")
            );
        }
        if status.more > 0 {
            let _ = writeln!(rules, "  # and {} events of flows beyond those that are listed", status.more);
        }
    }
    let mut text =
        String::from("# What was asked under grants. Whether it should always pass is yours to decide.\n");
    if !services.is_empty() {
        text.push_str("services:\n");
        for (name, definition) in services {
            let _ = writeln!(text, "  {name}: {definition}");
        }
    }
    if grants.is_empty() {
        text.push_str("# There is no grant.\n");
    } else {
        text.push_str("# under `allow` of the conduit:\n");
        text.push_str(&rules);
    }
    text
}

/// Name of a service for a flow: of the catalogue where it has one with these ports, else one with its definition.
fn service(flow: &SeenFlow) -> (String, Option<String>) {
    let Some(port) = flow.port else { return ("ping".to_owned(), Some("{ transport: icmp }".to_owned())) };
    let range = PortRange { first: port, last: port };
    let known = catalogue::entries().iter().find(|entry| {
        let service = &entry.service;
        service.transport != Transport::Icmp
            && service.transport.name() == flow.transport
            && service.port == ServerPort::Set(vec![range])
            && (service.source_port == SourcePort::Same) == flow.same_port
    });
    if let Some(entry) = known {
        return (entry.service.name.clone(), None);
    }
    let source = if flow.same_port { ", source_port: same" } else { "" };
    let transport = &flow.transport;
    (format!("{transport}-{port}"), Some(format!("{{ transport: {transport}, port: {port}{source} }}")))
}
