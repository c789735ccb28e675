//! What nothing refers to.

use crate::policy::codes;
use crate::policy::diagnostic::{Diagnostic, Diagnostics};
use crate::policy::resolve::Resolved;
use crate::policy::source::Span;

pub(super) fn check(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let (policy, sites) = (&resolved.policy, &resolved.sites);
    let zones = policy.zones.iter().zip(&sites.zones).enumerate();
    for (_, (zone, site)) in zones.filter(|(id, _)| !sites.used_zones.contains(id)) {
        unused("zone", &zone.name, site.name, "no asset lives in it and no conduit leads to it", diagnostics);
    }
    let assets = policy.assets.iter().zip(&sites.assets).enumerate();
    for (_, (asset, site)) in assets.filter(|(id, _)| !sites.used_assets.contains(id)) {
        unused("asset", &asset.name, site.name, "no rule names it", diagnostics);
    }
    let services = policy.services.iter().zip(&sites.services).enumerate();
    for (_, (service, site)) in services.filter(|(id, _)| !sites.used_services.contains(id)) {
        unused("service", &service.name, site.name, "no rule names it", diagnostics);
    }
}

fn unused(kind: &str, name: &str, span: Span, why: &str, diagnostics: &mut Diagnostics) {
    diagnostics.push(
        Diagnostic::new(&codes::UNUSED, format!("{kind} `{name}` is not used: {why}"))
            .label(span, "")
            .help("remove it, or use it"),
    );
}
