//! `demo`: builds everything and hands over to the demo.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::{artifacts, build, python, setup, step};

/// Set up, build, and run the demo; its arguments and exit code are the demo's own
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Arguments of the demo, such as --json (then stdout is JSON alone)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure(&setup::Options::default())?;
    let built = build::ensure(&build::Options::default())?;
    let demo = artifacts::executable("build", &["--release", "--workspace", "--bin", "demo"])?;

    step::say("running the demo");
    let mut command = Command::new(&demo);
    command.args(&options.arguments);
    if let Some(agent) = &built.agent {
        command.env("BANCHI_BIN", agent);
    }
    if let Some(python) = python::find()? {
        command.env("BANCHI_PYTHON", python);
    }
    let status = command.status().with_context(|| format!("start {}", demo.display()))?;
    // A demo that died of a signal has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
    Ok(ExitCode::from(code))
}
