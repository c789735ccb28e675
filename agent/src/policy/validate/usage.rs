//! What nothing refers to, and what is stated but not enforced yet.

use crate::policy::codes;
use crate::policy::diagnostic::{Diagnostic, Diagnostics, not_yet_enforced};
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
            diagnostics.push(not_yet_enforced("direction", span, "only addresses and ports tell who asks"));
        }
        if let Some(span) = site.reply.filter(|_| service.reply != Reply::Window(DEFAULT_WINDOW)) {
            diagnostics.push(not_yet_enforced("reply", span, "answers pass with and without a request"));
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
