//! `banchi apply`: another policy, from the next packet on.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::{Consent, Socket, fail, load, no_answer, print};
use crate::control::{Reply, Request, request};
use crate::policy::parse_time;

/// Lets a policy take the place of the one that decides, from one packet to the next, on all interfaces at once. The
/// loaded program is proven first. The policy before is kept for `banchi rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy file
    policy: PathBuf,
    /// The policy before comes back after this time unless `banchi confirm` comes first, with or without an agent
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    confirm_within: Option<Duration>,
    /// Take a policy without any rule: nothing is allowed then but what conduits list under `ethertypes`
    #[arg(long)]
    allow_empty: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    socket: Socket,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let (_, text) = match load(&args.policy, args.allow_empty) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let policy = std::path::absolute(&args.policy).unwrap_or_else(|_| args.policy.clone());
    let confirm_within_ms = args.confirm_within.map(|within| within.as_millis() as u64);
    let (accepts_unsafe, allow_empty) = (args.consent.accept_unsafe, args.allow_empty);
    let asked = Request::Apply { policy, text, confirm_within_ms, accepts_unsafe, allow_empty };
    match request(&args.socket.socket, &asked) {
        Ok(reply @ Reply::Changed { .. }) => {
            print(&super::changed(&reply));
            if let Some(within) = args.confirm_within {
                print(&format!(
                    "the policy before comes back in {within:?} unless you say `banchi confirm`\n"
                ));
            }
            ExitCode::SUCCESS
        }
        Ok(other) => fail(1, format!("the agent answered something else: {other:?}")),
        Err(error) => no_answer(&error),
    }
}
