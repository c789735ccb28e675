//! `banchi schema`: the JSON Schema of a policy file.

use std::io::Write;
use std::process::ExitCode;

/// Prints the JSON Schema of policy files, for editors.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Runs the verb.
pub(super) fn run(_args: &Args) -> ExitCode {
    match writeln!(std::io::stdout(), "{:#}", crate::policy::schema::schema()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
