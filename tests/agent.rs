//! The agent under test: started in the gateway, followed by its events, ended when dropped.
//!
//! What the tests know of the agent's command line is in this file alone.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde::Deserialize;

use crate::lab::{DEADLINE, Lab, Output, Process};
pub use crate::user::User;

/// How long the agent may take to load the policy and its programs: the verifier takes seconds where nothing else
/// is slow.
const START: Duration = Duration::from_secs(60);

/// How often to ask for the first event.
const PROBE: Duration = Duration::from_millis(50);

/// A running agent.
#[derive(Debug)]
pub struct Agent<'lab> {
    process: Process,
    lab: &'lab Lab,
    socket: PathBuf,
}

/// What becomes of traffic that the policy does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It passes and is reported.
    Alert,
    /// It is dropped and reported.
    Enforce,
}

/// What an event reports, as far as tests look at it.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    /// `deviation` or `repeats`.
    pub kind: String,
    /// Why.
    pub reason: String,
    /// `pass`, `drop` or `would-drop`.
    pub verdict: String,
    /// The mode that made the verdict.
    pub mode: Mode,
    /// The part of the packet that deviates.
    pub field: Option<String>,
    /// The nearest rule.
    pub rule: Option<String>,
    /// Source address.
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: Option<IpAddr>,
    /// Source port.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// VLANs, outer first.
    pub vlans: Vec<u16>,
    /// Packets like it that were only counted.
    pub repeats: u64,
}

/// The events of an agent, from the moment of [`Agent::follow`].
#[derive(Debug)]
pub struct Events {
    process: Process,
}

impl<'lab> Agent<'lab> {
    /// Starts the agent in the lab's gateway; it is attached when this returns.
    ///
    /// # Errors
    /// If there is no binary, or the agent is not ready in time; with all that it printed.
    pub fn start(lab: &'lab Lab, policy: &str) -> Result<Self> {
        Self::start_with(lab, policy, &[])
    }

    /// The same with more arguments of `banchi run`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(lab: &'lab Lab, policy: &str, arguments: &[&str]) -> Result<Self> {
        Self::start_by(lab, Command::new(binary()?), policy, arguments)
    }

    /// The same by another user than root.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_as(lab: &'lab Lab, user: &User, policy: &str, arguments: &[&str]) -> Result<Self> {
        Self::start_by(lab, user.command(lab)?, policy, arguments)
    }

    fn start_by(lab: &'lab Lab, mut command: Command, policy: &str, arguments: &[&str]) -> Result<Self> {
        let file = lab.directory().join("policy.yaml");
        std::fs::write(&file, policy)?;
        let socket = socket(lab);
        command.arg("run").arg("--policy").arg(&file).arg("--socket").arg(&socket).args(arguments);
        command.env("BANCHI_PINS", lab.pins());
        // Tests want what holds after the start, unless they are about the start.
        if !arguments.contains(&"--grace") {
            command.args(["--grace", "0s"]);
        }
        let process = lab.gateway().spawn(command)?;
        process.wait_stderr(|line| line.starts_with("banchi: ready"), START)?;
        Ok(Self { process, lab, socket })
    }

    /// The running process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Sends a signal and waits for the end.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn end(mut self, signal: Signal) -> Result<ExitStatus> {
        self.process.signal(signal)?;
        self.process.wait(DEADLINE)
    }

    /// Switches all conduits to `mode`.
    ///
    /// # Errors
    /// If the agent refuses.
    pub fn set_mode(&self, mode: Mode) -> Result<()> {
        self.ask(&["mode", mode.name(), "--all"]).map(|_| ())
    }

    /// What `banchi status` says.
    ///
    /// # Errors
    /// If the agent does not answer.
    pub fn status(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.ask(&["status", "--json"])?).context("banchi status --json")
    }

    /// Follows the events. `probe` sends a packet that has to be reported, another one on each call: the first event
    /// shows that none will be missed from then on.
    ///
    /// # Errors
    /// If no event arrives in time.
    pub fn follow(&self, mut probe: impl FnMut(u16) -> Result<()>) -> Result<Events> {
        let command = self.command(&["events", "--follow", "--json"])?;
        let events = Events { process: self.lab.gateway().spawn(command)? };
        let deadline = Instant::now() + DEADLINE;
        for number in 0.. {
            probe(number)?;
            if events.process.wait_stdout(|_| true, PROBE).is_ok() {
                return Ok(events);
            }
            if Instant::now() > deadline {
                break;
            }
        }
        bail!("no event within {DEADLINE:?}: {:?} {:?}", events.process.stderr(), self.process.stderr());
    }

    /// Ends the agent as a service manager does, and takes its data plane off.
    ///
    /// # Errors
    /// If it does not end in time, or not well, or if something stays behind.
    pub fn stop(self) -> Result<()> {
        let lab = self.lab;
        let status = self.process.terminate(DEADLINE)?;
        ensure!(status.success(), "the agent ended with {status}");
        let output = verb(lab, &["detach", "--yes"])?;
        ensure!(output.status.success(), "banchi detach: {output}");
        Ok(())
    }

    /// Runs a verb that asks the agent and has to succeed; returns what it printed.
    ///
    /// # Errors
    /// If it does not succeed.
    pub fn ask(&self, arguments: &[&str]) -> Result<String> {
        let output = self.lab.gateway().spawn(self.command(arguments)?)?.finish(DEADLINE)?;
        ensure!(output.status.success(), "banchi {}: {output}", arguments.join(" "));
        Ok(output.stdout)
    }

    /// A verb that asks this agent.
    ///
    /// # Errors
    /// If there is no binary.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.args(arguments).arg("--socket").arg(&self.socket).env("BANCHI_PINS", self.lab.pins());
        Ok(command)
    }
}

/// Runs a verb in the lab's gateway, with or without an agent.
///
/// # Errors
/// If there is no binary, or it does not end.
pub fn verb(lab: &Lab, arguments: &[&str]) -> Result<Output> {
    verb_within(lab, arguments, DEADLINE)
}

/// The same for a verb that may take longer.
///
/// # Errors
/// As [`verb`].
pub fn verb_within(lab: &Lab, arguments: &[&str], deadline: Duration) -> Result<Output> {
    let mut command = Command::new(binary()?);
    command.args(arguments).env("BANCHI_SOCKET", socket(lab)).env("BANCHI_PINS", lab.pins());
    lab.gateway().spawn(command)?.finish(deadline)
}

impl Mode {
    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Enforce => "enforce",
        }
    }
}

impl Events {
    /// How many there were so far; a number for [`wait_from`](Self::wait_from) and [`since`](Self::since).
    pub fn count(&self) -> usize {
        self.process.stdout().len()
    }

    /// The first event from number `from` on that is `wanted`, or nothing if it does not come in time.
    ///
    /// # Errors
    /// If the agent prints something that is no event.
    pub fn wait_from(
        &self,
        from: usize,
        wanted: impl Fn(&Event) -> bool,
        timeout: Duration,
    ) -> Result<Option<Event>> {
        let deadline = Instant::now() + timeout;
        let mut next = from;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((after, line)) = self.process.wait_stdout_from(next, |_| true, left) else {
                return Ok(None);
            };
            next = after;
            let event = parse(&line)?;
            if wanted(&event) {
                return Ok(Some(event));
            }
        }
    }

    /// All events from number `from` on that have arrived.
    ///
    /// # Errors
    /// If the agent prints something that is no event.
    pub fn since(&self, from: usize) -> Result<Vec<Event>> {
        self.process.stdout().iter().skip(from).map(|line| parse(line)).collect()
    }
}

fn parse(line: &str) -> Result<Event> {
    serde_json::from_str(line).with_context(|| format!("not an event: {line}"))
}

/// Where the agent of a lab listens.
pub fn socket(lab: &Lab) -> PathBuf {
    lab.directory().join("banchi.sock")
}

/// The agent: `$BANCHI_BIN`, or the release build of this workspace.
///
/// # Errors
/// If it is not there.
pub fn binary() -> Result<PathBuf> {
    let target = || {
        let given = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        given
            .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))
            .join("release/banchi")
    };
    let binary = std::env::var_os("BANCHI_BIN").map_or_else(target, PathBuf::from);
    let name = binary.display();
    ensure!(binary.is_file(), "{name} is missing: run `cargo xtask build`, or set BANCHI_BIN");
    Ok(binary)
}
