//! Which compiler builds the data plane.
//!
//! The BPF target has no compiled `core`, so the compiler must bring its source. Rustup's stable toolchain does
//! not by default; a nightly with the component `rust-src` does, and so does Debian's `rustc-web`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{linker, paths, step};

/// What the crate `aya-ebpf` asks for.
const OLDEST: (u32, u32) = (1, 87);

/// A compiler that can build the data plane.
pub(crate) struct Compiler {
    /// Where it comes from, for people.
    pub(crate) origin: String,
    pub(crate) rustc: PathBuf,
    pub(crate) cargo: PathBuf,
}

/// A compiler that cannot.
pub(crate) struct Rejected {
    pub(crate) origin: String,
    pub(crate) why: String,
}

/// The best compiler on this machine, and why those before it are none.
pub(crate) fn survey() -> (Option<Compiler>, Vec<Rejected>) {
    let mut rejected = Vec::new();
    for (name, rustc) in candidates() {
        match examine(&name, &rustc) {
            Ok(compiler) => return (Some(compiler), rejected),
            Err(why) => rejected.push(Rejected { origin: name, why }),
        }
    }
    (None, rejected)
}

/// Nightly first, since it needs no permission for unstable flags; then the system's; then other toolchains.
fn candidates() -> Vec<(String, PathBuf)> {
    let installed = step::output(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    let rustup = |nightly: bool| {
        let names = installed.lines().filter_map(|line| line.split_whitespace().next());
        names.filter(move |name| name.starts_with("nightly") == nightly).filter_map(|name| {
            let mut which = Command::new("rustup");
            let rustc = step::output(which.args(["which", "--toolchain", name, "rustc"]))?;
            Some((format!("rustup {name}"), PathBuf::from(rustc)))
        })
    };
    // The one on the PATH may be a proxy of rustup's; its sysroot holds the compiler itself.
    let active = step::output(Command::new("rustc").args(["--print", "sysroot"]));
    let active = active.map(|sysroot| PathBuf::from(sysroot).join("bin/rustc"));
    let system = ["/usr/bin/rustc", "/usr/local/bin/rustc"].map(PathBuf::from).into_iter().chain(active);
    let system = system.filter(|rustc| rustc.is_file());
    let system = system.map(|rustc| (rustc.display().to_string(), rustc));
    let mut candidates: Vec<_> = rustup(true).chain(system).chain(rustup(false)).collect();
    let mut seen = BTreeSet::new();
    candidates.retain(|(_, rustc)| seen.insert(rustc.clone()));
    candidates
}

fn examine(name: &str, rustc: &Path) -> Result<Compiler, String> {
    let ask = |argument: &[&str]| {
        let mut command = step::foreign_cargo(rustc);
        step::output(command.args(argument)).ok_or_else(|| format!("{} does not run", rustc.display()))
    };
    let version = ask(&["-vV"])?;
    let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim();
    let release = field("release:");
    if numbers(release) < OLDEST {
        return Err(format!("{release} is older than {}.{}", OLDEST.0, OLDEST.1));
    }
    let llvm = numbers(field("LLVM version:")).0;
    if llvm > linker::LLVM {
        return Err(format!("its LLVM {llvm} is newer than the {} of bpf-linker", linker::LLVM));
    }
    let source =
        Path::new(&ask(&["--print", "sysroot"])?).join("lib/rustlib/src/rust/library/core/src/lib.rs");
    if !source.is_file() {
        return Err("it has no rust-src, the source of core".to_owned());
    }
    let cargo = rustc.with_file_name("cargo");
    if !cargo.is_file() {
        return Err("it has no cargo beside it".to_owned());
    }
    Ok(Compiler { origin: format!("{name} ({release}, LLVM {llvm})"), rustc: rustc.to_owned(), cargo })
}

/// The first two numbers of a version.
pub(crate) fn numbers(version: &str) -> (u32, u32) {
    let mut numbers =
        version.split(|other: char| !other.is_ascii_digit()).map(|text| text.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// How to get a compiler where apt is no help.
pub(crate) fn advice() -> &'static str {
    match paths::program("rustup") {
        Some(_) => "rustup toolchain install nightly --component rust-src",
        None => {
            "install rustup (https://rustup.rs), then: rustup toolchain install nightly --component rust-src"
        }
    }
}
