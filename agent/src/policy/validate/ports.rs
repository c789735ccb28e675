//! Port relations, for each server that a rule gives them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::policy::codes;
use crate::policy::diagnostic::{Diagnostic, Diagnostics};
use crate::policy::intervals::Interval;
use crate::policy::model::{Asset, Rule, ServerPort, Service};
use crate::policy::resolve::{Resolved, RuleSite};
use crate::policy::source::Span;

pub(super) fn check(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let mut served: BTreeMap<usize, BTreeSet<IpAddr>> = BTreeMap::new();
    for (rule, site) in resolved.policy.rules.iter().zip(&resolved.sites.rules) {
        let Some(service) = resolved.policy.services.get(rule.service) else { continue };
        match &service.port {
            ServerPort::Any | ServerPort::Set(_) => {}
            ServerPort::Linked { base, octet, step } => {
                let relation = Relation { service, base: *base, octet: *octet, step: *step };
                for (server, span) in servers(resolved, rule, site) {
                    relation.check(server, span, diagnostics);
                }
            }
            ServerPort::ByAddress(table) => {
                let served = served.entry(rule.service).or_default();
                for (server, span) in servers(resolved, rule, site) {
                    in_table(service, table, server, span, served, diagnostics);
                }
            }
        }
    }
    for (id, served) in served {
        let Some((service, site)) = resolved.policy.services.get(id).zip(resolved.sites.services.get(id))
        else {
            continue;
        };
        for (address, span) in site.table.iter().filter(|(address, _)| !served.contains(address)) {
            diagnostics.push(
                Diagnostic::new(
                    &codes::UNUSED_TABLE_ENTRY,
                    format!("{address} is no server of service `{}` in any rule", service.name),
                )
                .label(*span, "")
                .help("remove the entry, or add the address to an asset that serves it"),
            );
        }
    }
}

fn servers<'p>(
    resolved: &'p Resolved,
    rule: &'p Rule,
    site: &'p RuleSite,
) -> impl Iterator<Item = (&'p Asset, Span)> {
    let named = rule.servers.iter().zip(&site.servers);
    named.filter_map(|(id, span)| Some((resolved.policy.assets.get(*id)?, *span)))
}

struct Relation<'p> {
    service: &'p Service,
    base: u16,
    octet: u8,
    step: u16,
}

impl Relation<'_> {
    fn port(&self, octet: u8) -> u32 {
        u32::from(self.base) + u32::from(self.step) * u32::from(octet)
    }

    fn check(&self, server: &Asset, span: Span, diagnostics: &mut Diagnostics) {
        for addresses in &server.addresses {
            let interval = Interval::of(addresses);
            let name = &self.service.name;
            let Some((low, high)) = interval.octet(self.octet) else {
                diagnostics.push(
                    Diagnostic::new(
                        &codes::LINKED_OCTET,
                        format!(
                            "{} has no octet {}, which service `{name}` links its port to",
                            interval.first(),
                            self.octet
                        ),
                    )
                    .label(span, "")
                    .help(
                        "an IPv4 address has octets 1 to 4; write two services where both families are used",
                    ),
                );
                return;
            };
            let wrong = [low, high].into_iter().find(|octet| !(1..=65535).contains(&self.port(*octet)));
            if let Some(octet) = wrong {
                diagnostics.push(
                    Diagnostic::new(
                        &codes::LINKED_PORT_RANGE,
                        format!(
                            "service `{name}` gives `{}` the port {}, which is not in 1-65535: {} + {} x {octet}, its octet {}",
                            server.name, self.port(octet), self.base, self.step, self.octet
                        ),
                    )
                    .label(span, "")
                    .help("correct `base`, `octet` or `step`, or take the server out of the rule"),
                );
                return;
            }
        }
    }
}

fn in_table(
    service: &Service,
    table: &BTreeMap<IpAddr, u16>,
    server: &Asset,
    span: Span,
    served: &mut BTreeSet<IpAddr>,
    diagnostics: &mut Diagnostics,
) {
    let mut missing = Vec::new();
    let mut more = false;
    for addresses in &server.addresses {
        let interval = Interval::of(addresses);
        // One address more than the table has is enough to find one that is not in it.
        more |= interval.len() > table.len() as u128 + 1;
        for address in interval.addresses().take(table.len() + 1) {
            if table.contains_key(&address) {
                served.insert(address);
            } else {
                missing.push(address);
            }
        }
    }
    let Some(first) = missing.first() else { return };
    let others = match missing.len() - 1 {
        0 if !more => String::new(),
        count if !more => format!(" and {count} more of its addresses"),
        _ => " and many more of its addresses".to_owned(),
    };
    diagnostics.push(
        Diagnostic::new(
            &codes::NOT_IN_TABLE,
            format!("service `{}` has no port for {first}{others} of server `{}`", service.name, server.name),
        )
        .label(span, "")
        .help(format!("add `{first}: PORT` to its `by_address`, or take the server out of the rule")),
    );
}
