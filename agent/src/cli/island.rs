//! `banchi island`: nothing passes but what is named.

use std::process::ExitCode;

use super::recorded::{Change, Place, with_privilege};
use super::{fail, print};
use crate::island;

/// Lets nothing pass from the next packet on but what keeps the networks themselves alive (ARP, spanning tree and the
/// like) and the conduits that are named, whatever their mode. Works without an agent.
///
/// Conduits with the gateway itself at one end go on, so that whoever said this can take it back from afar.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Conduits that go on by the policy and in their mode
    #[arg(long, value_name = "CONDUIT", num_args = 1.., conflicts_with = "off")]
    keep: Vec<String>,
    /// Close the conduits of the gateway itself, too
    #[arg(long, conflicts_with = "off")]
    all: bool,
    /// The policy decides again
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs the verb. As with `bypass`, nothing is in the way: no agent that hangs, and no audit log.
pub(super) fn run(args: &Args) -> ExitCode {
    let store = args.place.store();
    let done = if args.off {
        island::end(&store).map(|()| "the policy decides again\n".to_owned())
    } else {
        island::begin(&store, &args.keep, !args.all).map(|open| {
            let open = if open.is_empty() { "no conduit".to_owned() } else { open.join(", ") };
            format!(
                "ISLAND: nothing passes but what keeps the networks alive; goes on: {open}; `banchi island --off` ends it\n"
            )
        })
    };
    let done = done.map_err(with_privilege);
    let code = match &done {
        Ok(text) => {
            print(text);
            ExitCode::SUCCESS
        }
        Err(error) => fail(error.exit_code(), error),
    };
    let failed = done.err().map(|error| error.to_string());
    let arguments = [("off", args.off.into()), ("all", args.all.into()), ("keep", args.keep.clone().into())];
    Change::begin("island", &arguments, &args.place, &store).end(failed.as_deref(), &store);
    code
}
