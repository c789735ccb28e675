//! What a machine is like, as the kernel says it. Nothing here changes anything.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde::Serialize;

use crate::datapath::{self, Feature, Link, Queues, XdpMode};
use crate::policy::model::{Forwarding, Policy, Vlan};

/// Facts about the kernel and this process.
#[derive(Debug, Clone, Serialize)]
pub struct KernelFacts {
    /// `uname -r`.
    pub release: String,
    /// What it lacks, for people.
    pub lacks: Option<String>,
    /// Capabilities that this process lacks.
    pub missing_capabilities: Vec<String>,
    /// Whether the BPF file system is mounted.
    pub has_bpffs: bool,
    /// Whether there are ring buffers; unknown without privilege.
    pub has_ring_buffer: Option<bool>,
    /// Whether programs are compiled; unknown in another network namespace than the first.
    pub has_jit: Option<bool>,
}

impl KernelFacts {
    /// As it is now.
    pub fn gather() -> Self {
        let jit = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable");
        let release = datapath::release();
        Self {
            lacks: datapath::kernel_lacks(&release),
            release,
            missing_capabilities: datapath::missing_capabilities().into_iter().map(str::to_owned).collect(),
            has_bpffs: datapath::has_bpffs(),
            has_ring_buffer: datapath::has_ring_buffer(),
            has_jit: jit.ok().map(|text| text.trim() != "0"),
        }
    }
}

/// Facts about an interface.
#[derive(Debug, Clone, Serialize)]
pub struct InterfaceFacts {
    /// Name, index, MTU, state, and the program on it.
    #[serde(flatten)]
    pub link: Link,
    /// Its driver, or `unknown`.
    pub driver: String,
    /// Name of the program on it.
    pub program: Option<String>,
    /// Whether the driver takes native XDP, where the kernel tells.
    pub has_native_xdp: Option<bool>,
    /// Whether it sends what a native program redirects to it, where the kernel tells.
    pub takes_redirects: Option<bool>,
    /// Offloads by name; none where the kernel does not tell.
    pub features: Option<BTreeMap<String, Feature>>,
    /// Where the driver tells.
    pub queues: Option<Queues>,
    /// The other end of a veth pair: its name, and whether it keeps VLAN tags beside the frame. Unknown where it is in
    /// another namespace.
    pub peer: Option<(String, bool)>,
    /// Whether that other end leaves checksums to be completed by a card.
    pub peer_leaves_checksums: Option<bool>,
    /// CPUs of this machine.
    pub cpus: usize,
    /// Bytes of a page of memory.
    pub page: usize,
}

impl InterfaceFacts {
    /// Of the interfaces of this network namespace that have one of these names.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn gather(names: &[String]) -> io::Result<Vec<Self>> {
        let links = datapath::links()?;
        let named = links.iter().filter(|link| names.contains(&link.name));
        Ok(named.map(|link| Self::of(link.clone(), &links)).collect())
    }

    fn of(link: Link, links: &[Link]) -> Self {
        let peer = links
            .iter()
            .find(|other| Some(other.index) == link.lower && link.kind.as_deref() == Some("veth"));
        let peer = peer.and_then(|peer| {
            let features = datapath::features(&peer.name).ok()?;
            let inserts = ["tx-vlan-hw-insert", "tx-vlan-stag-hw-insert"];
            let is_on = |name: &str| features.get(name).is_some_and(|feature| feature.is_on);
            let leaves =
                features.iter().any(|(name, feature)| name.starts_with("tx-checksum-ip") && feature.is_on);
            Some((peer.name.clone(), inserts.into_iter().any(is_on), leaves))
        });
        Self {
            driver: datapath::driver(&link.name).unwrap_or_else(|| "unknown".to_owned()),
            program: link.xdp.and_then(|attached| datapath::program_name(attached.program)),
            has_native_xdp: datapath::has_native_xdp(link.index),
            features: datapath::features(&link.name).ok(),
            queues: datapath::queues(&link.name),
            takes_redirects: datapath::takes_redirects(link.index),
            peer_leaves_checksums: peer.as_ref().map(|(_, _, leaves)| *leaves),
            peer: peer.map(|(name, inserts, _)| (name, inserts)),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            page: rustix::param::page_size(),
            link,
        }
    }

    /// Whether an offload is on.
    pub(super) fn is_on(&self, feature: &str) -> bool {
        self.features.as_ref().and_then(|all| all.get(feature)).is_some_and(|feature| feature.is_on)
    }

    /// Whether nobody can switch an offload.
    pub(super) fn is_fixed(&self, feature: &str) -> bool {
        self.features.as_ref().and_then(|all| all.get(feature)).is_some_and(|feature| feature.is_fixed)
    }
}

/// What somebody wants of an interface.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Where the program is to run.
    pub mode: XdpMode,
    /// Whether the policy tells its zones apart by VLAN there; unknown without a policy.
    pub vlans: Option<bool>,
    /// Id of the root program that belongs there.
    pub own: Option<u32>,
    /// How what is allowed leaves the gateway.
    pub forwarding: Forwarding,
    /// Whether it is an end of a wire.
    pub is_end: bool,
}

impl Wanted {
    /// Without a policy.
    pub fn of_none(mode: XdpMode, own: Option<u32>) -> Self {
        Self { mode, vlans: None, own, forwarding: Forwarding::Stack, is_end: false }
    }

    /// By a policy, of one interface.
    pub fn of(policy: &Policy, interface: &str, mode: XdpMode, own: Option<u32>) -> Self {
        let here = policy.zones.iter().filter(|zone| zone.interfaces.iter().any(|name| name == interface));
        let vlans = here.flat_map(|zone| &zone.vlans).any(|vlan| *vlan != Vlan::Untagged);
        let is_end = policy.wires.iter().any(|(one, other)| one == interface || other == interface);
        Self { mode, vlans: Some(vlans), own, forwarding: policy.forwarding, is_end }
    }
}
