//! `banchi review walk`: one open change after the other, and a question about each.

mod answer;
mod keyboard;
mod outcome;
mod round;
#[cfg(test)]
mod tests;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::super::fail;
use super::decide::{By, Target};
use super::{Against, Failed, Sources, said};
use keyboard::Keyboard;
use outcome::End;
use round::{Ground, Round};

/// Goes through the changes that nobody has decided about, shows all about one after the other, and asks what to do: write a
/// rule for it into a policy file, let it pass for a time, dismiss it, call it malicious, or leave it open.
///
/// Each answer does what the verb of that name does (`banchi review accept`, `grant`, `dismiss`, `malicious`, `forget`), and
/// is kept at once. It needs a terminal. Ended by Ctrl-C the exit code is 130, and 1 where the terminal goes away before or
/// SIGTERM comes; a decision under way is finished first. While it waits for the agent, Ctrl-C twice ends it at once.
#[derive(Debug, clap::Args)]
pub(super) struct Walk {
    /// The policy file that rules are written into, and that the events are held against [default: no rule is written]
    #[arg(long, value_name = "POLICY", conflicts_with = "policy")]
    into: Option<PathBuf>,
    /// Also those about which something was decided, and those that the policy lets pass by now
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    by: By,
    #[command(flatten)]
    against: Against,
    #[command(flatten)]
    sources: Sources,
}

/// Runs the verb.
pub(super) fn walk(args: &Walk) -> Result<(), ExitCode> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(fail(
            2,
            "a walk asks a person, and needs a terminal to read from and to write to; for scripts there are `banchi review list \
             --json`, and `banchi review accept`, `grant`, `dismiss`, `malicious` and `forget` with an identity",
        ));
    }
    let ground = args.ground()?;
    let (heap, from) = args.sources.heap()?;
    let stopped = |error: std::io::Error| fail(1, format!("cannot use the terminal: {error}"));
    // From here on Ctrl-C, SIGHUP and SIGTERM end the walk between two decisions, and not within one.
    let keyboard = Keyboard::open().map_err(stopped)?;
    let mut round = Round::new(args, ground, heap, keyboard, std::io::stdout()).map_err(said)?;
    match round.walk(&from).map_err(said)? {
        End::Done => Ok(()),
        End::Interrupted => Err(ExitCode::from(130)),
        End::Closed => Err(fail(
            1,
            "the terminal was closed, or a signal came, before the end; what was decided is kept",
        )),
    }
}

impl Walk {
    /// What the events are held against.
    fn ground(&self) -> Result<Ground, ExitCode> {
        match &self.into {
            Some(path) => Target::read(path).map(|target| Ground::Into(Box::new(target))),
            None => self.against.policy(&self.sources).map(|policy| Ground::Policy(Box::new(policy))),
        }
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::new(1, format!("cannot use the terminal: {error}"))
    }
}
