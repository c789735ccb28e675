//! The virtual environment with the protocol stacks of `tests/peers/requirements.txt`.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{paths, step};

/// The environment's interpreter, if the environment is complete.
pub(crate) fn find() -> Result<Option<PathBuf>> {
    let directory = directory()?;
    let complete =
        directory.join("complete").is_file() && step::succeeds(python(&directory).arg("--version"));
    Ok(complete.then(|| directory.join("bin/python")))
}

/// Makes the environment.
pub(crate) fn install() -> Result<()> {
    let directory = directory()?;
    fs::create_dir_all(directory.parent().unwrap_or(&directory))?;
    // The system's interpreter: one that a version manager provides may vanish with it.
    let system = PathBuf::from("/usr/bin/python3");
    let system = if system.is_file() { system } else { PathBuf::from("python3") };
    let mut venv = Command::new(system);
    venv.args(["-m", "venv", "--clear"]).arg(&directory);
    step::run("venv", "python3 -m venv: a place for the protocol stacks of the tests", &mut venv)?;
    let mut pip = python(&directory);
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--requirement"]);
    pip.arg(requirements());
    step::run("pip", "pip install: the protocol stacks that the tests talk to", &mut pip)?;
    fs::write(directory.join("complete"), "").context("mark the virtual environment as complete")
}

fn python(directory: &std::path::Path) -> Command {
    Command::new(directory.join("bin/python"))
}

fn requirements() -> PathBuf {
    paths::root().join("tests/peers/requirements.txt")
}

/// Other requirements are another environment.
fn directory() -> Result<PathBuf> {
    let text =
        fs::read_to_string(requirements()).with_context(|| format!("read {}", requirements().display()))?;
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    Ok(paths::cache()?.join(format!("venv-{:016x}", hasher.finish())))
}
