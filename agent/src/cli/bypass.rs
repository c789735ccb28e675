//! `banchi bypass`: everything passes.

use std::process::ExitCode;

use super::recorded::{Change, with_privilege};
use super::{AuditFile, Pins, Socket, fail, print};
use crate::datapath::Root;
use crate::plane::store_of;

/// Lets everything pass from the next packet on, whatever the policy says. It is counted, and `banchi status` says so.
/// Works without an agent.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy decides again
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    socket: Socket,
    #[command(flatten)]
    pins: Pins,
    #[command(flatten)]
    audit: AuditFile,
}

/// Runs the verb. It writes the word itself: an agent that hangs must not be in the way. Nor must the audit log, which
/// comes last.
pub(super) fn run(args: &Args) -> ExitCode {
    let store = store_of(&args.pins.pins, &args.socket.socket);
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
    let change = Change::begin("bypass", &[("off", args.off.into())], (&args.audit, &args.socket), &store);
    change.end(failed.as_deref(), &store);
    code
}
