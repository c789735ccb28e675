//! `setup`: what a machine needs to build and test, and nothing that it has.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::{apt, cargo_deb, clean_root, doctor::checks, linker, python, step, toolchain};

/// Install what building and testing need (Debian with root), or say what is missing
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Also what `cargo xtask vm` needs
    #[arg(long)]
    pub(crate) vm: bool,
    /// Only what `cargo xtask build` needs
    #[arg(long, conflicts_with = "vm")]
    pub(crate) build_only: bool,
    /// Also what `cargo xtask deb` needs
    #[arg(long)]
    pub(crate) deb: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    ensure(options)?;
    step::say("setup: everything is there");
    Ok(ExitCode::SUCCESS)
}

/// Does what is left to do. Says nothing where that is nothing.
pub(crate) fn ensure(options: &Options) -> Result<()> {
    let compiler = ensure_compiler()?;
    if linker::find()?.is_none() {
        if linker::llvm().is_none() || apt::here() {
            apt::install(apt::LINKER).with_context(|| format!("bpf-linker needs LLVM {}", linker::LLVM))?;
        }
        linker::install()?;
    }
    if linker::find()?.is_none() {
        bail!("bpf-linker is installed, but does not run");
    }
    if options.deb || !options.build_only {
        ensure_deb()?;
    }
    if !options.build_only {
        ensure_tests()?;
    }
    if options.vm {
        apt::install(apt::VM).context("the virtual machines need qemu")?;
    }
    eprintln!("    data plane: {}", compiler.origin);
    Ok(())
}

fn ensure_compiler() -> Result<toolchain::Compiler> {
    let (compiler, rejected) = toolchain::survey();
    for toolchain::Rejected { origin, why } in &rejected {
        eprintln!("    data plane: not {origin}: {why}");
    }
    if let Some(compiler) = compiler {
        return Ok(compiler);
    }
    apt::install(apt::COMPILER).with_context(|| {
        format!("no compiler with the source of core. Without apt: {}", toolchain::advice())
    })?;
    let (compiler, _) = toolchain::survey();
    compiler.with_context(|| {
        format!("the installed compiler cannot build the data plane; instead: {}", toolchain::advice())
    })
}

fn ensure_deb() -> Result<()> {
    if apt::here() {
        apt::install(apt::DEB).context("the package needs tools")?;
    }
    if cargo_deb::find()?.is_none() {
        cargo_deb::install()?;
    }
    Ok(())
}

/// A machine that boots with systemd has it; a container or a minimal one may not.
fn mount_bpffs() -> Result<()> {
    if checks::bpffs_mount().is_some() || !apt::is_root() {
        return Ok(());
    }
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "bpf", "bpf", "/sys/fs/bpf"]);
    step::run("mount", "mount -t bpf bpf /sys/fs/bpf: where programs and maps are pinned", &mut mount)
}

fn ensure_tests() -> Result<()> {
    // Elsewhere the tools have other packages; `doctor` says which tool is missing.
    if apt::here() {
        apt::install(apt::TESTS).context("the tests need tools")?;
    }
    mount_bpffs()?;
    if python::find()?.is_none() {
        python::install().context("the tests talk to protocol stacks in Python")?;
    }
    if apt::here() && clean_root::find()?.is_none() {
        clean_root::install().context("the tests install the package in a clean Debian")?;
    }
    Ok(())
}
