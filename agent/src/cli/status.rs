//! `banchi status`: what runs, and what has it seen?

use std::process::ExitCode;

use banchi_common::abi::Mode;

use super::pinned::{self, Seen};
use super::table::{bytes, table};
use super::{Pins, Socket, fail, print};
use crate::control::{ClientError, Loudness, Status};
use crate::events::seconds;
use crate::outputs::{OutputState, OutputStatus};

/// Shows the policy that decides: modes, rules and reasons with their counters. Where no agent runs it reads what is
/// pinned, and says so.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
    #[command(flatten)]
    pins: Pins,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let (status, absent) = match pinned::status(&args.socket, &args.pins) {
        Ok(Seen::Agent(status)) => (status, None),
        Ok(Seen::Pins(status, error)) => (status, Some(error)),
        Err(code) => return code,
    };
    if args.json {
        match serde_json::to_string_pretty(&status) {
            Ok(text) => print(&format!("{text}\n")),
            Err(error) => return fail(1, error),
        }
    } else {
        print(&human(&status, absent.as_ref()));
    }
    ExitCode::SUCCESS
}

/// What stands above everything else where no agent answers.
fn alarm(status: &Status, error: &ClientError) -> String {
    let mut text = format!("{}\n", status.absence(error));
    text.push_str(
        "  the policy below decides and is counted, in the kernel\n  \
         nobody reads events: they wait in the ring while it has room (`banchi events`)\n  \
         no policy and no mode can be changed; `banchi bypass` and `detach` work\n",
    );
    if status.confirm_until.is_some() {
        text.push_str("  nobody can confirm: the policy before comes back\n");
    }
    text.push_str("  `banchi run` takes the data plane up as it is\n\n");
    text
}

fn human(status: &Status, absent: Option<&ClientError>) -> String {
    let mut text = absent.map_or_else(String::new, |error| alarm(status, error));
    if let (Some(pid), Some(since)) = (status.pid, &status.since) {
        text.push_str(&format!("banchi {} (pid {pid}), since {}\n", status.version, seconds(since)));
    }
    text.push_str(&format!(
        "policy {} ({}…), generation {}\n{}; {} of kernel memory\n{}\ncounted since {}\n",
        status.policy,
        status.policy_hash.get(..12).unwrap_or_default(),
        status.generation,
        status.attached(),
        bytes(status.kernel_bytes),
        forwarding(status),
        seconds(&status.counts_since),
    ));
    for condition in status.conditions() {
        match condition.loudness {
            Loudness::Urgent => text.push_str(&format!("\n{}\n\n", condition.text)),
            Loudness::Amiss | Loudness::Note => text.push_str(&format!("{}\n", condition.text)),
        }
    }
    text.push('\n');
    let rows: Vec<Vec<String>> = status
        .conduits
        .iter()
        .map(|conduit| {
            let mode = match (conduit.mode, conduit.by_hand) {
                (Mode::Alert, false) => "alert",
                (Mode::Alert, true) => "alert (by hand)",
                (Mode::Enforce, false) => "ENFORCE",
                (Mode::Enforce, true) => "ENFORCE (by hand)",
            };
            let deviating: u64 =
                conduit.reasons.iter().filter(|r| !passes(&r.reason)).map(|r| r.packets).sum();
            vec![conduit.name.clone(), mode.to_owned(), conduit.allowed.to_string(), deviating.to_string()]
        })
        .collect();
    text.push_str(&table(&["conduit", "mode", "allowed", "deviating"], &rows));
    text.push('\n');
    let rows: Vec<Vec<String>> = status
        .rules
        .iter()
        .map(|rule| {
            vec![
                rule.line.to_string(),
                rule.name.clone(),
                rule.forward_packets.to_string(),
                rule.return_packets.to_string(),
                rule.last.as_deref().map_or_else(|| "never".to_owned(), seconds),
            ]
        })
        .collect();
    text.push_str(&table(&["line", "rule", "asked", "answered", "last"], &rows));
    for conduit in status.conduits.iter().filter(|conduit| conduit.by_former_rules > 0) {
        text.push_str(&format!(
            "{} packets in {} were allowed by rules that the policy no longer has\n",
            conduit.by_former_rules, conduit.name
        ));
    }
    let mut rows = Vec::new();
    for conduit in &status.conduits {
        for reason in &conduit.reasons {
            let row = vec![
                reason.reason.clone(),
                conduit.name.clone(),
                reason.packets.to_string(),
                seconds(&reason.last),
            ];
            rows.push(row);
        }
    }
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(&["reason", "conduit", "packets", "last"], &rows));
    }
    if !status.reports.is_empty() {
        let rows: Vec<Vec<String>> = status
            .reports
            .iter()
            .map(|report| {
                let counts = [report.sent, report.suppressed, report.limited, report.lost];
                std::iter::once(report.reason.clone()).chain(counts.map(|count| count.to_string())).collect()
            })
            .collect();
        text.push('\n');
        text.push_str(&table(&["events of", "sent", "repeats", "over rate", "lost"], &rows));
    }
    if !status.forwarded.is_empty() {
        let rows: Vec<Vec<String>> =
            status.forwarded.iter().map(|one| vec![one.cause.clone(), one.packets.to_string()]).collect();
        text.push('\n');
        text.push_str(&table(&["sent on, or left to the stack", "packets"], &rows));
    }
    text.push_str(&outputs(status));
    text
}

/// Where events go by the configuration, and what is wrong with it.
fn outputs(status: &Status) -> String {
    if status.outputs.is_empty() {
        return String::new();
    }
    let state = |one: &OutputStatus| match one.state {
        OutputState::Starting => "starting",
        OutputState::Up => "up",
        OutputState::Down => "DOWN",
    };
    let rows = status.outputs.iter().map(|one| {
        let counts = [one.sent, one.waiting, one.spooled, one.lost].map(|count| count.to_string());
        let words = [one.name.clone(), one.kind.clone(), state(one).to_owned()];
        words.into_iter().chain(counts).collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let mut text =
        format!("\n{}", table(&["output", "kind", "state", "sent", "waiting", "spooled", "lost"], &rows));
    for (name, to, error) in
        status.outputs.iter().filter_map(|one| Some((&one.name, &one.to, one.error.as_ref()?)))
    {
        text.push_str(&format!("output {name} ({to}): {error}\n"));
    }
    text
}

/// How packets leave that pass.
fn forwarding(status: &Status) -> String {
    let wires: Vec<String> = status.wires.iter().map(|(one, other)| format!("{one} - {other}")).collect();
    match wires.as_slice() {
        [] => format!("forwarding: {}", status.forwarding.name()),
        wires => format!("forwarding: {} ({})", status.forwarding.name(), wires.join(", ")),
    }
}

fn passes(reason: &str) -> bool {
    use banchi_common::reason::REASONS;
    REASONS.iter().any(|about| about.name == reason && about.reason.passes())
}
