//! Clients and servers of a rule stand in the zones of its conduit.

use crate::policy::codes;
use crate::policy::diagnostic::{Diagnostic, Diagnostics};
use crate::policy::model::{Conduit, Rule};
use crate::policy::resolve::{Resolved, RuleSite};
use crate::policy::source::Span;
use crate::policy::validate::addresses::is_destination;

pub(crate) fn check(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let mut previous: Option<Span> = None;
    for (rule, site) in resolved.policy.rules.iter().zip(&resolved.sites.rules) {
        let Some(conduit) = resolved.policy.conduits.get(rule.conduit) else { continue };
        let checker = Checker { resolved, conduit };
        checker.peer(rule, site, diagnostics);
        // The ends of a rule of several services have been looked at with its first.
        if previous.replace(site.whole) == Some(site.whole) {
            continue;
        }
        let one_zone =
            checker.one_zone("clients", &rule.clients, &site.clients, rule.client_zone, diagnostics)
                & checker.one_zone("servers", &rule.servers, &site.servers, rule.server_zone, diagnostics);
        if one_zone {
            checker.across(rule, site, diagnostics);
        }
        checker.groups(rule, site, diagnostics);
        checker.reply_to(rule, site, diagnostics);
    }
}

struct Checker<'p> {
    resolved: &'p Resolved,
    conduit: &'p Conduit,
}

impl Checker<'_> {
    fn zone(&self, id: usize) -> &str {
        self.resolved.policy.zones.get(id).map_or("", |zone| zone.name.as_str())
    }

    fn one_zone(
        &self,
        side: &str,
        members: &[usize],
        spans: &[Span],
        zone: usize,
        diagnostics: &mut Diagnostics,
    ) -> bool {
        let assets = members.iter().filter_map(|id| self.resolved.policy.assets.get(*id));
        let Some((asset, span)) = assets.zip(spans).find(|(asset, _)| asset.zone != zone) else {
            return true;
        };
        diagnostics.push(
            Diagnostic::new(
                &codes::MIXED_ZONES,
                format!(
                    "the {side} of this rule are in different zones: `{}` is in `{}`, the first one in `{}`",
                    asset.name,
                    self.zone(asset.zone),
                    self.zone(zone)
                ),
            )
            .label(*span, "")
            .help("write one rule for each zone, each in the conduit of that zone"),
        );
        false
    }

    fn across(&self, rule: &Rule, site: &RuleSite, diagnostics: &mut Diagnostics) {
        let (a, b) = self.conduit.zones;
        let (client, server) = (rule.client_zone, rule.server_zone);
        if (client, server) == (a, b) || (!self.conduit.ordered && (client, server) == (b, a)) {
            return;
        }
        let (a_name, b_name) = (self.zone(a), self.zone(b));
        let place = |spans: &[Span]| spans.first().copied().unwrap_or(site.whole);
        let (span, message, help) = if (client, server) == (b, a) {
            (
                place(&site.clients),
                format!("this conduit goes from `{a_name}` to `{b_name}`, but the client is in `{b_name}`"),
                format!(
                    "swap client and server, put the rule into a conduit from `{b_name}`, or write \
                     `between: [{a_name}, {b_name}]` for both ways"
                ),
            )
        } else if client == server {
            (
                place(&site.servers),
                format!("client and server are both in zone `{}`", self.zone(client)),
                "traffic within a zone does not cross the gateway; remove the rule".to_owned(),
            )
        } else {
            let outside = |zone: usize| zone != a && zone != b;
            let (span, side, zone) = if outside(client) {
                (place(&site.clients), "client", client)
            } else {
                (place(&site.servers), "server", server)
            };
            let zone = self.zone(zone);
            (
                span,
                format!("the {side} is in zone `{zone}`, but this conduit joins `{a_name}` and `{b_name}`"),
                format!(
                    "put the rule into a conduit between `{}` and `{}`",
                    self.zone(client),
                    self.zone(server)
                ),
            )
        };
        diagnostics.push(Diagnostic::new(&codes::WRONG_CONDUIT, message).label(span, "").help(help));
    }

    /// Answers go to groups in the clients' zone.
    fn reply_to(&self, rule: &Rule, site: &RuleSite, diagnostics: &mut Diagnostics) {
        for (id, span) in rule.reply_to.iter().zip(&site.reply_to) {
            let Some(asset) = self.resolved.policy.assets.get(*id) else { continue };
            if asset.zone != rule.client_zone {
                let (zone, clients) = (self.zone(asset.zone), self.zone(rule.client_zone));
                diagnostics.push(
                    Diagnostic::new(
                        &codes::MIXED_ZONES,
                        format!("`{}` is in zone `{zone}`, but the clients are in `{clients}`", asset.name),
                    )
                    .label(*span, "")
                    .help(format!(
                        "answers go to the zone that asks: name a group or broadcast address of `{clients}`"
                    )),
                );
                continue;
            }
            if asset.addresses.iter().all(|addresses| is_destination(&self.resolved.policy, addresses)) {
                continue;
            }
            diagnostics.push(
                Diagnostic::new(
                    &codes::REPLY_TO_HOST,
                    format!(
                        "`{}` has addresses that are neither a group nor a broadcast address",
                        asset.name
                    ),
                )
                .label(*span, "")
                .help("a host that answers go to is one that asks: name it as a client"),
            );
        }
    }

    /// What both sides may ask needs a conduit for both ways.
    fn peer(&self, rule: &Rule, site: &RuleSite, diagnostics: &mut Diagnostics) {
        let Some(service) = self.resolved.policy.services.get(rule.service) else { return };
        if !(service.peer && self.conduit.ordered) {
            return;
        }
        let (a, b) = self.conduit.zones;
        diagnostics.push(
            Diagnostic::new(
                &codes::WRONG_CONDUIT,
                format!("both sides of service `{}` may ask, but this conduit goes one way", service.name),
            )
            .label(site.whole, "")
            .help(format!(
                "write `between: [{}, {}]`, or a service without `peer`",
                self.zone(a),
                self.zone(b)
            )),
        );
    }

    fn groups(&self, rule: &Rule, site: &RuleSite, diagnostics: &mut Diagnostics) {
        for (id, span) in rule.clients.iter().zip(&site.clients) {
            let Some(asset) = self.resolved.policy.assets.get(*id) else { continue };
            if asset.addresses.iter().any(|addresses| is_destination(&self.resolved.policy, addresses)) {
                diagnostics.push(
                    Diagnostic::new(
                        &codes::MULTICAST_CLIENT,
                        format!("`{}` has a group or broadcast address, which cannot ask", asset.name),
                    )
                    .label(*span, "")
                    .help("such an address is a destination only: name it as a server"),
                );
            }
        }
    }
}
