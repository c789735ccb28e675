//! Hosts: where they were seen, and which addresses are those of groups.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use banchi_common::wire::{Address, Bytes, Headers};
use serde::{Deserialize, Serialize};

use super::key::ip;
use crate::capture::Frame;

/// Stations of one address that are told apart.
const STATIONS: usize = 8;
/// The sender of links that have no addresses.
const SOMEBODY: [u8; 6] = [0x02, 0, 0, 0, 0, 2];

/// Where a packet came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Station {
    /// Source hardware address; `None` on links without.
    pub mac: Option<[u8; 6]>,
    /// Outer and inner VLAN; 0 is none.
    pub vlans: [u16; 2],
    /// Place of the interface in the list of the captures.
    pub interface: Option<usize>,
}

impl Station {
    pub(super) fn of(frame: &Frame, headers: &Headers) -> Self {
        let mac = frame.bytes.get(6..12).and_then(|mac| mac.try_into().ok());
        Self {
            mac: mac.filter(|mac| *mac != SOMEBODY),
            vlans: [headers.outer_vid, headers.inner_vid],
            interface: frame.interface,
        }
    }

    /// A number that hardly any two stations of one host share; never 0.
    pub(super) fn fingerprint(&self) -> u64 {
        let mac = self.mac.unwrap_or_default().iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let [outer, inner] = self.vlans.map(u64::from);
        let place = self.interface.map_or(0, |place| place as u64 + 1);
        (mac ^ outer << 48 ^ inner << 52 ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15)).max(1)
    }
}

/// A host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Where it was seen as a sender; the first few.
    pub stations: BTreeSet<Station>,
}

/// All hosts that sent something, and all groups that something was sent to.
#[derive(Serialize, Deserialize)]
pub struct Hosts {
    hosts: HashMap<(u8, Address), Host>,
    broadcasts: BTreeSet<Address>,
    limit: usize,
}

impl Hosts {
    pub(super) fn new(limit: usize) -> Self {
        Self { hosts: HashMap::new(), broadcasts: BTreeSet::new(), limit }
    }

    /// Notes where a packet's source was seen.
    pub(super) fn seen(&mut self, headers: &Headers, station: Station, _at: u64) {
        let key = (headers.family, headers.source);
        if self.hosts.len() >= self.limit && !self.hosts.contains_key(&key) {
            return;
        }
        let host = self.hosts.entry(key).or_default();
        if host.stations.len() < STATIONS {
            host.stations.insert(station);
        }
    }

    /// Whether a packet goes to many hosts: by its address, or by the hardware address of a frame to an address that
    /// looks like one host's.
    pub(super) fn is_group(&mut self, bytes: &Bytes<'_>, headers: &Headers) -> bool {
        if is_group(ip(headers.family, headers.destination)) {
            return true;
        }
        let broadcast = headers.family == 4 && bytes.0.first_chunk() == Some(&[0xff; 6]);
        if broadcast && self.broadcasts.len() < self.limit {
            self.broadcasts.insert(headers.destination);
        }
        broadcast
    }

    /// Whether an address is that of many hosts, as far as was seen.
    pub fn group(&self, address: IpAddr) -> bool {
        let IpAddr::V4(v4) = address else { return is_group(address) };
        let lo = u64::from(v4.to_bits());
        let silent = !self.hosts.contains_key(&(4, Address { hi: 0, lo }));
        let [.., last] = v4.octets();
        is_group(address) || silent && (last == 255 || self.broadcasts.contains(&Address { hi: 0, lo }))
    }

    /// All hosts that sent something, in the order of their addresses.
    pub fn senders(&self) -> BTreeMap<IpAddr, &Host> {
        self.hosts.iter().map(|((family, address), host)| (ip(*family, *address), host)).collect()
    }
}

fn is_group(address: IpAddr) -> bool {
    address.is_multicast() || matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}
