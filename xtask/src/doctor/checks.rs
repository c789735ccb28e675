//! One check after another. Those of the kernel try things in a namespace that ends with them.

use std::{fs, path::Path, process::Command};

use anyhow::Result;

use crate::{apt, cargo_deb, clean_root, linker, paths, python, step, toolchain};

/// The first release of the kernel that has all that the data plane uses, of those that `vm` tests.
const OLDEST_KERNEL: (u32, u32) = (6, 1);
const SETUP: &str = "cargo xtask setup";

/// One requirement.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) why: &'static str,
    /// Without it the commands of the README fail.
    pub(super) needed: bool,
    /// What is there, or what is not.
    pub(super) found: Result<String, String>,
    pub(super) fix: String,
}

impl Check {
    pub(super) fn is_good_enough(&self) -> bool {
        !self.needed || self.found.is_ok()
    }
}

pub(super) fn all() -> Result<Vec<Check>> {
    let needed = |name, why, found, fix: &str| Check { name, why, needed: true, found, fix: fix.to_owned() };
    let optional =
        |name, why, found, fix: &str| Check { name, why, needed: false, found, fix: fix.to_owned() };
    let mut checks = vec![
        needed("kernel", "banchi is tested from 6.1 on", kernel(), "boot a newer kernel"),
        needed(
            "BTF",
            "maps and programs carry types",
            file("/sys/kernel/btf/vmlinux"),
            "CONFIG_DEBUG_INFO_BTF=y",
        ),
        needed("root", "loading XDP programs, making namespaces", root(), "sudo"),
        needed(
            "bpffs",
            "`banchi run` asks for one, and the tests pin maps there",
            bpffs(),
            "mount -t bpf bpf /sys/fs/bpf",
        ),
        needed("namespaces", "the lab of the tests", namespace("true"), "CONFIG_NET_NS=y, and root"),
        needed(
            "veth",
            "the links of the lab",
            namespace("ip link add veth0 type veth peer name veth1"),
            "modprobe veth; and apt-get install iproute2",
        ),
    ];
    checks.push(needed("compiler", "builds the data plane", compiler(), SETUP));
    let llvm = linker::llvm().map(|path| path.display().to_string());
    let linker = linker::find()?.map(|path| path.display().to_string());
    // LLVM is needed to compile bpf-linker and then as its library.
    checks.push(needed(
        "LLVM",
        "bpf-linker is built on it",
        llvm.ok_or_else(|| "no LLVM 22".to_owned()),
        SETUP,
    ));
    checks.push(needed(
        "bpf-linker",
        "links the data plane",
        linker.ok_or_else(|| "not in the cache".to_owned()),
        SETUP,
    ));
    for (tool, why) in [("ip", "the lab"), ("ethtool", "the lab"), ("cc", "links Rust programs")] {
        checks.push(needed(
            tool,
            why,
            program(tool),
            if tool == "cc" { "apt-get install gcc" } else { SETUP },
        ));
    }
    let stacks = python::find()?.map(|path| path.display().to_string());
    let stacks = stacks.ok_or_else(|| "no virtual environment in the cache".to_owned());
    checks.push(needed("protocol stacks", "real peers to test against, in Python", stacks, SETUP));
    let deb = cargo_deb::find()?.map(|path| path.display().to_string());
    let deb = deb.ok_or_else(|| "not in the cache".to_owned());
    checks.push(needed("cargo-deb", "makes the package", deb, SETUP));
    let clean = clean_root::find()?.map(|path| path.display().to_string());
    let clean = clean.ok_or_else(|| "none of today in the cache".to_owned());
    checks.push(optional("clean root", "a Debian to install the package in", clean, SETUP));
    for (tool, fix) in
        [("cargo-fmt", "rustup component add rustfmt"), ("cargo-clippy", "rustup component add clippy")]
    {
        checks.push(optional(tool, "CI", program(tool), fix));
    }
    let vm = "cargo xtask setup --vm";
    checks.push(optional("qemu", "cargo xtask vm: other kernels", program("qemu-system-x86_64"), vm));
    checks.push(optional(
        "apt-get",
        "setup installs with it, vm takes kernels from it",
        program("apt-get"),
        "Debian",
    ));
    Ok(checks)
}

fn kernel() -> Result<String, String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    if toolchain::numbers(&release) < OLDEST_KERNEL { Err(release) } else { Ok(release) }
}

fn file(path: &str) -> Result<String, String> {
    if Path::new(path).exists() { Ok(path.to_owned()) } else { Err(format!("no {path}")) }
}

fn root() -> Result<String, String> {
    if !apt::is_root() {
        return Err("not root".to_owned());
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    // A container's root may lack what matters here. The numbers are those of capability.h.
    let wanted = [("CAP_NET_ADMIN", 12), ("CAP_NET_RAW", 13), ("CAP_SYS_ADMIN", 21), ("CAP_BPF", 39)];
    let lacking: Vec<_> =
        wanted.iter().filter(|(_, bit)| effective & (1 << bit) == 0).map(|(name, _)| *name).collect();
    if lacking.is_empty() {
        Ok("with all capabilities".to_owned())
    } else {
        Err(format!("without {}", lacking.join(", ")))
    }
}

/// Where the BPF file system is mounted.
pub(crate) fn bpffs_mount() -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        [_, at, "bpf", ..] => Some(at.to_owned()),
        _ => None,
    })
}

fn bpffs() -> Result<String, String> {
    match bpffs_mount() {
        Some(at) => Ok(format!("mounted at {at}")),
        None => {
            attempt("--mount", "mount -t bpf bpf /sys/fs/bpf").map(|()| "not mounted, but can be".to_owned())
        }
    }
}

fn namespace(script: &str) -> Result<String, String> {
    attempt("--net", script).map(|()| "can be made".to_owned())
}

/// Runs a script in a namespace of its own.
fn attempt(namespace: &str, script: &str) -> Result<(), String> {
    let tried = step::succeeds(Command::new("unshare").args([namespace, "sh", "-c", script]));
    if tried { Ok(()) } else { Err(format!("`{script}` fails")) }
}

fn program(name: &str) -> Result<String, String> {
    paths::program(name).map(|path| path.display().to_string()).ok_or_else(|| "not on the PATH".to_owned())
}

fn compiler() -> Result<String, String> {
    let (compiler, rejected) = toolchain::survey();
    compiler.map(|compiler| compiler.origin).ok_or_else(|| {
        let rejected = rejected.iter().map(|rejected| format!("{}: {}", rejected.origin, rejected.why));
        rejected.reduce(|all, one| all + "; " + &one).unwrap_or_else(|| "none at all".to_owned())
    })
}
