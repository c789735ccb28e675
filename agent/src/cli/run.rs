//! `banchi run`: load, attach, report.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::{Socket, fail, load, print};
use crate::agent::{Agent, Settings};
use crate::datapath::{Options, XdpMode};
use crate::image::compile;
use crate::policy::parse_time;

/// Loads a policy into the kernel, attaches it to the interfaces of its zones, and reports what deviates
/// until it is told to stop (SIGINT, SIGTERM). Then everything is detached.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy file
    #[arg(short, long, default_value = "/etc/banchi/policy.yaml")]
    policy: PathBuf,
    /// Also append every event to this file, one JSON object a line
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
    /// Check everything, load the program, and stop before it is attached
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    socket: Socket,
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
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(if args.debug_packets {
        // Not what libraries have to say.
        "info,banchi=debug"
    } else {
        "info"
    }))
    .format(|out, record| {
        writeln!(out, "banchi: {}: {}", record.level().as_str().to_lowercase(), record.args())
    })
    .init();
    let (policy, text) = match load(&args.policy) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let image = match compile(&policy) {
        Ok(image) => image,
        Err(error) => return fail(1, format!("{}: {error}", args.policy.display())),
    };
    let settings = Settings {
        policy_path: args.policy.clone(),
        policy_text: text,
        socket: args.socket.socket.clone(),
        xdp_mode: args.xdp_mode,
        grace: args.grace.unwrap_or_else(|| policy.longest_window()),
        options: Options {
            test_clock: false,
            suppress_ms: args.suppress,
            events_per_second: args.rate,
            ring_bytes: args.ring,
            trace: false,
            log: args.debug_packets,
        },
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, format!("cannot start: {error}")),
    };
    runtime.block_on(async {
        let mut agent = match Agent::load(policy, &image, settings) {
            Ok(agent) => agent,
            Err(error) => return fail(error.exit_code(), error),
        };
        if args.dry_run {
            print("everything is there, and the kernel takes the program; nothing was attached\n");
            return ExitCode::SUCCESS;
        }
        // Not earlier: where the agent refuses to start, no file is made.
        if let Some(path) = &args.events {
            match OpenOptions::new().create(true).append(true).open(path) {
                Ok(file) => agent.record(file),
                Err(error) => return fail(2, format!("cannot write {}: {error}", path.display())),
            }
        }
        match agent.run().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(error.exit_code(), error),
        }
    })
}
