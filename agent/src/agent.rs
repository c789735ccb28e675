//! The running agent: one loop over events, questions and signals.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use banchi_common::abi::Event;
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::control::{
    ConduitStatus, History, Question, ReasonStatus, Reply, ReportStatus, Request, RuleStatus, Status, Target,
    bind,
};
use crate::datapath::{Datapath, DatapathError, Interface, Options, XdpMode, preflight};
use crate::events::{Clock, Names, Reader, Report, monotonic};
use crate::image::{Image, summarize};
use crate::policy::model::Policy;

/// Name of what belongs to no conduit.
const ELSEWHERE: &str = "(elsewhere)";

/// What an agent runs with, besides its policy.
#[derive(Debug)]
pub struct Settings {
    /// The policy file, for people.
    pub policy_path: PathBuf,
    /// Its text, for the hash.
    pub policy_text: String,
    /// Where to listen.
    pub socket: PathBuf,
    /// Where in the kernel to run.
    pub xdp_mode: XdpMode,
    /// How long from the start on answers without a question are not enforced.
    pub grace: Duration,
    /// Options of the data plane.
    pub options: Options,
}

/// A loaded, not yet attached agent.
pub struct Agent {
    policy: Policy,
    settings: Settings,
    datapath: Datapath,
    interfaces: Vec<Interface>,
    kernel_bytes: u64,
    since: jiff::Timestamp,
    events: Option<File>,
}

impl Agent {
    /// Checks the machine and loads the program. Attaches nothing.
    ///
    /// # Errors
    /// Whatever is not as it must be; nothing stays behind then.
    pub fn load(policy: Policy, image: &Image, settings: Settings) -> Result<Self, DatapathError> {
        let interfaces = preflight(&policy, image)?;
        let indices: Vec<u32> = interfaces.iter().map(|interface| interface.index).collect();
        let datapath = Datapath::load(image, &indices, &settings.options)?;
        let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let kernel_bytes = summarize(&policy, image, cpus).kernel_bytes;
        let since = jiff::Timestamp::now();
        Ok(Self { policy, settings, datapath, interfaces, kernel_bytes, since, events: None })
    }

    /// Also writes every event to this file.
    pub fn record(&mut self, events: File) {
        self.events = Some(events);
    }

    /// Attaches, and works until a signal says stop.
    ///
    /// # Errors
    /// Where it cannot attach or listen; nothing stays attached then.
    pub async fn run(&mut self) -> Result<(), DatapathError> {
        let server = bind(&self.settings.socket)?;
        let mut reader = Reader::new(self.datapath.take_events()?)
            .map_err(|e| DatapathError::other("watch the ring of events", e))?;
        let mut log = if self.settings.options.log { Some(self.datapath.take_log()?) } else { None };
        let handler = |kind| signal(kind).map_err(|e| DatapathError::other("handle signals", e));
        let mut interrupt = handler(SignalKind::interrupt())?;
        let mut terminate = handler(SignalKind::terminate())?;
        self.datapath.grace(self.settings.grace)?;
        for interface in &self.interfaces {
            self.datapath.attach(interface, self.settings.xdp_mode)?;
        }

        let history = History::default();
        let mut sink = Sink::new(self.events.take(), history.clone());
        let (questions, mut asked) = mpsc::channel::<Question>(16);
        let names = Names::of(&self.policy, &self.interfaces);
        let mut clock = Clock::now();
        let mut tick = tokio::time::interval(Duration::from_millis(if log.is_some() { 50 } else { 1_000 }));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let serving = server.serve(questions, history);
        tokio::pin!(serving);
        // What whoever started the agent waits for: it stands whatever the log's level is.
        eprintln!(
            "banchi: ready: {} rules on {}, {}",
            self.policy.rules.len(),
            self.interfaces.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", "),
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
                () = &mut serving => {}
                // Before the events: a flood of them must not keep the clock and the counts of repeats waiting.
                _ = tick.tick() => {
                    clock = Clock::now();
                    if let Some(log) = &mut log {
                        log.flush();
                    }
                    self.sweep(&mut sink, &names, &clock);
                }
                read = reader.next(|event| sink.report(event, &names, &clock)) => {
                    read.map_err(|e| DatapathError::other("read the ring of events", e))?;
                    sink.flush();
                }
            }
        }
        sink.flush();
        log::info!("stopping: everything is detached");
        Ok(())
    }

    /// Reports counts of flows that went quiet.
    fn sweep(&mut self, sink: &mut Sink, names: &Names, clock: &Clock) {
        let quiet = u64::from(self.settings.options.suppress_ms) * 1_000_000;
        if quiet == 0 {
            return;
        }
        let now = u64::try_from(monotonic().as_nanos()).unwrap_or(0);
        match self.datapath.take_repeats(now, quiet) {
            Ok(events) => events.iter().for_each(|event| sink.report(event, names, clock)),
            Err(error) => log::warn!("{error}"),
        }
        sink.flush();
    }

    fn answer(&mut self, request: Request) -> Reply {
        let result = match request {
            Request::Status => self.status().map(|status| Reply::Status(Box::new(status))),
            Request::Mode { mode, target } => self.set_mode(mode, &target),
            // The server answers these itself.
            Request::Events { .. } => Ok(Reply::Error { message: "not here".to_owned() }),
        };
        result.unwrap_or_else(|error| Reply::Error { message: error.to_string() })
    }

    fn set_mode(&mut self, mode: banchi_common::abi::Mode, target: &Target) -> Result<Reply, DatapathError> {
        let names: Vec<String> = std::iter::once(ELSEWHERE.to_owned())
            .chain(self.policy.conduits.iter().map(|conduit| conduit.name.clone()))
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
            let known: Vec<&str> = self.policy.conduits.iter().map(|conduit| conduit.name.as_str()).collect();
            let message = format!("there is no conduit `{wanted}`; there are: {}", known.join(", "));
            return Ok(Reply::Error { message });
        }
        for (number, name) in &chosen {
            self.datapath.set_mode(*number, mode)?;
            let mode = format!("{mode:?}").to_lowercase();
            log::warn!("mode of {name} set to {mode} by hand");
        }
        Ok(Reply::Done { conduits: chosen.into_iter().map(|(_, name)| name).collect() })
    }

    fn status(&self) -> Result<Status, DatapathError> {
        let counters = self.datapath.counters()?;
        let modes = self.datapath.modes()?;
        let clock = Clock::now();
        let last = |ns: u64| (ns > 0).then(|| clock.time(ns));
        let conduit_of = |rule: &crate::policy::model::Rule| self.policy.conduits.get(rule.conduit);
        let rules: Vec<RuleStatus> = self
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
            .chain(self.policy.conduits.iter().map(|conduit| conduit.name.clone()));
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
            policy: self.settings.policy_path.display().to_string(),
            policy_hash: hex(&Sha256::digest(self.settings.policy_text.as_bytes())),
            xdp_mode: match self.settings.xdp_mode {
                XdpMode::Native => "native".to_owned(),
                XdpMode::Generic => "generic".to_owned(),
            },
            interfaces: self.interfaces.iter().map(|interface| interface.name.clone()).collect(),
            kernel_bytes: self.kernel_bytes,
            grace_until: self.datapath.grace_until()?.map(|ns| clock.time(ns)),
            reports: reports.collect(),
            conduits,
            rules,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
