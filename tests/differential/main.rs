//! The engine and the loaded program against the oracle, on random policies and packets.
//!
//! A disagreement is made small and printed with what repeats it. The environment may say:
//!
//! - `BANCHI_SEED`: where the random numbers start;
//! - `BANCHI_POLICY`: try the policy of this number only;
//! - `BANCHI_PAIRS`, `BANCHI_KERNEL_PAIRS`: pairs of policy and packet, for the engine and for the program.

mod budget;
mod packets;
mod policies;
mod show;
mod shrink;
mod subjects;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use banchi::image::Image;
use banchi::policy::model::Policy;
use banchi_common::reason::{Orientation, REASON_ROWS, REASONS, Reason};
use banchi_tests::oracle::{Judgement, Oracle, TestPacket};
use fastrand::Rng;

use packets::Packets;
use subjects::{Host, Kernel, Subject};

const SEED: u64 = 0x6261_6e63_6869;
const THREADS: usize = 2;

/// Reasons that a policy and a packet alone can have.
const REACHABLE: [Reason; 19] = [
    Reason::Allowed,
    Reason::UnknownSource,
    Reason::UnknownDestination,
    Reason::UnlistedPair,
    Reason::UnlistedService,
    Reason::SourcePortDeviation,
    Reason::AddressPortMismatch,
    Reason::ReversedDirection,
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
];

#[test]
fn the_engine_says_what_the_oracle_says() -> Result<()> {
    let pairs = number("BANCHI_PAIRS")?.unwrap_or(2_000_000);
    let tally = compare::<Host>("engine", pairs, 2_000, 20_000, || Ok(()))?;
    tally.print("engine");
    tally.check_coverage(pairs / 4_000)
}

#[test]
fn the_program_in_the_kernel_says_what_the_oracle_says() -> Result<()> {
    let pairs = number("BANCHI_KERNEL_PAIRS")?.unwrap_or(105_000);
    let tally = compare::<Kernel>("program", pairs, 1_000, 400, subjects::interfaces)?;
    tally.print("program");
    tally.check_coverage(pairs / 8_000)
}

fn number(variable: &str) -> Result<Option<usize>> {
    match std::env::var(variable) {
        Ok(text) => Ok(Some(text.replace('_', "").parse().with_context(|| format!("{variable}={text}"))?)),
        Err(_) => Ok(None),
    }
}

/// What has been seen.
#[derive(Clone, Default)]
struct Tally {
    pairs: usize,
    policies: usize,
    unfit: usize,
    reasons: [usize; REASON_ROWS],
    /// Matches of a rule by orientation.
    orientations: [usize; 3],
    seconds: f64,
}

impl Tally {
    fn add(&mut self, judged: &Judgement) {
        self.pairs += 1;
        self.reasons[judged.reason as usize] += 1;
        self.orientations[judged.orientation as usize] += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.policies += other.policies;
        self.unfit += other.unfit;
        self.reasons.iter_mut().zip(other.reasons).for_each(|(sum, more)| *sum += more);
        self.orientations.iter_mut().zip(other.orientations).for_each(|(sum, more)| *sum += more);
    }

    fn print(&self, subject: &str) {
        println!(
            "{subject}: {} pairs of {} policies agree with the oracle, in {:.1} s ({} policies did not fit the tables)",
            self.pairs, self.policies, self.seconds, self.unfit
        );
        for about in REASONS {
            let count = self.reasons[about.reason as usize];
            println!("  {:>9}  {:5.1} %  {}", count, 100.0 * count as f64 / self.pairs as f64, about.name);
        }
        let [none, forward, back] = self.orientations;
        println!("  rules matched forward {forward}, in return {back}, none {none}");
    }

    fn check_coverage(&self, least: usize) -> Result<()> {
        for reason in REACHABLE {
            let count = self.reasons[reason as usize];
            ensure!(count >= least, "only {count} packets were `{}`: {least} wanted", reason.about().name);
        }
        Ok(())
    }
}

/// The policy with a number.
fn policy_of(seed: u64, number: usize) -> (Policy, Rng) {
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number as u64);
    let policy = policies::policy(&mut rng);
    let packets = rng.fork();
    (policy, packets)
}

/// Holds a subject against the oracle until there have been enough pairs.
fn compare<S: Subject>(
    name: &str,
    pairs: usize,
    packets: usize,
    budget: usize,
    prepare: fn() -> Result<()>,
) -> Result<Tally> {
    let seed = number("BANCHI_SEED")?.map_or(SEED, |seed| seed as u64);
    let only = number("BANCHI_POLICY")?;
    let (next, done, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let start = Instant::now();
    let worker = || -> Result<Tally> {
        prepare()?;
        let mut tally = Tally::default();
        while done.load(Ordering::Relaxed) < pairs && !failed.load(Ordering::Relaxed) {
            let number = match (next.fetch_add(1, Ordering::Relaxed), only) {
                (0, Some(only)) => only,
                (_, Some(_)) => break,
                (number, None) => number,
            };
            let (policy, rng) = policy_of(seed, number);
            let before = tally.pairs;
            let again =
                format!("BANCHI_SEED={seed} BANCHI_POLICY={number} cargo test --test differential {name}");
            let result = one_policy::<S>(&policy, rng, packets, &mut tally);
            let found = result
                .with_context(|| again.clone())
                .inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            if let Some(packet) = found {
                if !failed.swap(true, Ordering::Relaxed) {
                    return Err(explain::<S>(&policy, &packet, budget, &again));
                }
                break;
            }
            done.fetch_add(tally.pairs - before, Ordering::Relaxed);
        }
        Ok(tally)
    };
    let tallies = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload)))
            .collect::<Result<Vec<_>>>()
    })?;
    let mut sum = Tally { seconds: start.elapsed().as_secs_f64(), ..Tally::default() };
    tallies.iter().for_each(|tally| sum.merge(tally));
    Ok(sum)
}

/// The first packet that a subject and the oracle disagree about.
fn one_policy<S: Subject>(
    policy: &Policy,
    rng: Rng,
    packets: usize,
    tally: &mut Tally,
) -> Result<Option<TestPacket>> {
    tally.policies += 1;
    let Some(subject) = S::new(policy)? else {
        tally.unfit += 1;
        return Ok(None);
    };
    let mut source = Packets::new(policy, rng);
    for _ in 0..packets {
        let packet = source.next();
        let expected = Oracle::judge(policy, &packet);
        if subject.judge(&packet)? != expected {
            return Ok(Some(packet));
        }
        tally.add(&expected);
    }
    Ok(None)
}

/// Both judgements, where they differ.
fn difference<S: Subject>(policy: &Policy, packet: &TestPacket) -> Option<(Judgement, Judgement)> {
    let subject = S::new(policy).ok()??.judge(packet).ok()?;
    let oracle = Oracle::judge(policy, packet);
    (subject != oracle).then_some((oracle, subject))
}

fn explain<S: Subject>(policy: &Policy, packet: &TestPacket, budget: usize, again: &str) -> anyhow::Error {
    let mut disagrees = |policy: &Policy, packet: &TestPacket| difference::<S>(policy, packet).is_some();
    let (policy, packet) = shrink::shrink(policy, packet, budget, &mut disagrees);
    match difference::<S>(&policy, &packet) {
        Some((oracle, subject)) => {
            anyhow!(show::disagreement(&policy, &packet, &oracle, &subject, again))
        }
        None => anyhow!("a disagreement that does not repeat: {packet:?}\nagain: {again}"),
    }
}

/// Whether some packets of a policy show that an image is not its own.
fn notices(policy: &Policy, image: Image, packets: usize) -> Result<bool> {
    let host = Host::of(image);
    let mut source = Packets::new(policy, Rng::with_seed(7));
    for _ in 0..packets {
        let packet = source.next();
        if host.judge(&packet)? != Oracle::judge(policy, &packet) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A test that cannot fail proves nothing: wrong rows and entries must be noticed.
#[test]
fn a_corrupt_image_is_noticed() -> Result<()> {
    let mut tried = [0; 4];
    let mut noticed = [0; 4];
    for number in 0..60 {
        let (policy, mut rng) = policy_of(SEED, number);
        let Some(image) = subjects::compiled(&policy)? else { continue };
        if policy.rules.is_empty() {
            continue;
        }
        ensure!(!notices(&policy, image.clone(), 3_000)?, "policy {number} disagrees without any corruption");
        for (kind, [tried, noticed]) in tried.iter_mut().zip(&mut noticed).map(|(a, b)| [a, b]).enumerate() {
            let mut image = image.clone();
            match kind {
                0 => {
                    let row = rng.usize(1..image.rules.len());
                    image.rules[row].client_zone ^= 1;
                }
                1 => {
                    // Another value for one key of the index.
                    let full: Vec<(usize, usize)> = (0..image.index.len())
                        .flat_map(|at| (0..4).map(move |slot| (at, slot)))
                        .filter(|(at, slot)| image.index[*at].tag_value[*slot] != 0)
                        .collect();
                    let (at, slot) = full[rng.usize(0..full.len())];
                    image.index[at].tag_value[slot] ^= 1;
                }
                2 => {
                    let row = rng.usize(1..image.nodes.len());
                    image.nodes[row].flags ^= 1;
                }
                _ => {
                    let row = rng.usize(1..image.conduits.len());
                    image.conduits[row].mode ^= 1;
                }
            }
            *tried += 1;
            *noticed += usize::from(notices(&policy, image, 3_000)?);
        }
    }
    println!("corruptions noticed (rule, index entry, node, conduit): {noticed:?} of {tried:?}");
    // Most entries are for pairs that few packets ask for: one wrong entry among thousands is hard to see.
    for ((tried, noticed), least) in tried.into_iter().zip(noticed).zip([50, 5, 50, 50]) {
        ensure!(tried > 20 && noticed * 100 > tried * least, "{noticed} of {tried} corruptions noticed");
    }
    Ok(())
}

/// A disagreement comes out as a policy file of a few lines.
#[test]
fn a_disagreement_is_made_small() -> Result<()> {
    let number = (0..).find(|number| policy_of(SEED, *number).0.rules.len() > 10).unwrap_or(0);
    let (policy, rng) = policy_of(SEED, number);
    let mut source = Packets::new(&policy, rng);
    // Stands for a subject that never matches in return orientation.
    let mut disagrees = |policy: &Policy, packet: &TestPacket| {
        Oracle::judge(policy, packet).orientation == Orientation::Return
    };
    let packet =
        std::iter::repeat_with(|| source.next()).take(10_000).find(|packet| disagrees(&policy, packet));
    let packet = packet.context("no packet goes back")?;
    let (small, _) = shrink::shrink(&policy, &packet, 20_000, &mut disagrees);
    let text = show::yaml(&small);
    println!("{text}");
    ensure!(small.rules.len() == 1 && small.assets.len() == 2 && small.conduits.len() == 1, "{text}");
    Ok(())
}

/// The generator reaches every kind of entry: exact tuples, pairs, classes, prefixes, tables, tags.
#[test]
fn generated_policies_use_every_kind_of_entry() -> Result<()> {
    let mut policies: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..200 {
        let Some(image) = subjects::compiled(&policy_of(SEED, number).0)? else { continue };
        for (tag, _) in &image.entries {
            *policies.entry(format!("{tag:?}")).or_default() += 1;
        }
    }
    println!("policies of 200 with each kind of entry: {policies:?}");
    let kinds = [
        "Host4",
        "Prefix4",
        "Service",
        "Pair",
        "Client",
        "Server",
        "Classes",
        "Port",
        "Conduit",
        "DoubleVlan",
        "Exact",
    ];
    for kind in kinds {
        ensure!(policies.get(kind).is_some_and(|count| *count >= 20), "too few policies have {kind}");
    }
    Ok(())
}

/// The generator makes what `banchi check` takes, but for rules that never decide.
#[test]
fn generated_policies_are_valid() -> Result<()> {
    for number in 0..400 {
        let (policy, _) = policy_of(SEED, number);
        if policy.rules.is_empty() {
            continue;
        }
        let text = show::yaml(&policy);
        let loaded = banchi::policy::load("generated", &text);
        let errors = loaded
            .diagnostics
            .iter()
            .filter(|d| d.severity == banchi::policy::Severity::Error && d.code != "contradiction");
        let codes: Vec<_> = errors.map(|d| (d.code, d.message.clone())).collect();
        ensure!(codes.is_empty(), "policy {number}: {codes:?}\n{text}");
    }
    Ok(())
}
