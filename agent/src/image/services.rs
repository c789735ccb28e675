//! Services: ports that no service tells apart form classes, and every pair of classes leads to the set of
//! services that fit it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use banchi_common::abi::{
    PORT_ROWS, PortRow, RELATIONS, RelationKind, RelationRow, ServerRow, Tag, Transport,
};

use super::entries::Entries;
use super::error::CompileError;
use super::nodes::Nodes;
use crate::policy::model::{EPHEMERAL, Policy, PortRange, ServerPort, Service, ServiceId, SourcePort};

const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Udp, Transport::Sctp];

/// A set of services, as a packet's ports select it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    /// Services, ascending.
    pub(super) services: Vec<ServiceId>,
    /// The client's port was not looked at.
    pub(super) any_source: bool,
    /// Relations that some of them carry, as rows from 1.
    pub(super) relations: Vec<u16>,
}

/// Ports, classes and sets.
#[derive(Debug)]
pub(super) struct Services {
    /// Sets; number 0 is none.
    pub(super) sets: Vec<Set>,
    servers: Vec<ServerRow>,
    pairs: Vec<(u32, u32, u32)>,
    ports: Vec<PortRow>,
    relations: Vec<RelationRow>,
    by_service: Vec<Vec<u16>>,
    tables: Vec<(u16, BTreeMap<IpAddr, u16>)>,
    /// Class of the echo port; 0 where no service is ICMP.
    pub(super) echo_class: u32,
}

impl Services {
    /// `is_answers` says which services stand for answers only: no deviation is told by their ports.
    pub(super) fn of(policy: &Policy, is_answers: &impl Fn(ServiceId) -> bool) -> Result<Self, CompileError> {
        let none = RelationRow { kind: 0, octet: 0, base: 0, step: 0, table: 0 };
        let mut built = Self {
            sets: vec![Set { services: Vec::new(), any_source: false, relations: Vec::new() }],
            servers: vec![ServerRow { service: 0, relaxed: 0, by_client: 0, reserved: 0 }],
            pairs: Vec::new(),
            ports: vec![PortRow { client: [0; 2], server: [0; 2] }; TRANSPORTS.len() * PORT_ROWS as usize],
            relations: vec![none],
            by_service: Vec::new(),
            tables: Vec::new(),
            echo_class: 0,
        };
        built.by_service = policy.services.iter().map(|service| built.relations_of(service)).collect();
        let mut classes = 1;
        for transport in TRANSPORTS {
            built.add_transport(policy, transport, &mut classes)?;
        }
        for set in built.sets.iter_mut().filter(|set| set.any_source) {
            set.services.retain(|service| !is_answers(*service));
        }
        let echo = with_transport(policy, Transport::Icmp).map(|(id, _)| id).collect::<Vec<_>>();
        if !echo.is_empty() {
            built.echo_class = built.servers.len() as u32;
            built.add_server(policy, &echo, &[], &[])?;
        }
        Ok(built)
    }

    /// Relations of a service, as rows from 1. Services with the same relation share a row.
    fn relations_of(&mut self, service: &Service) -> Vec<u16> {
        let mut rows = Vec::new();
        let blank = RelationRow { kind: 0, octet: 0, base: 0, step: 0, table: 0 };
        if service.source_port == SourcePort::Same {
            rows.push(RelationRow { kind: RelationKind::Same as u8, ..blank });
        }
        match &service.port {
            ServerPort::Any | ServerPort::Set(_) => {}
            ServerPort::Linked { base, octet, step } => rows.push(RelationRow {
                kind: RelationKind::Linked as u8,
                octet: *octet,
                base: *base,
                step: *step,
                table: 0,
            }),
            ServerPort::ByAddress(table) => {
                let known = self.tables.iter().find(|(_, known)| known == table).map(|(number, _)| *number);
                let number = known.unwrap_or_else(|| {
                    let number = self.tables.len() as u16 + 1;
                    self.tables.push((number, table.clone()));
                    number
                });
                rows.push(RelationRow { kind: RelationKind::Table as u8, table: number, ..blank });
            }
        }
        rows.into_iter().map(|row| number_of(&mut self.relations, row) as u16).collect()
    }

    /// Whether a service carries a relation.
    pub(super) fn carries(&self, service: ServiceId, relation: u16) -> bool {
        self.by_service.get(service).is_some_and(|rows| rows.contains(&relation))
    }

    /// Whether a relation is between a port and an address.
    pub(super) fn is_link(&self, relation: u16) -> bool {
        self.relations
            .get(usize::from(relation))
            .is_some_and(|row| row.kind != RelationKind::Same as u8 && row.kind != 0)
    }

    pub(super) fn any_relations(&self) -> bool {
        self.relations.len() > 1
    }

    fn add_transport(
        &mut self,
        policy: &Policy,
        transport: Transport,
        classes: &mut usize,
    ) -> Result<(), CompileError> {
        let services: Vec<(ServiceId, &Service)> = with_transport(policy, transport).collect();
        let clients = classify(services.iter().map(|(id, service)| (*id, client_ranges(service))));
        let first_client = *classes;
        // Class 0 of the partition is "no constraint", and stays 0.
        *classes += clients.sets.len() - 1;
        check("classes of client ports", *classes, usize::from(u16::MAX))?;
        let servers = classify(services.iter().map(|(id, service)| (*id, Some(server_ranges(service)))));
        let mut server_numbers = Vec::new();
        for set in &servers.sets {
            let (free, bound): (Vec<ServiceId>, Vec<ServiceId>) = set
                .iter()
                .copied()
                .partition(|id| policy.services.get(*id).is_some_and(|s| client_ranges(s).is_none()));
            let by_client: Vec<(u32, Vec<ServiceId>)> = clients
                .sets
                .iter()
                .enumerate()
                .skip(1)
                .map(|(class, members)| {
                    let fitting = bound.iter().copied().filter(|id| members.contains(id)).collect::<Vec<_>>();
                    ((first_client + class - 1) as u32, fitting)
                })
                .filter(|(_, fitting)| !fitting.is_empty())
                .collect();
            server_numbers.push(if set.is_empty() { 0 } else { self.servers.len() as u32 });
            if !set.is_empty() {
                self.add_server(policy, &free, &bound, &by_client)?;
            }
        }
        check("classes of server ports", self.servers.len(), usize::from(u16::MAX))?;
        let rows = self.ports.iter_mut().skip(transport as usize * PORT_ROWS as usize);
        for (row, port) in rows.zip((0..=u16::MAX).step_by(2)) {
            let class = |partition: &Partition, port: u16| partition.of(port);
            let client = |port| match class(&clients, port) {
                0 => 0,
                number => (first_client + number - 1) as u16,
            };
            let server = |port| server_numbers.get(class(&servers, port)).copied().unwrap_or(0) as u16;
            *row = PortRow {
                client: [client(port), client(port + 1)],
                server: [server(port), server(port + 1)],
            };
        }
        Ok(())
    }

    /// A class of server ports: services that take any client port, services that do not, and which of those
    /// fit each class of client ports.
    fn add_server(
        &mut self,
        policy: &Policy,
        free: &[ServiceId],
        bound: &[ServiceId],
        by_client: &[(u32, Vec<ServiceId>)],
    ) -> Result<(), CompileError> {
        let class = self.servers.len() as u32;
        let union = |more: &[ServiceId]| {
            free.iter().chain(more).copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        let service = self.set(policy, free.to_vec(), false)?;
        let relaxed = self.set(policy, union(bound), true)?;
        for (client, fitting) in by_client {
            let set = self.set(policy, union(fitting), false)?;
            self.pairs.push((class, *client, set));
        }
        let by_client = u32::from(!bound.is_empty());
        self.servers.push(ServerRow { service, relaxed, by_client, reserved: 0 });
        Ok(())
    }

    fn set(
        &mut self,
        policy: &Policy,
        services: Vec<ServiceId>,
        any_source: bool,
    ) -> Result<u32, CompileError> {
        if services.is_empty() {
            return Ok(0);
        }
        let relations: BTreeSet<u16> = services
            .iter()
            .filter_map(|id| self.by_service.get(*id))
            .flatten()
            .copied()
            .filter(|relation| !any_source || self.is_link(*relation))
            .collect();
        if relations.len() > RELATIONS {
            let names = services.iter().filter_map(|id| policy.services.get(*id));
            return Err(CompileError::Relations {
                services: names.map(|s| format!("`{}`", s.name)).collect::<Vec<_>>().join(", "),
                found: relations.len(),
                limit: RELATIONS,
            });
        }
        let set = Set { services, any_source, relations: relations.into_iter().collect() };
        Ok(number_of(&mut self.sets, set) as u32)
    }

    pub(super) fn port_rows(&self) -> Vec<PortRow> {
        self.ports.clone()
    }

    pub(super) fn server_rows(&self) -> Vec<ServerRow> {
        self.servers.clone()
    }

    pub(super) fn relation_rows(&self) -> Vec<RelationRow> {
        self.relations.clone()
    }

    /// Entries from pairs of classes to sets.
    pub(super) fn emit(&self, entries: &mut Entries) {
        for (server, client, set) in &self.pairs {
            entries.push(Tag::Service, u64::from(*server) << 32 | u64::from(*client), 0, *set);
        }
    }

    /// Entries of `by_address` tables.
    pub(super) fn emit_tables(&self, _policy: &Policy, nodes: &Nodes, entries: &mut Entries) {
        for (number, table) in &self.tables {
            for (host, port) in table {
                if let Some(node) = nodes.node(*host) {
                    entries.push(Tag::Port, u64::from(node), u32::from(*number), u32::from(*port));
                }
            }
        }
    }
}

fn check(what: &'static str, found: usize, limit: usize) -> Result<(), CompileError> {
    if found > limit { Err(CompileError::TooMany { what, found, limit }) } else { Ok(()) }
}

fn with_transport(policy: &Policy, transport: Transport) -> impl Iterator<Item = (ServiceId, &Service)> {
    policy.services.iter().enumerate().filter(move |(_, service)| service.transport == transport)
}

/// Position of a value in a list, after appending it where it is new.
fn number_of<T: PartialEq>(list: &mut Vec<T>, value: T) -> usize {
    list.iter().position(|known| *known == value).unwrap_or_else(|| {
        list.push(value);
        list.len() - 1
    })
}

/// Client ports of a service; `None` where they do not matter, or hang on the server's port.
fn client_ranges(service: &Service) -> Option<Vec<PortRange>> {
    match &service.source_port {
        SourcePort::Any | SourcePort::Same => None,
        SourcePort::Ephemeral => Some(vec![EPHEMERAL]),
        SourcePort::Set(ranges) => Some(ranges.clone()),
    }
}

/// Server ports of a service, whatever the address.
fn server_ranges(service: &Service) -> Vec<PortRange> {
    match &service.port {
        ServerPort::Any => vec![PortRange { first: 0, last: u16::MAX }],
        ServerPort::Set(ranges) => ranges.clone(),
        ServerPort::Linked { base, step, .. } => {
            let last = u32::from(*base) + u32::from(*step) * 255;
            vec![PortRange { first: *base, last: last.min(u32::from(u16::MAX)) as u16 }]
        }
        ServerPort::ByAddress(table) => {
            table.values().map(|port| PortRange { first: *port, last: *port }).collect()
        }
    }
}

/// Ports that the same services cover share a class.
struct Partition {
    /// Services of each class; class 0 has none.
    sets: Vec<Vec<ServiceId>>,
    /// First port and class of each stretch, ascending.
    starts: Vec<(u16, usize)>,
}

impl Partition {
    fn of(&self, port: u16) -> usize {
        let after = self.starts.partition_point(|(first, _)| *first <= port);
        after.checked_sub(1).and_then(|at| self.starts.get(at)).map_or(0, |(_, class)| *class)
    }
}

fn classify(services: impl Iterator<Item = (ServiceId, Option<Vec<PortRange>>)>) -> Partition {
    let mut edges: BTreeMap<u32, Vec<(ServiceId, bool)>> = BTreeMap::new();
    for (id, ranges) in services {
        for range in ranges.into_iter().flatten() {
            edges.entry(u32::from(range.first)).or_default().push((id, true));
            edges.entry(u32::from(range.last) + 1).or_default().push((id, false));
        }
    }
    let mut sets: Vec<Vec<ServiceId>> = vec![Vec::new()];
    let mut numbers: BTreeMap<Vec<ServiceId>, usize> = BTreeMap::from([(Vec::new(), 0)]);
    let mut starts = Vec::new();
    let mut open: BTreeMap<ServiceId, usize> = BTreeMap::new();
    for (port, changes) in edges {
        for (id, opens) in changes {
            let count = open.entry(id).or_insert(0);
            *count = if opens { *count + 1 } else { count.saturating_sub(1) };
        }
        open.retain(|_, count| *count > 0);
        let members: Vec<ServiceId> = open.keys().copied().collect();
        let class = *numbers.entry(members.clone()).or_insert_with(|| {
            sets.push(members);
            sets.len() - 1
        });
        if let Ok(port) = u16::try_from(port) {
            starts.push((port, class));
        }
    }
    Partition { sets, starts }
}
