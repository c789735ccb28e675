//! Asks cargo to build something, and where it put it.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::step;

/// Builds with `cargo <command> <arguments>`; returns the executable of the target that the arguments name behind
/// `--bin` or `--test`. Cargo also reports others: an integration test makes it build the package's binaries.
///
/// Callers choose the target with `--workspace --bin` rather than `--package`: the features of dependencies are
/// then the same for all commands, and nothing is compiled twice.
pub(crate) fn executable(command: &str, arguments: &[&str]) -> Result<PathBuf> {
    let mut cargo = step::cargo();
    cargo.arg(command).args(arguments).arg("--message-format=json-render-diagnostics");
    cargo.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = cargo.spawn().with_context(|| format!("start {}", step::describe(&cargo)))?;
    let messages = child.stdout.take().context("cargo has no standard output")?;
    let wanted = arguments.iter().skip_while(|word| !matches!(**word, "--bin" | "--test")).nth(1).copied();
    let mut executable = None;
    for line in BufReader::new(messages).lines() {
        let message: Value = serde_json::from_str(&line?).unwrap_or_default();
        let target = message.get("target").and_then(|target| target.get("name")).and_then(Value::as_str);
        if let Some(path) = message.get("executable").and_then(Value::as_str)
            && wanted.is_none_or(|name| target == Some(name))
        {
            executable = Some(PathBuf::from(path));
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{} failed ({status})", step::describe(&cargo));
    }
    executable.with_context(|| format!("{} built no executable", step::describe(&cargo)))
}
