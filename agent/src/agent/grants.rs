//! Grants: given, taken back, shown.

use super::Agent;
use crate::control::{GrantState, GrantStatus, Reply};
use crate::datapath::DatapathError;
use crate::grants::{Grant, Wish};

impl Agent {
    pub(super) fn grant(&mut self, wishes: &[Wish], by: &str) -> Result<Reply, DatapathError> {
        let new = self.plane.grant(wishes, by)?;
        for Grant { id, wish, until, .. } in &new {
            let (client, server, service) = (&wish.client, &wish.server, &wish.service);
            tracing::warn!(
                "grant {id}: {client} may ask {server} for {service} until {until}: {}",
                wish.reason
            );
        }
        self.name();
        self.seen.keep(&self.plane.active.record.grants);
        let ids: Vec<u32> = new.iter().map(|grant| grant.id).collect();
        self.grants(&|grant| ids.contains(&grant.id))
    }

    pub(super) fn revoke(&mut self, ids: Vec<u32>) -> Result<Reply, DatapathError> {
        let all = || self.plane.active.record.grants.iter().filter(|grant| grant.holds());
        let ids = if ids.is_empty() { all().map(|grant| grant.id).collect() } else { ids };
        let revoked = self.plane.revoke(&ids)?;
        for id in &revoked {
            tracing::warn!("grant {id} was taken back");
        }
        self.grants(&|grant| revoked.contains(&grant.id))
    }

    /// Those that are wanted.
    pub(super) fn grants(&self, wanted: &dyn Fn(&Grant) -> bool) -> Result<Reply, DatapathError> {
        let active = &self.plane.active;
        let tally = self.plane.tally()?;
        let state = |grant: &Grant| match grant {
            grant if grant.holds() => GrantState::Holds,
            grant if grant.revoked => GrantState::Revoked,
            _ => GrantState::Over,
        };
        let grants = active.record.grants.iter().filter(|grant| wanted(grant)).map(|grant| {
            let rules = active.policy.rules.iter();
            let own = rules.filter(|rule| rule.expires_s.is_some() && grant.has_rule(&rule.name));
            let (asked, answered) = own.fold((0, 0), |(asked, answered), rule| {
                let conduit = active.policy.conduits.get(rule.conduit).map_or("", |one| one.name.as_str());
                let (forward, back) = tally.rule(conduit, &rule.name);
                (asked + forward.packets, answered + back.packets)
            });
            let (flows, more) = self.seen.of(grant.id);
            let flows = flows.to_vec();
            GrantStatus { grant: grant.clone(), state: state(grant), asked, answered, flows, more }
        });
        Ok(Reply::Grants { grants: grants.collect() })
    }
}
