//! bpf-linker: pinned, compiled once, kept in the cache.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{paths, step};

const VERSION: &str = "0.13.0";
/// The release of LLVM that it links to. It must not be older than the compiler's.
pub(crate) const LLVM: u32 = 22;

/// The linker, if it is there and runs. `BANCHI_BPF_LINKER` names another one.
pub(crate) fn find() -> Result<Option<PathBuf>> {
    if let Some(path) = env::var_os("BANCHI_BPF_LINKER") {
        return Ok(Some(PathBuf::from(path)));
    }
    let path = directory()?.join("bin/bpf-linker");
    let version = step::output(Command::new(&path).arg("--version"));
    let right = version.is_some_and(|version| version.split_whitespace().last() == Some(VERSION));
    Ok(right.then_some(path))
}

/// Where LLVM is, if it is there.
pub(crate) fn llvm() -> Option<PathBuf> {
    let set = env::var_os("LLVM_PREFIX").map(PathBuf::from);
    let debian = PathBuf::from(format!("/usr/lib/llvm-{LLVM}"));
    let debian = debian.join("include/llvm-c/Core.h").is_file().then_some(debian);
    let asked = || {
        let mut config = Command::new(paths::program(&format!("llvm-config-{LLVM}"))?);
        step::output(config.arg("--prefix")).map(PathBuf::from)
    };
    set.or(debian).or_else(asked)
}

/// Compiles it with the cargo that runs us.
pub(crate) fn install() -> Result<()> {
    let llvm = llvm().with_context(|| {
        format!(
            "no LLVM {LLVM} with headers: install it and set LLVM_PREFIX to the directory that holds lib/"
        )
    })?;
    let directory = directory()?;
    let mut command = step::cargo();
    command.env("LLVM_PREFIX", llvm).env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    // The work is LLVM's, which is compiled already: no time for optimising and debugging the Rust around it.
    command.env("CARGO_PROFILE_RELEASE_DEBUG", "0").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    command.args(["install", "bpf-linker", "--version", VERSION, "--locked", "--force"]);
    command
        .arg("--no-default-features")
        .arg("--features")
        .arg(format!("llvm-{LLVM}"))
        .arg("--root")
        .arg(&directory);
    let text =
        format!("cargo install bpf-linker {VERSION}: links the data plane, into {}", directory.display());
    step::run("bpf-linker", &text, &mut command)
}

fn directory() -> Result<PathBuf> {
    Ok(paths::cache()?.join(format!("bpf-linker-{VERSION}-llvm-{LLVM}")))
}
