//! `banchi report`: what captures show, and what a policy says of it, as one HTML file.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sha2::{Digest as _, Sha256};

use super::pinned::{self, Seen};
use super::{Pins, Socket, fail, learn, load, print, progress};
use crate::capture::Captures;
use crate::control::Status;
use crate::image::compile;
use crate::learn::draft::{Options, draft};
use crate::learn::flows;
use crate::policy;
use crate::policy::model::Policy;
use crate::report::data::Data;
use crate::report::gather::gather;
use crate::report::{Source, render};

/// Writes a report of captures: a map of who asks whom, what a policy would stop, how safe it is to enforce, and what
/// changed. It is one HTML file that loads nothing, for a browser or a printer.
///
/// Without a policy the captures are held against a draft that is learnt from them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// pcap and pcapng files, plain, gzip or zstd; several count as one
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    /// Where the report goes; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The policy to hold the captures against
    #[arg(short, long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Names and zones of hosts for the draft: CSV, or an export of NetBox as JSON or CSV
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    assets: Option<PathBuf>,
    /// The report before this one: what changed since then is shown
    #[arg(long, value_name = "REPORT")]
    since: Option<PathBuf>,
    /// What `banchi status --json` said at the gateway; `-` is standard input
    #[arg(long, value_name = "FILE", requires = "policy")]
    status: Option<PathBuf>,
    /// Ask the gateway on this machine, or what is pinned there
    #[arg(long, requires = "policy", conflicts_with = "status")]
    live: bool,
    /// Most tuples that are kept apart; more are folded
    #[arg(long, default_value_t = 200_000, value_name = "NUMBER")]
    max_flows: usize,
    #[command(flatten)]
    socket: Socket,
    #[command(flatten)]
    pins: Pins,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    match report(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}

fn report(args: &Args) -> Result<(), ExitCode> {
    let old = args.since.as_deref().map(since).transpose()?;
    let status = status(args)?;
    let given = args.policy.as_deref().map(|path| load(path, true)).transpose()?;
    let names = learn::names(args.assets.as_deref())?;
    let read = learn::read(&args.captures, args.max_flows).map_err(|error| fail(2, error))?;
    let flows = flows(&read.traffic);
    let hash = given.as_ref().map(|(_, text)| hash(text));
    let policy = match given {
        Some((policy, _)) => policy,
        None => {
            let options = Options {
                assets: names,
                sources: learn::names_of(&args.captures),
                interfaces: read.interfaces,
                ..Options::default()
            };
            learnt(&draft(&read.traffic, &flows, &options).text)?
        }
    };
    let image = compile(&policy).map_err(|error| fail(1, error))?;
    let mut captures = Captures::open(&args.captures).map_err(|error| fail(2, error))?;
    let bar = progress::bar("holding the policy against it", captures.progress().0);
    let gathered = gather(&mut captures, &policy, &image, flows, args.max_flows, |captures| {
        bar.set_position(captures.progress().1);
    });
    bar.finish_and_clear();
    let page = render(Source {
        policy: &policy,
        policy_name: args.policy.as_ref().map(|path| path.display().to_string()),
        gathered,
        traffic: &read.traffic,
        captures: args.captures.iter().map(|path| path.display().to_string()).zip(read.packets).collect(),
        status: status.map(|status| {
            let fits = hash.as_deref() == Some(status.policy_hash.as_str());
            (status, fits)
        }),
        old,
        made: crate::events::time_of_day(),
    });
    if args.output.as_os_str() == "-" {
        print(&page);
        return Ok(());
    }
    std::fs::write(&args.output, page)
        .map_err(|error| fail(2, format!("cannot write {}: {error}", args.output.display())))
}

/// The draft as a policy. One without a rule is a policy too: nothing crosses.
fn learnt(text: &str) -> Result<Policy, ExitCode> {
    let loaded = policy::load_for("draft", text, true);
    loaded.policy.ok_or_else(|| {
        let found: Vec<String> = loaded.diagnostics.iter().map(|found| format!("{found:?}")).collect();
        fail(1, format!("no policy can be learnt from this traffic: {}", found.join("; ")))
    })
}

fn since(path: &Path) -> Result<Data, ExitCode> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| fail(2, format!("cannot read {}: {error}", path.display())))?;
    Data::read(&text).map_err(|error| fail(2, format!("{} {error}", path.display())))
}

fn status(args: &Args) -> Result<Option<Status>, ExitCode> {
    if args.live {
        return match pinned::status(&args.socket, &args.pins)? {
            Seen::Agent(status) | Seen::Pins(status, _) => Ok(Some(*status)),
        };
    }
    let Some(path) = &args.status else { return Ok(None) };
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|error| fail(2, format!("cannot read {}: {error}", path.display())))?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| fail(2, format!("{} is no status of banchi: {error}", path.display())))
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
