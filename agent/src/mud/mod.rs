//! Manufacturer Usage Descriptions (RFC 8520): from what a manufacturer says of a device to a draft policy, and from what
//! a policy says of an asset to such a description. What is lost either way is said.

mod export;
mod import;
mod read;
mod site;

pub use export::{Description, export};
pub use import::{Draft, Mapping, import};
pub use read::{MudError, MudFile, read};

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::policy::model::PortRange;

/// What is lost in a translation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Lost {
    /// Its stable name.
    pub code: &'static str,
    /// What it is about: an ACE, or a rule.
    pub about: String,
    /// What it means, for a person.
    pub text: String,
}

/// Whom a device speaks with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// A network.
    Network(IpNet),
    /// Something that somebody has to say which hosts it is: its word for `--map`.
    Named(String),
}

impl Peer {
    /// What `--map` calls it.
    fn key(&self) -> String {
        match self {
            Self::Network(net) => net.to_string(),
            Self::Named(key) => key.clone(),
        }
    }
}

/// One entry of an access list, seen from the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ace {
    /// List and entry, for people.
    pub(crate) name: String,
    /// The device sends it.
    pub(crate) from_device: bool,
    pub(crate) peer: Peer,
    pub(crate) transport: Kind,
    pub(crate) device_port: Option<PortRange>,
    pub(crate) peer_port: Option<PortRange>,
    /// The device opens the connection; `None` where the list does not say.
    pub(crate) device_opens: Option<bool>,
}

/// What of IP it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Tcp,
    Udp,
    /// Echo; true is the request.
    Echo(bool),
}

/// Losses for people, one a line.
#[must_use]
pub fn lines(lost: &[Lost]) -> String {
    lost.iter().map(|lost| format!("{} ({}): {}\n", lost.code, lost.about, lost.text)).collect()
}

/// Networks that hold the addresses of a range, and no others.
pub(crate) fn networks(first: IpAddr, last: IpAddr) -> Vec<IpNet> {
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            ipnet::Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            ipnet::Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
        }
        _ => Vec::new(),
    }
}
