//! `banchi bypass`: everything passes.

use std::process::ExitCode;

use super::{Pins, Socket, fail, print};
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
}

/// Runs the verb. It writes the word itself: an agent that hangs must not be in the way.
pub(super) fn run(args: &Args) -> ExitCode {
    let store = store_of(&args.pins.pins, &args.socket.socket);
    match Root::bypass(&store, !args.off) {
        Ok(()) if args.off => print("the policy decides again\n"),
        Ok(()) => print("BYPASS: everything passes, and is counted; `banchi bypass --off` ends it\n"),
        Err(error) => return fail(error.exit_code(), error),
    }
    ExitCode::SUCCESS
}
