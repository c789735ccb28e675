//! The running agent: one loop over events, questions and signals.

mod answer;
mod grants;
mod handle;
mod links;
mod reload;
mod scrape;
mod service;
mod sink;
mod status;

pub use status::status_of;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use banchi_common::abi::Event;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::audit::Audit;
use crate::config::Config;
use crate::control::{Access, Desk, History, Question, Server, bind};
use crate::datapath::{DatapathError, Options, XdpMode};
use crate::events::{Clock, Names, Reader, time_of_day};
use crate::grants::Seen;
use crate::metrics;
use crate::outputs::{LineFile, Outputs};
use crate::plane::{Plane, Source, Start, deciding_policy, hash, store_of};
use scrape::Scraper;
use service::Service;
use sink::Sink;

/// Name of what belongs to no conduit.
pub(crate) const ELSEWHERE: &str = "(elsewhere)";

/// What an agent runs with.
#[derive(Debug)]
pub struct Settings {
    /// The policy.
    pub source: Source,
    /// Where to listen. Records of generations stand beside it.
    pub socket: PathBuf,
    /// Who may ask there for what.
    pub access: Access,
    /// Where changes are recorded.
    pub audit: PathBuf,
    /// Where to pin.
    pub pins: PathBuf,
    /// Where in the kernel to run.
    pub xdp_mode: XdpMode,
    /// How long from the start on answers without a question are not enforced, where it is not the policy's to say.
    pub grace: Option<Duration>,
    /// Options of the data plane.
    pub options: Options,
    /// Where events and metrics go besides the control socket.
    pub config: Config,
    /// A policy file that is read anew falls back after this time unless it is confirmed.
    pub reload_confirm: Option<Duration>,
}

/// A running agent: its data plane goes on without it.
pub struct Agent {
    settings: Settings,
    plane: Plane,
    server: Server,
    names: BTreeMap<u32, Names>,
    /// What grants let through.
    seen: Seen,
    since: String,
    events: Option<LineFile>,
    events_unwritten: Arc<AtomicU64>,
    outputs: Outputs,
    audit: Audit,
    service: Service,
    /// The policy file, and the hash of what was in it when it was last read.
    reload_from: PathBuf,
    last_read: String,
    scraper: Scraper,
}

impl Agent {
    /// Takes up the data plane, or makes it.
    ///
    /// # Errors
    /// Whatever is not as it must be. A data plane that was there goes on as before; one that was not is not there.
    pub fn start(settings: Settings) -> Result<Self, DatapathError> {
        // First of all: two agents for one data plane must not be.
        let server = bind(&settings.socket, settings.access.is_shared())?;
        let audit = Audit::start(&settings.audit).map_err(|e| DatapathError::other("start a thread", e))?;
        let outputs =
            Outputs::start(&settings.config).map_err(|e| DatapathError::other("start a thread", e))?;
        let (reload_from, last_read) = (settings.source.path.clone(), hash(&settings.source.text));
        let store = store_of(&settings.pins, &settings.socket);
        let before = deciding_policy(&store);
        let (mode, options) = (settings.xdp_mode, settings.options.clone());
        let (plane, start) = Plane::start(store, &settings.source, mode, settings.grace, options)?;
        match start {
            Start::New => {}
            Start::Adopted => tracing::info!("taking up the data plane that is there, with the same policy"),
            Start::Replaced => tracing::info!("taking up the data plane that is there, with a new policy"),
        }
        if plane.is_bypassed()? {
            tracing::warn!("BYPASS: everything passes; `banchi bypass --off` ends it");
        }
        if plane.is_island()? {
            tracing::warn!(
                "ISLAND: nothing passes but what keeps the networks alive and what was kept; `banchi island --off` ends it"
            );
        }
        let mut agent = Self {
            settings,
            plane,
            server,
            names: BTreeMap::new(),
            seen: Seen::default(),
            since: time_of_day(),
            events: None,
            events_unwritten: Arc::default(),
            outputs,
            audit,
            service: Service::of_environment(),
            reload_from,
            last_read,
            scraper: Scraper::default(),
        };
        agent.name();
        agent.greet();
        agent.record_start(start, before);
        Ok(agent)
    }

    /// Also writes every event to this file.
    pub fn record(&mut self, events: LineFile) {
        self.events_unwritten = events.unwritten();
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
        let mut hang_up = handler(SignalKind::hangup())?;

        let history = History::default();
        let mut sink = Sink::new(self.events.take(), history.clone());
        let (questions, mut asked) = mpsc::channel::<Question>(16);
        let mut clock = Clock::now();
        let watch = links::watch()?;
        let mut tick = tokio::time::interval(Duration::from_millis(if log.is_some() { 50 } else { 1_000 }));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut scrapes = match self.settings.config.metrics {
            Some(listen) => {
                Some(metrics::serve(listen).map_err(|e| DatapathError::other("start a thread", e))?)
            }
            None => None,
        };
        let (access, audit) = (self.settings.access.clone(), self.audit.clone());
        self.server
            .serve(Desk { questions, events: history, access, audit })
            .map_err(|e| DatapathError::other("watch the control socket", e))?;
        // What whoever started the agent waits for: it stands whatever the log's level is.
        eprintln!(
            "banchi: ready: {} rules on {}, {}",
            self.plane.active.policy.rules.len(),
            self.plane.interfaces.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", "),
            self.settings.socket.display()
        );
        self.service.ready(&self.standing());
        loop {
            tokio::select! {
                biased;
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                Some(question) = asked.recv() => self.handle(question),
                _ = hang_up.recv() => {
                    self.look(&mut sink);
                    self.reload();
                }
                scrape = scrape::next(&mut scrapes) => self.answer_scrape(scrape),
                // Before the events: a flood of them must not keep the clock and the counts of repeats waiting.
                _ = tick.tick() => {
                    clock = Clock::now();
                    self.service.beat();
                    if let Some(log) = &mut log {
                        log.flush();
                    }
                    let before = self.policy_hash();
                    match self.plane.tick() {
                        Ok(true) => {
                            tracing::error!("the policy was not confirmed in time: the one before it is back");
                            self.record_own("fall-back", Some("not confirmed in time"), before);
                        }
                        Ok(false) => {}
                        Err(error) => tracing::error!("{error}"),
                    }
                    self.follow();
                    self.sweep(&mut sink, &clock);
                    self.look(&mut sink);
                }
                // Not with the next tick: until it is attached, everything from a new interface passes.
                () = links::changed(&watch) => self.follow(),
                read = reader.next(|event| {
                    let report = sink.report(event, names_of(&self.names, event), &clock);
                    if let Some(report) = report {
                        self.outputs.publish(&report);
                        self.scraper.reported.note(&report);
                        self.seen.note(&report);
                    }
                }) => {
                    read.map_err(|e| DatapathError::other("read the ring of events", e))?;
                    sink.flush();
                }
            }
        }
        self.service.stopping();
        sink.end();
        let record = self.record_own("stop", None, self.policy_hash());
        self.outputs.end();
        tracing::info!("stopping: the data plane goes on; `banchi detach` takes it off");
        record.wait().await;
        Ok(())
    }

    /// Finds out whether files were renamed.
    fn look(&self, sink: &mut Sink) {
        sink.flush();
        self.audit.look();
    }

    /// Reports counts of flows that went quiet, also of generations that decide no more.
    fn sweep(&mut self, sink: &mut Sink, clock: &Clock) {
        for event in self.plane.take_repeats() {
            let names = names_of(&self.names, &event);
            if let Some(report) = sink.report(&event, names, clock) {
                self.outputs.publish(&report);
                self.scraper.reported.note(&report);
            }
        }
        sink.flush();
    }
}

/// Names of the generation that an event is of.
fn names_of<'n>(names: &'n BTreeMap<u32, Names>, event: &Event) -> &'n Names {
    static NONE: Names = Names::none();
    names.get(&event.generation).unwrap_or(&NONE)
}
