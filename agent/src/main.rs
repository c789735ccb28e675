//! The `banchi` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    banchi::cli::main()
}
