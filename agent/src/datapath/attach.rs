//! Attaching to interfaces.

use std::io;
use std::process::Command;

use aya::programs::xdp::XdpLinkId;
use aya::programs::{ProgramError, Xdp, XdpMode as Flags};

use super::error::DatapathError;
use super::generation::Datapath;
use super::load::chain;
use super::preflight::Interface;

/// Where in the kernel the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// In the driver: the fast way. Refused where the driver cannot.
    Native,
    /// In the stack, after a buffer was allocated: slow, works everywhere.
    Generic,
}

impl Datapath {
    /// Attaches a generation itself, without a root program: for replays. It is off again when this is dropped.
    ///
    /// # Errors
    /// Where another program is attached, or the driver refuses.
    pub fn attach(&mut self, interface: &Interface, mode: XdpMode) -> Result<(), DatapathError> {
        attach(self.program_mut()?, interface, mode).map(|_| ())
    }
}

/// Attaches a program to an interface. Never falls back to another mode by itself.
///
/// # Errors
/// Where another program is attached, or the driver refuses.
pub(super) fn attach(
    program: &mut Xdp,
    interface: &Interface,
    mode: XdpMode,
) -> Result<XdpLinkId, DatapathError> {
    let flags = match mode {
        XdpMode::Native => Flags::Driver,
        XdpMode::Generic => Flags::Skb,
    };
    let error = match program.attach_to_if_index(interface.index, flags) {
        Ok(link) => return Ok(link),
        Err(error) => error,
    };
    let cause = match error {
        ProgramError::SyscallError(syscall) => syscall.io_error,
        ProgramError::XdpError(aya::programs::xdp::XdpError::NetlinkError(error)) => {
            io::Error::other(chain(&error))
        }
        other => {
            return Err(DatapathError::other(format!("attach to {}", interface.name), chain(&other)));
        }
    };
    if let Some(holder) = holder(&interface.name) {
        return Err(DatapathError::HookTaken { interface: interface.name.clone(), holder });
    }
    if matches!(cause.raw_os_error(), Some(libc::EBUSY | libc::EEXIST)) {
        let holder = "unknown; see `bpftool net`".to_owned();
        return Err(DatapathError::HookTaken { interface: interface.name.clone(), holder });
    }
    Err(DatapathError::Driver { interface: interface.name.clone(), driver: interface.driver.clone(), cause })
}

/// Id of the XDP program on an interface, as far as `ip` tells.
pub(super) fn program_on(interface: &str) -> Option<u64> {
    let output = Command::new("ip").args(["-json", "link", "show", "dev", interface]).output().ok()?;
    let links: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
    links.get(0)?.get("xdp")?.get("prog")?.get("id")?.as_u64()
}

/// Name and id of the XDP program on an interface, as far as `ip` and the kernel tell.
fn holder(interface: &str) -> Option<String> {
    let id = program_on(interface)?;
    let mut programs = aya::programs::loaded_programs();
    let name = programs.find_map(|program| {
        let program = program.ok()?;
        (u64::from(program.id()) == id).then(|| program.name_as_str().unwrap_or("?").to_owned())
    });
    Some(format!("program `{}` (id {id})", name.unwrap_or_else(|| "?".to_owned())))
}
