//! Finds the compiled data plane, which the agent carries inside itself.
//!
//! `BANCHI_BPF_OBJECT` names it; without that it is where `cargo xtask build` puts it. The crate reads it as
//! `include_bytes_aligned!(env!("BANCHI_BPF_OBJECT"))`.

use std::{env, path::PathBuf, process::ExitCode};

const VARIABLE: &str = "BANCHI_BPF_OBJECT";

fn main() -> ExitCode {
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let object = match env::var_os(VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => {
            let agent = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
            agent.with_file_name("target").join("bpf/banchi.o")
        }
    };
    println!("cargo::rerun-if-changed={}", object.display());
    match object.canonicalize() {
        Ok(object) => {
            println!("cargo::rustc-env={VARIABLE}={}", object.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("cargo::error=no compiled data plane at {}: {error}", object.display());
            println!("cargo::error=run `cargo xtask build` (or set {VARIABLE} to an object that it built)");
            ExitCode::FAILURE
        }
    }
}
