//! Changes as tables, in words, and as JSON.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::super::table::{NARROW, paragraphs_within, table_within};
use super::super::{fail, print};
use super::{Against, Sources, said, visible};
use crate::events::seconds;
use crate::review::memory::{Decision, Memory, Verdict};
use crate::review::{Change, SHOWN, find};

/// Parts of a scan that are listed.
const PARTS: usize = 20;

/// Arguments of `banchi review list`.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Also those that are dismissed, and those that the policy lets pass by now
    #[arg(long)]
    all: bool,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    against: Against,
    #[command(flatten)]
    sources: Sources,
}

/// Arguments of `banchi review show`.
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// The change: its identity, or how that begins
    id: String,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    against: Against,
    #[command(flatten)]
    sources: Sources,
}

/// How a change stands.
pub(super) fn state(change: &Change, decision: Option<&Decision>) -> &'static str {
    match decision {
        Some(decision) if decision.verdict == Verdict::Malicious => decision.verdict.name(),
        _ if change.settled => "settled",
        Some(decision) => decision.verdict.name(),
        None => "open",
    }
}

fn is_listed(change: &Change, decision: Option<&Decision>) -> bool {
    !matches!(state(change, decision), "settled" | "dismissed")
}

/// Lists changes.
pub(super) fn list(args: &List) -> Result<(), ExitCode> {
    let policy = args.against.policy(&args.sources)?;
    let memory = args.sources.memory().map_err(said)?;
    let (changes, from) = args.sources.changes(&policy)?;
    let shown: Vec<&Change> =
        changes.iter().filter(|change| args.all || is_listed(change, memory.of(change))).collect();
    if args.json {
        let rows: Vec<Value> = shown.iter().map(|change| row(change, &memory)).collect();
        let document = json!({ "from": from, "changes": rows, "hidden": changes.len() - shown.len() });
        print(&format!("{document:#}\n"));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|change| {
            vec![
                short(&change.id),
                change.kind.name().to_owned(),
                change.asked.saturating_add(change.answered).to_string(),
                state(change, memory.of(change)).to_owned(),
                change.title.clone(),
            ]
        })
        .collect();
    if rows.is_empty() {
        print("there is nothing to review\n");
    } else {
        print(&visible(&table_within(NARROW, &["id", "kind", "packets", "state", "what"], &rows)));
    }
    let hidden = match changes.len() - shown.len() {
        0 => String::new(),
        hidden => format!("; {hidden} dismissed or settled are not shown (--all)"),
    };
    print(&format!("from {from}{hidden}\n"));
    Ok(())
}

pub(super) fn short(id: &str) -> String {
    id.chars().take(SHOWN).collect()
}

fn row(change: &Change, memory: &Memory) -> Value {
    let mut row = serde_json::to_value(change).unwrap_or_default();
    if let Value::Object(fields) = &mut row {
        let decision = memory.of(change);
        fields.insert("state".to_owned(), state(change, decision).into());
        fields.insert("decision".to_owned(), json!(decision));
        fields.insert("forbidden_by".to_owned(), json!(memory.forbids(change).map(|(id, _)| id)));
    }
    row
}

/// Shows one change.
pub(super) fn show(args: &Show) -> Result<(), ExitCode> {
    let policy = args.against.policy(&args.sources)?;
    let memory = args.sources.memory().map_err(said)?;
    let (changes, _) = args.sources.changes(&policy)?;
    let change = find(&changes, &args.id).map_err(|error| fail(1, error))?;
    if args.json {
        print(&format!("{:#}\n", row(change, &memory)));
    } else {
        print(&visible(&words(change, &memory)));
    }
    Ok(())
}

/// All about a change, in words.
pub(super) fn words(change: &Change, memory: &Memory) -> String {
    let mut lines = vec![
        ("change", format!("{}  {}  {}", short(&change.id), change.kind.name(), change.title)),
        ("what", change.text.clone()),
        ("how often", often(change)),
        ("seen", format!("first {}, last {}", seconds(&change.first), seconds(&change.last))),
        ("deviates", format!("{}: {}", change.reasons.join(", "), change.deviates)),
    ];
    if let Some(conduit) = &change.conduit {
        lines.push(("conduit", conduit.clone()));
    }
    if let Some(why) = change.who_asks {
        lines.push(("who asks", why.text().to_owned()));
    }
    if let Some(nearest) = &change.nearest {
        let misses = match nearest.misses.as_slice() {
            [] => String::new(),
            misses => format!(": {}", misses.join("; ")),
        };
        lines.push(("nearest", format!("{} (line {}){misses}", nearest.rule, nearest.line)));
    }
    match (&change.plan, &change.refuses) {
        (Some(plan), _) => {
            lines.push(("accepting", format!("writes {}", plan.text())));
            lines.push(("also lets", format!("pass {}", change.admits.join("; "))));
        }
        (None, Some(why)) => lines.push(("accepting", format!("is not possible: {why}"))),
        (None, None) => {}
    }
    for (at, member) in change.members.iter().take(PARTS).enumerate() {
        let part = format!("{}  {}", short(&member.id), member.title);
        lines.push((if at == 0 { "parts" } else { "" }, part));
    }
    if change.members.len() > PARTS {
        lines.push(("", format!("and {} more (--json)", change.members.len() - PARTS)));
    }
    let decision = memory.of(change);
    let state = match decision {
        Some(one) => format!(
            "{}; {} by {} at {}: {}",
            state(change, decision),
            one.verdict.name(),
            one.by,
            seconds(&one.time),
            one.reason
        ),
        None => state(change, None).to_owned(),
    };
    lines.push(("state", state));
    if let Some((id, one)) = memory.forbids(change).filter(|(id, _)| *id != change.id) {
        lines.push(("beware", format!("{} of the same host is malicious: {}", short(id), one.reason)));
    }
    paragraphs_within(NARROW, &lines)
}

fn often(change: &Change) -> String {
    if change.once {
        return "one packet, once".to_owned();
    }
    let packets = change.asked.saturating_add(change.answered);
    match change.conversations {
        0 => format!("{packets} packets"),
        _ => format!(
            "{packets} packets in {} conversation(s): {} from the one that asks, {} back",
            change.conversations, change.asked, change.answered
        ),
    }
}
