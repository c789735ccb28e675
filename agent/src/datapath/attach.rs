//! Attaching to interfaces.

use std::io;

use aya::programs::xdp::XdpLinkId;
use aya::programs::{ProgramError, Xdp, XdpMode as Flags};

use super::error::DatapathError;
use super::generation::Datapath;
use super::links;
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
        Ok(id) => {
            // The kernel is asked and not believed: another mode than the one that was asked for is no success.
            let runs = attached(interface.index).map(|attached| attached.runs);
            return match runs.filter(|runs| !runs.is(mode)) {
                None => Ok(id),
                Some(runs) => {
                    let cause = io::Error::other(format!("the kernel runs the program as {}", runs.name()));
                    program.detach(id).map_err(|e| {
                        DatapathError::other(format!("detach from {}", interface.name), chain(&e))
                    })?;
                    Err(refused(interface, cause))
                }
            };
        }
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
    if let Some(holder) = holder(interface.index) {
        return Err(DatapathError::HookTaken { interface: interface.name.clone(), holder });
    }
    if matches!(cause.raw_os_error(), Some(libc::EBUSY | libc::EEXIST)) {
        let holder = "unknown; see `bpftool net`".to_owned();
        return Err(DatapathError::HookTaken { interface: interface.name.clone(), holder });
    }
    Err(refused(interface, cause))
}

fn refused(interface: &Interface, cause: io::Error) -> DatapathError {
    DatapathError::Driver { interface: interface.name.clone(), driver: interface.driver.clone(), cause }
}

/// The XDP program on an interface, and where it runs.
pub(super) fn attached(index: u32) -> Option<links::Attached> {
    links::link(index).ok()??.xdp
}

/// Name and id of the XDP program on an interface.
fn holder(index: u32) -> Option<String> {
    let id = attached(index)?.program;
    Some(format!("program `{}` (id {id})", program_name(id).unwrap_or_else(|| "?".to_owned())))
}

/// Name of a loaded program, where the kernel tells.
pub fn program_name(id: u32) -> Option<String> {
    let mut programs = aya::programs::loaded_programs().filter_map(Result::ok);
    let program = programs.find(|program| program.id() == id)?;
    program.name_as_str().map(str::to_owned)
}
