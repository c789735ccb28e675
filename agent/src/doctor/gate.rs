//! What is unsafe stands in the way of enforcing, unless somebody has accepted it.

use std::collections::BTreeSet;

use banchi_common::abi::Mode;

use super::facts::{InterfaceFacts, Wanted};
use super::finding::{Finding, Level};
use super::sight;
use crate::datapath::{DatapathError, XdpMode};
use crate::policy::model::Policy;

/// Mode of each conduit from 1, with what belongs to none at 0, and whether it was set by hand.
pub type Modes = Vec<(Mode, bool)>;

/// The modes that a policy itself gives.
pub fn modes_of(policy: &Policy) -> Modes {
    let conduits = policy.conduits.iter().map(|conduit| conduit.mode);
    std::iter::once(policy.default_mode).chain(conduits).map(|mode| (mode, false)).collect()
}

/// Interfaces whose packets may be dropped in these modes.
pub fn enforced_on(policy: &Policy, modes: &Modes) -> BTreeSet<String> {
    let mut zones = BTreeSet::new();
    for (number, (mode, by_hand)) in modes.iter().enumerate() {
        // What belongs to no conduit may come from everywhere.
        let Some(conduit) = number.checked_sub(1) else {
            if *mode == Mode::Enforce {
                zones.extend(0..policy.zones.len());
            }
            continue;
        };
        let mut rules = policy.rules.iter().filter(|rule| rule.conduit == conduit);
        let by_rule = !by_hand && rules.any(|rule| rule.mode == Some(Mode::Enforce));
        if let (true, Some(conduit)) = (*mode == Mode::Enforce || by_rule, policy.conduits.get(conduit)) {
            zones.extend([conduit.zones.0, conduit.zones.1]);
        }
    }
    let zones = zones.into_iter().filter_map(|zone| policy.zones.get(zone));
    zones.flat_map(|zone| zone.interfaces.iter().cloned()).collect()
}

/// What is unsafe about what banchi gets to see on the interfaces of a policy. An interface that is not there, or does
/// not tell, is not judged here.
pub fn unsafe_on(policy: &Policy, mode: XdpMode, own: Option<u32>) -> Vec<Finding> {
    let names: BTreeSet<&String> = policy.zones.iter().flat_map(|zone| &zone.interfaces).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let facts = InterfaceFacts::gather(&names).unwrap_or_default();
    let findings = facts
        .iter()
        .flat_map(|facts| sight::examine(facts, &Wanted::of(policy, &facts.link.name, mode, own)));
    findings.filter(|finding| finding.level == Level::Unsafe).collect()
}

/// Refuses modes of a policy that would enforce where that is unsafe. Where somebody has accepted it, the log says so.
///
/// # Errors
/// What is unsafe, why, and what to do.
pub fn gate(
    policy: &Policy,
    modes: &Modes,
    findings: &[Finding],
    is_accepted: bool,
) -> Result<(), DatapathError> {
    let enforced = enforced_on(policy, modes);
    let refused: Vec<&Finding> =
        findings.iter().filter(|finding| enforced.contains(&finding.subject)).collect();
    if !refused.is_empty() && !is_accepted {
        let findings = refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ");
        return Err(DatapathError::Unsafe { findings });
    }
    for finding in refused {
        tracing::warn!("UNSAFE, and enforced all the same (--accept-unsafe): {finding}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const POLICY: &str = "version: 1
zones:
  a: { interfaces: [eth0], networks: [10.1.0.0/16] }
  b: { interfaces: [eth1], vlans: [20], networks: [10.2.0.0/16] }
  c: { interfaces: [eth2], networks: [10.3.0.0/16] }
assets:
  one:   { zone: a, address: 10.1.0.1 }
  two:   { zone: b, address: 10.2.0.1 }
  three: { zone: c, address: 10.3.0.1 }
services:
  s: { transport: udp, source_port: 1, port: 2 }
conduits:
  - name: ab
    between: [a, b]
    mode: enforce
    allow: [{ client: one, server: two, service: s }]
  - name: ac
    between: [a, c]
    allow: [{ client: one, server: three, service: s }]
";

    fn policy(text: &str) -> Policy {
        let loaded = crate::policy::load("test", text);
        loaded
            .policy
            .as_ref()
            .unwrap_or_else(|| {
                let text = loaded.render(text, crate::policy::render::Style::Plain);
                unreachable!("{text}")
            })
            .clone()
    }

    fn interfaces(policy: &Policy, modes: &Modes) -> Vec<String> {
        enforced_on(policy, modes).into_iter().collect()
    }

    fn finding(subject: &str) -> Finding {
        Finding::new(Level::Unsafe, subject, "vlan-tags", "Tags are taken off.", "They are needed.")
            .remedy("do it")
    }

    #[test]
    fn a_conduit_enforces_on_the_interfaces_of_its_zones() {
        let policy = policy(POLICY);
        let mut modes = modes_of(&policy);
        assert_eq!(interfaces(&policy, &modes), ["eth0", "eth1"]);
        // What belongs to no conduit comes from everywhere.
        *modes.first_mut().unwrap() = (Mode::Enforce, true);
        assert_eq!(interfaces(&policy, &modes), ["eth0", "eth1", "eth2"]);
        assert!(interfaces(&policy, &vec![(Mode::Alert, true); 3]).is_empty());
    }

    #[test]
    fn a_rule_enforces_unless_its_conduit_was_set_to_alert_by_hand() {
        let text =
            POLICY.replace("server: three, service: s }", "server: three, service: s, mode: enforce }");
        let policy = policy(&text.replace("mode: enforce\n", "mode: alert\n"));
        assert_eq!(interfaces(&policy, &modes_of(&policy)), ["eth0", "eth2"]);
        assert!(interfaces(&policy, &vec![(Mode::Alert, true); 3]).is_empty());
    }

    #[test]
    fn what_is_unsafe_is_refused_where_it_is_enforced_only() {
        let policy = policy(POLICY);
        let modes = modes_of(&policy);
        let error = gate(&policy, &modes, &[finding("eth1")], false).unwrap_err();
        for word in ["eth1: Tags are taken off. They are needed.", "`do it`", "--accept-unsafe"] {
            assert!(error.to_string().contains(word), "{error}");
        }
        assert_eq!(error.exit_code(), 21);
        assert!(gate(&policy, &modes, &[finding("eth1")], true).is_ok());
        assert!(gate(&policy, &modes, &[finding("eth2")], false).is_ok());
        assert!(gate(&policy, &vec![(Mode::Alert, true); 3], &[finding("eth1")], false).is_ok());
    }
}
