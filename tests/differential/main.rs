//! The engine and the loaded program against the oracle, on random policies and packets.
//!
//! A disagreement is made small and printed with what repeats it. The environment may say:
//!
//! - `BANCHI_SEED`: where the random numbers start;
//! - `BANCHI_POLICY`: try the policy of this number only;
//! - `BANCHI_PAIRS`, `BANCHI_KERNEL_PAIRS`: pairs of policy and packet, for the engine and for the program.

mod budget;
mod cases;
mod corrupt;
mod diff;
mod nftables;
mod packets;
mod payloads;
mod policies;
mod services;
mod show;
mod shrink;
mod subjects;
mod tally;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use banchi::policy::model::Policy;
use banchi_common::reason::{Orientation, Reason};
use banchi_tests::oracle::{Judgement, Oracle};
use fastrand::Rng;

use cases::{Case, Timed};
use packets::Packets;
use subjects::{Host, Kernel, Subject};
use tally::Tally;

const SEED: u64 = 0x6261_6e63_6869;
const THREADS: usize = 2;

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
    let tally = compare::<Kernel>("program", pairs, 1_500, 400, subjects::interfaces)?;
    tally.print("program");
    tally.check_coverage(pairs / 8_000)
}

fn number(variable: &str) -> Result<Option<usize>> {
    match std::env::var(variable) {
        Ok(text) => Ok(Some(text.replace('_', "").parse().with_context(|| format!("{variable}={text}"))?)),
        Err(_) => Ok(None),
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
            if let Some(case) = found {
                if !failed.swap(true, Ordering::Relaxed) {
                    return Err(explain::<S>(&policy, &case, budget, &again));
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
    let mut sum = Tally::default();
    sum.seconds = start.elapsed().as_secs_f64();
    tallies.iter().for_each(|tally| sum.merge(tally));
    Ok(sum)
}

/// The first case that a subject and the oracle disagree about.
fn one_policy<S: Subject>(
    policy: &Policy,
    rng: Rng,
    packets: usize,
    tally: &mut Tally,
) -> Result<Option<Case>> {
    tally.policies += 1;
    let Some(mut subject) = S::new(policy)? else {
        tally.unfit += 1;
        return Ok(None);
    };
    let mut source = Packets::new(policy, rng);
    let mut oracle = Oracle::new(policy);
    let enough = tally.pairs + packets;
    while tally.pairs < enough {
        let case = source.case();
        // The clock has gone on so far that nothing is left of the last case.
        oracle.forget();
        for Timed { at, packet } in &case.packets {
            let expected = oracle.judge(packet, *at);
            if subject.judge(packet, *at)? != expected {
                return Ok(Some(case));
            }
            tally.add(&expected, oracle.path());
        }
        tally.cases += 1;
    }
    Ok(None)
}

/// Place of the first packet that they judge differently, and both judgements.
fn difference<S: Subject>(policy: &Policy, case: &Case) -> Option<(usize, Judgement, Judgement)> {
    let mut subject = S::new(policy).ok()??;
    let mut oracle = Oracle::new(policy);
    case.packets.iter().enumerate().find_map(|(place, Timed { at, packet })| {
        let subject = subject.judge(packet, *at).ok()?;
        let oracle = oracle.judge(packet, *at);
        (subject != oracle).then_some((place, oracle, subject))
    })
}

fn explain<S: Subject>(policy: &Policy, case: &Case, budget: usize, again: &str) -> anyhow::Error {
    let mut disagrees = |policy: &Policy, case: &Case| difference::<S>(policy, case).is_some();
    let (policy, case) = shrink::shrink(policy, case, budget, &mut disagrees);
    match difference::<S>(&policy, &case) {
        Some((place, oracle, subject)) => {
            anyhow!(show::disagreement(&policy, &case, place, &oracle, &subject, again))
        }
        None => anyhow!("a disagreement that does not repeat: {case:?}\nagain: {again}"),
    }
}

/// A disagreement comes out as a policy file of a few lines.
#[test]
fn a_disagreement_is_made_small() -> Result<()> {
    // Stands for a subject that never sees that an answer is too late.
    let mut disagrees = |policy: &Policy, case: &Case| {
        let mut oracle = Oracle::new(policy);
        let judged: Vec<_> = case.packets.iter().map(|timed| oracle.judge(&timed.packet, timed.at)).collect();
        let asked = judged.iter().any(|judged| judged.orientation == Orientation::Forward);
        asked && judged.last().is_some_and(|judged| judged.reason == Reason::UnsolicitedReply)
    };
    let found = (0..400).map(|number| policy_of(SEED, number)).find_map(|(policy, rng)| {
        let mut source = Packets::new(&policy, rng);
        let mut cases = std::iter::repeat_with(|| source.case()).take(1_000);
        let case = (policy.rules.len() > 10).then(|| cases.find(|case| disagrees(&policy, case)))??;
        Some((policy.clone(), case))
    });
    let (policy, case) = found.context("no answer is too late")?;
    let (small, small_case) = shrink::shrink(&policy, &case, 20_000, &mut disagrees);
    ensure!(small_case.packets.len() == 2, "{small_case:?}");
    let text = show::yaml(&small);
    println!("{text}");
    ensure!(small.rules.len() == 1 && small.assets.len() <= 3 && small.conduits.len() == 1, "{text}");
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
