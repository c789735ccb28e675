//! `banchi confirm`: keep the policy that waits for it.

use std::process::ExitCode;

use super::{Socket, change};
use crate::control::Request;

/// Keeps the policy that was applied with `--confirm-within`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    socket: Socket,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    change(&args.socket, &Request::Confirm)
}
