//! Debian packages, where there is apt-get and the right to use it.

use std::{fs, process::Command};

use anyhow::{Result, bail};

use crate::{paths, step};

/// A package and why it is needed.
#[derive(Clone, Copy)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
}

const fn package(name: &'static str, why: &'static str) -> Package {
    Package { name, why }
}

/// A compiler that has its own library source, to build `core` for the BPF target.
pub(crate) const COMPILER: &[Package] = &[
    package("rustc-web", "compiles the data plane"),
    package("cargo-web", "compiles the data plane"),
    package("rust-web-src", "source of core, which the BPF target has to build"),
];

/// To compile bpf-linker.
pub(crate) const LINKER: &[Package] = &[
    package("llvm-22-dev", "bpf-linker is LLVM, with Rust around it"),
    package("libpolly-22-dev", "LLVM's list of libraries names it"),
    package("zlib1g-dev", "LLVM links to it"),
    package("libzstd-dev", "LLVM links to it"),
    package("g++", "LLVM is C++"),
];

/// What the tests run.
pub(crate) const TESTS: &[Package] = &[
    package("iproute2", "ip: namespaces and links of the lab"),
    package("ethtool", "turns off checksum offload, which a redirect does not undo"),
    package("util-linux", "unshare, mount"),
    package("tshark", "says of real captures who asks, to compare with"),
    package("chromium", "opens the reports, and draws them for a person to look at"),
    package("openssl", "certificates for the tests of outputs"),
    package("rsyslog", "receives and takes apart what outputs send"),
    package("rsyslog-gnutls", "the same over TLS"),
    package("mosquitto", "a broker for the tests of outputs"),
    package("mosquitto-clients", "listens to it"),
    package("prometheus", "promtool: checks metrics, alert rules and their tests"),
    package("systemd", "systemd-analyze: how the unit is confined"),
    package("nftables", "loads exported rulesets, to compare with"),
    package("debootstrap", "a clean Debian to install the package in"),
    package("systemd-container", "systemd-nspawn boots it"),
    package("lintian", "what Debian would say about the package"),
    package("man-db", "reads the man pages"),
    package("bash-completion", "asks for the completions of bash"),
    package("zsh", "reads its completions"),
    package("fish", "reads its completions"),
    package("tmux", "a terminal that a test can read, for `banchi top`"),
    package("python3", "real protocol stacks to test against"),
    package("python3-venv", "real protocol stacks to test against"),
];

/// To build the package.
pub(crate) const DEB: &[Package] =
    &[package("dpkg-dev", "says which libraries the agent depends on"), package("xz-utils", "packs")];

/// What `cargo xtask bench` compares with.
pub(crate) const BENCH: &[Package] = &[
    package("xdp-tools", "xdp-filter, which filters addresses in XDP"),
    package("nftables", "nft: sets and linear rules"),
    package("iptables", "linear rules"),
    package("ipset", "sets for iptables"),
];

/// What `cargo xtask vm` runs.
pub(crate) const VM: &[Package] = &[package("qemu-system-x86", "boots the kernels of other releases")];

/// The packages that are not installed.
pub(crate) fn missing(packages: &[Package]) -> Vec<Package> {
    let missing = |name: &str| {
        let mut query = Command::new("dpkg-query");
        query.args(["--show", "--showformat=${db:Status-Status}", name]);
        step::output(&mut query).as_deref() != Some("installed")
    };
    packages.iter().copied().filter(|package| missing(package.name)).collect()
}

/// Whether this machine installs software with apt.
pub(crate) fn here() -> bool {
    paths::program("apt-get").is_some() && paths::program("dpkg-query").is_some()
}

/// The command that a person would type.
pub(crate) fn advice(packages: &[Package]) -> String {
    let names: Vec<_> = packages.iter().map(|package| package.name).collect();
    format!("apt-get install {}", names.join(" "))
}

/// Installs what is missing of `packages`.
pub(crate) fn install(packages: &[Package]) -> Result<()> {
    if !here() {
        bail!(
            "this is not a Debian machine; please install what Debian calls: {}",
            names(packages).join(" ")
        );
    }
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() {
        bail!("not root, so nothing can be installed; as root: {}", advice(&missing));
    }
    for package in &missing {
        eprintln!("    {:<16} {}", package.name, package.why);
    }
    // A machine may have a broken third-party list that has nothing to do with us.
    if let Err(error) = step::run("apt-update", "apt-get update: what can be installed", apt().arg("update"))
    {
        eprintln!("warning: {error:#}");
    }
    let mut command = apt();
    command.args(["install", "--yes", "--no-install-recommends"]).args(names(&missing));
    step::run("apt-install", &step::describe(&command), &mut command)
}

/// `apt-get`, asking nothing and waiting for others who use it.
pub(crate) fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C.UTF-8");
    command.args(["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]);
    command
}

/// Whether we run as root.
pub(crate) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    ids.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

fn names(packages: &[Package]) -> Vec<&'static str> {
    packages.iter().map(|package| package.name).collect()
}
