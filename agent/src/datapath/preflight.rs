//! What must be there before anything is loaded. Nothing here changes anything.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use super::error::DatapathError;
use crate::image::Image;
use crate::policy::model::Policy;

/// Where the BPF file system belongs.
const BPFFS: &str = "/sys/fs/bpf";
/// `BPF_FS_MAGIC` of `statfs(2)`.
const BPFFS_MAGIC: i64 = 0xcafe_4a11;
/// Oldest kernel that the tests cover.
const OLDEST: (u32, u32) = (6, 1);
/// Capabilities that loading takes: number, name.
const CAPABILITIES: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];
/// Includes all of them on older kernels.
const SYS_ADMIN: u32 = 21;

/// A network interface of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// Index.
    pub index: u32,
    /// Name of its driver, or `unknown`.
    pub driver: String,
}

/// Checks privilege, kernel, BPF file system and interfaces, in this order. Yields the interfaces of the
/// image, in its order.
///
/// # Errors
/// The first thing that is not as it must be.
pub fn preflight(policy: &Policy, image: &Image) -> Result<Vec<Interface>, DatapathError> {
    capabilities()?;
    kernel()?;
    bpffs()?;
    image.interfaces.iter().map(|name| interface(policy, name)).collect()
}

pub(super) fn capabilities() -> Result<(), DatapathError> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let has = |number: u32| effective >> number & 1 == 1;
    let missing: Vec<&str> = CAPABILITIES
        .iter()
        .filter(|(number, _)| !(has(*number) || has(SYS_ADMIN) && *number != 12))
        .map(|(_, name)| *name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(DatapathError::NoPrivilege { missing: missing.join(", ") })
}

pub(super) fn kernel() -> Result<(), DatapathError> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    let mut numbers = release.split(['.', '-', '+']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let feature = if version < OLDEST {
        "features of Linux 6.1".to_owned()
    } else if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        "BTF (CONFIG_DEBUG_INFO_BTF)".to_owned()
    } else {
        return Ok(());
    };
    Err(DatapathError::Kernel { release, feature })
}

fn bpffs() -> Result<(), DatapathError> {
    let is_bpffs = rustix::fs::statfs(BPFFS).is_ok_and(|fs| fs.f_type & 0xffff_ffff == BPFFS_MAGIC);
    if is_bpffs { Ok(()) } else { Err(DatapathError::NoBpffs { path: BPFFS.into() }) }
}

fn interface(policy: &Policy, name: &str) -> Result<Interface, DatapathError> {
    let Ok(index) = rustix::net::netdevice::name_to_index(socket()?, name) else {
        let zone = policy.zones.iter().find(|zone| zone.interfaces.iter().any(|known| known == name));
        return Err(DatapathError::NoInterface {
            zone: zone.map(|zone| zone.name.clone()).unwrap_or_default(),
            interface: name.to_owned(),
            available: available().join(", "),
        });
    };
    Ok(Interface { name: name.to_owned(), index, driver: driver(&socket()?, name) })
}

fn socket() -> Result<OwnedFd, DatapathError> {
    use rustix::net::{AddressFamily, SocketType, socket};
    socket(AddressFamily::INET, SocketType::DGRAM, None).map_err(|e| DatapathError::other("open a socket", e))
}

/// Interfaces of this network namespace. `/proc/net/dev` follows the thread's namespace; `/sys` may not.
fn available() -> Vec<String> {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    let names = table.lines().skip(2).filter_map(|line| line.split(':').next());
    names.map(|name| name.trim().to_owned()).collect()
}

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// Driver of an interface. It is asked itself, because `/sys` may show the interfaces of another network
/// namespace and has no driver for virtual ones.
fn driver(socket: &OwnedFd, name: &str) -> String {
    const GET_DRIVER_INFO: u32 = 3;
    let mut info = DriverInfo { command: GET_DRIVER_INFO, driver: [0; 32], rest: [0; 160] };
    // SAFETY: zero bytes are a value of this structure of integers and pointers.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut info).cast();
    // SAFETY: the request and the structure that it points to are those of this call, and outlive it.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    let length = info.driver.iter().position(|byte| *byte == 0).unwrap_or(info.driver.len());
    match info.driver.get(..length) {
        Some(name) if done == 0 && length > 0 => String::from_utf8_lossy(name).into_owned(),
        _ => "unknown".to_owned(),
    }
}
