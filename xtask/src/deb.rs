//! `deb`: the package for Debian, as `agent/Cargo.toml` describes it.

use std::process::Command;
use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};

use crate::{build, cargo_deb, paths, setup, step};

/// Build the package for Debian: the agent, its unit, man pages, completions and documents
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Directory that the package is written to
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Another version of the package than that of the agent
    #[arg(long, value_name = "VERSION")]
    deb_version: Option<String>,
    /// Pack faster, and larger
    #[arg(long)]
    fast: bool,
    /// Refuse to change a lock file
    #[arg(long)]
    locked: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    setup::ensure(&setup::Options { deb: true, build_only: true, ..Default::default() })?;
    let built = build::ensure(&build::Options { locked: options.locked, ..Default::default() })?;
    let agent = built.agent.context("the agent was not built")?;

    let pages = paths::logs().join("pages");
    // What is of a verb that is no more would be packed as well.
    let _ = fs::remove_dir_all(&pages);
    let mut command = Command::new(&agent);
    step::run("pages", "man pages and completions, from the agent", command.arg("pages").arg(&pages))?;
    write_crates()?;

    // Not `target/debian`, which cargo-deb empties.
    let output = options.output.clone().unwrap_or_else(|| paths::root().join("target/deb"));
    let output = std::path::absolute(output)?;
    fs::create_dir_all(&output).with_context(|| format!("create {}", output.display()))?;
    let program = cargo_deb::find()?.context("no cargo-deb; run `cargo xtask setup`")?;
    let mut command = Command::new(program);
    command.env("CARGO", step::cargo().get_program()).current_dir(paths::root());
    command.args(["--no-build", "--package", "banchi", "--output"]).arg(&output);
    command.args(["--compress-system", "--compress-type", "xz"]);
    if options.fast {
        command.arg("--fast");
    }
    if let Some(version) = &options.deb_version {
        command.args(["--deb-version", version]);
    }
    step::run("deb", "cargo deb: the package", &mut command)?;
    eprintln!("    package:    {}", output.display());
    Ok(ExitCode::SUCCESS)
}

/// The crates inside the agent, with their versions and licences.
fn write_crates() -> Result<()> {
    let mut cargo = step::cargo();
    cargo.args([
        "tree",
        "--package",
        "banchi",
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "--no-dedupe",
    ]);
    cargo.args(["--format", "{p}, {l}"]);
    let tree = step::output(&mut cargo).context("cargo tree says nothing")?;
    let mut crates: Vec<_> = tree.lines().filter(|line| !line.contains(" (/")).collect();
    crates.sort_unstable();
    crates.dedup();
    let text: String = crates.iter().flat_map(|line| [line, "\n"]).collect();
    fs::write(paths::logs().join("crates.txt"), text).context("write the list of crates")
}
