//! What must be there before anything is loaded. Nothing here changes anything.

use std::fs;
use std::path::Path;

use super::error::DatapathError;
use super::ethtool::driver;
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
    let missing = missing_capabilities();
    if missing.is_empty() {
        return Ok(());
    }
    Err(DatapathError::NoPrivilege { missing: missing.join(", ") })
}

/// Capabilities that this process would need and lacks.
pub fn missing_capabilities() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let has = |number: u32| effective >> number & 1 == 1;
    CAPABILITIES
        .iter()
        .filter(|(number, _)| !(has(*number) || has(SYS_ADMIN) && *number != 12))
        .map(|(_, name)| *name)
        .collect()
}

pub(super) fn kernel() -> Result<(), DatapathError> {
    let release = release();
    match kernel_lacks(&release) {
        None => Ok(()),
        Some(feature) => Err(DatapathError::Kernel { release, feature }),
    }
}

/// `uname -r`.
pub fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// What this kernel lacks, by its release.
pub fn kernel_lacks(release: &str) -> Option<String> {
    let mut numbers = release.split(['.', '-', '+']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < OLDEST {
        Some("features of Linux 6.1".to_owned())
    } else if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        Some("BTF (CONFIG_DEBUG_INFO_BTF)".to_owned())
    } else {
        None
    }
}

fn bpffs() -> Result<(), DatapathError> {
    if has_bpffs() { Ok(()) } else { Err(DatapathError::NoBpffs { path: BPFFS.into() }) }
}

/// Whether the BPF file system is where it belongs.
pub fn has_bpffs() -> bool {
    rustix::fs::statfs(BPFFS).is_ok_and(|fs| fs.f_type & 0xffff_ffff == BPFFS_MAGIC)
}

/// Whether the kernel has ring buffers; `None` where it does not let this process try.
pub fn has_ring_buffer() -> Option<bool> {
    aya::sys::is_map_supported(aya::maps::MapType::RingBuf).ok()
}

impl Interface {
    /// The interface of a name.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn named(name: &str) -> Result<Self, DatapathError> {
        let Some(index) = index_of(name) else {
            return Err(DatapathError::NothingThere {
                interface: name.to_owned(),
                available: available().join(", "),
            });
        };
        let driver = driver(name).unwrap_or_else(|| "unknown".to_owned());
        Ok(Self { name: name.to_owned(), index, driver })
    }
}

/// Index of an interface.
pub(super) fn index_of(name: &str) -> Option<u32> {
    name_to_index(name).ok()
}

fn interface(policy: &Policy, name: &str) -> Result<Interface, DatapathError> {
    Interface::named(name).map_err(|_| {
        let zone = policy.zones.iter().find(|zone| zone.interfaces.iter().any(|known| known == name));
        DatapathError::NoInterface {
            zone: zone.map(|zone| zone.name.clone()).unwrap_or_default(),
            interface: name.to_owned(),
            available: available().join(", "),
        }
    })
}

fn name_to_index(name: &str) -> rustix::io::Result<u32> {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    netdevice::name_to_index(socket(AddressFamily::INET, SocketType::DGRAM, None)?, name)
}

/// Names of the interfaces of this network namespace. `/proc/net/dev` follows the thread's namespace; `/sys` may not.
pub fn available() -> Vec<String> {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    let names = table.lines().skip(2).filter_map(|line| line.split(':').next());
    names.map(|name| name.trim().to_owned()).collect()
}
