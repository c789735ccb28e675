//! `banchi grants`: what may pass for a time, and what did?

use std::process::ExitCode;

use super::table::table;
use super::{Socket, fail, no_answer, print};
use crate::control::{GrantState, GrantStatus, Reply, Request, request};
use crate::events::seconds;
use crate::grants::suggest;

/// Shows the grants of the last day, and what they let through.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One JSON document instead of text
    #[arg(long, conflicts_with = "suggest")]
    json: bool,
    /// Lines for the policy that would allow what the grants let through, to be read and not just pasted
    #[arg(long)]
    suggest: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let grants = match request(&args.socket.socket, &Request::Grants) {
        Ok(Reply::Grants { grants }) => grants,
        Ok(other) => return fail(1, format!("the agent answered something else: {other:?}")),
        Err(error) => return no_answer(&error),
    };
    if args.json {
        return show(&grants);
    }
    print(&if args.suggest { suggest(&grants) } else { table_of(&grants) });
    ExitCode::SUCCESS
}

/// Grants as JSON.
pub(super) fn show(grants: &[GrantStatus]) -> ExitCode {
    match serde_json::to_string_pretty(grants) {
        Ok(text) => {
            print(&format!("{text}\n"));
            ExitCode::SUCCESS
        }
        Err(error) => fail(1, error),
    }
}

/// Grants as a table.
pub(super) fn table_of(grants: &[GrantStatus]) -> String {
    if grants.is_empty() {
        return "there is no grant\n".to_owned();
    }
    let rows: Vec<Vec<String>> = grants
        .iter()
        .map(|status| {
            let wish = &status.grant.wish;
            let state = match status.state {
                GrantState::Holds => "holds",
                GrantState::Over => "over",
                GrantState::Revoked => "revoked",
            };
            vec![
                status.grant.id.to_string(),
                state.to_owned(),
                seconds(&status.grant.until),
                format!("{} > {} : {}", wish.client, wish.server, wish.service),
                status.asked.to_string(),
                status.answered.to_string(),
                format!("{} ({})", wish.reason, status.grant.by),
            ]
        })
        .collect();
    table(&["id", "state", "until", "what", "asked", "answered", "reason"], &rows)
}
