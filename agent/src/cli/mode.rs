//! `banchi mode`: alert or enforce, from now on.

use std::process::ExitCode;

use banchi_common::abi::Mode;
use clap::ValueEnum;

use super::{Consent, Socket, fail, no_answer, print};
use crate::control::{Reply, Request, Target, request};

/// Switches conduits of the running policy between alert and enforce, at once and without re-attaching.
///
/// A mode that was set by hand also holds for rules with a mode of their own, and lasts until the agent
/// restarts.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub(super) struct Args {
    /// The new mode
    mode: Choice,
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
        Choice::Alert => Mode::Alert,
        Choice::Enforce => Mode::Enforce,
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
