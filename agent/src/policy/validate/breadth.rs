//! Services and rules that allow more than a plant's devices need.

use std::collections::BTreeSet;

use crate::policy::codes;
use crate::policy::diagnostic::{Diagnostic, Diagnostics};
use crate::policy::intervals::{AddressSet, Interval};
use crate::policy::model::{PortRange, ServerPort, Service, SourcePort};
use crate::policy::resolve::Resolved;
use crate::policy::source::Span;
use banchi_common::abi::Transport;

/// More server ports than this in one service want a reason.
const MANY_PORTS: u32 = 1000;

pub(super) fn check(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let (policy, sites) = (&resolved.policy, &resolved.sites);
    for (id, (service, site)) in policy.services.iter().zip(&sites.services).enumerate() {
        if let Some(span) = site.port.filter(|_| sites.used_services.contains(&id)) {
            ports(service, span, diagnostics);
        }
        if let Some(span) = site.reply_from.filter(|_| sites.used_services.contains(&id)) {
            reply_ports(service, span, diagnostics);
        }
    }
    clients(resolved, diagnostics);
}

fn ports(service: &Service, span: Span, diagnostics: &mut Diagnostics) {
    if service.transport == Transport::Icmp {
        return;
    }
    let name = &service.name;
    let (message, help) = match &service.port {
        ServerPort::Any if service.source_port == SourcePort::Any => (
            format!("service `{name}` allows every port on both sides"),
            "a client can reach everything that its servers offer; list the ports that they use",
        ),
        ServerPort::Any => (
            format!("service `{name}` allows every port of its servers"),
            "a client can reach everything that its servers offer; list the ports that they use",
        ),
        ServerPort::Set(ranges) => {
            let count = count(ranges);
            if count <= MANY_PORTS {
                return;
            }
            (
                format!("service `{name}` allows {count} ports of its servers"),
                "few devices need more than some dozen; list those that are used",
            )
        }
        ServerPort::Linked { .. } | ServerPort::ByAddress(_) => return,
    };
    diagnostics.push(Diagnostic::new(&codes::BROAD_SERVICE, message).label(span, "").help(help));
}

fn reply_ports(service: &Service, span: Span, diagnostics: &mut Diagnostics) {
    let count = count(&service.reply_from);
    if count <= MANY_PORTS {
        return;
    }
    diagnostics.push(
        Diagnostic::new(
            &codes::BROAD_SERVICE,
            format!("answers of service `{}` may come from {count} ports", service.name),
        )
        .label(span, "")
        .help("only the window of the question limits such answers; list the ports if the devices have few"),
    );
}

fn count(ranges: &[PortRange]) -> u32 {
    ranges.iter().map(|range| u32::from(range.last) - u32::from(range.first) + 1).sum()
}

/// Clients that are everything in a zone. Said once for each mention.
fn clients(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let mut said: BTreeSet<Span> = BTreeSet::new();
    for (rule, site) in resolved.policy.rules.iter().zip(&resolved.sites.rules) {
        for (id, span) in rule.clients.iter().zip(&site.clients) {
            let Some(asset) = resolved.policy.assets.get(*id) else { continue };
            let Some(zone) = resolved.policy.zones.get(asset.zone).filter(|zone| !zone.is_gateway) else {
                continue;
            };
            let addresses: AddressSet = asset.addresses.iter().map(Interval::of).collect();
            let whole = zone.networks.iter().find(|network| {
                network.prefix_len() < network.max_prefix_len()
                    && addresses.contains(&Interval::network(network))
            });
            if let (Some(network), true) = (whole, said.insert(*span)) {
                diagnostics.push(
                    Diagnostic::new(
                        &codes::BROAD_RULE,
                        format!(
                            "`{}` is all of {network}: every device in zone `{}` may ask",
                            asset.name, zone.name
                        ),
                    )
                    .label(*span, "")
                    .help("name the devices that ask, so that a new or taken-over one in the zone cannot"),
                );
            }
        }
    }
}
