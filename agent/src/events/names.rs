//! Names for the numbers that the data plane uses.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::datapath::Interface;
use crate::policy::model::{Direction, Policy, Rule};

/// What a rule is called.
#[derive(Debug, Clone)]
pub struct RuleName {
    /// Name.
    pub name: Arc<str>,
    /// Line in the policy; 0 is none.
    pub line: usize,
    /// The protocol that its service names.
    pub protocol: Option<&'static str>,
}

/// Names of one generation.
#[derive(Debug, Clone, Default)]
pub struct Names {
    zones: Vec<Arc<str>>,
    conduits: Vec<Arc<str>>,
    rules: Vec<RuleName>,
    interfaces: BTreeMap<u32, Arc<str>>,
}

impl Names {
    /// No names.
    pub const fn none() -> Self {
        Self { zones: Vec::new(), conduits: Vec::new(), rules: Vec::new(), interfaces: BTreeMap::new() }
    }

    /// Names of a policy, and of the interfaces that it is loaded for.
    pub fn of(policy: &Policy, interfaces: &[Interface]) -> Self {
        Self {
            zones: policy.zones.iter().map(|zone| zone.name.as_str().into()).collect(),
            conduits: policy.conduits.iter().map(|conduit| conduit.name.as_str().into()).collect(),
            rules: policy.rules.iter().map(|rule| rule_name(policy, rule)).collect(),
            interfaces: interfaces.iter().map(|known| (known.index, known.name.as_str().into())).collect(),
        }
    }

    /// An interface of the policy has another index from now on. Events of the old one keep their name.
    pub fn add_interface(&mut self, index: u32, name: &str) {
        self.interfaces.insert(index, name.into());
    }

    /// Zone by number, from 1.
    pub fn zone(&self, number: u16) -> Option<Arc<str>> {
        self.zones.get(usize::from(number).checked_sub(1)?).cloned()
    }

    /// Conduit by number, from 1.
    pub fn conduit(&self, number: u16) -> Option<Arc<str>> {
        self.conduits.get(usize::from(number).checked_sub(1)?).cloned()
    }

    /// A rule by number, from 1.
    pub fn rule(&self, number: u32) -> Option<&RuleName> {
        self.rules.get((number as usize).checked_sub(1)?)
    }

    /// Name of an interface, or its index where it is not one of the policy's; 0 is none.
    pub fn interface(&self, index: u32) -> Option<Arc<str>> {
        let unknown = || format!("index {index}").into();
        (index != 0).then(|| self.interfaces.get(&index).cloned().unwrap_or_else(unknown))
    }
}

fn rule_name(policy: &Policy, rule: &Rule) -> RuleName {
    let direction = policy.services.get(rule.service).and_then(|service| service.direction.as_ref());
    let protocol = match direction {
        Some(Direction::Named(protocol)) => Some(protocol.about().name),
        Some(Direction::Custom { .. }) | None => None,
    };
    RuleName { name: rule.name.as_str().into(), line: rule.line, protocol }
}
