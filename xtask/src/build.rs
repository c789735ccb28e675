//! `build`: the data plane, and the agent that carries it.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};

use crate::{linker, paths, step, toolchain};

/// Build the data plane and the one binary that embeds it
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Build the agent optimised (the default)
    #[arg(long, conflicts_with = "debug")]
    pub(crate) release: bool,
    /// Build the agent for debugging; the data plane is always optimised
    #[arg(long)]
    pub(crate) debug: bool,
    /// Only the data plane
    #[arg(long)]
    pub(crate) bpf_only: bool,
    /// Refuse to change a lock file
    #[arg(long)]
    pub(crate) locked: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let built = ensure(options)?;
    eprintln!("    data plane: {}", built.object.display());
    if let Some(agent) = built.agent {
        eprintln!("    agent:      {}", agent.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// What was built.
pub(crate) struct Built {
    pub(crate) object: PathBuf,
    pub(crate) agent: Option<PathBuf>,
}

/// Builds what is out of date.
pub(crate) fn ensure(options: &Options) -> Result<Built> {
    let object = data_plane(options.locked)?;
    let agent = if options.bpf_only { None } else { Some(agent(options)?) };
    Ok(Built { object, agent })
}

/// The data plane, as the file that the agent's build script looks for.
fn data_plane(locked: bool) -> Result<PathBuf> {
    step::say("building the data plane");
    bpf("ebpf", "banchi", locked)
}

/// A crate for the BPF target: the program `name` of a directory of the checkout.
pub(crate) fn bpf(directory: &str, name: &str, locked: bool) -> Result<PathBuf> {
    let (compiler, _) = toolchain::survey();
    let compiler = compiler.context("no compiler for the data plane; run `cargo xtask setup`")?;
    let linker = linker::find()?.context("no bpf-linker; run `cargo xtask setup`")?;
    let mut cargo = step::foreign_cargo(&compiler.cargo);
    cargo.current_dir(paths::root().join(directory));
    cargo.env("RUSTC", &compiler.rustc).env("RUSTC_BOOTSTRAP", "1");
    cargo.env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker);
    cargo.args(["build", "--release", "--target-dir"]).arg(paths::bpf_target());
    if locked {
        cargo.arg("--locked");
    }
    step::show(&mut cargo)?;
    publish(name)
}

/// Copies the object only if its bytes differ: the agent is rebuilt when this file is younger.
fn publish(name: &str) -> Result<PathBuf> {
    let built = paths::bpf_target().join("bpfel-unknown-none/release").join(name);
    let object = paths::bpf_target().join(format!("{name}.o"));
    let bytes = fs::read(&built).with_context(|| format!("read {}", built.display()))?;
    if fs::read(&object).ok().as_ref() != Some(&bytes) {
        fs::write(&object, &bytes).with_context(|| format!("write {}", object.display()))?;
    }
    Ok(object)
}

fn agent(options: &Options) -> Result<PathBuf> {
    step::say("building the agent");
    let mut arguments = vec!["--workspace", "--bin", "banchi"];
    if !options.debug {
        arguments.push("--release");
    }
    if options.locked {
        arguments.push("--locked");
    }
    crate::artifacts::executable("build", &arguments)
}
