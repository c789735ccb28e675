//! Grants in the data plane: a generation of the same policy with other grants beside it.

use super::change::HANDOVER;
use super::generation::{source_of, written_policy};
use super::{Generation, Plane, Source};
use crate::datapath::{DatapathError, Store};
use crate::grants::{Grant, MOST, Wish, next_id, overlay};

impl Plane {
    /// Grants wishes: all of them or none. The policy and what it falls back to stay as they are.
    ///
    /// # Errors
    /// Where a wish does not fit the policy, or there are too many. What decided before goes on then.
    pub fn grant(&mut self, wishes: &[Wish], by: &str) -> Result<Vec<Grant>, DatapathError> {
        let failed = |what: String| DatapathError::other("grant", what);
        let mut grants = self.active.record.grants.clone();
        grants.retain(|grant| !grant.is_forgotten());
        let first = next_id(&grants);
        let mut new = Vec::new();
        for (id, wish) in (first..).zip(wishes) {
            new.push(Grant::new(id, wish, by).map_err(|e| failed(e.to_string()))?);
        }
        grants.extend(new.iter().cloned());
        if grants.len() > MOST {
            return Err(failed(format!("there is room for {MOST} grants, those of the last day included")));
        }
        let source = source_of(&self.active.record);
        let mut policy = written_policy(&self.active.record)?;
        if let Some((id, error)) = overlay(&mut policy, &grants).into_iter().find(|(id, _)| *id >= first) {
            let wish =
                wishes.get((id - first) as usize).map(|wish| format!("{} > {}", wish.client, wish.server));
            return Err(failed(format!("{}: {error}", wish.unwrap_or_default())));
        }
        self.root.busy()?;
        let replaced = self.replace(&source, &grants);
        self.root.beat()?;
        replaced.map(|()| new)
    }

    /// Takes grants back, at once. Gives the numbers of those that held.
    ///
    /// # Errors
    /// Where there is none of a number, or the kernel refuses a write.
    pub fn revoke(&mut self, ids: &[u32]) -> Result<Vec<u32>, DatapathError> {
        let known = |id: &&u32| self.active.record.grants.iter().any(|grant| grant.id == **id);
        if let Some(id) = ids.iter().find(|id| !known(id)) {
            return Err(DatapathError::other(
                "revoke",
                format!("there is no grant {id}: see `banchi grants`"),
            ));
        }
        let held = self.active.record.grants.iter().filter(|grant| ids.contains(&grant.id) && grant.holds());
        let held: Vec<u32> = held.map(|grant| grant.id).collect();
        for generation in std::iter::once(&mut self.active).chain(&mut self.previous) {
            for grant in &mut generation.record.grants {
                grant.revoked |= held.contains(&grant.id);
            }
            // First the record: who is killed now has it taken back by the next agent.
            self.store.write(&generation.record)?;
            generation.end_grants()?;
        }
        // What was taken back must not stand before what holds.
        if self.active.record.grants.iter().any(Grant::holds) {
            let (source, grants) = (source_of(&self.active.record), self.active.record.grants.clone());
            self.root.busy()?;
            let replaced = self.replace(&source, &grants);
            self.root.beat()?;
            replaced?;
        }
        Ok(held)
    }

    /// The same policy with other grants decides from the next packet on.
    fn replace(&mut self, source: &Source, grants: &[Grant]) -> Result<(), DatapathError> {
        let (mut new, _) = self.load_next(source, grants)?;
        let id = new.record.id;
        if let Err(error) = self.put_in_place(&mut new) {
            self.store.forget(id);
            return Err(error);
        }
        new.datapath.take_over(&new.image, &self.active.datapath, &self.active.image)?;
        let mut old = std::mem::replace(&mut self.active, new);
        self.retire(&mut old);
        Ok(())
    }

    fn put_in_place(&mut self, new: &mut Generation) -> Result<(), DatapathError> {
        self.carry_states(new)?;
        new.datapath.take_over(&new.image, &self.active.datapath, &self.active.image)?;
        new.datapath.grace(HANDOVER)?;
        self.root.replace((&new.datapath, new.record.id))
    }
}

impl Generation {
    /// Finishes what an agent has begun that was killed: an interface that moves, a grant that is taken back.
    pub(super) fn finish(&mut self, store: &Store) -> Result<(), DatapathError> {
        self.datapath.finish_move(store, &mut self.record)?;
        self.end_grants()
    }

    /// Writes the ends of the grants that its record has into its tables, where they stand otherwise.
    pub(super) fn end_grants(&mut self) -> Result<(), DatapathError> {
        for row in &mut self.image.rules {
            let rule = (row.of as usize).checked_sub(1).and_then(|at| self.policy.rules.get_mut(at));
            let Some(rule) = rule.filter(|rule| rule.expires_s.is_some()) else { continue };
            let of = |grant: &&Grant| grant.has_rule(&rule.name);
            if let Some(grant) = self.record.grants.iter().find(of) {
                rule.expires_s = Some(grant.ends_s());
                row.expires_s = grant.ends_s();
            }
        }
        self.datapath.set_ends(&self.image)
    }
}
