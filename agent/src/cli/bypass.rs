//! `banchi bypass`: everything passes.

use std::process::ExitCode;

use super::recorded::{Change, Place, with_privilege};
use super::{fail, print};
use crate::datapath::Root;

/// Lets everything pass from the next packet on, whatever the policy says. It is counted, and `banchi status` says so.
/// Works without an agent.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy decides again
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs the verb. It writes the word itself: an agent that hangs must not be in the way. Nor must the audit log, which
/// comes last.
pub(super) fn run(args: &Args) -> ExitCode {
    let store = args.place.store();
    let done = Root::bypass(&store, !args.off).map_err(with_privilege);
    let code = match &done {
        Ok(()) if args.off => {
            print("the policy decides again\n");
            ExitCode::SUCCESS
        }
        Ok(()) => {
            print("BYPASS: everything passes, and is counted; `banchi bypass --off` ends it\n");
            ExitCode::SUCCESS
        }
        Err(error) => fail(error.exit_code(), error),
    };
    let failed = done.err().map(|error| error.to_string());
    let change = Change::begin("bypass", &[("off", args.off.into())], &args.place, &store);
    change.end(failed.as_deref(), &store);
    code
}
