//! Addresses as tests like to write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An address and a port, also as text: `"10.10.1.5:47808"`, `"[fd00:10::5]:502"`.
pub trait Endpoint {
    /// The address that is meant.
    ///
    /// # Panics
    /// If a text is not an address with a port.
    fn endpoint(self) -> SocketAddr;
}

impl Endpoint for SocketAddr {
    fn endpoint(self) -> SocketAddr {
        self
    }
}

impl Endpoint for &str {
    fn endpoint(self) -> SocketAddr {
        self.parse().unwrap_or_else(|_| panic!("not an address with a port: {self:?}"))
    }
}

impl Endpoint for (IpAddr, u16) {
    fn endpoint(self) -> SocketAddr {
        self.into()
    }
}

impl Endpoint for (Ipv4Addr, u16) {
    fn endpoint(self) -> SocketAddr {
        self.into()
    }
}

impl Endpoint for (Ipv6Addr, u16) {
    fn endpoint(self) -> SocketAddr {
        self.into()
    }
}
