//! Ports against services, one relation after the other.

use std::net::IpAddr;

use banchi::policy::model::{EPHEMERAL, PortRange, ServerPort, Service, SourcePort};
use banchi_common::abi::Transport;

use super::packet::ECHO;

pub(super) fn is_in(ranges: &[PortRange], port: u16) -> bool {
    ranges.iter().any(|range| range.first <= port && port <= range.last)
}

/// Both ports are those of the service, for this server.
pub(super) fn port_fits(service: &Service, server: IpAddr, client_port: u16, server_port: u16) -> bool {
    if service.transport == Transport::Icmp {
        return client_port == 0 && server_port == ECHO;
    }
    linked_port_fits(service, server, server_port) && client_port_fits(service, client_port, server_port)
}

/// The server's port is that of the service, for this server.
pub(super) fn linked_port_fits(service: &Service, server: IpAddr, port: u16) -> bool {
    if service.transport == Transport::Icmp {
        return port == ECHO;
    }
    match &service.port {
        ServerPort::Any => true,
        ServerPort::Set(ranges) => is_in(ranges, port),
        ServerPort::Linked { base, octet, step } => {
            let octets = match server {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            let octet = octets.get(usize::from(*octet) - 1);
            octet.is_some_and(|octet| {
                i64::from(*base) + i64::from(*step) * i64::from(*octet) == i64::from(port)
            })
        }
        ServerPort::ByAddress(table) => table.get(&server) == Some(&port),
    }
}

/// The client's port is one of those of the service.
pub(super) fn client_port_fits(service: &Service, client_port: u16, server_port: u16) -> bool {
    match &service.source_port {
        SourcePort::Any => true,
        SourcePort::Ephemeral => is_in(&[EPHEMERAL], client_port),
        SourcePort::Same => client_port == server_port,
        SourcePort::Set(ranges) => is_in(ranges, client_port),
    }
}

/// The port is in the reach of a link: in the table, or between those of octet 0 and octet 255.
pub(super) fn linked_to_some(port: &ServerPort, asked: u16) -> bool {
    match port {
        ServerPort::Any | ServerPort::Set(_) => false,
        ServerPort::Linked { base, step, .. } => {
            let last = i64::from(*base) + 255 * i64::from(*step);
            i64::from(*base) <= i64::from(asked) && i64::from(asked) <= last
        }
        ServerPort::ByAddress(table) => table.values().any(|port| *port == asked),
    }
}
