//! Nothing is enforced where something hides what is decided about, unless somebody has accepted it.

use banchi_common::abi::Mode;

use super::generation::{conduit_name, same_conduit};
use super::{Plane, Source};
use crate::datapath::{DatapathError, XdpMode};
use crate::doctor::{Finding, Modes, enforced_on, gate, modes_of, unsafe_on};
use crate::policy::model::Policy;

/// Refuses a policy that enforces where that is unsafe.
///
/// # Errors
/// What is unsafe, why, and what to do.
pub fn guard(policy: &Policy, mode: XdpMode, is_accepted: bool) -> Result<(), DatapathError> {
    let findings = unsafe_on(policy, mode, None);
    let modes = modes_of(policy);
    gate(policy, &modes, &findings, is_accepted)?;
    warn(policy, &modes, &findings);
    Ok(())
}

/// Says what would be unsafe if it were enforced.
fn warn(policy: &Policy, modes: &Modes, findings: &[Finding]) {
    let enforced = enforced_on(policy, modes);
    for finding in findings.iter().filter(|finding| !enforced.contains(&finding.subject)) {
        tracing::warn!("nothing is enforced there, and it would not be safe: {finding}");
    }
}

impl Plane {
    /// Refuses a policy that would enforce where that is unsafe, with the modes that it would inherit.
    pub(super) fn guard_next(&self, policy: &Policy, source: &Source) -> Result<(), DatapathError> {
        let mut modes = modes_of(policy);
        for (number, mode) in self.active.datapath.modes()?.into_iter().enumerate().filter(|(_, mode)| mode.1)
        {
            let wanted = conduit_name(&self.active.policy, number);
            let heir = same_conduit(policy, wanted.as_deref());
            if let Some(slot) = heir.and_then(|at| modes.get_mut(at as usize)) {
                *slot = mode;
            }
        }
        let findings = unsafe_on(policy, self.mode, self.root.program_id().ok());
        gate(policy, &modes, &findings, source.accepts_unsafe)?;
        warn(policy, &modes, &findings);
        Ok(())
    }

    /// Refuses to enforce conduits where that is unsafe; 0 is what belongs to none.
    ///
    /// # Errors
    /// What is unsafe, why, and what to do.
    pub fn guard_conduits(&self, conduits: &[u32], is_accepted: bool) -> Result<(), DatapathError> {
        let policy = &self.active.policy;
        let mode = |number| if conduits.contains(&number) { Mode::Enforce } else { Mode::Alert };
        let modes = (0..=policy.conduits.len() as u32).map(|number| (mode(number), true)).collect();
        gate(policy, &modes, &self.unsafe_findings(), is_accepted)
    }

    /// What is unsafe on the interfaces of the policy that decides.
    pub fn unsafe_findings(&self) -> Vec<Finding> {
        unsafe_on(&self.active.policy, self.mode, self.root.program_id().ok())
    }

    /// What is unsafe, and enforced nevertheless.
    ///
    /// # Errors
    /// Where the kernel does not tell the modes.
    pub fn enforced_findings(&self) -> Result<Vec<Finding>, DatapathError> {
        let modes = self.active.datapath.modes()?;
        let enforced = enforced_on(&self.active.policy, &modes);
        let findings = self.unsafe_findings().into_iter();
        Ok(findings.filter(|finding| enforced.contains(&finding.subject)).collect())
    }
}
