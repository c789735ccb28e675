//! What has been seen: a generator that never makes a packet says nothing about it.

use anyhow::{Result, ensure};
use banchi_common::direction::Class;
use banchi_common::reason::{Orientation, REASON_ROWS, REASONS, Reason};
use banchi_tests::oracle::{Judgement, Path};

/// Reasons that a policy and a packet alone can have.
const REACHABLE: [Reason; 21] = [
    Reason::Allowed,
    Reason::UnknownSource,
    Reason::UnknownDestination,
    Reason::UnlistedPair,
    Reason::UnlistedService,
    Reason::SourcePortDeviation,
    Reason::AddressPortMismatch,
    Reason::ReversedDirection,
    Reason::UnsolicitedReply,
    Reason::WrongZone,
    Reason::MacMismatch,
    Reason::ArpSpoof,
    Reason::UnlistedEthertype,
    Reason::UnlistedProtocol,
    Reason::OrphanFragment,
    Reason::Malformed,
    Reason::UnlistedVlan,
    Reason::UnrelatedIcmpError,
    Reason::Survival,
    Reason::Related,
    Reason::ListedEthertype,
];

/// Classes that payloads of the tests have. The others are those of protocols, which have tests of their own.
const CLASSES: [Class; 3] = [Class::Undecidable, Class::Request, Class::Response];

/// What has been seen.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    pub(crate) cases: usize,
    pub(crate) pairs: usize,
    pub(crate) policies: usize,
    pub(crate) unfit: usize,
    reasons: [usize; REASON_ROWS],
    /// Matches of a rule by orientation and class.
    matches: [[usize; 4]; 3],
    /// Matches by kinds of rules that say nothing else of themselves, allowed and not.
    paths: [[usize; 2]; 4],
    pub(crate) seconds: f64,
}

const PATHS: [&str; 4] =
    ["answers only", "sides exchanged", "a group as client", "answers to a group's question"];

impl Tally {
    pub(crate) fn add(&mut self, judged: &Judgement, path: Path) {
        self.pairs += 1;
        self.reasons[judged.reason as usize] += 1;
        self.matches[judged.orientation as usize][judged.class as usize] += 1;
        let Path { answers_only, exchanged, group_client, asked_of_group } = path;
        let seen = [answers_only, exchanged, group_client, asked_of_group];
        for (count, seen) in self.paths.iter_mut().zip(seen) {
            count[usize::from(judged.reason.passes())] += usize::from(seen);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.cases += other.cases;
        self.pairs += other.pairs;
        self.policies += other.policies;
        self.unfit += other.unfit;
        self.reasons.iter_mut().zip(other.reasons).for_each(|(sum, more)| *sum += more);
        let matches = self.matches.iter_mut().flatten().zip(other.matches.iter().flatten());
        matches.for_each(|(sum, more)| *sum += more);
        let paths = self.paths.iter_mut().flatten().zip(other.paths.iter().flatten());
        paths.for_each(|(sum, more)| *sum += more);
    }

    pub(crate) fn print(&self, subject: &str) {
        println!(
            "{subject}: {} pairs in {} cases of {} policies agree with the oracle, in {:.1} s ({} policies did not fit \
             the tables)",
            self.pairs, self.cases, self.policies, self.seconds, self.unfit
        );
        for about in REASONS {
            let count = self.reasons[about.reason as usize];
            println!("  {:>9}  {:5.1} %  {}", count, 100.0 * count as f64 / self.pairs as f64, about.name);
        }
        for (way, classes) in ["no rule", "forward", "in return"].into_iter().zip(self.matches) {
            let [undecidable, request, response, notification] = classes;
            println!(
                "  {way}: {undecidable} undecidable, {request} requests, {response} responses, {notification} \
                 notifications"
            );
        }
        for (name, [not, allowed]) in PATHS.into_iter().zip(self.paths) {
            println!("  {name}: {allowed} allowed, {not} not");
        }
    }

    /// There have been at least so many of everything.
    pub(crate) fn check_coverage(&self, least: usize) -> Result<()> {
        for reason in REACHABLE {
            let count = self.reasons[reason as usize];
            ensure!(count >= least, "only {count} packets were `{}`: {least} wanted", reason.about().name);
        }
        for way in [Orientation::Forward, Orientation::Return] {
            for class in CLASSES {
                let count = self.matches[way as usize][class as usize];
                ensure!(count >= least, "only {count} packets were {class:?} {way:?}: {least} wanted");
            }
        }
        for (name, counts) in PATHS.into_iter().zip(self.paths) {
            // A question to a group is what makes an answer allowed: there is no other way.
            let rarest = if name == PATHS[3] { counts[1] } else { counts[0].min(counts[1]) };
            ensure!(rarest >= least, "only {counts:?} packets by {name}: {least} wanted");
        }
        Ok(())
    }
}
