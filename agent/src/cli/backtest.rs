//! `banchi backtest`: what would this policy have dropped?

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{fail, load, print, progress};
use crate::backtest::{Tally, Tested, backtest};
use crate::capture::{Captures, PcapngWriter};
use crate::image::{Image, compile};
use crate::policy::model::Policy;

/// Runs captures through the real program, loaded for the purpose in a network namespace of its own, and says what a
/// policy would have dropped. Touches no interface of this machine. Needs root.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy file
    #[arg(short, long, value_name = "FILE")]
    policy: PathBuf,
    /// Another policy: only what the two do differently is shown
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// pcap and pcapng files, plain, gzip or zstd; several count as one
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
    /// Write the packets that are shown to a pcapng file, with the reason as a comment
    #[arg(long, value_name = "FILE")]
    pcapng: Option<PathBuf>,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    match test(args) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn image(path: &Path) -> Result<(Policy, Image), ExitCode> {
    let (policy, _) = load(path, true)?;
    let image = compile(&policy).map_err(|error| fail(1, format!("{}: {error}", path.display())))?;
    Ok((policy, image))
}

fn test(args: &Args) -> Result<String, ExitCode> {
    let (policy, compiled) = image(&args.policy)?;
    let other = args.against.as_deref().map(image).transpose()?;
    let mut captures = Captures::open(&args.captures).map_err(|error| fail(2, error))?;
    let mut writer = match &args.pcapng {
        None => None,
        Some(path) => {
            let file = File::create(path).and_then(|file| PcapngWriter::new(BufWriter::new(file)));
            Some(file.map_err(|error| fail(2, format!("cannot write {}: {error}", path.display())))?)
        }
    };
    let refused = |error: crate::datapath::DatapathError| fail(error.exit_code(), error);
    let mut tested = Tested::load(&policy, &compiled).map_err(refused)?;
    let mut against = match &other {
        Some((policy, image)) => Some(Tested::load(policy, image).map_err(refused)?),
        None => None,
    };
    let bar = progress::bar("testing", captures.progress().0);
    let tallies = backtest(&mut captures, &mut tested, against.as_mut(), writer.as_mut(), |captures| {
        bar.set_position(captures.progress().1);
    });
    bar.finish_and_clear();
    for (path, trouble) in captures.troubles() {
        progress::tell(path, trouble);
    }
    let tallies = tallies.map_err(refused)?;
    if args.json {
        let document = serde_json::json!({ "captures": tallies });
        return Ok(format!("{document:#}\n"));
    }
    Ok(tallies.iter().map(text).collect())
}

fn text(tally: &Tally) -> String {
    let mut text = format!(
        "{}: {} packets, {} pass, {} would be dropped",
        tally.file.display(),
        tally.packets,
        tally.passed(),
        tally.would_drop
    );
    let beside = [(tally.within_zone, "within a zone"), (tally.unplaced, "of unknown origin")];
    for (count, what) in beside.into_iter().filter(|(count, _)| *count > 0) {
        text += &format!("; {count} {what}, which the gateway does not see");
    }
    text.push('\n');
    match &tally.changes {
        None => {
            for (reason, count) in &tally.reasons {
                text += &format!("{count:>10}  {reason}\n");
            }
        }
        Some(changes) => {
            for (change, count) in changes {
                text += &format!("{count:>10}  {} (against: {})\n", change.now, change.other);
            }
        }
    }
    for example in &tally.examples {
        text += &(example.line() + "\n");
    }
    text
}
