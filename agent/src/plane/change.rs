//! How another generation comes to decide: applied, confirmed, taken back.

use std::time::Duration;

use banchi_common::abi::RootWord;

use super::generation::{conduit_name, read, record, same_conduit};
use super::{Generation, Plane, Source, now_ns};
use crate::datapath::{Datapath, DatapathError, Interface, Options, preflight};
use crate::grants::Grant;

/// Longest that it takes to hand over, with answers under way: until then none of them is held to be unsolicited.
pub(super) const HANDOVER: Duration = Duration::from_secs(2);

impl Plane {
    /// Loads, proves and activates a policy. With `within`, the one before comes back unless it is confirmed in time.
    ///
    /// # Errors
    /// Where the policy has errors, does not fit, or the loaded program does not do what it says. What decided before
    /// goes on then.
    pub fn apply(&mut self, source: &Source, within: Option<Duration>) -> Result<(), DatapathError> {
        self.root.busy()?;
        let applied = self.apply_now(source, within);
        self.root.beat()?;
        applied
    }

    fn apply_now(&mut self, source: &Source, within: Option<Duration>) -> Result<(), DatapathError> {
        self.retire_others();
        let mut grants = self.active.record.grants.clone();
        grants.retain(|grant| !grant.is_forgotten());
        let (mut new, interfaces) = self.load_next(source, &grants)?;
        let id = new.record.id;
        if let Err(error) = self.switch_to(&mut new, within) {
            self.store.forget(id);
            return Err(error);
        }
        // Not earlier: until then it may have to come back.
        if let Some(mut old) = self.previous.take() {
            self.retire(&mut old);
        }
        // What was asked between the first look and the change.
        new.datapath.take_over(&new.image, &self.active.datapath, &self.active.image)?;
        self.previous = Some(std::mem::replace(&mut self.active, new));
        let before = std::mem::replace(&mut self.interfaces, interfaces);
        if let Err(error) = self.attach() {
            // An interface that cannot be had: the policy cannot be kept.
            self.rollback()?;
            self.interfaces = before;
            return Err(error);
        }
        // Only now, and only where the policy before cannot come back by itself and need them.
        if within.is_none() {
            self.leave_others();
        }
        Ok(())
    }

    /// Loads, proves and pins a generation that is to decide.
    pub(super) fn load_next(
        &self,
        source: &Source,
        grants: &[Grant],
    ) -> Result<(Generation, Vec<Interface>), DatapathError> {
        let grants: Vec<Grant> =
            grants.iter().map(|grant| Grant { ranked_s: grant.ends_s(), ..grant.clone() }).collect();
        let (policy, image) = read(source, &grants)?;
        let interfaces = preflight(&policy, &image)?;
        self.guard_next(&policy, source)?;
        let indices: Vec<u32> = interfaces.iter().map(|interface| interface.index).collect();
        let id = self.next_id();
        let options = Options { generation: id, ..self.options.clone() };
        let mut datapath =
            Datapath::load_heir(&self.active.datapath, &image, &indices, &options, Some(&self.store))?;
        datapath.prove(&policy, &image, &indices)?;
        let record = record(id, source, &interfaces, &datapath, &self.options, &grants);
        datapath.pin(&self.store, &record)?;
        Ok((Generation { record, policy, image, datapath }, interfaces))
    }

    /// Lets a new generation decide.
    fn switch_to(&mut self, new: &mut Generation, within: Option<Duration>) -> Result<(), DatapathError> {
        self.carry_states(new)?;
        new.datapath.take_over(&new.image, &self.active.datapath, &self.active.image)?;
        new.datapath.grace(HANDOVER)?;
        if let Some(within) = within {
            // Whoever falls back knows nothing of what was asked meanwhile.
            self.active.datapath.grace(within + self.active.policy.longest_window())?;
        }
        let before = (&self.active.datapath, self.active.record.id);
        self.root.activate((&new.datapath, new.record.id), Some(before), within)
    }

    /// Takes the root program off interfaces that neither policy names.
    fn leave_others(&mut self) {
        let generations = std::iter::once(&self.active).chain(&self.previous);
        let named: Vec<u32> =
            generations.flat_map(|one| one.record.interfaces.iter().map(|(_, index)| *index)).collect();
        for index in self.store.links().into_iter().filter(|index| !named.contains(index)) {
            self.store.unlink(index);
        }
        // Ends of wires that are none any more. What fails here is tried again with the next look at the interfaces.
        if let Err(error) = self.forward_anew() {
            log::warn!("{error}");
        }
    }

    /// What was said by hand of a conduit stays, where it has kept its name.
    pub(super) fn carry_states(&self, new: &mut Generation) -> Result<(), DatapathError> {
        for (number, state) in self.active.datapath.conduits()?.into_iter().enumerate() {
            let wanted = conduit_name(&self.active.policy, number);
            let Some(at) = same_conduit(&new.policy, wanted.as_deref()) else { continue };
            if state.by_hand {
                new.datapath.set_mode(at, state.mode)?;
            }
            new.datapath.set_kept(at, state.kept)?;
        }
        Ok(())
    }

    /// Keeps the active generation for good.
    ///
    /// # Errors
    /// Where there is nothing to confirm, or the kernel refuses the write.
    pub fn confirm(&mut self) -> Result<(), DatapathError> {
        match self.deadline()? {
            None => return Err(DatapathError::other("confirm", "nothing waits for a confirmation")),
            Some(deadline) if deadline <= now_ns() => {
                self.rollback()?;
                return Err(DatapathError::other("confirm", "too late: the policy before is back"));
            }
            Some(_) => {}
        }
        self.root.set(RootWord::Deadline, 0)?;
        self.leave_others();
        Ok(())
    }

    /// The generation before decides again.
    ///
    /// # Errors
    /// Where there is none, or the kernel refuses a write.
    pub fn rollback(&mut self) -> Result<(), DatapathError> {
        let Some(mut before) = self.previous.take() else {
            return Err(DatapathError::other("roll back", "there is no generation before this one"));
        };
        if let Err(error) = self.hand_over(&mut before) {
            self.previous = Some(before);
            return Err(error);
        }
        self.previous = Some(std::mem::replace(&mut self.active, before));
        // What was asked between the first look and the change; without it grace goes on for a while.
        let (now, then) = (&mut self.active, self.previous.as_ref());
        if let Some(Err(error)) =
            then.map(|then| now.datapath.take_over(&now.image, &then.datapath, &then.image))
        {
            tracing::warn!("{error}");
        }
        Ok(())
    }

    /// Lets the generation before decide.
    fn hand_over(&mut self, before: &mut Generation) -> Result<(), DatapathError> {
        self.carry_states(before)?;
        before.datapath.take_over(&before.image, &self.active.datapath, &self.active.image)?;
        before.datapath.grace(HANDOVER)?;
        let ids = (self.active.record.id, before.record.id);
        self.root.exchange((&self.active.datapath, ids.0), (&before.datapath, ids.1))
    }
}
