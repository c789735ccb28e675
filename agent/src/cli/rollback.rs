//! `banchi rollback`: the policy before decides again.

use std::process::ExitCode;

use super::{Socket, change};
use crate::control::Request;

/// Lets the policy before decide again, from one packet to the next. A second rollback takes the first one back.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    socket: Socket,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    change(&args.socket, &Request::Rollback)
}
