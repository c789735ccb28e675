//! `banchi audit trail`: who changed what?

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::{AuditFile, Socket, fail, print};
use crate::audit::{Chain, check};

/// Shows who changed what, and who was refused, from the audit log. Reads files only: no agent is asked.
///
/// Each line of the log carries the SHA-256 of the line before it. With --check every line is held against that; the exit
/// code is 1 where a line was changed, removed or put in between.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Files, oldest first, as rotation leaves them [default: the audit log of the agent]
    files: Vec<PathBuf>,
    /// Hold every line against the one before it, instead of showing them
    #[arg(long)]
    check: bool,
    /// How many of the last entries
    #[arg(long, default_value_t = 20, value_name = "N")]
    last: usize,
    /// One JSON object a line
    #[arg(long, conflicts_with = "check")]
    json: bool,
    #[command(flatten)]
    audit: AuditFile,
    #[command(flatten)]
    socket: Socket,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let files = match args.files.is_empty() {
        true => vec![args.audit.of(&args.socket)],
        false => args.files.clone(),
    };
    let mut chain = Chain::default();
    for file in &files {
        let name = file.display().to_string();
        match std::fs::read(file) {
            Ok(bytes) => check(&mut chain, &name, &String::from_utf8_lossy(&bytes)),
            Err(error) => return fail(2, format!("cannot read {name}: {error}")),
        }
    }
    if args.check {
        return report(&chain);
    }
    let first = chain.entries.len().saturating_sub(args.last);
    for entry in chain.entries.iter().skip(first) {
        match serde_json::to_string(entry) {
            Ok(json) if args.json => print(&format!("{json}\n")),
            _ => print(&format!("{}\n", entry.line())),
        }
    }
    ExitCode::SUCCESS
}

fn report(chain: &Chain) -> ExitCode {
    let Chain { entries, breaks, cut, unwritten, .. } = chain;
    for found in breaks {
        print(&format!("{}:{}: {}\n", found.file, found.line, found.what));
    }
    if *cut > 0 {
        print(&format!(
            "{cut} line(s) are no whole entries: a full disk or a power cut, unless a break follows\n"
        ));
    }
    if *unwritten > 0 {
        print(&format!("{unwritten} entries could not be written at their time; the agent's log has them\n"));
    }
    match breaks.len() {
        0 => {
            print(&format!("{} entries, each the one after the one before\n", entries.len()));
            ExitCode::SUCCESS
        }
        count => fail(1, format!("{} entries, and the chain is broken in {count} place(s)", entries.len())),
    }
}
