//! `banchi run`: load, attach, report.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::{AuditFile, Consent, Pins, Socket, fail, load, print};
use crate::agent::{Agent, Settings};
use crate::config::{self, Config};
use crate::control::Access;
use crate::datapath::{Datapath, DatapathError, Options, XdpMode, preflight};
use crate::image::compile;
use crate::logging::{self, LogFormat};
use crate::outputs::LineFile;
use crate::plane::{Source, guard, hash, store_of};
use crate::policy::model::Policy;
use crate::policy::parse_time;
use crate::policy::render::Style;

/// Loads a policy into the kernel, attaches it to the interfaces of its zones, and reports what deviates
/// until it is told to stop (SIGINT, SIGTERM). The data plane goes on without the agent; the next start takes it
/// up, and `banchi detach` takes it off.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy file
    #[arg(short, long, default_value = "/etc/banchi/policy.yaml")]
    policy: PathBuf,
    /// Configuration of outputs and metrics
    #[arg(long, env = "BANCHI_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How the agent's log is written
    #[arg(long, value_enum, default_value = "auto", env = "BANCHI_LOG_FORMAT", value_name = "FORMAT")]
    log_format: LogFormat,
    /// A policy file that SIGHUP applies falls back after this time unless it is confirmed
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    reload_confirm: Option<Duration>,
    /// Also append every event to this file, one JSON object a line. It may be renamed at any time
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Where in the kernel the program runs; never falls back by itself
    #[arg(long, value_enum, default_value = "native", value_name = "MODE")]
    xdp_mode: XdpMode,
    /// Milliseconds between two events about the same flow and reason; 0 reports every packet
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    suppress: u32,
    /// Events of one reason a second and CPU before they are counted only; 0 is no limit
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    rate: u32,
    /// Bytes of the ring of events: a power of two
    #[arg(long, default_value_t = 4 << 20, value_name = "BYTES", value_parser = ring_size)]
    ring: u32,
    /// How long after the start answers without a question are reported and not dropped; 0s is not at all.
    /// Unless given, the longest reply window of the policy
    #[arg(long, value_name = "TIME", value_parser = grace)]
    grace: Option<Duration>,
    /// Log what becomes of every packet: for debugging only
    #[arg(long)]
    debug_packets: bool,
    /// Take a policy without any rule: nothing is allowed then but what conduits list under `ethertypes`
    #[arg(long)]
    allow_empty: bool,
    /// Check everything, load the program, and stop before it is attached
    #[arg(long)]
    dry_run: bool,
    /// Groups whose members may look at what runs, by name or number
    #[arg(long, env = "BANCHI_READERS", value_name = "GROUP", value_delimiter = ',')]
    readers: Vec<String>,
    /// Groups whose members may also change it
    #[arg(long, env = "BANCHI_OPERATORS", value_name = "GROUP", value_delimiter = ',')]
    operators: Vec<String>,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    socket: Socket,
    #[command(flatten)]
    pins: Pins,
    #[command(flatten)]
    audit: AuditFile,
}

fn ring_size(text: &str) -> Result<u32, String> {
    let size: u32 = text.parse().map_err(|e| format!("{e}"))?;
    if size.is_power_of_two() && (4096..=1 << 30).contains(&size) {
        Ok(size)
    } else {
        Err("a power of two from 4096 to 1073741824".to_owned())
    }
}

fn grace(text: &str) -> Result<Duration, String> {
    if text == "0s" { Ok(Duration::ZERO) } else { parse_time(text) }
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    logging::start(args.log_format, args.debug_packets);
    let (policy, text) = match load(&args.policy, args.allow_empty || is_running(args)) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let config = match args.config.as_deref().map_or_else(|| Ok(Config::default()), load_config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let options = Options {
        suppress_ms: args.suppress,
        events_per_second: args.rate,
        ring_bytes: args.ring,
        log: args.debug_packets,
        ..Options::default()
    };
    if args.dry_run {
        return match dry_run(&policy, args, &options) {
            Ok(packets) => {
                print(&format!(
                    "everything is there, the kernel takes the program, and {packets} packets proved it; nothing was \
                     attached\n"
                ));
                ExitCode::SUCCESS
            }
            Err(error) => fail(error.exit_code(), error),
        };
    }
    let access = match Access::new(&args.readers, &args.operators) {
        Ok(access) => access,
        Err(error) => return fail(2, error),
    };
    let settings = Settings {
        source: Source {
            path: args.policy.clone(),
            text,
            accepts_unsafe: args.consent.accept_unsafe,
            allow_empty: args.allow_empty,
        },
        socket: args.socket.socket.clone(),
        access,
        audit: args.audit.of(&args.socket),
        pins: args.pins.pins.clone(),
        xdp_mode: args.xdp_mode,
        grace: args.grace,
        options,
        config,
        reload_confirm: args.reload_confirm,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, format!("cannot start: {error}")),
    };
    // Before anything is attached: what cannot be written is said first.
    let events = match args.events.as_deref().map(EventFile::open).transpose() {
        Ok(events) => events,
        Err(error) => return fail(2, error),
    };
    runtime.block_on(async {
        let mut agent = match Agent::start(settings) {
            Ok(agent) => agent,
            Err(error) => {
                if let Some(events) = events {
                    events.take_back();
                }
                return fail(error.exit_code(), error);
            }
        };
        if let Some(events) = events {
            agent.record(events.file);
        }
        match agent.run().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(error.exit_code(), error),
        }
    })
}

/// Reads a configuration that must be right; says on standard error what is not.
fn load_config(path: &Path) -> Result<Config, ExitCode> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| fail(2, format!("cannot read {name}: {e}")))?;
    let loaded = config::load(&name, &text);
    let _ = std::io::stderr().write_all(loaded.render(&text, Style::Plain).as_bytes());
    loaded.config.ok_or_else(|| fail(2, format!("{name} has errors; nothing was changed")))
}

/// The file of `--events`.
struct EventFile {
    file: LineFile,
    path: PathBuf,
    made: bool,
}

impl EventFile {
    fn open(path: &Path) -> Result<Self, String> {
        let made = !path.exists();
        let file = LineFile::open(path);
        let file = file.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(Self { file, path: path.to_owned(), made })
    }

    /// Where the agent refuses to start, no file is left that was not there.
    fn take_back(self) {
        if self.made {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether this policy decides already, as pinned: then it was let be empty before.
fn is_running(args: &Args) -> bool {
    let store = store_of(&args.pins.pins, &args.socket.socket);
    std::fs::read_to_string(&args.policy).is_ok_and(|text| store.knows(&hash(&text)))
}

/// Everything but pinning and attaching.
fn dry_run(policy: &Policy, args: &Args, options: &Options) -> Result<usize, DatapathError> {
    let image = compile(policy).map_err(|error| DatapathError::other("compile the policy", error))?;
    let interfaces = preflight(policy, &image)?;
    guard(policy, args.xdp_mode, args.consent.accept_unsafe)?;
    let indices: Vec<u32> = interfaces.iter().map(|interface| interface.index).collect();
    Datapath::load(&image, &indices, options)?.prove(policy, &image, &indices)
}
