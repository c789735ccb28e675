//! `banchi diff`: what does a change of policy mean?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Pins, Socket, fail, print};
use crate::diff::diff;
use crate::plane::{policy_in_use, store_of};
use crate::policy::model::Policy;
use crate::policy::{self, render::Style};

/// Says what a change of policy means: which rules allow more or less, which modes change, whose addresses are whose.
/// Rules are compared by what they allow, and not by how they are written.
///
/// Exit code, as that of `diff`: 0 no packet is judged differently; 1 there are differences; 2 something is wrong with
/// one of the policies. 18 what is pinned cannot be used; 20 no policy decides.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The old policy and the new one; `active`, or none, is the policy that decides
    #[arg(required = true, num_args = 1..=2, value_name = "POLICY")]
    policies: Vec<PathBuf>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: Socket,
    #[command(flatten)]
    pins: Pins,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let active = PathBuf::from("active");
    let (old, new) = match args.policies.as_slice() {
        [old, new] => (old, new),
        [new] => (&active, new),
        _ => return fail(2, "one or two policies"),
    };
    let (old, new) = match (read(args, old), read(args, new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(code), _) | (_, Err(code)) => return code,
    };
    let found = diff(&old, &new);
    if args.json {
        match serde_json::to_string_pretty(&found) {
            Ok(text) => print(&format!("{text}\n")),
            Err(error) => return fail(2, error),
        }
    } else {
        print(&found.text());
    }
    ExitCode::from(u8::from(found.differs))
}

/// A file, or what decides.
fn read(args: &Args, path: &Path) -> Result<Policy, ExitCode> {
    if path.as_os_str() == "active" {
        let store = store_of(&args.pins.pins, &args.socket.socket);
        return policy_in_use(&store).map_err(|error| fail(error.exit_code(), error));
    }
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| fail(2, format!("cannot read {name}: {e}")))?;
    let loaded = policy::load_for(&name, &text, true);
    let rendered = || policy::render::render(&name, &text, &loaded.diagnostics, Style::Plain);
    loaded.policy.ok_or_else(|| fail(2, format!("{name} has errors\n{}", rendered())))
}
