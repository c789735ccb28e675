//! `banchi grant`: something may pass for a time.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;

use super::grants::{show, table_of};
use super::{Socket, fail, no_answer, print};
use crate::control::{Reply, Request, request};
use crate::grants::Wish;
use crate::policy::parse_time;

/// Lets a client ask a server for a service for a time, beside the policy: for maintenance. The kernel itself ends it,
/// agent or not. Every flow that passes is an event; `banchi grants --suggest` shows what a policy would need for them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Who may ask: an asset of the policy, or an address
    #[arg(long, required_unless_present = "from")]
    client: Option<String>,
    /// Who answers: an asset of the policy, or an address
    #[arg(long, required_unless_present = "from")]
    server: Option<String>,
    /// What is asked: `any`, a service of the policy or the catalogue, or a port such as `tcp/22`
    #[arg(long, required_unless_present = "from")]
    service: Option<String>,
    /// For how long: up to `24h`
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time, required_unless_present = "from")]
    time: Option<Duration>,
    /// Why
    #[arg(long, value_name = "TEXT", required_unless_present = "from")]
    reason: Option<String>,
    /// Several at once, all of them or none: a YAML list of mappings with these five keys
    #[arg(long, value_name = "FILE", conflicts_with_all = ["client", "server", "service", "time", "reason"])]
    from: Option<PathBuf>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
}

/// One entry of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    client: String,
    server: String,
    service: String,
    r#for: String,
    reason: String,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let wishes = match &args.from {
        Some(path) => match read(path) {
            Ok(wishes) => wishes,
            Err(message) => return fail(2, message),
        },
        None => vec![Wish {
            client: args.client.clone().unwrap_or_default(),
            server: args.server.clone().unwrap_or_default(),
            service: args.service.clone().unwrap_or_default(),
            seconds: seconds(args.time.unwrap_or_default()),
            reason: args.reason.clone().unwrap_or_default(),
        }],
    };
    match request(&args.socket.socket, &Request::Grant { wishes }) {
        Ok(Reply::Grants { grants }) if args.json => show(&grants),
        Ok(Reply::Grants { grants }) => {
            print(&table_of(&grants));
            ExitCode::SUCCESS
        }
        Ok(other) => fail(1, format!("the agent answered something else: {other:?}")),
        Err(error) => no_answer(&error),
    }
}

/// Whole seconds, and at least one.
pub(super) fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX)
}

fn read(path: &Path) -> Result<Vec<Wish>, String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read {name}: {e}"))?;
    let entries: Vec<Entry> = serde_saphyr::from_str(&text).map_err(|e| format!("{name}: {e}"))?;
    if entries.is_empty() {
        return Err(format!("{name} lists nothing"));
    }
    entries
        .into_iter()
        .map(|entry| {
            let time = parse_time(&entry.r#for).map_err(|e| format!("{name}: {e}"))?;
            Ok(Wish {
                client: entry.client,
                server: entry.server,
                service: entry.service,
                seconds: seconds(time),
                reason: entry.reason,
            })
        })
        .collect()
}
