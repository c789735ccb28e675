//! `banchi audit`: who changed what, and what of a policy is used?

mod policy;
mod trail;

use std::process::ExitCode;

use clap::Subcommand;

/// Shows who changed what, and who was refused (`trail`, also without a word), or what of a policy is used (`policy`).
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    trail: trail::Args,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show who changed what, and who was refused
    Trail(trail::Args),
    /// Show rules that nothing uses, rules that are broader than their traffic, assets that are not seen, and how ready each
    /// conduit is
    Policy(policy::Args),
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    match &args.what {
        None => trail::run(&args.trail),
        Some(What::Trail(args)) => trail::run(args),
        Some(What::Policy(args)) => policy::run(args),
    }
}
