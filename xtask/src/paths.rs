//! Where things are: the checkout, and the cache outside it that may vanish at any time.

use std::{env, path::PathBuf};

use anyhow::{Context, Result};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    // Cargo says it at run time too, which holds after the checkout has moved.
    let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(xtask).join("..").canonicalize().unwrap_or_else(|_| PathBuf::from("."))
}

/// The target directory of the BPF build. Not `CARGO_TARGET_DIR`: the agent's build script looks here, so that
/// a plain `cargo build` finds the object as well.
pub(crate) fn bpf_target() -> PathBuf {
    root().join("target/bpf")
}

/// Logs of long steps.
pub(crate) fn logs() -> PathBuf {
    root().join("target/xtask")
}

/// Tools, kernels and virtual environments: `$BANCHI_CACHE`, `$XDG_CACHE_HOME/banchi` or `~/.cache/banchi`.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("BANCHI_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("banchi")))
        .or_else(|| Some(set("HOME")?.join(".cache/banchi")))
        .context("no place for a cache: set BANCHI_CACHE to a directory")?;
    std::path::absolute(&cache).with_context(|| format!("path of the cache, {}", cache.display()))
}

/// The program `name` on the `PATH`.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian keeps administrators' tools out of the PATH of other users.
    let usual = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(usual).map(|directory| directory.join(name)).find(|file| file.is_file())
}
