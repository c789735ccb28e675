//! `banchi detach`: the data plane comes off.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use super::recorded::{Change, Place};
use super::{fail, print};
use crate::control::{ClientError, Request, request};

/// Takes the program off all interfaces and forgets everything that was pinned. From then on everything passes. Some
/// network cards take their link down for seconds.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let store = args.place.store();
    if !store.exists() {
        print("nothing is attached\n");
        return ExitCode::SUCCESS;
    }
    if !matches!(request(&args.place.socket.socket, &Request::Status), Err(ClientError::NotRunning { .. })) {
        return fail(16, "an agent is running and would miss its data plane: stop it first");
    }
    // An agent with another socket holds the same pins.
    let _lock = match store.lock() {
        Ok(lock) => lock,
        Err(error) => return fail(error.exit_code(), error),
    };
    let links = store.links();
    if !args.yes {
        print(&format!(
            "This takes banchi off {} interface(s). Everything passes then, and some network cards take their link \
             down for seconds.\nType `detach` to go on: ",
            links.len()
        ));
        let mut line = String::new();
        let asked = std::io::stdin().is_terminal();
        if !asked || std::io::stdin().lock().read_line(&mut line).is_err() || line.trim() != "detach" {
            return fail(2, "nothing was changed; --yes does it without asking");
        }
    }
    let change = Change::begin("detach", &[], &args.place, &store);
    match store.remove() {
        Ok(()) => {
            print(&format!("detached from {} interface(s)\n", links.len()));
            change.end(None, &store);
            ExitCode::SUCCESS
        }
        Err(error) => {
            change.end(Some(&error.to_string()), &store);
            fail(error.exit_code(), error)
        }
    }
}
