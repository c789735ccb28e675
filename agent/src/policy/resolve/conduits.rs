//! Conduits and their rules.

use std::collections::{BTreeMap, BTreeSet};

use crate::policy::diagnostic::{Diagnostic, Diagnostics};
use crate::policy::read::List;
use crate::policy::source::{Span, Spanned};
use crate::policy::words::Name;
use crate::policy::{codes, model, syntax};

use super::Resolver;
use super::names::Taken;
use super::sites::{ConduitSite, RuleSite};

impl Resolver<'_, '_> {
    pub(super) fn conduits(&mut self, conduits: &[Spanned<syntax::Conduit>]) {
        let mut taken = Taken::default();
        let mut rule_names = Taken::default();
        let written: BTreeSet<&str> = conduits
            .iter()
            .filter_map(|conduit| conduit.value.name.as_ref())
            .map(|name| name.value.0.as_str())
            .collect();
        for conduit in conduits {
            let ends = self.ends(conduit);
            let mut id = None;
            if let Some(ends) = ends {
                let (a, b) = ends.zones;
                let name = match &conduit.value.name {
                    Some(name) => {
                        self.unique("conduit", name, &mut taken);
                        name.value.0.clone()
                    }
                    None => {
                        let zone =
                            |id: usize| self.policy.zones.get(id).map_or("", |zone| zone.name.as_str());
                        let base = format!("{}-{}", zone(a), zone(b));
                        taken.numbered(base, |name| written.contains(name))
                    }
                };
                taken.spans.entry(name.clone()).or_insert(conduit.span);
                self.sites.used_zones.extend([a, b]);
                id = Some(self.policy.conduits.len());
                let mode = conduit.value.mode.as_ref().map_or(self.policy.default_mode, |mode| mode.value);
                let (then, after) = (&conduit.value.on_agent_loss, &conduit.value.agent_loss_after);
                let agent_loss = self.agent_loss(then.as_ref(), after.as_ref(), mode);
                let ethertypes = self.ethertypes(conduit.value.ethertypes.as_ref());
                self.policy.conduits.push(model::Conduit {
                    name,
                    zones: (a, b),
                    ordered: ends.ordered,
                    mode,
                    agent_loss,
                    ethertypes,
                });
                self.sites.conduits.push(ConduitSite { zones: ends.span });
            }
            for rule in conduit.value.rules() {
                self.rule(rule, id, &mut rule_names);
            }
        }
    }

    fn ends(&mut self, conduit: &Spanned<syntax::Conduit>) -> Option<Ends> {
        let value = &conduit.value;
        let refuse = |code, message: &str, diagnostics: &mut Diagnostics| {
            diagnostics.push(
                Diagnostic::new(code, message)
                    .label(conduit.span, "")
                    .help("write `between: [zone-a, zone-b]`, or `from: zone-a` and `to: zone-b`"),
            );
        };
        match (&value.between, &value.from, &value.to) {
            (Some(list), None, None) => {
                let [a, b] = list.value.0.as_slice() else {
                    if !value.refused || list.value.0.len() > 2 {
                        self.diagnostics.push(
                            Diagnostic::new(
                                &codes::INVALID_VALUE,
                                format!("a conduit joins two zones, not {}", list.value.0.len()),
                            )
                            .label(list.span, "")
                            .help("write one conduit for each pair of zones"),
                        );
                    }
                    return None;
                };
                self.pair(a, b, list.span, false)
            }
            (None, Some(a), Some(b)) => self.pair(a, b, a.span, true),
            (None, None, None) | (None, Some(_), None) | (None, None, Some(_)) => {
                if !value.refused {
                    refuse(&codes::MISSING_KEY, "a conduit needs its two zones", self.diagnostics);
                }
                None
            }
            (Some(_), _, _) => {
                refuse(&codes::CONFLICTING_KEYS, "`between` excludes `from` and `to`", self.diagnostics);
                None
            }
        }
    }

    fn pair(&mut self, a: &Spanned<Name>, b: &Spanned<Name>, span: Span, ordered: bool) -> Option<Ends> {
        let (first, second) = (self.zones.find(a, self.diagnostics), self.zones.find(b, self.diagnostics));
        let (first, second) = (first?, second?);
        if first == second {
            self.diagnostics.push(
                Diagnostic::new(
                    &codes::CONDUIT_WITHIN_ZONE,
                    format!("both ends of this conduit are zone `{}`", a.value.0),
                )
                .label(b.span, "")
                .help("traffic within a zone does not cross the gateway; name two zones, or split the zone"),
            );
            return None;
        }
        Some(Ends { zones: (first, second), ordered, span })
    }

    fn rule(&mut self, rule: &Spanned<syntax::Rule>, conduit: Option<usize>, names: &mut Taken) {
        let clients = self.members(&rule.value.client.value.0);
        let servers = self.members(&rule.value.server.value.0);
        let reply_to = rule.value.reply_to.as_ref().map_or([].as_slice(), |names| &names.value.0);
        let reply_to = self.members(reply_to);
        let services: Vec<usize> =
            rule.value.service.value.0.iter().filter_map(|name| self.find_service(name)).collect();
        self.sites.used_services.extend(services.iter().copied());
        if let Some(groups) = &rule.value.reply_to {
            self.is_answered(groups.span, &services);
        }
        if let Some(name) = &rule.value.name {
            self.unique("rule", name, names);
        }
        let (Some(conduit), Some(client_zone), Some(server_zone)) =
            (conduit, self.zone_of(&clients), self.zone_of(&servers))
        else {
            return;
        };
        let several = rule.value.service.value.0.len() > 1;
        for service in services {
            let service_name = self.policy.services.get(service).map_or("", |service| service.name.as_str());
            let name = match &rule.value.name {
                Some(name) if several => format!("{}: {service_name}", name.value.0),
                Some(name) => name.value.0.clone(),
                None => {
                    let base =
                        format!("{} > {} : {service_name}", self.listed(&clients), self.listed(&servers));
                    names.numbered(base, |_| false)
                }
            };
            names.spans.entry(name.clone()).or_insert(rule.span);
            self.policy.rules.push(model::Rule {
                name,
                conduit,
                client_zone,
                server_zone,
                clients: clients.iter().map(|(id, _)| *id).collect(),
                servers: servers.iter().map(|(id, _)| *id).collect(),
                service,
                reply_to: reply_to.iter().map(|(id, _)| *id).collect(),
                mode: rule.value.mode.as_ref().map(|mode| mode.value),
                line: self.source.line_of(rule.span.start) + 1,
                expires_s: None,
            });
            self.sites.rules.push(RuleSite {
                whole: rule.span,
                clients: clients.iter().map(|(_, span)| *span).collect(),
                servers: servers.iter().map(|(_, span)| *span).collect(),
                reply_to: reply_to.iter().map(|(_, span)| *span).collect(),
            });
        }
    }

    /// Says where none of the services of a rule has an answer that could go to a group.
    fn is_answered(&mut self, reply_to: Span, services: &[usize]) {
        let mut services = services.iter().filter_map(|id| self.policy.services.get(*id)).peekable();
        let answered = |service: &model::Service| {
            service.transport == model::Transport::Udp && service.reply != model::Reply::None
        };
        if services.peek().is_none() || services.any(answered) {
            return;
        }
        self.diagnostics.push(
            Diagnostic::new(
                &codes::KEY_NOT_APPLICABLE,
                "`reply_to` does not apply here: no service of this rule has answers over udp",
            )
            .label(reply_to, "")
            .help("only they can go to a group; remove `reply_to`"),
        );
    }

    /// Resolves the assets of one side of a rule, each once.
    fn members(&mut self, names: &[Spanned<Name>]) -> Vec<(usize, Span)> {
        let mut members: Vec<(usize, Span)> = Vec::with_capacity(names.len());
        let mut seen: BTreeMap<usize, Span> = BTreeMap::new();
        for name in names {
            let Some(id) = self.assets.find(name, self.diagnostics) else { continue };
            self.sites.used_assets.insert(id);
            if let Some(first) = seen.insert(id, name.span) {
                self.diagnostics.push(
                    Diagnostic::new(
                        &codes::REPEATED_ITEM,
                        format!("`{}` stands twice in the list", name.value.0),
                    )
                    .label(name.span, "again here")
                    .label(first, "first here")
                    .help("remove one of them"),
                );
            } else {
                members.push((id, name.span));
            }
        }
        members
    }

    /// Zone of the first member; the others are checked later.
    fn zone_of(&self, members: &[(usize, Span)]) -> Option<usize> {
        members.first().and_then(|(id, _)| self.policy.assets.get(*id)).map(|asset| asset.zone)
    }

    fn listed(&self, members: &[(usize, Span)]) -> String {
        const SHOWN: usize = 3;
        let names = members.iter().take(SHOWN).filter_map(|(id, _)| self.policy.assets.get(*id));
        let mut text = names.map(|asset| asset.name.as_str()).collect::<Vec<_>>().join(",");
        if members.len() > SHOWN {
            text.push_str(&format!("+{}", members.len() - SHOWN));
        }
        text
    }

    /// Protocols below IP, each once.
    fn ethertypes(&mut self, list: Option<&Spanned<List<model::Ethertype>>>) -> Vec<model::Ethertype> {
        let mut seen: BTreeMap<model::Ethertype, Span> = BTreeMap::new();
        for item in list.map_or([].as_slice(), |list| &list.value.0) {
            if let Some(first) = seen.insert(item.value, item.span) {
                self.diagnostics.push(
                    Diagnostic::new(&codes::REPEATED_ITEM, "this protocol stands twice in the list")
                        .label(item.span, "again here")
                        .label(first, "first here")
                        .help("remove one of them"),
                );
            }
        }
        seen.into_keys().collect()
    }

    fn unique(&mut self, kind: &str, name: &Spanned<Name>, taken: &mut Taken) {
        if let Some(first) = taken.spans.insert(name.value.0.clone(), name.span) {
            self.diagnostics.push(
                Diagnostic::new(&codes::DUPLICATE_NAME, format!("two {kind}s are called `{}`", name.value.0))
                    .label(name.span, "again here")
                    .label(first, "first here")
                    .help("rename one of them"),
            );
        }
    }
}

struct Ends {
    zones: (usize, usize),
    ordered: bool,
    span: Span,
}
