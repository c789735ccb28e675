//! Random packets: most of them fit a rule but for a field or two.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use banchi::policy::model::{
    Addresses, Policy, PortRange, Rule, ServerPort, Service, SourcePort, Transport, Vlan,
};
use banchi_tests::lab::Mac;
use banchi_tests::oracle::{Body, Defect, Flow, Fragment, TestPacket};
use banchi_tests::packet::flags;
use fastrand::Rng;

use super::policies::{INTERFACES, bound_mac};

/// An endless row of packets for one policy.
pub(crate) struct Packets<'p> {
    pub(super) policy: &'p Policy,
    pub(super) rng: Rng,
    addresses: Vec<IpAddr>,
    ports: Vec<u16>,
    /// Interface and tags of each zone.
    slots: Vec<Vec<(&'static str, Vec<u16>)>>,
    next_id: u16,
    /// Time of the last packet of the last case.
    pub(super) now: u64,
}

/// First and last address.
pub(crate) fn span(addresses: &Addresses) -> (IpAddr, IpAddr) {
    match addresses {
        Addresses::Host(host) => (*host, *host),
        Addresses::Range(first, last) => (*first, *last),
        Addresses::Prefix(net) => {
            let free = u32::from(net.max_prefix_len() - net.prefix_len());
            let size = 1u128.checked_shl(free).map_or(u128::MAX, |size| size - 1);
            (net.network(), address(net.addr().is_ipv6(), bits(net.network()) | size))
        }
    }
}

pub(crate) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(v6: bool, bits: u128) -> IpAddr {
    if v6 { Ipv6Addr::from_bits(bits).into() } else { Ipv4Addr::from_bits(bits as u32).into() }
}

fn static_name(name: &str) -> &'static str {
    INTERFACES.into_iter().find(|known| *known == name).expect("an interface of the tests")
}

impl<'p> Packets<'p> {
    pub(crate) fn new(policy: &'p Policy, rng: Rng) -> Self {
        let mut addresses: Vec<IpAddr> =
            vec![[10, 9, 9, 9].into(), [203, 0, 113, 9].into(), "fd00:9::9".parse().unwrap()];
        let nets = policy.zones.iter().flat_map(|zone| &zone.networks).map(|net| Addresses::Prefix(*net));
        for item in policy.assets.iter().flat_map(|asset| asset.addresses.clone()).chain(nets) {
            let (first, last) = span(&item);
            let v6 = first.is_ipv6();
            let (low, high) = (bits(first), bits(last));
            let middle = low + (high - low) / 2;
            for bits in [low, high, low.saturating_sub(1), high.saturating_add(1), middle, middle | 3] {
                addresses.push(address(v6, bits));
            }
        }
        addresses.sort_unstable();
        addresses.dedup();
        let mut ports = vec![0, 1, 8, 32_767, 32_768, 65_535];
        for service in &policy.services {
            let sets = [
                match &service.port {
                    ServerPort::Set(ranges) => ranges.clone(),
                    ServerPort::ByAddress(table) => {
                        table.values().map(|port| PortRange { first: *port, last: *port }).collect()
                    }
                    ServerPort::Linked { base, step, .. } => (0..9)
                        .filter_map(|octet| u16::try_from(u32::from(*base) + u32::from(*step) * octet).ok())
                        .map(|port| PortRange { first: port, last: port })
                        .collect(),
                    ServerPort::Any => Vec::new(),
                },
                match &service.source_port {
                    SourcePort::Set(ranges) => ranges.clone(),
                    _ => Vec::new(),
                },
            ];
            for range in sets.iter().flatten().chain(&service.reply_from) {
                ports.extend([
                    range.first,
                    range.last,
                    range.first.wrapping_sub(1),
                    range.last.wrapping_add(1),
                ]);
            }
        }
        ports.sort_unstable();
        ports.dedup();
        let slots = policy.zones.iter().map(|zone| {
            let vlans = if zone.vlans.is_empty() { vec![Vlan::Untagged] } else { zone.vlans.clone() };
            let of = |vlan: &Vlan| match vlan {
                Vlan::Untagged => vec![],
                Vlan::Tagged(vid) => vec![*vid],
                Vlan::Double(outer, inner) => vec![*outer, *inner],
            };
            let names = zone.interfaces.iter().map(|name| static_name(name));
            names.flat_map(|name| vlans.iter().map(move |vlan| (name, of(vlan)))).collect()
        });
        Self { policy, rng, addresses, ports, slots: slots.collect(), next_id: 0, now: 0 }
    }

    pub(super) fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(0..100) < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.rng.usize(0..list.len())]
    }

    pub(super) fn port(&mut self) -> u16 {
        if self.chance(5) { self.rng.u16(..) } else { self.ports[self.rng.usize(0..self.ports.len())] }
    }

    pub(super) fn address_like(&mut self, other: IpAddr) -> IpAddr {
        for _ in 0..16 {
            let found = self.addresses[self.rng.usize(0..self.addresses.len())];
            if found.is_ipv4() == other.is_ipv4() {
                return found;
            }
        }
        other
    }

    pub(super) fn slot(&mut self, zone: usize) -> (&'static str, Vec<u16>) {
        let slots = &self.slots[zone];
        if slots.is_empty() { self.any_slot() } else { slots[self.rng.usize(0..slots.len())].clone() }
    }

    fn any_slot(&mut self) -> (&'static str, Vec<u16>) {
        if self.chance(80) {
            let all: Vec<_> = self.slots.iter().flatten().cloned().collect();
            return all[self.rng.usize(0..all.len())].clone();
        }
        let vids = (0..self.rng.usize(0..=2)).map(|_| self.pick(&[0, 10, 20, 30, 40, 4094])).collect();
        (self.pick(&INTERFACES), vids)
    }

    pub(super) fn member(&mut self, assets: &[usize]) -> IpAddr {
        let asset = self.pick(assets);
        let addresses = &self.policy.assets[asset].addresses;
        let (first, last) = span(&addresses[self.rng.usize(0..addresses.len())]);
        let (low, high) = (bits(first), bits(last));
        let near = high.min(low + 10);
        let bits = match self.rng.u8(0..8) {
            0 => low,
            1 => high,
            2..6 => self.rng.u128(low..=near),
            _ => self.rng.u128(low..=high),
        };
        address(first.is_ipv6(), bits)
    }

    pub(super) fn in_ranges(&mut self, ranges: &[PortRange]) -> u16 {
        let range = self.pick(ranges);
        self.rng.u16(range.first..=range.last)
    }

    /// A client's and a server's port that fit.
    pub(super) fn fitting_ports(&mut self, service: &Service, server: IpAddr) -> (u16, u16) {
        let port = match &service.port {
            ServerPort::Any => self.port(),
            ServerPort::Set(ranges) => self.in_ranges(ranges),
            ServerPort::Linked { base, octet, step } => {
                let octet = match server {
                    IpAddr::V4(v4) => v4.octets().get(usize::from(*octet) - 1).copied(),
                    IpAddr::V6(v6) => v6.octets().get(usize::from(*octet) - 1).copied(),
                };
                base.wrapping_add(step.wrapping_mul(u16::from(octet.unwrap_or(0))))
            }
            ServerPort::ByAddress(table) => table.get(&server).copied().unwrap_or_else(|| self.port()),
        };
        let source = match &service.source_port {
            SourcePort::Any => self.port(),
            SourcePort::Ephemeral => self.rng.u16(32_768..),
            SourcePort::Same => port,
            SourcePort::Set(ranges) => self.in_ranges(ranges),
        };
        (source, port)
    }

    pub(super) fn flow(&mut self, transport: Transport, from: u16, to: u16, forward: bool) -> Flow {
        match transport {
            Transport::Tcp => {
                let usual = if forward { flags::SYN } else { flags::SYN | flags::ACK };
                let set =
                    self.pick(&[usual, usual, flags::ACK, flags::SYN, flags::RST, flags::SYN | flags::ECE]);
                Flow::Tcp(from, to, set)
            }
            Transport::Udp => Flow::Udp(from, to),
            Transport::Sctp => Flow::Sctp(from, to),
            Transport::Icmp if forward => Flow::EchoRequest,
            Transport::Icmp => Flow::EchoReply,
        }
    }

    pub(super) fn mac_of(&mut self, source: IpAddr) -> [u8; 6] {
        let bound = self.policy.assets.iter().any(|asset| {
            asset.mac.is_some()
                && matches!(asset.addresses.as_slice(), [Addresses::Host(host)] if *host == source)
        });
        if bound { bound_mac(source) } else { Mac::of(source).0 }
    }

    /// A packet, and the rule that it would fit but for a change or two.
    pub(super) fn next(&mut self) -> (TestPacket, Option<&'p Rule>) {
        let rules = &self.policy.rules;
        let (mut packet, rule) = if rules.is_empty() || self.chance(8) {
            (self.random(), None)
        } else {
            let rule = &rules[self.rng.usize(0..rules.len())];
            let forward = self.chance(40);
            (self.fitting(rule, forward), Some(rule))
        };
        let changes = self.pick(&[0, 0, 0, 0, 1, 1, 1, 1, 2, 3]);
        for _ in 0..changes {
            self.change(&mut packet);
        }
        (packet, rule)
    }

    fn random(&mut self) -> TestPacket {
        let source = self.addresses[self.rng.usize(0..self.addresses.len())];
        let destination = self.address_like(source);
        let transport = self.pick(&[Transport::Tcp, Transport::Udp, Transport::Sctp, Transport::Icmp]);
        let (from, to) = (self.port(), self.port());
        let forward = self.rng.bool();
        let flow = self.flow(transport, from, to, forward);
        let slot = self.any_slot();
        self.packet(source, destination, Body::Flow(flow), slot)
    }

    fn packet(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        body: Body,
        (interface, vids): (&'static str, Vec<u16>),
    ) -> TestPacket {
        let source_mac = self.mac_of(source);
        let fragment = Fragment::Whole;
        TestPacket {
            interface,
            vids,
            source_mac,
            source,
            destination,
            body,
            payload: vec![0x5a; 24],
            trailer: 0,
            fragment,
            options: false,
            defect: None,
        }
    }

    /// A packet that fits a rule, from a client or from a server.
    pub(super) fn fitting(&mut self, rule: &Rule, forward: bool) -> TestPacket {
        let service = &self.policy.services[rule.service];
        let exchanged = service.peer && self.rng.bool();
        let (clients, servers) =
            if exchanged { (&rule.servers, &rule.clients) } else { (&rule.clients, &rule.servers) };
        let (client_zone, server_zone) = if exchanged {
            (rule.server_zone, rule.client_zone)
        } else {
            (rule.client_zone, rule.server_zone)
        };
        let groups = !rule.reply_to.is_empty() && !exchanged && self.chance(if forward { 5 } else { 50 });
        let mut client = self.member(if groups { &rule.reply_to } else { clients });
        let mut server = self.member(servers);
        if !forward && self.policy.is_group(server) {
            server = self.member(servers);
        }
        for _ in 0..8 {
            if client.is_ipv4() == server.is_ipv4() {
                break;
            }
            client = self.member(clients);
        }
        if client.is_ipv4() != server.is_ipv4() {
            client = self.address_like(server);
        }
        let (from, mut to) = self.fitting_ports(service, server);
        if !forward && !service.reply_from.is_empty() && self.chance(60) {
            to = self.in_ranges(&service.reply_from);
        }
        let mut packet = if forward {
            let flow = self.flow(service.transport, from, to, true);
            let slot = self.slot(client_zone);
            self.packet(client, server, Body::Flow(flow), slot)
        } else {
            let flow = self.flow(service.transport, to, from, false);
            let slot = self.slot(server_zone);
            self.packet(server, client, Body::Flow(flow), slot)
        };
        self.fill(&mut packet, service);
        packet
    }

    pub(super) fn change(&mut self, packet: &mut TestPacket) {
        match self.rng.u8(0..27) {
            0 | 1 => {
                // Roles exchanged: who answers asks for its own service.
                std::mem::swap(&mut packet.source, &mut packet.destination);
                packet.source_mac = self.mac_of(packet.source);
                if let Some(zone) = self.zone_near(packet.source) {
                    (packet.interface, packet.vids) = self.slot(zone);
                }
            }
            2 | 3 => {
                packet.source = self.address_like(packet.source);
                packet.source_mac = self.mac_of(packet.source);
                if let Some(zone) = self.zone_near(packet.source)
                    && self.rng.bool()
                {
                    (packet.interface, packet.vids) = self.slot(zone);
                }
            }
            4 | 5 => packet.destination = self.address_like(packet.destination),
            6..9 => self.change_ports(packet),
            9 | 10 => (packet.interface, packet.vids) = self.any_slot(),
            11 => match packet.vids.len() {
                2 => {
                    packet.vids.pop();
                }
                _ => packet.vids.insert(0, self.pick(&[0, 0, 10, 20])),
            },
            12 => packet.source_mac = self.pick(&[[2, 0, 0, 0, 0, 9], bound_mac(packet.destination)]),
            13 => {
                if let Body::Flow(Flow::Tcp(_, _, set)) = &mut packet.body {
                    *set = self.rng.u16(0..0x100);
                }
            }
            14 => {
                if packet.defect.is_none() && matches!(packet.body, Body::Flow(_) | Body::Protocol(47)) {
                    let id = self.new_id();
                    packet.fragment = self.pick(&[
                        Fragment::First(id),
                        Fragment::Later { id, after_first: false },
                        Fragment::Later { id, after_first: true },
                        Fragment::Later { id, after_first: true },
                    ]);
                }
            }
            15 | 16 => self.make_error(packet),
            17 => self.change_body(packet),
            18 => packet.options = true,
            19 => {
                let defect = self.pick(&[
                    Defect::IpLength,
                    Defect::IpVersion,
                    Defect::Ihl,
                    Defect::ShortUdp,
                    Defect::LongUdp,
                    Defect::ShortTcp,
                    Defect::LongTcp,
                    Defect::Cut,
                    Defect::HopLimit,
                ]);
                if packet.can_have(defect) {
                    packet.defect = Some(defect);
                }
            }
            24 | 25 if !self.policy.services.is_empty() => {
                // What another service carries.
                let service = &self.policy.services[self.rng.usize(0..self.policy.services.len())];
                self.fill(packet, service);
            }
            26 => {
                packet.fragment = Fragment::Whole;
                packet.body = self.below_ip();
            }
            20 | 21 => {
                // The neighbour's port.
                let (low, v6) = (bits(packet.destination), packet.destination.is_ipv6());
                let step = u128::from(self.rng.u8(1..4));
                packet.destination =
                    address(v6, if self.rng.bool() { low ^ step } else { low.saturating_add(1) });
            }
            _ => {
                if let Body::Flow(Flow::Tcp(from, to, _) | Flow::Udp(from, to) | Flow::Sctp(from, to)) =
                    &mut packet.body
                {
                    std::mem::swap(from, to);
                }
            }
        }
        if packet.defect.is_some_and(|defect| !packet.can_have(defect)) {
            packet.defect = None;
        }
    }

    pub(super) fn new_id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    fn change_ports(&mut self, packet: &mut TestPacket) {
        let Body::Flow(flow) = &packet.body else { return };
        let (mut from, mut to) = flow.ports();
        let mut transport = flow.transport();
        let forward = *flow != Flow::EchoReply;
        match self.rng.u8(0..10) {
            0..3 => from = self.port(),
            3..6 => to = self.port(),
            6 => to = to.wrapping_add(1),
            7 => from = from.wrapping_sub(1),
            _ => transport = self.pick(&[Transport::Tcp, Transport::Udp, Transport::Sctp, Transport::Icmp]),
        }
        packet.body = Body::Flow(self.flow(transport, from, to, forward));
    }

    /// An ICMP error that goes back to the sender.
    fn make_error(&mut self, packet: &mut TestPacket) {
        let Body::Flow(about) = packet.body else { return };
        let (from, to) = (packet.source, packet.destination);
        let v4 = from.is_ipv4();
        let kind = if v4 { self.pick(&[3, 5, 11, 12]) } else { self.pick(&[1, 2, 3, 4]) };
        packet.fragment = Fragment::Whole;
        packet.body = Body::IcmpError { kind, from, to, about, complete: self.chance(90) };
        std::mem::swap(&mut packet.source, &mut packet.destination);
        packet.source_mac = self.mac_of(packet.source);
        if let Some(zone) = self.zone_near(packet.source) {
            (packet.interface, packet.vids) = self.slot(zone);
        }
    }

    fn change_body(&mut self, packet: &mut TestPacket) {
        packet.fragment = Fragment::Whole;
        packet.body = match self.rng.u8(0..9) {
            0..2 => Body::Protocol(self.pick(&[2, 4, 47, 50, 89, 112])),
            2 if packet.source.is_ipv4() => Body::Icmp(self.pick(&[4, 9, 13, 17])),
            2 => Body::Icmp(self.pick(&[130, 132, 143, 144, 200])),
            3..6 => {
                let IpAddr::V4(claimed) = self.address_like(host([10, 0, 0, 1])) else { return };
                if self.rng.bool() {
                    packet.source_mac = self.mac_of(claimed.into());
                }
                let claimed_mac =
                    if self.chance(70) { packet.source_mac } else { self.mac_of(claimed.into()) };
                Body::Arp {
                    claimed: self.pick(&[claimed, claimed, claimed, Ipv4Addr::UNSPECIFIED]),
                    claimed_mac,
                }
            }
            6..8 => {
                let IpAddr::V6(claimed) = self.address_like("fd00:9::9".parse().unwrap()) else { return };
                let IpAddr::V6(source) = self.address_like(claimed.into()) else { return };
                packet.source = if self.chance(10) { Ipv6Addr::UNSPECIFIED.into() } else { source.into() };
                packet.destination = claimed.into();
                packet.source_mac = self.mac_of(source.into());
                Body::Neighbour { advertises: self.rng.bool().then_some(claimed) }
            }
            _ => self.below_ip(),
        };
    }

    /// A zone whose networks hold an address, where there is one.
    pub(super) fn zone_near(&mut self, address: IpAddr) -> Option<usize> {
        let zones = self.policy.zones.iter();
        zones
            .enumerate()
            .find(|(_, zone)| zone.networks.iter().any(|net| net.contains(&address)))
            .map(|(id, _)| id)
    }
}

fn host(octets: [u8; 4]) -> IpAddr {
    octets.into()
}
