//! `bench`: builds everything and hands over to the benchmark.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};

use crate::{apt, artifacts, build, setup, step};

/// Set up, build, and measure side by side with others (needs root); docs/benchmarks.md says what
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fewer cases and rounds: about two minutes
    #[arg(long)]
    quick: bool,
    /// Also write the results to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw the results into this directory, as SVG
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Only these parts: program, forward, latency, events, control
    #[arg(long, value_name = "PARTS")]
    only: Option<String>,
    /// Refuse to change a lock file
    #[arg(long)]
    locked: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !apt::is_root() {
        bail!("the benchmark loads programs and builds network namespaces, which takes root: use sudo");
    }
    setup::ensure(&setup::Options::default())?;
    // Elsewhere the tools have other packages; the benchmark says which one it does not find.
    if apt::here() {
        apt::install(apt::BENCH).context("the benchmark compares with other tools")?;
    }
    let built = build::ensure(&build::Options { locked: options.locked, ..build::Options::default() })?;
    step::say("building the programs of the benchmark");
    let object = build::bpf("bench/ebpf", "bench", options.locked)?;
    step::say("building the benchmark");
    let mut arguments = vec!["--release", "--workspace", "--bin", "bench"];
    if options.locked {
        arguments.push("--locked");
    }
    let bench = artifacts::executable("build", &arguments)?;

    step::say("running the benchmark");
    let mut command = Command::new(&bench);
    command.env("BANCHI_BENCH_OBJECT", object);
    if let Some(agent) = &built.agent {
        command.env("BANCHI_BIN", agent);
    }
    if options.quick {
        command.arg("--quick");
    }
    if let Some(only) = &options.only {
        command.args(["--only", only]);
    }
    for (name, path) in [("--json", &options.json), ("--plots", &options.plots)] {
        if let Some(path) = path {
            command.arg(name).arg(path);
        }
    }
    let status = command.status().with_context(|| format!("start {}", bench.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
    Ok(ExitCode::from(code))
}
