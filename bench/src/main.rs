//! The benchmark: banchi beside others, in one run. `docs/benchmarks.md` says what each figure is.

mod control;
mod events;
mod forward;
mod frames;
mod gateway;
mod kernel;
mod latency;
mod measure;
mod plot;
mod program;
mod report;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};

use report::Report;

#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", about, version)]
struct Options {
    /// Fewer cases and rounds: about two minutes
    #[arg(long)]
    quick: bool,
    /// Also write the results to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw the results into this directory, as SVG
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
}

/// A part of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Time of the programs alone, by packet.
    Program,
    /// A policy on its way into the kernel, there, and while another one takes its place.
    Control,
    /// Deviations a second until the first report is lost.
    Events,
    /// Packets through a gateway.
    Forward,
    /// Questions and answers through a gateway.
    Latency,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "the benchmark loads programs and builds network namespaces, which takes root: sudo cargo xtask bench"
    );
    let mut report = Report::new(options.quick);
    for part in Part::value_variants() {
        if !options.only.is_empty() && !options.only.contains(part) {
            continue;
        }
        let name = format!("{part:?}").to_lowercase();
        eprintln!("==> {name}");
        let rows = match part {
            Part::Program => program::run(options.quick),
            Part::Control => control::run(options.quick),
            Part::Events => events::run(options.quick),
            Part::Forward => forward::run(options.quick),
            Part::Latency => latency::run(options.quick),
        };
        report.add(rows.with_context(|| format!("the part `{name}`"))?)?;
        // What was measured stays, whatever becomes of the next part.
        if let Some(path) = &options.json {
            report.write(path)?;
        }
    }
    if let Some(directory) = &options.plots {
        plot::draw(&report, directory)?;
    }
    Ok(())
}
