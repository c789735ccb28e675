//! `banchi status`: what runs, and what has it seen?

use std::process::ExitCode;

use banchi_common::abi::Mode;

use super::table::{bytes, table};
use super::{Socket, fail, no_answer, print};
use crate::control::{Reply, Request, Status, request};

/// Shows the running policy: modes, rules and reasons with their counters.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    match request(&args.socket.socket, &Request::Status) {
        Ok(Reply::Status(status)) if args.json => match serde_json::to_string_pretty(&status) {
            Ok(text) => print(&format!("{text}\n")),
            Err(error) => return fail(1, error),
        },
        Ok(Reply::Status(status)) => print(&human(&status)),
        Ok(other) => return fail(1, format!("the agent answered something else: {other:?}")),
        Err(error) => return no_answer(&error),
    }
    ExitCode::SUCCESS
}

fn human(status: &Status) -> String {
    let mut text = format!(
        "banchi {} (pid {}), since {}\npolicy {} ({}…), generation {}\n{} XDP on {}; {} of kernel memory\n",
        status.version,
        status.pid,
        seconds(&status.since),
        status.policy,
        status.policy_hash.get(..12).unwrap_or_default(),
        status.generation,
        status.xdp_mode,
        status.interfaces.join(", "),
        bytes(status.kernel_bytes),
    );
    if status.bypass {
        text.push_str(&format!(
            "\nBYPASS: everything passes, whatever the policy says ({} packets so far); `banchi bypass --off` ends it\n\n",
            status.bypassed
        ));
    }
    for (count, what) in
        [(status.events_unwritten, "events"), (status.audit_unwritten, "entries of the audit log")]
    {
        if count > 0 {
            text.push_str(&format!(
                "{count} {what} could not be written to their file, see the agent's log\n"
            ));
        }
    }
    if let Some(until) = &status.confirm_until {
        text.push_str(&format!("not confirmed: the policy before comes back at {}\n", seconds(until)));
    }
    if let Some(previous) = &status.previous {
        text.push_str(&format!(
            "before it: {} ({}…), generation {}; `banchi rollback` brings it back\n",
            previous.policy,
            previous.policy_hash.get(..12).unwrap_or_default(),
            previous.generation
        ));
    }
    if let Some(until) = &status.grace_until {
        text.push_str(&format!(
            "grace until {}: answers without a question (unsolicited-reply) are not dropped yet\n",
            seconds(until)
        ));
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
    text
}

/// A time without its fraction: who needs that has --json.
fn seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

fn passes(reason: &str) -> bool {
    use banchi_common::reason::REASONS;
    REASONS.iter().any(|about| about.name == reason && about.reason.passes())
}
