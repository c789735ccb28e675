//! What a lab is to be built of.

use std::fmt;
use std::net::IpAddr;

/// What the gateway does with packets between the zones when no agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateway {
    /// It routes; the zones are different networks, and the gateway is their router.
    Routes,
    /// It bridges the zones, which share a network (`stack` forwarding of a layer 2 gateway).
    Bridges,
    /// It forwards nothing: that is for the agent to do (`wire` forwarding).
    Isolates,
}

/// One zone: the gateway's interface of that name, and the hosts behind it.
#[derive(Debug, Clone)]
pub struct Zone {
    pub(crate) name: String,
    pub(crate) networks: Vec<Network>,
    pub(crate) hosts: Vec<HostPlan>,
}

/// The gateway's address in a network and the length of the network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
}

/// A host that is to be built.
#[derive(Debug, Clone)]
pub struct HostPlan {
    pub(crate) name: String,
    pub(crate) mac: Mac,
    pub(crate) addresses: Vec<IpAddr>,
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Zone {
    /// A zone; its name is also that of the gateway's interface, so it has at most 15 characters.
    ///
    /// # Panics
    /// If the name does not do as that of an interface.
    pub fn new(name: &str) -> Self {
        check_name(name);
        Self { name: name.to_owned(), networks: Vec::new(), hosts: Vec::new() }
    }

    /// A network of the zone, as the gateway's address in it: `10.10.0.1/16`.
    ///
    /// # Panics
    /// If that is not an address with a prefix.
    #[must_use]
    pub fn network(mut self, gateway: &str) -> Self {
        let parsed = gateway
            .split_once('/')
            .and_then(|(a, p)| Some(Network { address: a.parse().ok()?, prefix: p.parse().ok()? }));
        self.networks.push(parsed.unwrap_or_else(|| panic!("not an address with a prefix: {gateway:?}")));
        self
    }

    /// A host with its addresses, each in one of the zone's networks. Its MAC address follows from the first.
    ///
    /// # Panics
    /// If an address is not one, or there is none.
    #[must_use]
    pub fn host(mut self, name: &str, addresses: &[&str]) -> Self {
        check_name(name);
        let parse = |a: &&str| a.parse().unwrap_or_else(|_| panic!("not an address: {a:?}"));
        let addresses: Vec<IpAddr> = addresses.iter().map(parse).collect();
        let mac = Mac::of(*addresses.first().unwrap_or_else(|| panic!("host {name} has no address")));
        self.hosts.push(HostPlan { name: name.to_owned(), mac, addresses });
        self
    }

    /// The network of the same family as `address`, which every address of a host needs.
    pub(crate) fn network_of(&self, address: IpAddr) -> Option<Network> {
        self.networks.iter().copied().find(|n| n.address.is_ipv4() == address.is_ipv4())
    }
}

impl Mac {
    /// The broadcast address.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The locally administered address that the lab gives to the host with this IP address.
    pub fn of(address: IpAddr) -> Self {
        let [a, b, c, d] = match address {
            IpAddr::V4(v4) => v4.octets(),
            IpAddr::V6(v6) => {
                let o = v6.octets();
                [o[12], o[13], o[14], o[15]]
            }
        };
        Self([0x02, if address.is_ipv4() { 0x04 } else { 0x06 }, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names of hosts and zones become names of interfaces.
fn check_name(name: &str) {
    let fits = (1..=15).contains(&name.len());
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    assert!(fits && plain, "{name:?} cannot name an interface: 1 to 15 letters, digits and hyphens");
}
