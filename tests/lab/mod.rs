//! A plant in network namespaces: one gateway, zones behind it, hosts in the zones.
//!
//! Each zone is a veth pair between the gateway and a switch namespace, where a bridge joins the hosts, so that
//! ARP, neighbour discovery and traffic inside a zone are real:
//!
//! ```text
//!   scada (eth0) ──┐                                               ┌── (eth0) plc-1
//!                  ├─ br0 ── control │ gateway │ line-a ── br0 ─┤
//!   rogue (eth0) ──┘                                               └── (eth0) plc-2
//! ```
//!
//! A [`Lab`] removes all it made when it is dropped. What a killed process leaves behind is removed by the next
//! lab on the machine.

mod mount;
mod namespace;
mod process;
mod raw;
mod setup;
mod sockets;
mod sweep;
mod topology;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use mount::Mount;
pub use namespace::Namespace;
pub use process::{Output, Process};
pub use raw::RawSocket;
pub use sockets::is_timeout;
pub use topology::{Gateway, HostPlan, Mac, Network, Zone};

/// How long anything in the lab may take before the test fails. Generous, since it only bounds failures.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// How long to wait for an answer that should not come, where there is no better event to wait for.
pub const SILENCE: Duration = Duration::from_millis(300);

/// The namespaces of one test, removed when dropped.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    gateway: Namespace,
    switches: Vec<Namespace>,
    hosts: BTreeMap<String, Host>,
    directory: PathBuf,
}

/// A host of the lab; all that a [`Namespace`] can do happens inside it.
#[derive(Debug)]
pub struct Host {
    plan: HostPlan,
    zone: String,
    networks: Vec<Network>,
    namespace: Namespace,
}

impl Lab {
    /// Builds the namespaces of `zones` around a gateway, and waits until every link is up.
    ///
    /// # Errors
    /// Says which command failed; whatever was built so far is removed.
    pub fn new(gateway: Gateway, zones: &[Zone]) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        ensure!(
            rustix::process::geteuid().is_root(),
            "the lab builds network namespaces and needs root: run the tests as root (sudo -E cargo xtask test)"
        );
        sweep::install();
        sweep::abandoned()?;

        let prefix = sweep::prefix(std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // From here on an early return must clean up as well.
        let guard = sweep::Guard::new(prefix.clone());
        let directory = sweep::directory(&prefix);
        std::fs::create_dir(&directory).with_context(|| format!("creating {}", directory.display()))?;
        let setup::Built { gateway, switches, hosts } = setup::build(&prefix, gateway, zones)?;
        guard.disarm();
        Ok(Self { prefix, gateway, switches, hosts, directory })
    }

    /// The gateway's namespace. Its interfaces bear the names of the zones.
    pub fn gateway(&self) -> &Namespace {
        &self.gateway
    }

    /// The host of that name.
    ///
    /// # Panics
    /// If the lab has no such host.
    pub fn host(&self, name: &str) -> &Host {
        let known = || self.hosts.keys().cloned().collect::<Vec<_>>().join(", ");
        self.hosts.get(name).unwrap_or_else(|| panic!("no host {name:?} in the lab; there are: {}", known()))
    }

    /// The switch of a zone: its `uplink` is the other end of the gateway's interface.
    ///
    /// # Panics
    /// If the lab has no such zone.
    pub fn switch(&self, zone: &str) -> &Namespace {
        let name = format!("{}sw-{zone}", self.prefix);
        let found = self.switches.iter().find(|switch| switch.netns() == name);
        found.unwrap_or_else(|| panic!("no zone {zone:?} in the lab"))
    }

    /// Every host, by name.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values()
    }

    /// What all names made for this lab begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A directory of the lab's own, for policies, sockets and logs; removed with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A directory in the BPF file system for an agent's pins; removed with the lab. The agent creates it.
    pub fn pins(&self) -> PathBuf {
        sweep::pins(&self.prefix)
    }

    /// The MAC address of the gateway's interface in `zone`.
    pub fn gateway_mac(&self, zone: &str) -> Mac {
        setup::gateway_mac(zone)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Namespaces live as long as a file of theirs is open: close before removing.
        self.hosts.clear();
        self.switches.clear();
        sweep::remove(&self.prefix);
    }
}

impl Host {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// The zone that it is in.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The MAC address of its `eth0`.
    pub fn mac(&self) -> Mac {
        self.plan.mac
    }

    /// Its first IPv4 address.
    ///
    /// # Panics
    /// If it has none.
    pub fn ipv4(&self) -> std::net::Ipv4Addr {
        let found = self.plan.addresses.iter().find_map(|a| match a {
            std::net::IpAddr::V4(v4) => Some(*v4),
            std::net::IpAddr::V6(_) => None,
        });
        found.unwrap_or_else(|| panic!("{} has no IPv4 address", self.plan.name))
    }

    /// Its first IPv4 address with the length of its network's prefix, as `10.10.1.5/16`.
    ///
    /// # Panics
    /// If it has none.
    pub fn ipv4_with_prefix(&self) -> String {
        let network = self.networks.iter().find(|network| network.address.is_ipv4());
        let network = network.unwrap_or_else(|| panic!("zone {} has no IPv4 network", self.zone));
        format!("{}/{}", self.ipv4(), network.prefix)
    }

    /// Its first IPv6 address.
    ///
    /// # Panics
    /// If it has none.
    pub fn ipv6(&self) -> std::net::Ipv6Addr {
        let found = self.plan.addresses.iter().find_map(|a| match a {
            std::net::IpAddr::V6(v6) => Some(*v6),
            std::net::IpAddr::V4(_) => None,
        });
        found.unwrap_or_else(|| panic!("{} has no IPv6 address", self.plan.name))
    }
}

impl Deref for Host {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}
