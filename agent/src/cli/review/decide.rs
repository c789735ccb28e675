//! What is decided about a change. Each decision is kept, and recorded.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use similar::TextDiff;

use super::super::grant::seconds;
use super::super::grants::table_of;
use super::super::recorded::Change as Recorded;
use super::super::{code_of, fail, load};
use super::{Against, Failed, Sources, reason, replace, told};
use crate::audit::Who;
use crate::control::{Reply, Request, request};
use crate::diff::diff;
use crate::events::time_of_day;
use crate::grants::Wish;
use crate::policy::{self, model::Policy, render::Style};
use crate::review::memory::{Decision, Memory, Verdict, culprit};
use crate::review::plan::Plan;
use crate::review::{Change, SHOWN, find};

/// Why, and on whose account.
#[derive(Debug, clap::Args)]
pub(super) struct Account {
    /// Why: it stands in the policy or the list of decisions, and in the audit log
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(super) reason: String,
    #[command(flatten)]
    pub(super) by: By,
    #[arg(skip)]
    pub(super) known: Known,
}

/// What whoever decides knows of an earlier decision.
#[derive(Debug, Clone, Default)]
pub(super) enum Known {
    /// Nobody was shown any: what is said last holds.
    #[default]
    Unasked,
    /// This one, or that there is none. Whatever somebody else decided since then is not overwritten.
    Shown(Option<Box<Decision>>),
}

/// On whose account.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct By {
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

impl Known {
    /// What somebody else decided meanwhile.
    pub(super) fn overtaken(&self, now: Option<&Decision>) -> Option<String> {
        let Self::Shown(shown) = self else { return None };
        match now {
            now if shown.as_deref() == now => None,
            Some(Decision { verdict, by, reason, .. }) => {
                Some(format!("somebody else decided meanwhile: {} by {by} ({reason})", verdict.name()))
            }
            None => Some("somebody else took back meanwhile what was decided".to_owned()),
        }
    }
}

impl Account {
    fn by(&self) -> String {
        let name = || reason(&Who::this().name()).unwrap_or_default();
        self.by.by.clone().unwrap_or_else(name)
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

/// What was not done, in the audit log.
fn failed(recorded: Recorded, sources: &Sources, failed: Failed) -> Failed {
    recorded.end(Some(&failed.why), &sources.place.store());
    failed
}

/// Keeps a decision. One that somebody else just called malicious stays so.
fn keep(sources: &Sources, change: &Change, account: &Account, verdict: Verdict) -> Result<(), Failed> {
    let path = sources.memory_file();
    let kept = Memory::change(&path, |memory| {
        let why = match verdict {
            Verdict::Malicious => account.known.overtaken(memory.of(change)),
            _ => stays(memory, change).or_else(|| account.known.overtaken(memory.of(change))),
        };
        if let Some(why) = why {
            return Err(Failed::new(1, why));
        }
        memory.decide(change, account.decision(verdict, change));
        Ok(())
    });
    kept.unwrap_or_else(|error| Err(Failed::new(2, format!("cannot write {}: {error}", path.display()))))
}

/// Why a change itself stays malicious.
pub(super) fn stays(memory: &Memory, change: &Change) -> Option<String> {
    memory.of(change).filter(|known| known.verdict == Verdict::Malicious)?;
    forbidden(memory, change)
}

/// Why a change is not let pass as somebody wants it.
fn stops(sources: &Sources, change: &Change, account: &Account) -> Result<Option<Failed>, Failed> {
    let memory = sources.memory()?;
    let why = forbidden(&memory, change).or_else(|| account.known.overtaken(memory.of(change)));
    Ok(why.map(|why| Failed::new(1, why)))
}

/// Why a change must not pass.
pub(super) fn forbidden(memory: &Memory, change: &Change) -> Option<String> {
    let (id, decision) = memory.forbids(change)?;
    let id: String = id.chars().take(SHOWN).collect();
    let whose = if change.id.starts_with(&id) { "it" } else { "another change of the same host" };
    Some(format!(
        "{whose} is malicious ({}, by {}: {}); only `banchi review forget {id}` takes that back",
        decision.what, decision.by, decision.reason
    ))
}

/// A policy file as it was read.
pub(super) struct Target {
    path: PathBuf,
    pub(super) name: String,
    text: String,
    pub(super) policy: Policy,
}

impl Target {
    /// Reads it, and says what is wrong or odd with it.
    pub(super) fn read(path: &Path) -> Result<Self, ExitCode> {
        let (policy, text) = load(path, true)?;
        Ok(Self { path: path.to_owned(), name: path.display().to_string(), text, policy })
    }

    /// The file as it is now, where that is something else.
    pub(super) fn again(&self) -> Result<Option<Self>, Failed> {
        let Self { path, name, .. } = self;
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failed::new(2, format!("cannot read {name}: {error}")))?;
        if text == self.text {
            return Ok(None);
        }
        let loaded = policy::load_for(name, &text, true);
        let why = || {
            let said = loaded.render(&text, Style::Plain);
            Failed::new(1, format!("{said}{name} has errors; nothing was changed"))
        };
        let policy = loaded.policy.as_ref().cloned().ok_or_else(why)?;
        Ok(Some(Self { path: path.clone(), name: name.clone(), text, policy }))
    }

    /// The text with a rule for a change, for a reason.
    fn with(&self, change: &Change, account: &Account) -> Result<String, Failed> {
        let Self { name, text, policy, .. } = self;
        if change.settled {
            return Err(Failed::new(1, format!("{name} lets it pass already; nothing was written")));
        }
        plan_of(change)?
            .write(name, text, policy, change, &comment(change, account))
            .map_err(|error| Failed::new(1, format!("{name}: {error}; nothing was written")))
    }

    /// What would be written for it, as a unified diff.
    pub(super) fn preview(&self, change: &Change, account: &Account) -> Result<String, Failed> {
        self.with(change, account).map(|written| self.shown(&written))
    }

    fn shown(&self, new: &str) -> String {
        let Self { name, text, .. } = self;
        TextDiff::from_lines(text.as_str(), new)
            .unified_diff()
            .context_radius(2)
            .header(name, name)
            .to_string()
    }

    /// Writes a rule for a change into it.
    pub(super) fn accept(
        &self,
        change: &Change,
        account: &Account,
        sources: &Sources,
        dry_run: bool,
    ) -> Result<String, Failed> {
        let Self { path, name, text, policy } = self;
        let recorded = |more: &[(&str, Value)]| {
            let into = [&[("policy", Value::from(name.clone()))], more].concat();
            record("review-accept", &change.id, account, &into, sources)
        };
        if let Some(why) = stops(sources, change, account)? {
            return Err(failed(recorded(&[]), sources, why));
        }
        let written = self.with(change, account)?;
        let mut said = self.shown(&written);
        if let Some(new) = &policy::load(name, &written).policy {
            said += &diff(policy, new).text();
        }
        if dry_run {
            return Ok(said);
        }
        let adds = plan_of(change)?.text();
        let recorded =
            recorded(&[("adds", adds.into()), ("policy_sha256", crate::plane::hash(&written).into())]);
        let replaced = match replace(path, text, &written) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failed::new(1, format!("{name} was changed meanwhile; nothing was written"))),
            Err(error) => Err(Failed::new(2, format!("cannot write {name}: {error}"))),
        };
        if let Err(why) = replaced {
            return Err(failed(recorded, sources, why));
        }
        let kept = keep(sources, change, account, Verdict::Accepted);
        recorded.end(None, &sources.place.store());
        kept.map_err(|error| Failed::not_kept(format!("{name} was written"), &error))?;
        said += &format!("{name} was written; nothing decides differently until `banchi apply {name}`\n");
        Ok(said)
    }
}

/// Writes a rule for a change into a policy file.
pub(super) fn accept(args: &Accept) -> Result<(), ExitCode> {
    let Accept { account, sources, .. } = args;
    let target = Target::read(&args.into)?;
    let (changes, _) = sources.changes(&target.policy)?;
    let change = find(&changes, &args.id).map_err(|error| fail(1, error))?;
    told(target.accept(change, account, sources, args.dry_run))
}

fn plan_of(change: &Change) -> Result<&Plan, Failed> {
    let why = || change.refuses.clone().unwrap_or_default();
    let none = || Failed::new(1, format!("nothing can be written for it: {}", why()));
    change.plan.as_ref().ok_or_else(none)
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

/// Lets a change pass for a time.
pub(super) fn grant(args: &Grant) -> Result<(), ExitCode> {
    let Grant { account, sources, .. } = args;
    let policy = args.against.policy(sources)?;
    let (changes, _) = sources.changes(&policy)?;
    let change = find(&changes, &args.id).map_err(|error| fail(1, error))?;
    told(pass(change, args.time, account, sources))
}

/// Asks the agent to let a change pass for a time.
pub(super) fn pass(
    change: &Change,
    time: Duration,
    account: &Account,
    sources: &Sources,
) -> Result<String, Failed> {
    if let Some(why) = stops(sources, change, account)? {
        let recorded = record("review-grant", &change.id, account, &[], sources);
        return Err(failed(recorded, sources, why));
    }
    let wish = wish(change, time, account)?;
    // The agent records it.
    let grants = match request(&sources.place.socket.socket, &Request::Grant { wishes: vec![wish] }) {
        Ok(Reply::Grants { grants }) => grants,
        Ok(other) => return Err(Failed::new(1, format!("the agent answered something else: {other:?}"))),
        Err(error) => return Err(Failed::new(code_of(&error), error)),
    };
    keep(sources, change, account, Verdict::Granted)
        .map_err(|error| Failed::not_kept("it passes", &error))?;
    Ok(table_of(&grants))
}

/// What the agent is asked for.
pub(super) fn wish(change: &Change, time: Duration, account: &Account) -> Result<Wish, Failed> {
    let plan = plan_of(change)?;
    let (Plan::Rule { client, server, .. }, Some(service)) = (plan, plan.grant_word()) else {
        return Err(Failed::new(1, "a grant is for a service between two hosts: use `banchi grant`"));
    };
    Ok(Wish {
        client: client.address.to_string(),
        server: server.address.to_string(),
        service,
        seconds: seconds(time),
        reason: format!("{} (review {})", account.reason, change.id.chars().take(SHOWN).collect::<String>()),
    })
}

/// Dismisses a change, or calls it malicious.
pub(super) fn settle(args: &Judge, verdict: Verdict) -> Result<(), ExitCode> {
    let Judge { account, sources, .. } = args;
    let policy = args.against.policy(sources)?;
    let (changes, _) = sources.changes(&policy)?;
    let change = find(&changes, &args.id).map_err(|error| fail(1, error))?;
    told(note(change, verdict, account, sources))
}

/// Keeps that a change is dismissed or malicious.
pub(super) fn note(
    change: &Change,
    verdict: Verdict,
    account: &Account,
    sources: &Sources,
) -> Result<String, Failed> {
    let verb = if verdict == Verdict::Malicious { "review-malicious" } else { "review-dismiss" };
    let recorded = record(verb, &change.id, account, &[("what", change.title.clone().into())], sources);
    if let Err(error) = keep(sources, change, account, verdict) {
        return Err(failed(recorded, sources, error));
    }
    recorded.end(None, &sources.place.store());
    let id: String = change.id.chars().take(SHOWN).collect();
    Ok(format!("{}: {id}  {}\n", verdict.name(), change.title))
}

/// Takes a decision back.
pub(super) fn forget(args: &Forget) -> Result<(), ExitCode> {
    let Forget { account, sources, .. } = args;
    told(reopen(&args.id, account, sources))
}

/// Forgets what was decided about the change whose identity begins like this.
pub(super) fn reopen(id: &str, account: &Account, sources: &Sources) -> Result<String, Failed> {
    let path = sources.memory_file();
    let recorded = record("review-forget", id, account, &[], sources);
    let forget = |memory: &mut Memory| match account.known.overtaken(memory.at(id)) {
        Some(why) => Err(why),
        None => memory.forget(id),
    };
    let why = match Memory::change(&path, forget) {
        Ok(Ok((id, decision))) => {
            recorded.end(None, &sources.place.store());
            let id: String = id.chars().take(SHOWN).collect();
            return Ok(format!("open again: {id}  {} (was {})\n", decision.what, decision.verdict.name()));
        }
        Ok(Err(why)) => Failed::new(1, why),
        Err(error) => Failed::new(2, format!("cannot write {}: {error}", path.display())),
    };
    Err(failed(recorded, sources, why))
}
