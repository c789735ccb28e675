//! Programs of somebody else.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};
use banchi_tests::lab::Namespace;

const PROG_LOAD: i64 = 5;
const LINK_CREATE: i64 = 28;
const TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
const TYPE_CLASSIFIER: u32 = 3;
const ATTACH_EGRESS: u32 = 47;

/// `r0 = XDP_PASS; exit`
const PASS: [u64; 2] = [0x0000_0002_0000_00b7, 0x95];

/// Gives a packet the VLAN 20, as `bpf_skb_vlan_push` does, which is beside the frame: `r2 = htons(0x8100); r3 = 20;
/// call 18; r0 = TC_ACT_OK; exit`
const TAG: [u64; 5] = [0x0000_0081_0000_02b7, 0x0000_0014_0000_03b7, 0x12_0000_0085, 0xb7, 0x95];

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
    name: [u8; 16],
}

/// The same for `BPF_LINK_CREATE`.
#[repr(C)]
#[derive(Default)]
struct Link {
    program: u32,
    interface: u32,
    kind: u32,
    flags: u32,
    rest: [u64; 4],
}

/// An attached program, detached when dropped.
#[derive(Debug)]
pub(crate) struct Other {
    _link: OwnedFd,
}

impl Other {
    /// A program that lets everything pass, on an interface of the namespace.
    pub(crate) fn attach(namespace: &Namespace, interface: &str, name: &str) -> Result<Self> {
        Self::of(namespace, interface, name, &PASS, (TYPE_XDP, ATTACH_XDP))
    }

    /// A program that gives what leaves an interface the VLAN 20, as an interface for that VLAN would.
    pub(crate) fn tag(namespace: &Namespace, interface: &str) -> Result<Self> {
        Self::of(namespace, interface, "tag", &TAG, (TYPE_CLASSIFIER, ATTACH_EGRESS))
    }

    fn of(
        namespace: &Namespace,
        interface: &str,
        name: &str,
        program: &[u64],
        (kind, place): (u32, u32),
    ) -> Result<Self> {
        namespace.run(|| {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
            let interface = rustix::net::netdevice::name_to_index(&socket, interface)?;
            let license = c"GPL";
            let mut load = Load {
                kind,
                count: program.len() as u32,
                instructions: program.as_ptr() as u64,
                license: license.as_ptr() as u64,
                ..Load::default()
            };
            load.name[..name.len()].copy_from_slice(name.as_bytes());
            // SAFETY: the attributes are those of the command, and what they point to lives until it returns.
            let program = unsafe { bpf(PROG_LOAD, &load) }.context("loading a program")?;
            let link =
                Link { program: program.as_raw_fd() as u32, interface, kind: place, ..Link::default() };
            // SAFETY: as above.
            let link = unsafe { bpf(LINK_CREATE, &link) }.context("attaching a program")?;
            Ok(Self { _link: link })
        })
    }
}

/// # Safety
/// `attributes` are those of the command, which yields a descriptor.
unsafe fn bpf<T>(command: i64, attributes: &T) -> std::io::Result<OwnedFd> {
    // SAFETY: the caller's promise; the size is that of the attributes.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    match i32::try_from(fd) {
        // SAFETY: the command yielded a descriptor, which nobody else has.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(std::io::Error::last_os_error()),
    }
}
