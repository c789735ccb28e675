//! What can go wrong between the agent and the kernel, and what to do about it.

use std::path::PathBuf;

use thiserror::Error;

/// Every variant names its cause and its remedy.
#[derive(Debug, Error)]
pub enum DatapathError {
    /// The process may not load BPF programs.
    #[error(
        "no privilege to load XDP programs: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON \
         (this process lacks {missing})"
    )]
    NoPrivilege {
        /// Capabilities that are missing.
        missing: String,
    },
    /// An interface of the policy is not there.
    #[error("zone `{zone}` names the interface `{interface}`, which does not exist; there are: {available}")]
    NoInterface {
        /// Zone.
        zone: String,
        /// Interface.
        interface: String,
        /// Interfaces that exist.
        available: String,
    },
    /// An interface that was asked for is not there.
    #[error("the interface `{interface}` does not exist; there are: {available}")]
    NothingThere {
        /// Interface.
        interface: String,
        /// Interfaces that exist.
        available: String,
    },
    /// An interface has a number that the tables have no room for.
    #[error(
        "interface `{interface}` has index {index}, and the data plane has room up to {limit}: restart the gateway's network"
    )]
    InterfaceIndex {
        /// Interface.
        interface: String,
        /// Its index.
        index: u32,
        /// Largest index.
        limit: u32,
    },
    /// No BPF file system.
    #[error("no BPF file system at {path}: mount it with `mount -t bpf bpf {path}`")]
    NoBpffs {
        /// Where it should be.
        path: PathBuf,
    },
    /// The kernel is too old or built without something.
    #[error("this kernel ({release}) lacks {feature}: banchi needs Linux 6.1 or later with BPF and BTF")]
    Kernel {
        /// `uname -r`.
        release: String,
        /// What is missing.
        feature: String,
    },
    /// The driver has no native XDP, or refuses it in this state.
    #[error(
        "the driver `{driver}` of `{interface}` refuses native XDP: {cause}; lower the MTU, turn off LRO, or \
         accept the slow generic mode with --xdp-mode generic"
    )]
    Driver {
        /// Interface.
        interface: String,
        /// Its driver.
        driver: String,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// Another XDP program is attached.
    #[error(
        "another XDP program holds `{interface}`: {holder}; detach it first (`ip link set dev {interface} \
         xdp off`, or stop the service that owns it)"
    )]
    HookTaken {
        /// Interface.
        interface: String,
        /// Name and id of the program.
        holder: String,
    },
    /// The data plane of banchi itself is attached where something was to be observed.
    #[error(
        "the data plane of banchi decides on `{interface}`, and an interface has one XDP program: observe a mirror \
         port instead, learn from captures (`banchi learn --approved POLICY CAPTURE`), or take the data plane off with \
         `banchi detach` (everything passes until `banchi run`)"
    )]
    Deciding {
        /// Interface.
        interface: String,
    },
    /// Another agent runs with the same name.
    #[error("another banchi is running here: {holder}")]
    AlreadyRunning {
        /// Its socket or pin.
        holder: String,
    },
    /// Something is pinned that this version cannot use.
    #[error(
        "{what} is not what this banchi can use: found {found}, expected {expected}. Nothing was changed. \
         `banchi detach` takes the old data plane off (everything passes until `banchi run`)"
    )]
    PinnedState {
        /// The pin or the record.
        what: String,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// Nothing is pinned.
    #[error("no data plane is pinned at {pins}: start one with `banchi run`, or name its place with --pins")]
    NoDataPlane {
        /// Where it should be.
        pins: PathBuf,
    },
    /// The loaded program does not do what the policy says.
    #[error("the loaded program is not proven, so that it does not decide: {what}. Please report this")]
    Unproven {
        /// Table or rule, and what is wrong.
        what: String,
    },
    /// The verifier refused the program: a defect of banchi.
    #[error(
        "the kernel's verifier refused the data plane; please report this with the kernel's release\n{log}"
    )]
    Verifier {
        /// The end of the verifier's log.
        log: String,
    },
    /// Something on an interface hides what a policy decides about.
    #[error(
        "enforcing is not safe here, and nothing was changed:\n  {findings}\n`banchi doctor` shows everything; \
         --accept-unsafe enforces all the same"
    )]
    Unsafe {
        /// What, why, and what to do, a line each.
        findings: String,
    },
    /// Anything else.
    #[error("{what}: {cause}")]
    Other {
        /// What was being done.
        what: String,
        /// What went wrong.
        cause: String,
    },
}

impl DatapathError {
    /// Wraps an error that has no remedy of its own.
    pub fn other(what: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self::Other { what: what.into(), cause: cause.to_string() }
    }

    /// Exit code of the process; see `docs/runbook.md` and `banchi run --help`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoPrivilege { .. } => 10,
            Self::NoInterface { .. } | Self::NothingThere { .. } => 11,
            Self::InterfaceIndex { .. } | Self::Other { .. } => 1,
            Self::Kernel { .. } => 12,
            Self::Driver { .. } => 13,
            Self::HookTaken { .. } | Self::Deciding { .. } => 14,
            Self::NoBpffs { .. } => 15,
            Self::AlreadyRunning { .. } => 16,
            Self::Verifier { .. } => 17,
            Self::PinnedState { .. } => 18,
            Self::Unproven { .. } => 19,
            Self::NoDataPlane { .. } => 20,
            Self::Unsafe { .. } => 21,
        }
    }
}
