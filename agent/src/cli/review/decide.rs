//! What is decided about a change. Each decision is kept, and recorded.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use similar::TextDiff;

use super::super::grant::seconds;
use super::super::grants::table_of;
use super::super::recorded::Change as Recorded;
use super::super::{fail, load, no_answer, print};
use super::{Against, Sources, reason, replace};
use crate::audit::Who;
use crate::control::{Reply, Request, request};
use crate::diff::diff;
use crate::events::time_of_day;
use crate::grants::Wish;
use crate::policy;
use crate::review::memory::{Decision, Memory, Verdict, culprit};
use crate::review::plan::Plan;
use crate::review::{Change, SHOWN, find};

/// Why, and on whose account.
#[derive(Debug, clap::Args)]
struct Account {
    /// Why: it stands in the policy or the list of decisions, and in the audit log
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Who says so [default: who is logged in]; the audit log has the user anyway
    #[arg(long, value_name = "NAME", value_parser = reason)]
    by: Option<String>,
}

/// Arguments of `banchi review accept`.
#[derive(Debug, clap::Args)]
pub(super) struct Accept {
    /// The change: its identity, or how that begins
    id: String,
    /// The policy file that the rule is written into; no other line of it changes
    #[arg(long, value_name = "POLICY")]
    into: PathBuf,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    account: Account,
    #[command(flatten)]
    sources: Sources,
}

/// Arguments of `banchi review grant`.
#[derive(Debug, clap::Args)]
pub(super) struct Grant {
    /// The change: its identity, or how that begins
    id: String,
    /// For how long: up to `24h`
    #[arg(long = "for", value_name = "TIME", value_parser = policy::parse_time)]
    time: Duration,
    #[command(flatten)]
    account: Account,
    #[command(flatten)]
    against: Against,
    #[command(flatten)]
    sources: Sources,
}

/// Arguments of `banchi review dismiss` and `malicious`.
#[derive(Debug, clap::Args)]
pub(super) struct Judge {
    /// The change: its identity, or how that begins
    id: String,
    #[command(flatten)]
    account: Account,
    #[command(flatten)]
    against: Against,
    #[command(flatten)]
    sources: Sources,
}

/// Arguments of `banchi review forget`.
#[derive(Debug, clap::Args)]
pub(super) struct Forget {
    /// The change: its identity, or how that begins
    id: String,
    #[command(flatten)]
    account: Account,
    #[command(flatten)]
    sources: Sources,
}

impl Account {
    fn by(&self) -> String {
        self.by.clone().unwrap_or_else(|| Who::this().name())
    }

    fn decision(&self, verdict: Verdict, change: &Change) -> Decision {
        Decision {
            verdict,
            by: self.by(),
            time: time_of_day(),
            reason: self.reason.clone(),
            what: format!("{}: {}", change.kind.name(), change.title),
            source: culprit(change),
        }
    }
}

/// Begins a record of a decision.
fn record(verb: &str, id: &str, account: &Account, more: &[(&str, Value)], sources: &Sources) -> Recorded {
    let mut arguments: Vec<(&str, Value)> =
        vec![("change", id.into()), ("by", account.by().into()), ("reason", account.reason.clone().into())];
    arguments.extend_from_slice(more);
    Recorded::begin(verb, &arguments, &sources.place, &sources.place.store())
}

/// Says what went wrong, and records it.
fn failed(recorded: Recorded, sources: &Sources, code: u8, why: String) -> ExitCode {
    recorded.end(Some(&why), &sources.place.store());
    fail(code, why)
}

/// Keeps a decision.
fn keep(sources: &Sources, change: &Change, decision: Decision) -> Result<(), String> {
    let path = sources.memory_file();
    Memory::change(&path, |memory| memory.decide(change, decision))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Why a change must not pass.
fn forbidden(memory: &Memory, change: &Change) -> Option<String> {
    let (id, decision) = memory.forbids(change)?;
    let id: String = id.chars().take(SHOWN).collect();
    let whose = if change.id.starts_with(&id) { "it" } else { "another change of the same host" };
    Some(format!(
        "{whose} is malicious ({}, by {}: {}); only `banchi review forget {id}` takes that back",
        decision.what, decision.by, decision.reason
    ))
}

/// Writes a rule for a change into a policy file.
pub(super) fn accept(args: &Accept) -> Result<(), ExitCode> {
    let Accept { account, sources, .. } = args;
    let name = args.into.display().to_string();
    let (policy, text) = load(&args.into, true)?;
    let memory = sources.memory()?;
    let (changes, _) = sources.changes(&policy)?;
    let change = find(&changes, &args.id).map_err(|error| fail(1, error))?;
    let recorded = |more: &[(&str, Value)]| {
        let into = [&[("policy", Value::from(name.clone()))], more].concat();
        record("review-accept", &change.id, account, &into, sources)
    };
    if let Some(why) = forbidden(&memory, change) {
        return Err(failed(recorded(&[]), sources, 1, why));
    }
    if change.settled {
        return Err(fail(1, format!("{name} lets it pass already; nothing was written")));
    }
    let plan = plan_of(change)?;
    let comment = comment(change, account);
    let written = plan
        .write(&name, &text, &policy, change, &comment)
        .map_err(|error| fail(1, format!("{name}: {error}; nothing was written")))?;
    print(&shown(&name, &text, &written));
    if let Some(new) = &policy::load(&name, &written).policy {
        print(&diff(&policy, new).text());
    }
    if args.dry_run {
        return Ok(());
    }
    let recorded =
        recorded(&[("adds", plan.text().into()), ("policy_sha256", crate::plane::hash(&written).into())]);
    // Whoever wrote to it since then is not overwritten.
    if std::fs::read_to_string(&args.into).ok().as_deref() != Some(&text) {
        return Err(failed(
            recorded,
            sources,
            1,
            format!("{name} was changed meanwhile; nothing was written"),
        ));
    }
    if let Err(error) = replace(&args.into, &written) {
        return Err(failed(recorded, sources, 2, format!("cannot write {name}: {error}")));
    }
    let kept = keep(sources, change, account.decision(Verdict::Accepted, change));
    recorded.end(None, &sources.place.store());
    kept.map_err(|error| fail(1, format!("{name} was written, but the decision is not kept: {error}")))?;
    print(&format!("{name} was written; nothing decides differently until `banchi apply {name}`\n"));
    Ok(())
}

fn plan_of(change: &Change) -> Result<&Plan, ExitCode> {
    let why = || change.refuses.clone().unwrap_or_default();
    change.plan.as_ref().ok_or_else(|| fail(1, format!("nothing can be written for it: {}", why())))
}

/// The comment above a rule.
fn comment(change: &Change, account: &Account) -> String {
    let day = |time: &str| time.get(..10).unwrap_or(time).to_owned();
    format!(
        "{} ({}, {}; review {}: {} packets from {} to {})",
        account.reason,
        account.by(),
        day(&time_of_day()),
        change.id.chars().take(SHOWN).collect::<String>(),
        change.asked.saturating_add(change.answered),
        day(&change.first),
        day(&change.last)
    )
}

/// What is written, as a unified diff.
fn shown(name: &str, old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new).unified_diff().context_radius(2).header(name, name).to_string()
}

/// Lets a change pass for a time.
pub(super) fn grant(args: &Grant) -> Result<(), ExitCode> {
    let Grant { account, sources, .. } = args;
    let policy = args.against.policy(sources)?;
    let memory = sources.memory()?;
    let (changes, _) = sources.changes(&policy)?;
    let change = find(&changes, &args.id).map_err(|error| fail(1, error))?;
    if let Some(why) = forbidden(&memory, change) {
        return Err(failed(record("review-grant", &change.id, account, &[], sources), sources, 1, why));
    }
    let (Plan::Rule { client, server, .. }, Some(service)) =
        (plan_of(change)?, plan_of(change)?.grant_word())
    else {
        return Err(fail(1, "a grant is for a service between two hosts: use `banchi grant`"));
    };
    let wish = Wish {
        client: client.address.to_string(),
        server: server.address.to_string(),
        service,
        seconds: seconds(args.time),
        reason: format!("{} (review {})", account.reason, change.id.chars().take(SHOWN).collect::<String>()),
    };
    // The agent records it.
    match request(&sources.place.socket.socket, &Request::Grant { wishes: vec![wish] }) {
        Ok(Reply::Grants { grants }) => print(&table_of(&grants)),
        Ok(other) => return Err(fail(1, format!("the agent answered something else: {other:?}"))),
        Err(error) => return Err(no_answer(&error)),
    }
    keep(sources, change, account.decision(Verdict::Granted, change)).map_err(|error| fail(1, error))
}

/// Dismisses a change, or calls it malicious.
pub(super) fn settle(args: &Judge, verdict: Verdict) -> Result<(), ExitCode> {
    let Judge { account, sources, .. } = args;
    let policy = args.against.policy(sources)?;
    let (changes, _) = sources.changes(&policy)?;
    let change = find(&changes, &args.id).map_err(|error| fail(1, error))?;
    let verb = if verdict == Verdict::Malicious { "review-malicious" } else { "review-dismiss" };
    let recorded = record(verb, &change.id, account, &[("what", change.title.clone().into())], sources);
    let known = sources.memory()?;
    if known.of(change).is_some_and(|one| one.verdict == Verdict::Malicious) && verdict != Verdict::Malicious
    {
        let why = forbidden(&known, change).unwrap_or_default();
        return Err(failed(recorded, sources, 1, why));
    }
    if let Err(error) = keep(sources, change, account.decision(verdict, change)) {
        return Err(failed(recorded, sources, 2, error));
    }
    recorded.end(None, &sources.place.store());
    let id: String = change.id.chars().take(SHOWN).collect();
    print(&format!("{}: {id}  {}\n", verdict.name(), change.title));
    Ok(())
}

/// Takes a decision back.
pub(super) fn forget(args: &Forget) -> Result<(), ExitCode> {
    let Forget { account, sources, .. } = args;
    let path = sources.memory_file();
    let recorded = record("review-forget", &args.id, account, &[], sources);
    match Memory::change(&path, |memory| memory.forget(&args.id)) {
        Ok(Ok((id, decision))) => {
            recorded.end(None, &sources.place.store());
            let id: String = id.chars().take(SHOWN).collect();
            print(&format!("open again: {id}  {} (was {})\n", decision.what, decision.verdict.name()));
            Ok(())
        }
        Ok(Err(why)) => Err(failed(recorded, sources, 1, why)),
        Err(error) => Err(failed(recorded, sources, 2, format!("cannot write {}: {error}", path.display()))),
    }
}
