//! `banchi learn --live`: what is observed on interfaces, for as long as it was asked for.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use banchi_common::abi::Unseen;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::fail;
use super::learn::{Read, say};
use crate::datapath::{DatapathError, Observer, XdpMode};
use crate::events::Clock;
use crate::learn::observed::{Observed, ROUND};
use crate::learn::span;
use crate::policy::parse_time;

/// How often packets that were shown are looked at: the ring has room for more than come meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// What is said of a live run.
#[derive(Debug, clap::Args)]
pub(super) struct Live {
    /// Learn from what comes in by these interfaces, where everything passes; until --for is over, or Ctrl-C
    #[arg(long, num_args = 1.., value_name = "IFACE", conflicts_with = "approved")]
    pub(super) live: Vec<String>,
    /// How long to observe, in all runs together: `30m`, `24h` [default: until Ctrl-C or SIGTERM]
    #[arg(long = "for", requires = "live", value_name = "TIME", value_parser = parse_time)]
    length: Option<Duration>,
    /// Keep what was observed in this file, and go on from it: after a crash, a restart, or another day
    #[arg(long, requires = "live", value_name = "FILE")]
    state: Option<PathBuf>,
    /// How often the state is written; what came after that is lost where banchi is killed
    #[arg(long, requires = "state", default_value = "1m", value_name = "TIME", value_parser = parse_time)]
    save_every: Duration,
    /// Where in the kernel to look: `native` is faster, but attaching resets the link of some cards
    #[arg(long, requires = "live", value_enum, default_value_t = XdpMode::Generic)]
    xdp_mode: XdpMode,
    /// Most tuples that the kernel keeps apart within four seconds; packets of more are counted only
    #[arg(long, requires = "live", default_value_t = 65_536, value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    active_flows: u32,
}

/// Observes until the end, and yields what was seen.
pub(super) fn observe(args: &Live, max_flows: usize) -> Result<Read, ExitCode> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = args.live.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(fail(2, format!("`{twice}` is named twice")));
    }
    let observed = match &args.state {
        None => Observed::new(args.live.clone(), max_flows),
        Some(path) => Observed::resume(path, args.live.clone(), max_flows).map_err(|error| fail(2, error))?,
    };
    let mut run = Run { args, observed };
    if run.left() != Some(Duration::ZERO) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| fail(1, format!("cannot wait for anything: {error}")))?;
        runtime.block_on(run.watch()).map_err(|error| fail(error.exit_code(), error))?;
    }
    let Run { observed, .. } = run;
    say(&words(&observed));
    Ok(Read { interfaces: observed.interfaces.clone(), traffic: observed.finish(), packets: Vec::new() })
}

struct Run<'a> {
    args: &'a Live,
    observed: Observed,
}

impl Run<'_> {
    /// How much is left to observe; `None` is no end.
    fn left(&self) -> Option<Duration> {
        Some(self.args.length?.saturating_sub(Duration::from_nanos(self.observed.watched)))
    }

    async fn watch(&mut self) -> Result<(), DatapathError> {
        let handler = |kind| signal(kind).map_err(|e| DatapathError::other("handle signals", e));
        let (mut interrupt, mut terminate) =
            (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
        let mut observer = Observer::attach(&self.args.live, self.args.xdp_mode, self.args.active_flows)?;
        say(&format!("observing {}: everything passes", self.args.live.join(", ")));
        let bar = self.bar();
        let (mut clock, mut missed) = (Clock::now(), [0; 2]);
        let mut lost = BTreeSet::new();
        let (mut begun, mut saved) = (Instant::now(), Instant::now());
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = look.tick() => self.left().is_some_and(|left| begun.elapsed() >= left),
                _ = interrupt.recv() => true,
                _ = terminate.recv() => true,
            };
            let observed = &mut self.observed;
            if !is_last && begun.elapsed() < Duration::from_nanos(ROUND) {
                observer.shown(|sight, place| observed.shown(sight, &clock, place));
                continue;
            }
            turn(&mut observer, observed, &clock)?;
            // Somebody may have set it.
            clock = Clock::now();
            observed.watched += begun.elapsed().as_nanos() as u64;
            begun = Instant::now();
            let now = [observer.unseen(Unseen::NoRoom)?, observer.unseen(Unseen::RingFull)?];
            observed.missed(now[0] - missed[0], now[1] - missed[1]);
            missed = now;
            for name in observer.lost() {
                if lost.insert(name.to_owned()) {
                    let why = "it is gone, or somebody took the program off";
                    bar.suspend(|| say(&format!("{name} is not observed any more: {why}")));
                }
            }
            self.show(&bar);
            let is_last = is_last || lost.len() == self.args.live.len();
            if is_last || saved.elapsed() >= self.args.save_every {
                saved = Instant::now();
                self.save()?;
            }
            if is_last {
                bar.finish_and_clear();
                return Ok(());
            }
        }
    }

    /// Keeps the state, where it was asked for.
    fn save(&self) -> Result<(), DatapathError> {
        let Some(path) = &self.args.state else { return Ok(()) };
        self.observed.save(path).map_err(|error| DatapathError::other("keep the state", error))
    }

    fn bar(&self) -> ProgressBar {
        let target = ProgressDrawTarget::stderr_with_hz(2);
        let style = if self.args.length.is_some() { "{msg} {bar:30} {percent}%" } else { "{spinner} {msg}" };
        let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        let seconds = self.args.length.map(|length| length.as_secs().max(1));
        ProgressBar::with_draw_target(seconds, target).with_style(style)
    }

    fn show(&self, bar: &ProgressBar) {
        let (packets, tuples) = self.observed.size();
        bar.set_message(format!("{}: {packets} packets, {tuples} tuples", span(self.observed.watched)));
        bar.set_position(Duration::from_nanos(self.observed.watched).as_secs());
    }
}

/// Ends a round: what was shown of it, then what was counted, then what was shown of the next one already.
fn turn(observer: &mut Observer, observed: &mut Observed, clock: &Clock) -> Result<(), DatapathError> {
    observer.turn()?;
    let (round, mut early) = (observer.round(), Vec::new());
    observer.shown(|sight, place| {
        if sight.round == round { early.push((*sight, place)) } else { observed.shown(sight, clock, place) }
    });
    observer.take(|key, sighted| observed.counted(key, sighted, clock))?;
    for (sight, place) in &early {
        observed.shown(sight, clock, *place);
    }
    Ok(())
}

/// What was observed, and what was not.
fn words(observed: &Observed) -> String {
    let mut text = format!("observed for {}", span(observed.watched));
    if observed.runs > 1 {
        text += &format!(", in {} runs", observed.runs);
    }
    if observed.size().0 == 0 {
        text += "; nothing came in: a mirror port has to be promiscuous (`ip link set dev IFACE promisc on`)";
    }
    if observed.no_room > 0 {
        text += &format!(
            "; {} packets of tuples for which the kernel had no room: flows that were active for a short time may be \
             missing (--active-flows)",
            observed.no_room
        );
    }
    if observed.ring_full > 0 {
        text += &format!(
            "; {} packets were counted and not looked at, because too many came at once",
            observed.ring_full
        );
    }
    text
}
