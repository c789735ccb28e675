//! Names to indices: the syntax becomes a policy whose references all point at something, and a map back
//! to the text for whoever checks it next.

mod conduits;
mod names;
mod services;
mod sites;

pub(crate) use services::define;
pub(crate) use sites::{AssetSite, Resolved, RuleSite, ZoneSite};

use std::time::Duration;

use ipnet::IpNet;

use super::codes;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::model;
use super::source::{Source, Span, Spanned};
use super::syntax;
use super::words::{Name, Time};
use names::Names;
use sites::Sites;

/// Name of the zone and of the asset that stand for the gateway itself.
pub(crate) const GATEWAY: &str = "gateway";

/// The agent is heard of every second, and less often on a busy machine.
const SHORTEST_LOSS: Duration = Duration::from_secs(5);
/// How long an answer may take where the policy does not say.
pub(crate) const DEFAULT_WINDOW: Duration = Duration::from_secs(30);

/// Resolves a policy. Parts with errors are left out of the result.
pub(crate) fn resolve(file: &syntax::Policy, source: &Source<'_>, diagnostics: &mut Diagnostics) -> Resolved {
    let mut resolver = Resolver {
        policy: model::Policy {
            forwarding: model::Forwarding::Stack,
            wires: Vec::new(),
            default_mode: model::Mode::Alert,
            default_agent_loss: model::AgentLoss::default(),
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
        source,
        diagnostics,
    };
    resolver.head(file);
    resolver.zones(&file.zones.value.0);
    resolver.assets(&file.assets.value.0);
    resolver.gateway(file.gateway.as_ref());
    resolver.services(file.services.as_ref().map_or(&[], |services| &services.value.0));
    resolver.conduits(&file.conduits.value.0);
    Resolved { policy: resolver.policy, sites: resolver.sites }
}

struct Resolver<'r, 't> {
    policy: model::Policy,
    sites: Sites,
    zones: Names,
    assets: Names,
    services: Names,
    source: &'r Source<'t>,
    diagnostics: &'r mut Diagnostics,
}

type Defined<T> = (Spanned<Name>, Option<T>);

impl Resolver<'_, '_> {
    fn head(&mut self, file: &syntax::Policy) {
        if let Some(gateway) = &file.gateway {
            self.forwarding(&gateway.value);
        }
        if let Some(defaults) = &file.defaults {
            if let Some(mode) = &defaults.value.mode {
                self.policy.default_mode = mode.value;
            }
            let (then, after) = (&defaults.value.on_agent_loss, &defaults.value.agent_loss_after);
            self.policy.default_agent_loss =
                self.agent_loss(then.as_ref(), after.as_ref(), self.policy.default_mode);
        }
    }

    fn forwarding(&mut self, gateway: &syntax::Gateway) {
        if let Some(forwarding) = &gateway.forwarding {
            self.policy.forwarding = forwarding.value;
            self.sites.forwarding = Some(forwarding.span);
        }
        self.sites.refused_wires = gateway.refused;
        let Some(wires) = &gateway.wires else { return };
        self.sites.wires_key = Some(wires.span);
        for wire in &wires.value.0 {
            let [one, other] = &wire.value.0;
            self.policy.wires.push((one.value.0.clone(), other.value.0.clone()));
            self.sites.wires.push([one.span, other.span]);
        }
    }

    /// What happens when the agent is gone, where the defaults are as far as they are known.
    fn agent_loss(
        &mut self,
        then: Option<&Spanned<model::OnAgentLoss>>,
        after: Option<&Spanned<Time>>,
        mode: model::Mode,
    ) -> model::AgentLoss {
        let mut loss = self.policy.default_agent_loss;
        if let Some(then) = then {
            loss.then = then.value;
            if then.value == model::OnAgentLoss::Closed && mode == model::Mode::Alert {
                self.diagnostics.push(
                    Diagnostic::new(
                        &codes::CLOSED_IN_ALERT,
                        "`on_agent_loss: closed` closes nothing in mode `alert`",
                    )
                    .label(then.span, "")
                    .help("what would be dropped is reported; it is dropped once the mode is `enforce`"),
                );
            }
        }
        if let Some(after) = after {
            loss.after = after.value.0;
            if loss.after < SHORTEST_LOSS {
                self.diagnostics.push(
                    Diagnostic::new(&codes::INVALID_DURATION, "the agent cannot be missed that soon")
                        .label(after.span, "")
                        .help("it is heard of every second, and a busy gateway may take some more: 5s or longer"),
                );
            }
        }
        loss
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
                self.sites.lost_zones = true;
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
}

fn spans<T>(items: &[Spanned<T>]) -> Vec<Span> {
    items.iter().map(|item| item.span).collect()
}
