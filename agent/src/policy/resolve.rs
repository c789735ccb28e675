//! Names to indices: the syntax becomes a policy whose references all point at something, and a map back
//! to the text for whoever checks it next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use banchi_common::abi::Transport;
use ipnet::IpNet;

use super::codes;
use super::diagnostic::{Diagnostic, Diagnostics, suggest};
use super::model;
use super::ports;
use super::source::{Source, Span, Spanned};
use super::syntax;
use super::words::Name;

/// Name of the zone and of the asset that stand for the gateway itself.
pub(crate) const GATEWAY: &str = "gateway";

/// How long an answer may take where the policy does not say.
pub(crate) const DEFAULT_WINDOW: Duration = Duration::from_secs(30);

/// A policy without dangling names, and where its parts stand in the text.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) policy: model::Policy,
    pub(crate) sites: Sites,
}

/// Where the parts of a policy stand. Each list runs beside the one of the same name in the policy.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    pub(crate) zones: Vec<ZoneSite>,
    pub(crate) assets: Vec<AssetSite>,
    pub(crate) services: Vec<ServiceSite>,
    pub(crate) conduits: Vec<ConduitSite>,
    pub(crate) rules: Vec<RuleSite>,
    /// Zones, assets and services that something refers to, by index.
    pub(crate) used_zones: BTreeSet<usize>,
    pub(crate) used_assets: BTreeSet<usize>,
    pub(crate) used_services: BTreeSet<usize>,
}

#[derive(Debug)]
pub(crate) struct ZoneSite {
    pub(crate) name: Span,
    /// Whether a part of it was refused, so that its networks are not all known.
    pub(crate) refused: bool,
    pub(crate) interfaces: Vec<Span>,
    pub(crate) vlans: Vec<Span>,
    pub(crate) networks: Vec<Span>,
}

#[derive(Debug)]
pub(crate) struct AssetSite {
    pub(crate) name: Span,
    pub(crate) addresses: Vec<Span>,
    pub(crate) mac: Option<Span>,
}

#[derive(Debug)]
pub(crate) struct ServiceSite {
    pub(crate) name: Span,
    pub(crate) port: Option<Span>,
    pub(crate) direction: Option<Span>,
    pub(crate) reply: Option<Span>,
    /// Entries of its `by_address` table.
    pub(crate) table: BTreeMap<IpAddr, Span>,
}

#[derive(Debug)]
pub(crate) struct ConduitSite {
    pub(crate) zones: Span,
}

#[derive(Debug)]
pub(crate) struct RuleSite {
    pub(crate) whole: Span,
    pub(crate) clients: Vec<Span>,
    pub(crate) servers: Vec<Span>,
}

/// Names of one kind. A name whose definition has errors is known, but stands for nothing.
struct Names {
    kind: &'static str,
    ids: BTreeMap<String, Option<usize>>,
}

impl Names {
    fn new(kind: &'static str) -> Self {
        Self { kind, ids: BTreeMap::new() }
    }

    fn find(&self, name: &Spanned<Name>, diagnostics: &mut Diagnostics) -> Option<usize> {
        let text = name.value.0.as_str();
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let help = if text == GATEWAY {
            "the gateway's own addresses are known by this name once they are declared: \
             `gateway: { addresses: [10.10.0.1] }`"
                .to_owned()
        } else {
            let names: Vec<&str> = self.ids.keys().map(String::as_str).collect();
            suggest(text, &format!("{}s", self.kind), &names)
        };
        diagnostics.push(
            Diagnostic::new(&codes::UNKNOWN_NAME, format!("there is no {} `{text}`", self.kind))
                .label(name.span, "")
                .help(help),
        );
        None
    }
}

/// Resolves a policy. Parts with errors are left out of the result.
pub(crate) fn resolve(file: &syntax::Policy, source: &Source<'_>, diagnostics: &mut Diagnostics) -> Resolved {
    let mut resolver = Resolver {
        policy: model::Policy {
            forwarding: model::Forwarding::Stack,
            default_mode: model::Mode::Alert,
            zones: Vec::new(),
            assets: Vec::new(),
            services: Vec::new(),
            conduits: Vec::new(),
            rules: Vec::new(),
        },
        sites: Sites::default(),
        zones: Names::new("zone"),
        assets: Names::new("asset"),
        services: Names::new("service"),
        on_agent_loss: model::OnAgentLoss::Keep,
        source,
        diagnostics,
    };
    resolver.head(file);
    resolver.zones(&file.zones.value.0);
    resolver.assets(&file.assets.value.0);
    resolver.gateway(file.gateway.as_ref());
    resolver.services(&file.services.value.0);
    resolver.conduits(&file.conduits.value.0);
    if file.conduits.value.0.iter().all(|conduit| conduit.value.rules().is_empty())
        && !resolver.diagnostics.has_errors()
    {
        resolver.diagnostics.push(
            Diagnostic::new(&codes::EMPTY_POLICY, "the policy has no rule")
                .label(file.conduits.span, "")
                .help("add at least one rule: `allow: [{ client: .., server: .., service: .. }]`"),
        );
    }
    Resolved { policy: resolver.policy, sites: resolver.sites }
}

struct Resolver<'r, 't> {
    policy: model::Policy,
    sites: Sites,
    zones: Names,
    assets: Names,
    services: Names,
    on_agent_loss: model::OnAgentLoss,
    source: &'r Source<'t>,
    diagnostics: &'r mut Diagnostics,
}

type Defined<T> = (Spanned<Name>, Option<T>);

impl Resolver<'_, '_> {
    fn head(&mut self, file: &syntax::Policy) {
        if let Some(forwarding) = file.gateway.as_ref().and_then(|gateway| gateway.value.forwarding.as_ref())
        {
            self.policy.forwarding = forwarding.value;
        }
        if let Some(defaults) = &file.defaults {
            if let Some(mode) = &defaults.value.mode {
                self.policy.default_mode = mode.value;
            }
            if let Some(reaction) = &defaults.value.on_agent_loss {
                self.on_agent_loss = reaction.value;
            }
        }
    }

    /// Whether `name` may be defined by the policy.
    fn free(&mut self, name: &Spanned<Name>, kind: &str) -> bool {
        if name.value.0 != GATEWAY {
            return true;
        }
        self.diagnostics.push(
            Diagnostic::new(&codes::RESERVED_NAME, format!("no {kind} can be called `{GATEWAY}`"))
                .label(name.span, "")
                .help(
                    "the name stands for the gateway itself; declare its addresses with \
                     `gateway: { addresses: [..] }`, or choose another name",
                ),
        );
        false
    }

    fn zones(&mut self, zones: &[Defined<syntax::Zone>]) {
        for (name, zone) in zones {
            if !self.free(name, "zone") {
                continue;
            }
            let Some(zone) = zone else {
                self.zones.ids.insert(name.value.0.clone(), None);
                continue;
            };
            let vlans = zone.vlans.as_ref().map_or([].as_slice(), |vlans| &vlans.value.0);
            let interfaces = &zone.interfaces.value.0;
            let networks = &zone.networks.value.0;
            self.zones.ids.insert(name.value.0.clone(), Some(self.policy.zones.len()));
            self.policy.zones.push(model::Zone {
                name: name.value.0.clone(),
                interfaces: interfaces.iter().map(|interface| interface.value.0.clone()).collect(),
                vlans: vlans.iter().map(|vlan| vlan.value).collect(),
                networks: networks.iter().map(|network| network.value.0).collect(),
                is_gateway: false,
            });
            self.sites.zones.push(ZoneSite {
                name: name.span,
                refused: zone.refused,
                interfaces: spans(interfaces),
                vlans: spans(vlans),
                networks: spans(networks),
            });
        }
    }

    fn assets(&mut self, assets: &[Defined<syntax::Asset>]) {
        for (name, asset) in assets {
            if !self.free(name, "asset") {
                continue;
            }
            let id = asset.as_ref().and_then(|asset| self.asset(name, asset));
            self.assets.ids.insert(name.value.0.clone(), id);
        }
    }

    fn asset(&mut self, name: &Spanned<Name>, asset: &syntax::Asset) -> Option<usize> {
        let zone = self.zones.find(&asset.zone, self.diagnostics);
        let addresses: Vec<Spanned<model::Addresses>> = match (&asset.address, &asset.addresses) {
            (Some(address), None) => vec![address.clone()],
            (None, Some(list)) => list.value.0.clone(),
            (Some(address), Some(list)) => {
                self.diagnostics.push(
                    Diagnostic::new(
                        &codes::CONFLICTING_KEYS,
                        format!("asset `{}` has both `address` and `addresses`", name.value.0),
                    )
                    .label(address.span, "")
                    .label(list.span, "")
                    .help("put all of them into `addresses`, and remove `address`"),
                );
                return None;
            }
            (None, None) => {
                // A value that was refused has been reported already.
                if !asset.refused {
                    self.diagnostics.push(
                        Diagnostic::new(
                            &codes::MISSING_KEY,
                            format!("asset `{}` has no address", name.value.0),
                        )
                        .label(name.span, "")
                        .help("add `address: 10.20.0.11`, or a list: `addresses: [10.20.0.11, 10.20.0.12]`"),
                    );
                }
                return None;
            }
        };
        let zone = zone?;
        self.sites.used_zones.insert(zone);
        self.policy.assets.push(model::Asset {
            name: name.value.0.clone(),
            zone,
            addresses: addresses.iter().map(|address| address.value.clone()).collect(),
            mac: asset.mac.as_ref().map(|mac| mac.value.0),
        });
        self.sites.assets.push(AssetSite {
            name: name.span,
            addresses: spans(&addresses),
            mac: asset.mac.as_ref().map(|mac| mac.span),
        });
        Some(self.policy.assets.len() - 1)
    }

    /// The gateway's own addresses become the last zone and the last asset.
    fn gateway(&mut self, gateway: Option<&Spanned<syntax::Gateway>>) {
        let Some(addresses) = gateway.and_then(|gateway| gateway.value.addresses.as_ref()) else {
            return;
        };
        let hosts = &addresses.value.0;
        let zone = self.policy.zones.len();
        self.zones.ids.insert(GATEWAY.to_owned(), Some(zone));
        self.assets.ids.insert(GATEWAY.to_owned(), Some(self.policy.assets.len()));
        self.sites.used_zones.insert(zone);
        self.sites.used_assets.insert(self.policy.assets.len());
        self.policy.zones.push(model::Zone {
            name: GATEWAY.to_owned(),
            interfaces: Vec::new(),
            vlans: Vec::new(),
            networks: hosts.iter().map(|host| IpNet::from(host.value.0)).collect(),
            is_gateway: true,
        });
        self.sites.zones.push(ZoneSite {
            name: addresses.span,
            refused: false,
            interfaces: Vec::new(),
            vlans: Vec::new(),
            networks: spans(hosts),
        });
        self.policy.assets.push(model::Asset {
            name: GATEWAY.to_owned(),
            zone,
            addresses: hosts.iter().map(|host| model::Addresses::Host(host.value.0)).collect(),
            mac: None,
        });
        self.sites.assets.push(AssetSite { name: addresses.span, addresses: spans(hosts), mac: None });
    }

    fn services(&mut self, services: &[Defined<syntax::Service>]) {
        for (name, service) in services {
            let id = service.as_ref().and_then(|service| self.service(name, service));
            self.services.ids.insert(name.value.0.clone(), id);
        }
    }

    fn service(&mut self, name: &Spanned<Name>, service: &syntax::Service) -> Option<usize> {
        let transport = service.transport.value;
        let applicable = self.keys_fit(transport, service);
        let port = match &service.port {
            Some(port) => self.server_port(&port.value),
            None if transport == Transport::Icmp => model::ServerPort::Any,
            None => {
                // A value that was refused has been reported already.
                if !service.refused {
                    self.diagnostics.push(
                        Diagnostic::new(
                            &codes::MISSING_KEY,
                            format!("service `{}` does not say which port", name.value.0),
                        )
                        .label(name.span, "")
                        .help("add `port: 502`, or `port: any` where every port is meant"),
                    );
                }
                return None;
            }
        };
        if !applicable {
            return None;
        }
        let table = match service.port.as_ref().map(|port| &port.value) {
            Some(ports::ServerPort::ByAddress(entries)) => {
                entries.iter().map(|(host, _)| (host.value.0, host.span)).collect()
            }
            _ => BTreeMap::new(),
        };
        let source_port = service.source_port.as_ref();
        let source_port = source_port.map_or(model::SourcePort::Any, |port| self.source_port(&port.value));
        self.policy.services.push(model::Service {
            name: name.value.0.clone(),
            transport,
            port,
            source_port,
            direction: service.direction.as_ref().map(|direction| resolve_direction(&direction.value)),
            reply: service.reply.as_ref().map_or(model::Reply::Window(DEFAULT_WINDOW), |reply| match &reply
                .value
            {
                syntax::Reply::Window(window) => model::Reply::Window(window.window.value.0),
                syntax::Reply::Free => model::Reply::Free,
                syntax::Reply::None => model::Reply::None,
            }),
        });
        self.sites.services.push(ServiceSite {
            name: name.span,
            port: service.port.as_ref().map(|port| port.span),
            direction: service.direction.as_ref().map(|direction| direction.span),
            reply: service.reply.as_ref().map(|reply| reply.span),
            table,
        });
        Some(self.policy.services.len() - 1)
    }

    fn keys_fit(&mut self, transport: Transport, service: &syntax::Service) -> bool {
        let icmp = transport == Transport::Icmp;
        let places = [
            ("port", service.port.as_ref().map(|port| port.span), icmp, "icmp has no ports"),
            ("source_port", service.source_port.as_ref().map(|port| port.span), icmp, "icmp has no ports"),
            (
                "direction",
                service.direction.as_ref().map(|it| it.span),
                icmp,
                "icmp itself says what is a request",
            ),
            (
                "reply",
                service.reply.as_ref().map(|reply| reply.span),
                transport != Transport::Udp,
                "only udp has answers without a connection",
            ),
        ];
        let mut fit = true;
        for (key, span, refused, why) in places {
            if let (Some(span), true) = (span, refused) {
                fit = false;
                self.diagnostics.push(
                    Diagnostic::new(
                        &codes::KEY_NOT_APPLICABLE,
                        format!("`{key}` does not apply here: {why}"),
                    )
                    .label(span, "")
                    .help(format!("remove `{key}`")),
                );
            }
        }
        fit
    }

    fn server_port(&mut self, port: &ports::ServerPort) -> model::ServerPort {
        match port {
            ports::ServerPort::Any => model::ServerPort::Any,
            ports::ServerPort::Set(list) => model::ServerPort::Set(ports::merge(list, self.diagnostics)),
            ports::ServerPort::Linked(linked) => model::ServerPort::Linked {
                base: linked.base.value.0,
                octet: linked.octet.value.0,
                step: linked.step.as_ref().map_or(1, |step| step.value.0),
            },
            ports::ServerPort::ByAddress(entries) => model::ServerPort::ByAddress(
                entries.iter().map(|(host, port)| (host.value.0, port.value)).collect(),
            ),
        }
    }

    fn source_port(&mut self, port: &ports::SourcePort) -> model::SourcePort {
        match port {
            ports::SourcePort::Any => model::SourcePort::Any,
            ports::SourcePort::Ephemeral => model::SourcePort::Ephemeral,
            ports::SourcePort::Same => model::SourcePort::Same,
            ports::SourcePort::Set(list) => model::SourcePort::Set(ports::merge(list, self.diagnostics)),
        }
    }

    fn conduits(&mut self, conduits: &[Spanned<syntax::Conduit>]) {
        let mut taken: BTreeMap<String, Span> = BTreeMap::new();
        let mut rule_names: BTreeMap<String, Span> = BTreeMap::new();
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
                        numbered(base, |name| taken.contains_key(name) || written.contains(name))
                    }
                };
                taken.entry(name.clone()).or_insert(conduit.span);
                self.sites.used_zones.extend([a, b]);
                id = Some(self.policy.conduits.len());
                self.policy.conduits.push(model::Conduit {
                    name,
                    zones: (a, b),
                    ordered: ends.ordered,
                    mode: conduit.value.mode.as_ref().map_or(self.policy.default_mode, |mode| mode.value),
                    on_agent_loss: conduit
                        .value
                        .on_agent_loss
                        .as_ref()
                        .map_or(self.on_agent_loss, |reaction| reaction.value),
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

    fn rule(
        &mut self,
        rule: &Spanned<syntax::Rule>,
        conduit: Option<usize>,
        names: &mut BTreeMap<String, Span>,
    ) {
        let clients = self.members(&rule.value.client.value.0);
        let servers = self.members(&rule.value.server.value.0);
        let services: Vec<usize> = rule
            .value
            .service
            .value
            .0
            .iter()
            .filter_map(|name| self.services.find(name, self.diagnostics))
            .collect();
        self.sites.used_services.extend(services.iter().copied());
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
                    numbered(base, |name| names.contains_key(name))
                }
            };
            names.entry(name.clone()).or_insert(rule.span);
            self.policy.rules.push(model::Rule {
                name,
                conduit,
                client_zone,
                server_zone,
                clients: clients.iter().map(|(id, _)| *id).collect(),
                servers: servers.iter().map(|(id, _)| *id).collect(),
                service,
                mode: rule.value.mode.as_ref().map(|mode| mode.value),
                line: self.source.line_of(rule.span.start) + 1,
            });
            self.sites.rules.push(RuleSite {
                whole: rule.span,
                clients: clients.iter().map(|(_, span)| *span).collect(),
                servers: servers.iter().map(|(_, span)| *span).collect(),
            });
        }
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

    fn unique(&mut self, kind: &str, name: &Spanned<Name>, taken: &mut BTreeMap<String, Span>) {
        if let Some(first) = taken.insert(name.value.0.clone(), name.span) {
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

fn resolve_direction(direction: &syntax::Direction) -> model::Direction {
    match direction {
        syntax::Direction::Named(protocol) => model::Direction::Named(protocol.0.to_owned()),
        syntax::Direction::Custom(custom) => model::Direction::Custom {
            at: custom.at.value.0,
            mask: custom.mask.value.0,
            request: custom.request.value.0,
            response: custom.response.value.0,
        },
    }
}

fn spans<T>(items: &[Spanned<T>]) -> Vec<Span> {
    items.iter().map(|item| item.span).collect()
}

/// `base`, or `base #2`, `base #3`, .. until it is not taken.
fn numbered(base: String, taken: impl Fn(&str) -> bool) -> String {
    if !taken(&base) {
        return base;
    }
    (2_usize..).map(|number| format!("{base} #{number}")).find(|name| !taken(name)).unwrap_or(base)
}
