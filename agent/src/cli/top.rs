//! `banchi top`: what happens at this moment?

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::pinned::{Blind, Seen, see};
use super::{Pins, Socket, fail};
use crate::agent::status_of;
use crate::control::{ClientError, Reply, Request, Status, follow, request};
use crate::events::{Report, time_of_day};
use crate::plane::View;
use crate::policy::model::Policy;
use crate::policy::{self, parse_time};
use crate::top::{Absence, Anomaly, End, Inbox, KEPT, Model, Sight, Theme, show};

/// How long to wait before events are asked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// Whoever needs long for an answer is asked so many times less often.
const EASE: u32 = 4;

/// Shows conduits, rules, reasons and the newest events as they change, and what the selected event means. It only
/// looks. Where no agent runs it reads what is pinned, and says so. Keys are at the bottom; `?` is the help. Colours
/// are left out where NO_COLOR is set.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How often to look
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = parse_time)]
    interval: Duration,
    #[command(flatten)]
    socket: Socket,
    #[command(flatten)]
    pins: Pins,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let is_dumb = std::env::var_os("TERM").is_some_and(|name| name == "dumb");
    if !std::io::stdout().is_terminal() || is_dumb {
        let what = if is_dumb {
            "this terminal can only print (TERM=dumb)"
        } else {
            "standard output is no terminal"
        };
        return fail(
            2,
            format!(
                "{what}, and `banchi top` draws on one. For scripts: `banchi status --json`, `banchi events --json`"
            ),
        );
    }
    let mut eye = Eye { socket: args.socket.clone(), pins: args.pins.clone(), policy: None };
    // Whoever can see nothing at all hears why as from any verb.
    let first = match eye.look() {
        Ok(sight) => sight,
        Err(blind) => return fail(blind.code, blind.message),
    };
    let inbox = Arc::new(Inbox::default());
    inbox.see(first);
    let watching = [looking(eye, args.interval, &inbox), following(args.socket.clone(), &inbox)];
    let alive = || watching.iter().all(|thread| !thread.is_finished());
    let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let model = Model::new(u64::try_from(args.interval.as_millis()).unwrap_or(u64::MAX));
    match show(&inbox, model, &Theme::new(colours), alive) {
        Ok(End::Quit) => ExitCode::SUCCESS,
        // As a shell says it of a program that a signal ended.
        Ok(End::Signal(number)) => ExitCode::from(u8::try_from(128 + number).unwrap_or(u8::MAX)),
        Err(error) => fail(1, error),
    }
}

/// Looks again and again.
fn looking(mut eye: Eye, interval: Duration, inbox: &Arc<Inbox>) -> JoinHandle<()> {
    let inbox = Arc::clone(inbox);
    thread::spawn(move || {
        let mut took = Duration::ZERO;
        loop {
            thread::sleep(interval.max(took * EASE));
            let start = Instant::now();
            match eye.look() {
                Ok(sight) => inbox.see(sight),
                Err(blind) => inbox.be_blind(blind.message),
            }
            took = start.elapsed();
        }
    })
}

/// Follows events, of one agent after the other.
fn following(socket: Socket, inbox: &Arc<Inbox>) -> JoinHandle<()> {
    let inbox = Arc::clone(inbox);
    let asked = Request::Events { last: KEPT, follow: true };
    thread::spawn(move || {
        loop {
            let mut has_begun = false;
            // That none answers is seen by whoever looks.
            let _ = follow(&socket.socket, &asked, |line| {
                if !std::mem::replace(&mut has_begun, true) {
                    inbox.begin();
                }
                inbox.push(line);
                true
            });
            thread::sleep(AGAIN);
        }
    })
}

/// Who looks, and the policy that was seen last with its hash.
struct Eye {
    socket: Socket,
    pins: Pins,
    policy: Option<(String, Option<Arc<Policy>>)>,
}

/// What is read from the pins besides the status.
struct Found {
    status: Box<Status>,
    policy: Option<Policy>,
    waiting: Vec<Anomaly>,
    count: usize,
}

impl Eye {
    fn look(&mut self) -> Result<Sight, Blind> {
        let socket = &self.socket.socket;
        let ask = || match request(socket, &Request::Status)? {
            Reply::Status(status) => Ok(Found { status, policy: None, waiting: Vec::new(), count: 0 }),
            other => Err(ClientError::Refused(format!("the agent answered something else: {other:?}"))),
        };
        let look = |view: &View| {
            let events = view.events()?;
            Ok(Found {
                status: Box::new(status_of(view)?),
                policy: Some(view.plane().active.policy.clone()),
                count: events.len(),
                waiting: newest(&events),
            })
        };
        let (found, error) = match see(&self.socket, &self.pins, ask, look)? {
            Seen::Agent(found) => (found, None),
            Seen::Pins(found, error) => (found, Some(error)),
        };
        let Found { status, policy, waiting, count } = found;
        let absence = error.map(|error| Absence::new(&status, &error, waiting, count));
        let policy = self.policy(&status, policy);
        Ok(Sight { status: *status, policy, absence, now: time_of_day() })
    }

    /// The policy that decides; asked for where it is another one than before.
    fn policy(&mut self, status: &Status, found: Option<Policy>) -> Option<Arc<Policy>> {
        if let Some((hash, policy)) = &self.policy
            && *hash == status.policy_hash
        {
            return policy.clone();
        }
        let asked = || match request(&self.socket.socket, &Request::Policy) {
            Ok(Reply::Policy { policy, policy_hash, text }) if policy_hash == status.policy_hash => {
                policy::load_for(&policy, &text, true).policy
            }
            // Of an agent that is older, or that changes it just now: events are explained without it.
            _ => None,
        };
        let policy = found.or_else(asked).map(Arc::new);
        self.policy = Some((status.policy_hash.clone(), policy.clone()));
        policy
    }
}

/// The newest events, as many as are kept.
fn newest(events: &[Report]) -> Vec<Anomaly> {
    let newest = events.iter().skip(events.len().saturating_sub(KEPT));
    newest.filter_map(|report| Anomaly::parse(&report.json().ok()?)).collect()
}
