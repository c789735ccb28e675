//! `test`: every test there is, with a summary at the end.

mod report;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

pub(crate) use report::Report;

use crate::{apt, build, clean_root, python, setup, step};

/// Set up, build, and run all tests (those of the kernel need root)
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only tests whose name contains this
    #[arg(long)]
    filter: Option<String>,
    /// Without the tests that need root and a kernel with XDP
    #[arg(long)]
    no_kernel: bool,
    /// Refuse to change a lock file
    #[arg(long)]
    locked: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !options.no_kernel && !apt::is_root() {
        bail!("the tests of the kernel need root: use sudo, or leave them out with --no-kernel");
    }
    setup::ensure(&setup::Options { build_only: options.no_kernel, ..Default::default() })?;
    let built = build::ensure(&build::Options { locked: options.locked, ..Default::default() })?;

    step::say("running the tests");
    let mut cargo = step::cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast"]);
    if options.no_kernel {
        cargo.args(["--exclude", "banchi-tests"]);
    }
    if options.locked {
        cargo.arg("--locked");
    }
    if let Some(agent) = &built.agent {
        cargo.env("BANCHI_BIN", agent);
    }
    if let Some(python) = python::find()? {
        cargo.env("BANCHI_PYTHON", python);
    }
    if let Some(root) = clean_root::find()? {
        cargo.env("BANCHI_ROOT", root);
    }
    cargo.arg("--").args(&options.filter);

    let began = Instant::now();
    let (mut reader, writer) = std::io::pipe()?;
    cargo.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = cargo.spawn().with_context(|| format!("start {}", step::describe(&cargo)))?;
    // The command holds our ends of the pipe.
    drop(cargo);
    let mut report = Report::default();
    let mut lines = BufReader::new(&mut reader);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        report.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    let status = child.wait()?;

    let mut out = std::io::stdout();
    writeln!(out, "\n{report}    in {:.0} s", began.elapsed().as_secs_f32())?;
    if options.no_kernel {
        writeln!(out, "    NOT RUN: the tests of the kernel (--no-kernel)")?;
    }
    if !status.success() {
        writeln!(out, "    cargo test: {status}")?;
    } else if report.passed() == 0 {
        writeln!(out, "    no test ran: that is not a success")?;
    }
    Ok(if status.success() && report.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
