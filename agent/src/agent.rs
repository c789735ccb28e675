//! The running agent: one loop over events, questions and signals.

mod links;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use banchi_common::abi::{Event, RootCount};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::control::{
    ConduitStatus, History, PreviousStatus, Question, ReasonStatus, Reply, ReportStatus, Request, RuleStatus,
    Server, Status, Target, bind,
};
use crate::datapath::{DatapathError, Options, XdpMode};
use crate::events::{Clock, Names, Reader, Report, monotonic};
use crate::image::summarize;
use crate::plane::{Plane, Source, Start, store_of};

/// Name of what belongs to no conduit.
const ELSEWHERE: &str = "(elsewhere)";

/// What an agent runs with.
#[derive(Debug)]
pub struct Settings {
    /// The policy.
    pub source: Source,
    /// Where to listen. Records of generations stand beside it.
    pub socket: PathBuf,
    /// Where to pin.
    pub pins: PathBuf,
    /// Where in the kernel to run.
    pub xdp_mode: XdpMode,
    /// How long from the start on answers without a question are not enforced, where it is not the policy's to say.
    pub grace: Option<Duration>,
    /// Options of the data plane.
    pub options: Options,
}

/// A running agent: its data plane goes on without it.
pub struct Agent {
    settings: Settings,
    plane: Plane,
    server: Server,
    names: BTreeMap<u32, Names>,
    since: jiff::Timestamp,
    events: Option<File>,
}

impl Agent {
    /// Takes up the data plane, or makes it.
    ///
    /// # Errors
    /// Whatever is not as it must be. A data plane that was there goes on as before; one that was not is not there.
    pub fn start(settings: Settings) -> Result<Self, DatapathError> {
        // First of all: two agents for one data plane must not be.
        let server = bind(&settings.socket)?;
        let store = store_of(&settings.pins, &settings.socket);
        let (mode, options) = (settings.xdp_mode, settings.options.clone());
        let (plane, start) = Plane::start(store, &settings.source, mode, settings.grace, options)?;
        match start {
            Start::New => {}
            Start::Adopted => log::info!("taking up the data plane that is there, with the same policy"),
            Start::Replaced => log::info!("taking up the data plane that is there, with a new policy"),
        }
        if plane.is_bypassed()? {
            log::warn!("BYPASS: everything passes; `banchi bypass --off` ends it");
        }
        let since = jiff::Timestamp::now();
        let mut agent = Self { settings, plane, server, names: BTreeMap::new(), since, events: None };
        agent.name();
        agent.greet();
        Ok(agent)
    }

    /// Also writes every event to this file.
    pub fn record(&mut self, events: File) {
        self.events = Some(events);
    }

    /// Events carry the number of their generation, and its names.
    fn name(&mut self) {
        let interfaces = &self.plane.interfaces;
        for generation in std::iter::once(&self.plane.active).chain(&self.plane.previous) {
            let names = || Names::of(&generation.policy, interfaces);
            self.names.entry(generation.record.id).or_insert_with(names);
        }
        // Events of older ones have been read long ago.
        while self.names.len() > 8 {
            self.names.pop_first();
        }
    }

    /// Works until a signal says stop. The data plane goes on then.
    ///
    /// # Errors
    /// Where it cannot read events or handle signals.
    pub async fn run(mut self) -> Result<(), DatapathError> {
        let mut reader = Reader::new(self.plane.active.datapath.take_events()?)
            .map_err(|e| DatapathError::other("watch the ring of events", e))?;
        let mut log =
            if self.settings.options.log { Some(self.plane.active.datapath.take_log()?) } else { None };
        let handler = |kind| signal(kind).map_err(|e| DatapathError::other("handle signals", e));
        let mut interrupt = handler(SignalKind::interrupt())?;
        let mut terminate = handler(SignalKind::terminate())?;

        let history = History::default();
        let mut sink = Sink::new(self.events.take(), history.clone());
        let (questions, mut asked) = mpsc::channel::<Question>(16);
        let mut clock = Clock::now();
        let watch = links::watch()?;
        let mut tick = tokio::time::interval(Duration::from_millis(if log.is_some() { 50 } else { 1_000 }));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.server
            .serve(questions, history)
            .map_err(|e| DatapathError::other("watch the control socket", e))?;
        // What whoever started the agent waits for: it stands whatever the log's level is.
        eprintln!(
            "banchi: ready: {} rules on {}, {}",
            self.plane.active.policy.rules.len(),
            self.plane.interfaces.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", "),
            self.settings.socket.display()
        );
        loop {
            tokio::select! {
                biased;
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                Some((request, answer)) = asked.recv() => {
                    // A client that hung up does not want its answer.
                    let _ = answer.send(self.answer(request));
                }
                // Before the events: a flood of them must not keep the clock and the counts of repeats waiting.
                _ = tick.tick() => {
                    clock = Clock::now();
                    if let Some(log) = &mut log {
                        log.flush();
                    }
                    match self.plane.tick() {
                        Ok(true) => {
                            log::error!("the policy was not confirmed in time: the one before it is back");
                        }
                        Ok(false) => {}
                        Err(error) => log::error!("{error}"),
                    }
                    self.follow();
                    self.sweep(&mut sink, &clock);
                }
                // Not with the next tick: until it is attached, everything from a new interface passes.
                () = links::changed(&watch) => self.follow(),
                read = reader.next(|event| sink.report(event, names_of(&self.names, event), &clock)) => {
                    read.map_err(|e| DatapathError::other("read the ring of events", e))?;
                    sink.flush();
                }
            }
        }
        sink.flush();
        log::info!("stopping: the data plane goes on; `banchi detach` takes it off");
        Ok(())
    }

    /// Reports counts of flows that went quiet.
    fn sweep(&mut self, sink: &mut Sink, clock: &Clock) {
        let quiet = u64::from(self.plane.active.record.suppress_ms) * 1_000_000;
        if quiet == 0 {
            return;
        }
        let now = u64::try_from(monotonic().as_nanos()).unwrap_or(0);
        let id = self.plane.active.record.id;
        let Some(names) = self.names.get(&id) else { return };
        match self.plane.active.datapath.take_repeats(now, quiet) {
            Ok(events) => events.iter().for_each(|event| sink.report(event, names, clock)),
            Err(error) => log::warn!("{error}"),
        }
        sink.flush();
    }

    fn answer(&mut self, request: Request) -> Reply {
        let result = match request {
            Request::Status => self.status().map(|status| Reply::Status(Box::new(status))),
            Request::Mode { mode, target, accepts_unsafe } => self.set_mode(mode, &target, accepts_unsafe),
            Request::Apply { policy, text, confirm_within_ms, accepts_unsafe } => {
                let within = confirm_within_ms.map(Duration::from_millis);
                self.apply(Source { path: policy, text, accepts_unsafe }, within)
            }
            Request::Confirm => self.plane.confirm().map(|()| self.changed("confirmed")),
            Request::Rollback => self.plane.rollback().map(|()| self.changed("rolled back")),
            // The server answers these itself.
            Request::Events { .. } => Ok(Reply::Error { message: "not here".to_owned() }),
        };
        result.unwrap_or_else(|error| Reply::Error { message: error.to_string() })
    }

    fn apply(&mut self, source: Source, within: Option<Duration>) -> Result<Reply, DatapathError> {
        if self.plane.deadline()?.is_some() {
            let waits = "a policy waits for its confirmation: `banchi confirm` or `banchi rollback` first";
            return Ok(Reply::Error { message: waits.to_owned() });
        }
        self.plane.apply(&source, within)?;
        self.settings.source = source;
        Ok(self.changed("applied"))
    }

    /// What decides now, for the log and for who asked.
    fn changed(&mut self, what: &str) -> Reply {
        self.name();
        let record = &self.plane.active.record;
        log::warn!("{what}: generation {} of {}", record.id, record.policy_path.display());
        Reply::Changed {
            generation: record.id,
            policy: record.policy_path.display().to_string(),
            policy_hash: record.policy_hash.clone(),
        }
    }

    fn set_mode(
        &mut self,
        mode: banchi_common::abi::Mode,
        target: &Target,
        accepts_unsafe: bool,
    ) -> Result<Reply, DatapathError> {
        let names: Vec<String> = std::iter::once(ELSEWHERE.to_owned())
            .chain(self.plane.active.policy.conduits.iter().map(|conduit| conduit.name.clone()))
            .collect();
        let chosen: Vec<(u32, String)> = (0u32..)
            .zip(names)
            .filter(|(number, name)| match target {
                Target::All => true,
                Target::Elsewhere => *number == 0,
                Target::Conduit(wanted) => *number > 0 && name == wanted,
            })
            .collect();
        if let (Target::Conduit(wanted), true) = (target, chosen.is_empty()) {
            let known: Vec<&str> =
                self.plane.active.policy.conduits.iter().map(|conduit| conduit.name.as_str()).collect();
            let message = format!("there is no conduit `{wanted}`; there are: {}", known.join(", "));
            return Ok(Reply::Error { message });
        }
        if mode == banchi_common::abi::Mode::Enforce {
            let numbers: Vec<u32> = chosen.iter().map(|(number, _)| *number).collect();
            self.plane.guard_conduits(&numbers, accepts_unsafe)?;
        }
        for (number, name) in &chosen {
            self.plane.set_mode(*number, mode)?;
            let mode = format!("{mode:?}").to_lowercase();
            log::warn!("mode of {name} set to {mode} by hand");
        }
        Ok(Reply::Done { conduits: chosen.into_iter().map(|(_, name)| name).collect() })
    }

    fn kernel_bytes(&self) -> u64 {
        let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let generations = std::iter::once(&self.plane.active).chain(&self.plane.previous);
        generations.map(|one| summarize(&one.policy, &one.image, cpus).kernel_bytes).sum()
    }

    fn status(&self) -> Result<Status, DatapathError> {
        let counters = self.plane.active.datapath.counters()?;
        let links = self.link_status();
        let modes = self.plane.active.datapath.modes()?;
        let clock = Clock::now();
        let last = |ns: u64| (ns > 0).then(|| clock.time(ns));
        let conduit_of =
            |rule: &crate::policy::model::Rule| self.plane.active.policy.conduits.get(rule.conduit);
        let rules: Vec<RuleStatus> = self
            .plane
            .active
            .policy
            .rules
            .iter()
            .zip(&counters.rules)
            .map(|(rule, (forward, back))| RuleStatus {
                name: rule.name.clone(),
                line: rule.line,
                conduit: conduit_of(rule).map(|conduit| conduit.name.clone()).unwrap_or_default(),
                forward_packets: forward.packets,
                forward_bytes: forward.bytes,
                return_packets: back.packets,
                return_bytes: back.bytes,
                last: last(forward.last_ns.max(back.last_ns)),
            })
            .collect();
        let names = std::iter::once(ELSEWHERE.to_owned())
            .chain(self.plane.active.policy.conduits.iter().map(|conduit| conduit.name.clone()));
        let mut conduits: Vec<ConduitStatus> = names
            .zip(modes)
            .zip(&counters.reasons)
            .map(|((name, (mode, by_hand)), reasons)| ConduitStatus {
                allowed: rules
                    .iter()
                    .filter(|rule| rule.conduit == name)
                    .map(|rule| rule.forward_packets + rule.return_packets)
                    .sum(),
                reasons: reasons
                    .iter()
                    .map(|(reason, count)| ReasonStatus {
                        reason: reason.about().name.to_owned(),
                        packets: count.packets,
                        bytes: count.bytes,
                        last: last(count.last_ns).unwrap_or_default(),
                    })
                    .collect(),
                name,
                mode,
                by_hand,
            })
            .collect();
        if !conduits.is_empty() {
            conduits.rotate_left(1);
        }
        let reports = counters.reports.iter().map(|(reason, reports)| ReportStatus {
            reason: reason.about().name.to_owned(),
            sent: reports.sent,
            suppressed: reports.suppressed,
            limited: reports.limited,
            lost: reports.lost,
        });
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since: self.since.to_string(),
            generation: self.plane.active.record.id,
            previous: self.plane.previous.as_ref().map(|previous| PreviousStatus {
                generation: previous.record.id,
                policy: previous.record.policy_path.display().to_string(),
                policy_hash: previous.record.policy_hash.clone(),
            }),
            confirm_until: self.plane.deadline()?.map(|ns| clock.time(ns)),
            bypass: self.plane.is_bypassed()?,
            bypassed: self.plane.count(RootCount::Bypassed)?,
            fell_back: self.plane.count(RootCount::FellBack)?,
            policy: self.plane.active.record.policy_path.display().to_string(),
            policy_hash: self.plane.active.record.policy_hash.clone(),
            xdp_mode: links::mode_of(&links),
            links,
            enforced_unsafe: self.plane.enforced_findings()?,
            interfaces: self.plane.interfaces.iter().map(|interface| interface.name.clone()).collect(),
            kernel_bytes: self.kernel_bytes(),
            grace_until: self.plane.active.datapath.grace_until()?.map(|ns| clock.time(ns)),
            reports: reports.collect(),
            conduits,
            rules,
        })
    }
}

/// Names of the generation that an event is of.
fn names_of<'n>(names: &'n BTreeMap<u32, Names>, event: &Event) -> &'n Names {
    static NONE: Names = Names::none();
    names.get(&event.generation).unwrap_or(&NONE)
}

/// Where events go. A file that cannot be written costs its own lines only, and is said once.
struct Sink {
    file: Option<BufWriter<File>>,
    broken: bool,
    history: History,
}

impl Sink {
    fn new(file: Option<File>, history: History) -> Self {
        Self { file: file.map(BufWriter::new), broken: false, history }
    }

    fn report(&mut self, event: &Event, names: &Names, clock: &Clock) {
        let Some(report) = Report::of(event, names, clock) else {
            log::warn!("an event makes no sense: reason {}, verdict {}", event.reason, event.verdict);
            return;
        };
        let Ok(line) = report.json() else { return };
        if let Some(file) = &mut self.file {
            let written = file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n"));
            self.note(written);
        }
        self.history.publish(line);
    }

    fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            let flushed = file.flush();
            self.note(flushed);
        }
    }

    fn note(&mut self, result: std::io::Result<()>) {
        match result {
            Ok(()) => self.broken = false,
            Err(error) if !self.broken => {
                self.broken = true;
                log::error!("cannot write events to their file: {error}");
            }
            Err(_) => {}
        }
    }
}
