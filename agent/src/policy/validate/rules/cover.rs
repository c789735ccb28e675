//! What a service covers of another: transport, server's port and client's port.

use banchi_common::abi::Transport;

use crate::policy::model::{EPHEMERAL, PortRange, ServerPort, Service, SourcePort};

const EVERY: PortRange = PortRange { first: 1, last: u16::MAX };

/// The ports of a service in a form that compares.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape<'s> {
    transport: Transport,
    server: Server<'s>,
    client: Client,
}

#[derive(Debug, PartialEq, Eq)]
enum Server<'s> {
    Set(Vec<PortRange>),
    /// A relation to the address, and the ports that it can give.
    Relation(&'s ServerPort, Vec<PortRange>),
}

#[derive(Debug, PartialEq, Eq)]
enum Client {
    Same,
    Set(Vec<PortRange>),
}

impl<'s> Shape<'s> {
    pub(super) fn new(service: &'s Service) -> Self {
        let server = match &service.port {
            ServerPort::Any => Server::Set(vec![EVERY]),
            ServerPort::Set(ports) => Server::Set(ports.clone()),
            relation @ ServerPort::Linked { base, step, .. } => Server::Relation(
                relation,
                (0..=255_u32)
                    .filter_map(|octet| u16::try_from(u32::from(*base) + u32::from(*step) * octet).ok())
                    .map(|port| PortRange { first: port, last: port })
                    .collect(),
            ),
            relation @ ServerPort::ByAddress(table) => {
                let mut ports: Vec<PortRange> =
                    table.values().map(|port| PortRange { first: *port, last: *port }).collect();
                ports.sort_unstable();
                ports.dedup();
                Server::Relation(relation, ports)
            }
        };
        let client = match &service.source_port {
            SourcePort::Any => Client::Set(vec![EVERY]),
            SourcePort::Ephemeral => Client::Set(vec![EPHEMERAL]),
            SourcePort::Set(ports) => Client::Set(ports.clone()),
            // One port on both sides is the same as that port on each side.
            SourcePort::Same => match server.ports() {
                [port] if port.first == port.last => Client::Set(vec![*port]),
                _ => Client::Same,
            },
        };
        Self { transport: service.transport, server, client }
    }

    /// The lowest and the highest server port.
    pub(super) fn bounds(&self) -> PortRange {
        let ports = self.server.ports();
        PortRange {
            first: ports.first().map_or(0, |range| range.first),
            last: ports.last().map_or(0, |range| range.last),
        }
    }

    pub(super) fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether every packet of `other` is one of this service, whatever the addresses.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.transport == other.transport && self.server.covers(&other.server) && self.covers_client(other)
    }

    fn covers_client(&self, other: &Self) -> bool {
        match (&self.client, &other.client) {
            (Client::Same, Client::Same) => true,
            (Client::Set(own), Client::Set(theirs)) => contains(own, theirs),
            (Client::Set(own), Client::Same) => contains(own, other.server.ports()),
            (Client::Same, Client::Set(_)) => false,
        }
    }

    /// Whether a packet can be of both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        if self.transport != other.transport || !overlap(self.server.ports(), other.server.ports()) {
            return false;
        }
        match (&self.server, &other.server) {
            // Two different relations give one address different ports, but for chance.
            (Server::Relation(own, _), Server::Relation(theirs, _)) if own != theirs => return false,
            _ => {}
        }
        match (&self.client, &other.client) {
            (Client::Same, Client::Same) => true,
            (Client::Set(own), Client::Set(theirs)) => overlap(own, theirs),
            (Client::Same, Client::Set(theirs)) => overlap(self.server.ports(), theirs),
            (Client::Set(own), Client::Same) => overlap(own, other.server.ports()),
        }
    }
}

impl Server<'_> {
    fn ports(&self) -> &[PortRange] {
        match self {
            Server::Set(ports) | Server::Relation(_, ports) => ports,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Server::Set(own), _) => contains(own, other.ports()),
            (Server::Relation(own, _), Server::Relation(theirs, _)) => match (own, theirs) {
                (ServerPort::ByAddress(own), ServerPort::ByAddress(theirs)) => {
                    theirs.iter().all(|(address, port)| own.get(address) == Some(port))
                }
                _ => own == theirs,
            },
            (Server::Relation(..), Server::Set(_)) => false,
        }
    }
}

fn contains(own: &[PortRange], theirs: &[PortRange]) -> bool {
    theirs.iter().all(|range| {
        let after = own.partition_point(|own| own.first <= range.first);
        after.checked_sub(1).and_then(|at| own.get(at)).is_some_and(|own| range.last <= own.last)
    })
}

fn overlap(own: &[PortRange], theirs: &[PortRange]) -> bool {
    theirs.iter().any(|range| {
        let after = own.partition_point(|own| own.first <= range.last);
        after.checked_sub(1).and_then(|at| own.get(at)).is_some_and(|own| range.first <= own.last)
    })
}
