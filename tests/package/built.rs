//! The package as `cargo xtask deb` makes it, and one of the next version.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use banchi_tests::lab::Process;

/// Generous: another process may have the directory of the build.
const BUILD: Duration = Duration::from_secs(900);

/// As the runbook has it.
pub(crate) const COMMAND: &str = "cargo xtask deb";

/// Two packages of one agent.
#[derive(Debug)]
pub(crate) struct Packages {
    pub(crate) this: PathBuf,
    pub(crate) next: PathBuf,
}

/// Builds them, once a run.
pub(crate) fn packages() -> Result<&'static Packages> {
    static BUILT: OnceLock<std::result::Result<Packages, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// The root of the checkout.
pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a command in the checkout.
pub(crate) fn run(line: &str) -> Result<()> {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).current_dir(checkout());
    let output = Process::spawn(command)?.finish(BUILD)?;
    ensure!(output.status.success(), "{line}: {output}");
    Ok(())
}

fn build() -> Result<Packages> {
    let directory = checkout().join("target/deb");
    let _ = std::fs::remove_dir_all(&directory);
    run(COMMAND)?;
    run("cargo xtask deb --fast --deb-version 0.1.0-2 --output target/deb/next")?;
    let only = |directory: &Path| -> Result<PathBuf> {
        let files = std::fs::read_dir(directory)?.flatten().map(|entry| entry.path());
        let mut packages = files.filter(|path| path.extension().is_some_and(|known| known == "deb"));
        packages.next().with_context(|| format!("no package in {}", directory.display()))
    };
    Ok(Packages { this: only(&directory)?, next: only(&directory.join("next"))? })
}
