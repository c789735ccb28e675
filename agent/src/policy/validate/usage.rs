//! What nothing refers to, and what is stated but not enforced yet.

use crate::policy::codes;
use crate::policy::diagnostic::{Diagnostic, Diagnostics};
use crate::policy::model::Reply;
use crate::policy::resolve::{DEFAULT_WINDOW, Resolved};
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
    for (id, (service, site)) in services {
        if !sites.used_services.contains(&id) {
            unused("service", &service.name, site.name, "no rule names it", diagnostics);
        }
        if let Some(span) = site.direction {
            later("direction", span, "only addresses and ports tell who asks", diagnostics);
        }
        if let Some(span) = site.reply.filter(|_| service.reply != Reply::Window(DEFAULT_WINDOW)) {
            later("reply", span, "answers pass with and without a request", diagnostics);
        }
    }
}

fn unused(kind: &str, name: &str, span: Span, why: &str, diagnostics: &mut Diagnostics) {
    diagnostics.push(
        Diagnostic::new(&codes::UNUSED, format!("{kind} `{name}` is not used: {why}"))
            .label(span, "")
            .help("remove it, or use it"),
    );
}

fn later(key: &str, span: Span, until_then: &str, diagnostics: &mut Diagnostics) {
    diagnostics.push(
        Diagnostic::new(
            &codes::NOT_YET_ENFORCED,
            format!("`{key}` is recorded, but this version does not enforce it"),
        )
        .label(span, "")
        .help(format!("it comes with the next version; until then {until_then}")),
    );
}
