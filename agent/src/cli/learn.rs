//! `banchi learn`: from captures to flows and a draft policy.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{fail, print};
use crate::capture::{Captures, Frame};
use crate::learn::{Table, Traffic, flows};

/// Learns who asks whom, over which ports, from captures, and writes a draft policy to approve.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// pcap and pcapng files, plain, gzip or zstd; several count as one
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    /// Where the draft policy goes; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the flows as a JSON array
    #[arg(long, value_name = "FILE")]
    flows_json: Option<PathBuf>,
    /// Most tuples that are kept apart; more are folded
    #[arg(long, default_value_t = 500_000, value_name = "NUMBER")]
    max_flows: usize,
}

/// Packets between two looks at the clock.
const BATCH: u64 = 1 << 14;

/// Runs the verb.
pub(super) fn run(args: &Args) -> ExitCode {
    let traffic = match read(&args.captures, args.max_flows) {
        Ok(traffic) => traffic,
        Err(error) => return fail(2, error),
    };
    let flows = flows(&traffic);
    if let Some(path) = &args.flows_json {
        let text = match serde_json::to_string_pretty(&flows) {
            Ok(text) => text + "\n",
            Err(error) => return fail(1, error),
        };
        if let Err(error) = write(path, &text) {
            return fail(1, format!("cannot write {}: {error}", path.display()));
        }
    }
    print(&format!("{} packets, {} flows\n", traffic.packets, flows.len()));
    ExitCode::SUCCESS
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if path.as_os_str() == "-" {
        print(text);
        return Ok(());
    }
    std::fs::write(path, text)
}

fn read(paths: &[PathBuf], limit: usize) -> Result<Traffic, String> {
    let mut captures = Captures::open(paths).map_err(|error| error.to_string())?;
    let bar = super::progress::bar("reading", captures.progress().0);
    let (mut table, mut frame, mut count) = (Table::new(limit), Frame::default(), 0_u64);
    while captures.next(&mut frame) {
        table.packet(&frame);
        count += 1;
        if count.is_multiple_of(BATCH) {
            bar.set_position(captures.progress().1);
        }
    }
    bar.finish_and_clear();
    for (path, trouble) in captures.troubles() {
        super::progress::tell(path, trouble);
    }
    Ok(table.finish())
}
