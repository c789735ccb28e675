//! Who speaks with whom: the identity of a tuple.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use banchi_common::abi::Transport;
use banchi_common::wire::{Address, Headers};
use serde::{Deserialize, Serialize};

/// An address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct End {
    /// The address; IPv4 in the low 32 bits.
    pub address: Address,
    /// The port. 0 in a folded tuple stands for many ports.
    pub port: u16,
}

/// Two ends and a transport, the lower end first, so that both ways have one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Number of [`Transport`].
    pub transport: u8,
    /// 4 or 6.
    pub family: u8,
    /// The lower end and the higher one.
    pub ends: [End; 2],
}

impl Key {
    /// The key of a packet, and which of its ends sent it.
    pub fn of(headers: &Headers) -> (Self, usize) {
        let source = End { address: headers.source, port: headers.source_port };
        let destination = End { address: headers.destination, port: headers.destination_port };
        let (ends, sender) =
            if source <= destination { ([source, destination], 0) } else { ([destination, source], 1) };
        (Self { transport: headers.transport, family: headers.family, ends }, sender)
    }

    /// The key with many ports on one side.
    pub fn folded(mut self, side: usize) -> Self {
        if let Some(end) = self.ends.get_mut(side) {
            end.port = 0;
        }
        self
    }

    /// The address of a side.
    pub fn address(&self, side: usize) -> IpAddr {
        ip(self.family, self.end(side).address)
    }

    /// The port of a side.
    pub fn port(&self, side: usize) -> u16 {
        self.end(side).port
    }

    /// One of the two ends.
    pub fn end(&self, side: usize) -> End {
        let [low, high] = self.ends;
        if side == 0 { low } else { high }
    }

    /// The transport.
    pub fn transport(&self) -> Transport {
        match self.transport {
            0 => Transport::Tcp,
            1 => Transport::Udp,
            2 => Transport::Sctp,
            _ => Transport::Icmp,
        }
    }
}

/// An address of a packet as one of the standard library.
pub(crate) fn ip(family: u8, address: Address) -> IpAddr {
    if family == 4 {
        Ipv4Addr::from_bits(address.lo as u32).into()
    } else {
        Ipv6Addr::from_bits(u128::from(address.hi) << 64 | u128::from(address.lo)).into()
    }
}
