//! `banchi review`: what deviated, and what to do about it?

mod decide;
mod show;
mod walk;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use super::pinned::{Seen, ask_or_look};
use super::recorded::Place;
use super::{fail, load, print};
use crate::control::{Request, follow};
use crate::image::CompileError;
use crate::plane::{View, policy_in_use};
use crate::policy::model::Policy;
use crate::review::memory::{self, Memory};
use crate::review::{self, Change, Heap, Unread, is_hidden};

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
    /// Go through the open changes in the terminal, one after the other, and decide about each
    Walk(walk::Walk),
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
        Some(What::Walk(args)) => walk::walk(args),
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

/// Why something was not done, and the exit code that says so.
#[derive(Debug)]
struct Failed {
    code: u8,
    why: String,
    /// It was done all the same, and only the list of decisions does not have it.
    is_done: bool,
}

impl Failed {
    fn new(code: u8, why: impl std::fmt::Display) -> Self {
        Self { code, why: why.to_string(), is_done: false }
    }

    /// What was done, and is not kept.
    fn not_kept(done: impl std::fmt::Display, why: &Self) -> Self {
        let why = format!("{done}, but the decision is not kept: {}", why.why);
        Self { code: 1, why, is_done: true }
    }
}

/// Says what was done, or why not.
fn told(done: Result<String, Failed>) -> Result<(), ExitCode> {
    done.map(|text| print(&visible(&text))).map_err(said)
}

fn said(failed: Failed) -> ExitCode {
    fail(failed.code, visible(&failed.why))
}

/// A text for a terminal. What would move its cursor or turn its words round is spelt out: names may be from elsewhere.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        if is_hidden(c) && !matches!(c, '\n' | '\t') {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
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
            None => sources.policy_in_use().map_err(said),
        }
    }
}

impl Sources {
    fn memory_file(&self) -> PathBuf {
        memory::file_of(self.memory.as_deref(), &self.place.socket.socket)
    }

    fn memory(&self) -> Result<Memory, Failed> {
        let path = self.memory_file();
        Memory::read(&path)
            .map_err(|error| Failed::new(2, format!("cannot read {}: {error}", path.display())))
    }

    fn policy_in_use(&self) -> Result<Policy, Failed> {
        policy_in_use(&self.place.store()).map_err(|error| Failed::new(error.exit_code(), error))
    }

    /// The changes, and where the events are from.
    fn changes(&self, policy: &Policy) -> Result<(Vec<Change>, String), ExitCode> {
        let (heap, from) = self.heap()?;
        let changes = review::changes(heap, policy).map_err(|error: CompileError| fail(1, error))?;
        Ok((changes, from))
    }

    /// What happened, and where the events are from.
    fn heap(&self) -> Result<(Heap, String), ExitCode> {
        let (heap, unread, mut from) = self.read()?;
        if unread.0 > 0 {
            from += &format!("; {} lines are no events of this version", unread.0);
        }
        if heap.left_out() > 0 {
            from += &format!("; {} packets of further flows are left out", heap.left_out());
        }
        Ok((heap, from))
    }

    fn read(&self) -> Result<(Heap, Unread, String), ExitCode> {
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
    let shown: String = text.chars().filter(|c| c.is_whitespace() || !is_hidden(*c)).collect();
    let line = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return Err("whoever reads it later wants to know".to_owned());
    }
    Ok(line.chars().take(200).collect())
}

/// Replaces a text of a file by another one: there is the old one or the new one, with the rights of the old one. Whoever
/// wrote to the file since it was read is not overwritten: then it is `false`.
fn replace(path: &Path, old: &str, new: &str) -> std::io::Result<bool> {
    use std::io::Write as _;
    use std::os::unix::fs::{MetadataExt as _, fchown};
    // Behind a link is the file that is meant.
    let path = path.canonicalize()?;
    let about = std::fs::metadata(&path)?;
    if !about.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    // A file that may not be written is not replaced either.
    std::fs::OpenOptions::new().write(true).open(&path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let _lock = memory::lock(folder)?;
    if std::fs::read(&path)? != old.as_bytes() {
        return Ok(false);
    }
    let mut draft = tempfile::NamedTempFile::new_in(folder)?;
    draft.write_all(new.as_bytes())?;
    draft.as_file().set_permissions(about.permissions())?;
    let owner = draft.as_file().metadata()?;
    if (owner.uid(), owner.gid()) != (about.uid(), about.gid()) {
        fchown(draft.as_file(), Some(about.uid()), Some(about.gid()))?;
    }
    draft.as_file().sync_all()?;
    // An editor asks for no lock.
    if std::fs::read(&path)? != old.as_bytes() {
        return Ok(false);
    }
    draft.persist(&path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_as_it_is_and_only_where_it_is_as_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("policy.yaml"), folder.path().join("link.yaml"));
        fs::write(&file, "old\r\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("policy.yaml", &link).unwrap();
        assert!(!replace(&link, "older", "new").unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), "old\r\n");
        assert!(replace(&link, "old\r\n", "new").unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(replace(folder.path(), "", "new").is_err(), "a folder");
        assert!(replace(Path::new("/dev/null"), "", "new").is_err(), "a device");
        assert!(replace(&folder.path().join("none"), "", "new").is_err(), "nothing");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no draft is left");
    }

    #[test]
    fn of_many_that_write_at_once_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.yaml");
        fs::write(&file, "").unwrap();
        let write = |name: usize| {
            loop {
                let old = fs::read_to_string(&file).unwrap();
                if replace(&file, &old, &format!("{old}{name}\n")).unwrap() {
                    break;
                }
            }
        };
        std::thread::scope(|scope| (0..8).for_each(|name| drop(scope.spawn(move || write(name)))));
        let text = fs::read_to_string(&file).unwrap();
        let mut names: Vec<&str> = text.lines().collect();
        names.sort_unstable();
        assert_eq!(names, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    }

    #[test]
    fn a_reason_is_one_line_that_can_be_read() {
        assert_eq!(reason(" web\tpages\r\n- { of the\u{2028}PLC ").unwrap(), "web pages - { of the PLC");
        assert_eq!(reason("\u{1b}[31mred\u{202e}").unwrap(), "[31mred");
        for none in ["", "  ", "\u{1b} \u{7}", "\u{200b}"] {
            assert!(reason(none).is_err(), "{none:?}");
        }
        assert_eq!(reason(&"ü".repeat(1_000)).unwrap().chars().count(), 200);
        assert_eq!(visible("a\r\n\u{1b}[2J\u{202e}\tü\n"), "a\n\\u{1b}[2J\\u{202e}\tü\n");
    }
}
