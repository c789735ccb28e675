//! xdp-filter of Debian's xdp-tools, loaded by its own command.

use anyhow::{Context as _, Result, ensure};
use aya::programs::Xdp;
use banchi_tests::lab::Lab;

use crate::kernel;
use crate::traffic;

/// Its interface.
const INTERFACE: &str = "filter";
/// Where its pins are is a file system of its own, which goes with the shell.
const LOAD: &str = "mount -t bpf bpf /sys/fs/bpf && \
    LIBXDP_SKIP_DISPATCHER=1 xdp-filter load \"$1\" --mode native --policy deny --features ipv4 && \
    xdp-filter ip --mode src \"$2\"";

/// The program that lets one source address pass and nothing else, without libxdp's dispatcher before it. It lasts as
/// long as the lab. To be called in the gateway.
///
/// # Errors
/// Where it is not installed, or does not load.
pub(super) fn load(lab: &Lab) -> Result<Xdp> {
    let gateway = lab.gateway();
    let add = ["ip", "link", "add", INTERFACE, "type", "veth", "peer", "name", "filter-peer"];
    gateway.check(&add)?;
    let address = traffic::client(0).to_string();
    let shell = ["unshare", "--mount", "sh", "-c", LOAD, "sh", INTERFACE, &address];
    gateway.check(&shell).context("xdp-filter (Debian: apt-get install xdp-tools)")?;
    let (_, program) = kernel::interfaces()?.remove(INTERFACE).context("its interface is gone")?;
    let program = kernel::by_id(program.context("xdp-filter is not on its interface")?)?;
    let name = program.info()?.name_as_str().unwrap_or("?").to_owned();
    ensure!(name.starts_with("xdpfilt"), "another program is on the interface of xdp-filter: {name}");
    Ok(program)
}
