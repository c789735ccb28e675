//! `banchi revoke`: a grant ends now.

use std::process::ExitCode;

use super::grants::table_of;
use super::{Socket, fail, no_answer, print};
use crate::control::{Reply, Request, request};

/// Takes grants back, from the next packet on.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Numbers of the grants, as `banchi grants` shows them
    #[arg(required_unless_present = "all")]
    ids: Vec<u32>,
    /// Every grant that holds
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    socket: Socket,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    match request(&args.socket.socket, &Request::Revoke { ids: args.ids.clone() }) {
        Ok(Reply::Grants { grants }) if grants.is_empty() => print("nothing held any more\n"),
        Ok(Reply::Grants { grants }) => print(&table_of(&grants)),
        Ok(other) => return fail(1, format!("the agent answered something else: {other:?}")),
        Err(error) => return no_answer(&error),
    }
    ExitCode::SUCCESS
}
