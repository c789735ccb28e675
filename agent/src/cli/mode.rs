//! `banchi mode`: alert or enforce, from now on.

use std::process::ExitCode;

use banchi_common::abi::Mode;
use clap::ValueEnum;

use super::pinned::{self, Seen};
use super::table::table;
use super::{Consent, Pins, Socket, fail, no_answer, print};
use crate::control::{Reply, Request, Target, request};

/// Switches conduits of the running policy between alert and enforce, at once and without re-attaching. Without a mode
/// it shows the modes, also where no agent runs.
///
/// A mode that was set by hand also holds for rules with a mode of their own, and stays with a conduit that keeps its
/// name.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").requires("mode")))]
pub(super) struct Args {
    /// The new mode, of those that are named
    #[arg(requires = "what")]
    mode: Option<Choice>,
    /// Every conduit, and what belongs to none
    #[arg(long, group = "what")]
    all: bool,
    /// One conduit, by name; may be given several times
    #[arg(long, group = "what", value_name = "NAME")]
    conduit: Vec<String>,
    /// What belongs to no conduit
    #[arg(long, group = "what")]
    elsewhere: bool,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    socket: Socket,
    #[command(flatten)]
    pins: Pins,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Choice {
    /// Let pass and report
    Alert,
    /// Drop and report
    Enforce,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let mode = match args.mode {
        Some(Choice::Alert) => Mode::Alert,
        Some(Choice::Enforce) => Mode::Enforce,
        None => return show(args),
    };
    let targets = if args.all {
        vec![Target::All]
    } else if args.elsewhere {
        vec![Target::Elsewhere]
    } else {
        args.conduit.iter().cloned().map(Target::Conduit).collect()
    };
    let mut changed = Vec::new();
    for target in targets {
        let accepts_unsafe = args.consent.accept_unsafe;
        match request(&args.socket.socket, &Request::Mode { mode, target, accepts_unsafe }) {
            Ok(Reply::Done { conduits }) => changed.extend(conduits),
            Ok(other) => return fail(1, format!("the agent answered something else: {other:?}")),
            Err(error) => return no_answer(&error),
        }
    }
    let name = match mode {
        Mode::Alert => "alert",
        Mode::Enforce => "enforce",
    };
    if args.json {
        print(&format!("{}\n", serde_json::json!({ "mode": name, "conduits": changed })));
    } else {
        print(&format!("{name}: {}\n", changed.join(", ")));
    }
    ExitCode::SUCCESS
}

/// Shows the modes, and changes nothing.
fn show(args: &Args) -> ExitCode {
    let status = match pinned::status(&args.socket, &args.pins) {
        Ok(Seen::Agent(status)) => status,
        Ok(Seen::Pins(status, error)) => {
            let _ = fail(0, format!("{}: read from what is pinned", error.absence()));
            status
        }
        Err(code) => return code,
    };
    let rows = status.conduits.iter();
    if args.json {
        let rows: Vec<_> = rows
            .map(|conduit| {
                serde_json::json!({
                    "conduit": conduit.name, "mode": conduit.mode, "by_hand": conduit.by_hand,
                })
            })
            .collect();
        print(&format!("{}\n", serde_json::json!({ "running": status.running, "conduits": rows })));
        return ExitCode::SUCCESS;
    }
    let word = |mode| if mode == Mode::Enforce { "ENFORCE" } else { "alert" };
    let by = |by_hand| if by_hand { "by hand" } else { "policy" };
    let rows: Vec<Vec<String>> = rows
        .map(|one| vec![one.name.clone(), word(one.mode).to_owned(), by(one.by_hand).to_owned()])
        .collect();
    print(&table(&["conduit", "mode", "set by"], &rows));
    ExitCode::SUCCESS
}
