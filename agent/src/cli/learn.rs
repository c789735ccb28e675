//! `banchi learn`: from captures, or from what is observed, to flows and a draft policy.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::live::{Live, observe};
use super::{fail, load, print, progress};
use crate::capture::{Captures, Frame};
use crate::image::compile;
use crate::learn::draft::{AssetFile, Draft, Options, draft};
use crate::learn::merge::merge;
use crate::learn::verify::{Verified, verify};
use crate::learn::{Flow, Table, Traffic, flows, flows_of, relearn};
use crate::policy::{self, model::Policy};

/// Learns who asks whom, over which ports, from captures or live traffic, and writes a draft policy to approve.
///
/// The draft is held against the captures: what it does not let pass is said. Live traffic is observed and never dropped.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// pcap and pcapng files, plain, gzip or zstd; several count as one
    #[arg(required_unless_present = "live", conflicts_with = "live", value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    #[command(flatten)]
    live: Live,
    /// Where the draft policy goes; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the flows as a JSON array; `-` is standard output
    #[arg(long, value_name = "FILE")]
    flows_json: Option<PathBuf>,
    /// Names and zones of hosts: CSV, or an export of NetBox as JSON or CSV
    #[arg(long, value_name = "FILE")]
    assets: Option<PathBuf>,
    /// A policy that is approved: what it does not let pass is added to it, and the output is the whole policy
    #[arg(long, value_name = "POLICY")]
    approved: Option<PathBuf>,
    /// Bind the hardware addresses that were seen, where one host has one
    #[arg(long)]
    macs: bool,
    /// Most tuples that are kept apart; more are folded
    #[arg(long, default_value_t = 200_000, value_name = "NUMBER")]
    max_flows: usize,
}

/// Packets between two looks at the clock.
const BATCH: u64 = 1 << 14;

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    match learn(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}

fn learn(args: &Args) -> Result<(), ExitCode> {
    let assets = names(args.assets.as_deref())?;
    let is_live = !args.live.live.is_empty();
    let Read { traffic, interfaces, .. } = if is_live {
        observe(&args.live, args.max_flows)?
    } else {
        read(&args.captures, args.max_flows).map_err(|error| fail(2, error))?
    };
    let flows = flows(&traffic);
    if let Some(path) = &args.flows_json {
        write_flows(path, &flows)
            .map_err(|error| fail(2, format!("cannot write {}: {error}", path.display())))?;
    }
    say(&format!("{} packets, {} tuples, {} flows", traffic.packets, traffic.tuples.len(), flows.len()));
    let Some(path) = &args.output else { return Ok(()) };
    let sources = if is_live { live_sources(&interfaces) } else { names_of(&args.captures) };
    let mut options = Options { assets, sources, interfaces, macs: args.macs, zones: Vec::new() };
    let mut flows = flows;
    let approved = match &args.approved {
        None => None,
        Some(path) => Some((path, load(path, true)?)),
    };
    if let Some((approved, (policy, _))) = &approved {
        let policy = policy.clone();
        flows = news(args, &policy, &traffic)?;
        if flows.is_empty() {
            say(&format!("{} lets all flows pass; nothing was written", approved.display()));
            return Ok(());
        }
        let mut known = relearn::known(&policy, &traffic);
        known.0.append(&mut options.assets.0);
        options.assets = known;
        options.zones = policy.zones;
    }
    let draft = draft(&traffic, &flows, &options);
    if draft.rules == 0 {
        let left_out = draft.left_out.first().map_or("nothing was asked", |(_, why)| why.text());
        return Err(fail(
            1,
            format!("no rule can be made of this traffic ({left_out}); nothing was written"),
        ));
    }
    if let Some((approved, (policy, text))) = &approved {
        return add(approved, policy, text, path, &draft);
    }
    write(path, &draft.text)?;
    report(args, path, &draft)
}

/// Names of hosts from a file, if there is one.
pub(super) fn names(path: Option<&Path>) -> Result<AssetFile, ExitCode> {
    let Some(path) = path else { return Ok(AssetFile::default()) };
    let text = std::fs::read_to_string(path)
        .map_err(|error| fail(2, format!("cannot read {}: {error}", path.display())))?;
    AssetFile::read(&text).map_err(|error| fail(2, format!("{}: {error}", path.display())))
}

/// Captures by name, for the head of the draft.
pub(super) fn names_of(captures: &[PathBuf]) -> Vec<String> {
    captures.iter().map(|path| path.display().to_string()).collect()
}

fn live_sources(interfaces: &[String]) -> Vec<String> {
    interfaces.iter().map(|name| format!("live traffic of {name}")).collect()
}

/// Flows that an approved policy does not let pass.
fn news(args: &Args, policy: &Policy, traffic: &Traffic) -> Result<Vec<Flow>, ExitCode> {
    let image = compile(policy).map_err(|error| fail(1, error))?;
    let mut captures = Captures::open(&args.captures).map_err(|error| fail(2, error))?;
    let bar = progress::bar("looking for what is new", captures.progress().0);
    let news = relearn::news(&mut captures, policy, &image, args.max_flows, |captures| {
        bar.set_position(captures.progress().1);
    });
    bar.finish_and_clear();
    Ok(flows_of(traffic, &news))
}

/// Writes the approved policy with the rules of a draft.
fn add(approved: &Path, policy: &Policy, text: &str, path: &Path, draft: &Draft) -> Result<(), ExitCode> {
    let name = path.display().to_string();
    let merged = merge(&name, text, policy, &draft.text)
        .map_err(|error| fail(1, format!("{}: {error}; nothing was written", approved.display())))?;
    if merged.rules == 0 {
        return Err(fail(1, "what is new belongs to no zone of the policy; nothing was written"));
    }
    write(path, &merged.text)?;
    let left_out = match merged.left_out {
        0 => String::new(),
        count => format!("; {count} between zones that the policy does not have are left out"),
    };
    say(&format!(
        "{name}: {} with {} rules more, {} of them to review{left_out}",
        approved.display(),
        merged.rules,
        draft.flagged
    ));
    Ok(())
}

/// Loads the draft as any policy, and holds it against the captures.
fn report(args: &Args, path: &Path, draft: &Draft) -> Result<(), ExitCode> {
    let name = path.display().to_string();
    let loaded = policy::load(&name, &draft.text);
    let Some(policy) = &loaded.policy else {
        let text = loaded.render(&draft.text, policy::render::Style::Plain);
        return Err(fail(1, format!("the draft has errors, which is a defect of banchi:\n{text}")));
    };
    say(&format!("{name}: {} rules, {} of them to review", draft.rules, draft.flagged));
    let image = compile(policy).map_err(|error| fail(1, format!("{name}: {error}")))?;
    if args.captures.is_empty() {
        say(
            "live traffic is not kept, so that the draft was held against nothing: try it with `banchi backtest`",
        );
        return Ok(());
    }
    let mut captures = Captures::open(&args.captures).map_err(|error| fail(2, error))?;
    let bar = progress::bar("holding the draft against it", captures.progress().0);
    let verified = verify(&mut captures, policy, &image, |captures| bar.set_position(captures.progress().1));
    bar.finish_and_clear();
    say(&words(&verified));
    Ok(())
}

fn words(verified: &Verified) -> String {
    let mut text = format!("held against the captures: {} packets pass", verified.passed);
    for (count, what) in [
        (verified.within, "stay within a zone"),
        (verified.unplaced, "are of unknown origin"),
        (verified.fragments, "are later fragments"),
    ] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    for (reason, count) in &verified.reasons {
        text += &format!(", {count} {reason}");
    }
    text
}

/// What was found goes to standard error where the draft goes to standard output.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes flow by flow: there may be many.
fn write_flows(path: &Path, flows: &[Flow]) -> std::io::Result<()> {
    let mut stream: Box<dyn std::io::Write> = if path.as_os_str() == "-" {
        Box::new(std::io::stdout().lock())
    } else {
        Box::new(std::io::BufWriter::new(std::fs::File::create(path)?))
    };
    serde_json::to_writer_pretty(&mut stream, flows)?;
    stream.write_all(b"\n")?;
    stream.flush()
}

fn write(path: &Path, text: &str) -> Result<(), ExitCode> {
    if path.as_os_str() == "-" {
        print(text);
        return Ok(());
    }
    std::fs::write(path, text).map_err(|error| fail(2, format!("cannot write {}: {error}", path.display())))
}

/// What was read of captures, or observed.
pub(super) struct Read {
    pub(super) traffic: Traffic,
    /// Names of interfaces.
    pub(super) interfaces: Vec<String>,
    /// Packets of each file.
    pub(super) packets: Vec<u64>,
}

pub(super) fn read(paths: &[PathBuf], limit: usize) -> Result<Read, String> {
    let mut captures = Captures::open(paths).map_err(|error| error.to_string())?;
    let bar = progress::bar("reading", captures.progress().0);
    let (mut table, mut frame, mut count) = (Table::new(limit), Frame::default(), 0_u64);
    let mut packets = vec![0; paths.len()];
    while captures.next(&mut frame) {
        table.packet(&frame);
        if let Some(packets) = packets.get_mut(frame.file) {
            *packets += 1;
        }
        count += 1;
        if count.is_multiple_of(BATCH) {
            bar.set_position(captures.progress().1);
        }
    }
    bar.finish_and_clear();
    for (path, trouble) in captures.troubles() {
        progress::tell(path, trouble);
    }
    Ok(Read { traffic: table.finish(), interfaces: captures.interfaces().to_vec(), packets })
}
