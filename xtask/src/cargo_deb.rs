//! cargo-deb: pinned, compiled once, kept in the cache.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{paths, step};

const VERSION: &str = "3.8.0";

/// The program, if it is there and runs.
pub(crate) fn find() -> Result<Option<PathBuf>> {
    let path = directory()?.join("bin/cargo-deb");
    let version = step::output(Command::new(&path).arg("--version"));
    let right = version.is_some_and(|version| version.split_whitespace().last() == Some(VERSION));
    Ok(right.then_some(path))
}

/// Compiles it with the cargo that runs us.
pub(crate) fn install() -> Result<()> {
    let directory = directory()?;
    let mut command = step::cargo();
    command.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    // It runs for seconds, most of which xz takes: no time for optimising the Rust around it.
    command.env("CARGO_PROFILE_RELEASE_DEBUG", "0").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    command.args(["install", "cargo-deb", "--version", VERSION, "--locked", "--force"]);
    command.arg("--no-default-features").arg("--root").arg(&directory);
    let text = format!("cargo install cargo-deb {VERSION}: makes the package, into {}", directory.display());
    step::run("cargo-deb", &text, &mut command)
}

fn directory() -> Result<PathBuf> {
    Ok(paths::cache()?.join(format!("cargo-deb-{VERSION}")))
}
