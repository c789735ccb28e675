//! Backtests: what would a policy do with the traffic of captures?
//!
//! The packets run through the program that the kernel would run, loaded for the purpose, with the time as it was
//! recorded, so that windows for answers open and close as they would have.

mod ingress;
mod tally;

pub use ingress::{Ingress, Way};
pub use tally::{Change, Example, Tally};

use banchi_common::reason::{REASONS, Reason};

use crate::capture::{Captures, Frame, PcapngWriter};
use crate::datapath::{DatapathError, Outcome, Rehearsal};
use crate::image::Image;
use crate::policy::model::Policy;

/// Where packets that would not pass are written.
pub type Evidence = PcapngWriter<std::io::BufWriter<std::fs::File>>;

/// A policy, and its program.
pub struct Tested<'p> {
    policy: &'p Policy,
    ingress: Ingress<'p>,
    program: Rehearsal,
}

/// What became of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The program judged it.
    Judged(Outcome),
    /// The gateway does not see it.
    Within,
    /// Nothing says where it comes in.
    Nowhere,
}

impl Fate {
    /// Why it would not pass.
    pub fn against(&self) -> Option<Reason> {
        match self {
            Self::Judged(outcome) => Some(outcome.reason).filter(|reason| !reason.passes()),
            Self::Within | Self::Nowhere => None,
        }
    }

    /// Its reason, or where it stays, as a word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Judged(outcome) => REASONS.get(outcome.reason as usize).map_or("", |about| about.name),
            Self::Within => "within-zone",
            Self::Nowhere => "unplaced",
        }
    }
}

impl<'p> Tested<'p> {
    /// Loads the program of a policy. Moves the thread into a network namespace of its own.
    ///
    /// # Errors
    /// Where the kernel refuses the program.
    pub fn load(policy: &'p Policy, image: &'p Image) -> Result<Self, DatapathError> {
        Ok(Self { policy, ingress: Ingress::new(policy, image), program: Rehearsal::load(image)? })
    }

    /// Runs one packet.
    ///
    /// # Errors
    /// Where the kernel refuses the run.
    pub fn run(&mut self, frame: &Frame, interfaces: &[String]) -> Result<Fate, DatapathError> {
        match self.ingress.place(frame, interfaces) {
            Way::In(place) => Ok(Fate::Judged(self.program.run(&self.ingress.frame, place, frame.at)?)),
            Way::Within => Ok(Fate::Within),
            Way::Nowhere => Ok(Fate::Nowhere),
        }
    }

    /// Name of the rule that an outcome is about.
    pub fn rule(&self, outcome: &Outcome) -> Option<&'p str> {
        let rule = outcome.rule.and_then(|rule| self.policy.rules.get(rule))?;
        Some(rule.name.as_str())
    }
}

/// Runs captures through one policy, or through two to see what changes. `progress` is called now and then.
///
/// # Errors
/// Where the kernel refuses a run.
pub fn backtest(
    captures: &mut Captures,
    tested: &mut Tested<'_>,
    mut against: Option<&mut Tested<'_>>,
    mut evidence: Option<&mut Evidence>,
    mut progress: impl FnMut(&Captures),
) -> Result<Vec<Tally>, DatapathError> {
    let mut tallies: Vec<Tally> = captures.paths().map(|path| Tally::of(path)).collect();
    let (mut frame, mut count) = (Frame::default(), 0_u64);
    while captures.next(&mut frame) {
        count += 1;
        if count.is_multiple_of(1 << 12) {
            progress(captures);
        }
        let fate = tested.run(&frame, captures.interfaces())?;
        let other = match against.as_mut() {
            Some(other) => Some(other.run(&frame, captures.interfaces())?),
            None => None,
        };
        let Some(tally) = tallies.get_mut(frame.file) else { continue };
        let rule = match &fate {
            Fate::Judged(outcome) => tested.rule(outcome),
            _ => None,
        };
        let shown = tally.count(&frame, &fate, other.as_ref(), rule);
        if let (true, Some(writer)) = (shown, evidence.as_mut()) {
            let comment = tally::comment(&fate, other.as_ref(), rule);
            writer
                .packet(frame.at, &frame.bytes, frame.bytes.len(), &comment)
                .map_err(|e| DatapathError::other("write the packets", e))?;
        }
    }
    Ok(tallies)
}
