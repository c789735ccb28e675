//! `banchi review`: what deviated, and what to do about it?

mod decide;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use super::pinned::{Seen, ask_or_look};
use super::recorded::Place;
use super::{fail, load};
use crate::control::{Request, follow};
use crate::image::CompileError;
use crate::plane::{View, policy_in_use};
use crate::policy::model::Policy;
use crate::review::memory::{self, Memory};
use crate::review::{self, Change, Heap, Unread};

/// Events of a running agent that are asked for: all that it keeps.
const LAST: usize = 1_000;

/// Goes through what deviated, grouped into changes: a new service between two hosts, a new host, a device that changed, a
/// scan, what a grant let pass, noise. Without a word of the list below it lists them.
///
/// The events are the last 1,000 of the running agent, or those of files. Nothing decides differently until `banchi apply`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    list: show::List,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the changes that nobody has decided about
    List(show::List),
    /// Show all about one change
    Show(show::Show),
    /// Write a rule for it into a policy file
    Accept(decide::Accept),
    /// Let it pass for a time
    Grant(decide::Grant),
    /// Do not show it again
    Dismiss(decide::Judge),
    /// Keep it flagged: neither it nor anything else of its host is accepted
    Malicious(decide::Judge),
    /// Take back what was decided about it
    Forget(decide::Forget),
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let done = match &args.what {
        None => show::list(&args.list),
        Some(What::List(args)) => show::list(args),
        Some(What::Show(args)) => show::show(args),
        Some(What::Accept(args)) => decide::accept(args),
        Some(What::Grant(args)) => decide::grant(args),
        Some(What::Dismiss(args)) => decide::settle(args, memory::Verdict::Dismissed),
        Some(What::Malicious(args)) => decide::settle(args, memory::Verdict::Malicious),
        Some(What::Forget(args)) => decide::forget(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}

/// Where events and decisions are.
#[derive(Debug, clap::Args)]
struct Sources {
    /// Files of events, as `banchi run --events` writes them, plain, gzip or zstd [default: the running agent]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    events: Vec<PathBuf>,
    /// File that decisions are kept in [default: /var/lib/banchi/review.json; with another socket than the usual one
    /// review.json beside it]
    #[arg(long, env = "BANCHI_REVIEW", value_name = "FILE")]
    memory: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// The policy to hold events against.
#[derive(Debug, clap::Args)]
struct Against {
    /// The policy to hold the events against [default: the one that decides]
    #[arg(short, long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl Against {
    fn policy(&self, sources: &Sources) -> Result<Policy, ExitCode> {
        match &self.policy {
            Some(path) => Ok(load(path, true)?.0),
            None => policy_in_use(&sources.place.store()).map_err(|error| fail(error.exit_code(), error)),
        }
    }
}

impl Sources {
    fn memory_file(&self) -> PathBuf {
        memory::file_of(self.memory.as_deref(), &self.place.socket.socket)
    }

    fn memory(&self) -> Result<Memory, ExitCode> {
        let path = self.memory_file();
        Memory::read(&path).map_err(|error| fail(2, format!("cannot read {}: {error}", path.display())))
    }

    /// The changes, and where the events are from.
    fn changes(&self, policy: &Policy) -> Result<(Vec<Change>, String), ExitCode> {
        let (heap, unread, mut from) = self.heap()?;
        if unread.0 > 0 {
            from += &format!("; {} lines are no events of this version", unread.0);
        }
        if heap.left_out() > 0 {
            from += &format!("; {} packets of further flows are left out", heap.left_out());
        }
        let changes = review::changes(heap, policy).map_err(|error: CompileError| fail(1, error))?;
        Ok((changes, from))
    }

    fn heap(&self) -> Result<(Heap, Unread, String), ExitCode> {
        let (mut heap, mut unread) = (Heap::default(), Unread::default());
        if self.events.is_empty() {
            let (lines, from) = self.lines()?;
            let text = lines.join("\n");
            let read = review::read(text.as_bytes(), |event| heap.add(event));
            unread.0 += read.map_err(|error| fail(1, error))?.0;
            let from = format!("{} events {from}", heap.events);
            return Ok((heap, unread, from));
        }
        for path in &self.events {
            let read = review::read_file(path, |event| heap.add(event));
            let read = read.map_err(|error| fail(2, format!("cannot read {}: {error}", path.display())))?;
            unread.0 += read.0;
        }
        let from = format!("{} events of {} file(s)", heap.events, self.events.len());
        Ok((heap, unread, from))
    }

    /// Events of the agent, or those that wait for one.
    fn lines(&self) -> Result<(Vec<String>, String), ExitCode> {
        let request = Request::Events { last: LAST, follow: false };
        let ask = || {
            let mut lines = Vec::new();
            let mut keep = |line: &str| {
                lines.push(line.to_owned());
                true
            };
            follow(&self.place.socket.socket, &request, &mut keep)?;
            Ok(lines)
        };
        let look = |view: &View| {
            Ok(view.events()?.iter().filter_map(|report| report.json().ok()).collect::<Vec<String>>())
        };
        Ok(match ask_or_look(&self.place.socket, self.place.pins(), ask, look)? {
            Seen::Agent(lines) => (lines, "that the agent keeps".to_owned()),
            Seen::Pins(lines, error) => (lines, format!("that wait in the kernel ({})", error.absence())),
        })
    }
}

/// One line of somebody's reason; an empty one is none.
fn reason(text: &str) -> Result<String, String> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return Err("whoever reads it later wants to know".to_owned());
    }
    Ok(line.chars().filter(|c| !c.is_control()).take(200).collect())
}

/// Replaces a file by a text: there is the old one or the new one, with the rights of the old one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::{MetadataExt as _, fchown};
    // Behind a link is the file that is meant.
    let path = path.canonicalize()?;
    let old = std::fs::metadata(&path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut draft = tempfile::NamedTempFile::new_in(folder)?;
    draft.write_all(text.as_bytes())?;
    draft.as_file().set_permissions(old.permissions())?;
    let owner = draft.as_file().metadata()?;
    if (owner.uid(), owner.gid()) != (old.uid(), old.gid()) {
        fchown(draft.as_file(), Some(old.uid()), Some(old.gid()))?;
    }
    draft.as_file().sync_all()?;
    draft.persist(&path)?;
    Ok(())
}
