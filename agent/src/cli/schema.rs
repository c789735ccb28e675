//! `banchi schema`: the JSON Schema of a policy file, or of the agent's configuration.

use std::io::Write;
use std::process::ExitCode;

/// Prints the JSON Schema of policy files, for editors.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// That of the agent's configuration instead
    #[arg(long)]
    config: bool,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let schema = if args.config { crate::config::schema() } else { crate::policy::schema::schema() };
    match writeln!(std::io::stdout(), "{schema:#}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
