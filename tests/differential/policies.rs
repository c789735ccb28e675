//! Random policies: valid, but nasty. Addresses and ports come from small pools, so that rules overlap, shadow and
//! nearly miss each other all the time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use banchi::policy::model::{
    Addresses, AgentLoss, Asset, Conduit, Ethertype, Forwarding, Mode, Policy, Reply, Rule, ServerPort,
    Service, Transport, Vlan, Zone,
};
use fastrand::Rng;
use ipnet::IpNet;

/// Interfaces of the gateway. Policies use some of them, in any order.
pub(crate) const INTERFACES: [&str; 6] = ["p0", "p1", "p2", "p3", "p4", "p5"];
/// Server ports that everybody uses.
pub(super) const PORTS: [u16; 10] = [502, 503, 504, 6000, 6001, 6004, 6005, 6008, 40_000, 1];

/// The `n`-th host of a zone's IPv4 network.
pub(crate) fn host4(zone: usize, n: u8) -> IpAddr {
    Ipv4Addr::new(10, zone as u8, 0, n).into()
}

/// The `n`-th host of a zone's IPv6 network.
pub(crate) fn host6(zone: usize, n: u16) -> IpAddr {
    Ipv6Addr::new(0xfd00, zone as u16, 0, 0, 0, 0, 0, n).into()
}

/// The hardware address that an address is bound to, where it is.
pub(crate) fn bound_mac(address: IpAddr) -> [u8; 6] {
    let low = match address {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(v6) => [v6.octets()[3], v6.octets()[13], v6.octets()[14], v6.octets()[15]],
    };
    [2, 0xbb, low[0], low[1], low[2], low[3]]
}

/// A policy. The same numbers give the same one.
pub(crate) fn policy(rng: &mut Rng) -> Policy {
    let count = rng.usize(2..=4);
    let mut maker = Maker {
        rng,
        assets: Vec::new(),
        services: Vec::new(),
        zones: Vec::new(),
        gateway: false,
        grants: false,
    };
    maker.grants = maker.chance(25);
    maker.zones(count);
    maker.assets(count);
    let services = maker.rng.usize(3..=8);
    for number in 0..services {
        maker.service(number);
    }
    maker.finish(count)
}

/// Protocols below IP that conduits may list; frames have others as well.
pub(crate) const BELOW_IP: [u16; 6] = [0x8892, 0x88b8, 0x22f0, 0x82, 0xaa, 0x06];

pub(super) struct Maker<'r> {
    pub(super) rng: &'r mut Rng,
    pub(super) zones: Vec<Zone>,
    assets: Vec<Asset>,
    pub(super) services: Vec<Service>,
    gateway: bool,
    /// Some of its rules are grants.
    grants: bool,
}

impl Maker<'_> {
    pub(super) fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(0..100) < percent
    }

    pub(super) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.rng.usize(0..list.len())]
    }

    fn zones(&mut self, count: usize) {
        let mut interfaces = INTERFACES;
        self.rng.shuffle(&mut interfaces);
        let mut vlans = [
            Vlan::Untagged,
            Vlan::Tagged(10),
            Vlan::Tagged(20),
            Vlan::Tagged(4094),
            Vlan::Double(10, 20),
            Vlan::Double(20, 10),
            Vlan::Double(10, 10),
            Vlan::Tagged(30),
        ];
        self.rng.shuffle(&mut vlans);
        let tagged = self.chance(50);
        let rest = self.chance(30).then(|| self.rng.usize(0..count));
        for zone in 0..count {
            let (faces, vlans) = if tagged {
                let faces = self.pick(&[1, 2]);
                (interfaces[..faces].to_vec(), vlans[zone * 2..zone * 2 + self.rng.usize(1..=2)].to_vec())
            } else if zone < 2 && self.rng.bool() {
                (vec![interfaces[zone], interfaces[4 + zone]], Vec::new())
            } else {
                (vec![interfaces[zone]], Vec::new())
            };
            let mut networks = Vec::new();
            let (v4, v6) = (self.chance(85), self.chance(50));
            if v4 || !v6 {
                let length = self.pick(&[16, 16, 20, 24]);
                networks.push(IpNet::new(host4(zone, 0), length).unwrap());
            }
            if v6 {
                let length = self.pick(&[48, 64, 112]);
                networks.push(IpNet::new(host6(zone, 0), length).unwrap());
            }
            if self.chance(20) {
                networks.push(IpNet::from(IpAddr::from([172, 16, zone as u8, 4])));
            }
            if rest == Some(zone) {
                networks.push("0.0.0.0/0".parse().unwrap());
                if self.rng.bool() {
                    networks.push("::/0".parse().unwrap());
                }
            }
            self.zones.push(Zone {
                name: format!("zone-{zone}"),
                interfaces: faces.into_iter().map(str::to_owned).collect(),
                vlans,
                networks,
                is_gateway: false,
            });
        }
        self.gateway = self.chance(35);
    }

    fn assets(&mut self, zones: usize) {
        let broad = self.chance(10).then(|| self.rng.usize(0..zones));
        for zone in 0..zones {
            for _ in 0..self.rng.usize(3..=6) {
                let pieces = self.pick(&[1, 1, 1, 2, 3]);
                let addresses = (0..pieces).map(|_| self.addresses(zone)).collect();
                self.asset(zone, addresses);
            }
            if broad == Some(zone) && self.zones[zone].networks.iter().any(|net| net.addr() == host4(zone, 0))
            {
                self.asset(zone, vec![Addresses::Prefix("10.0.0.0/8".parse().unwrap())]);
            }
            for _ in 0..self.pick(&[0, 0, 1, 2]) {
                let group = self.group(zone);
                self.asset(zone, vec![group]);
            }
        }
        if self.gateway {
            let hosts = [host4(0, 7), host4(1, 254), host6(0, 7)];
            let zone = self.zones.len();
            self.zones.push(Zone {
                name: "gateway".to_owned(),
                interfaces: Vec::new(),
                vlans: Vec::new(),
                networks: hosts.iter().map(|host| IpNet::from(*host)).collect(),
                is_gateway: true,
            });
            self.assets.push(Asset {
                name: "gateway".to_owned(),
                zone,
                addresses: hosts.into_iter().map(Addresses::Host).collect(),
                mac: None,
            });
        }
    }

    /// What several hosts hear, or all of a zone.
    fn group(&mut self, zone: usize) -> Addresses {
        let own: Vec<IpNet> = self.zones[zone]
            .networks
            .iter()
            .copied()
            .filter(|net| (1..31).contains(&net.prefix_len()))
            .collect();
        match self.rng.u8(0..10) {
            0..4 if !own.is_empty() => {
                let net = self.pick(&own);
                if net.addr().is_ipv4() { Addresses::Host(net.broadcast()) } else { prefix("ff05::/16") }
            }
            0..2 => Addresses::Host([255; 4].into()),
            2..5 => Addresses::Host([239, 1, 1, 1].into()),
            5 => Addresses::Range([239, 1, 2, 1].into(), [239, 1, 2, 4].into()),
            6 => prefix("239.1.0.0/16"),
            7 => Addresses::Host([255; 4].into()),
            _ => Addresses::Host("ff02::1:5".parse().unwrap()),
        }
    }

    fn asset(&mut self, zone: usize, addresses: Vec<Addresses>) {
        let mac = match addresses.as_slice() {
            [Addresses::Host(host)] if !host.is_multicast() && self.chance(30) => Some(bound_mac(*host)),
            _ => None,
        };
        self.assets.push(Asset { name: format!("asset-{}", self.assets.len()), zone, addresses, mac });
    }

    fn addresses(&mut self, zone: usize) -> Addresses {
        let networks = self.zones[zone].networks.clone();
        let rest = networks.iter().any(|net| net.prefix_len() == 0 && net.addr().is_ipv4());
        if rest && self.chance(30) {
            return match self.rng.u8(0..4) {
                0 | 1 => Addresses::Host(Ipv4Addr::new(203, 0, 113, self.rng.u8(1..4)).into()),
                2 => prefix(self.pick(&["203.0.113.0/24", "203.0.113.0/30"])),
                _ => prefix("0.0.0.0/0"),
            };
        }
        let own: Vec<IpNet> = networks.into_iter().filter(|net| net.prefix_len() != 0).collect();
        let net = self.pick(&own);
        if net.prefix_len() == net.max_prefix_len() {
            return Addresses::Host(net.addr());
        }
        let v6 = net.addr().is_ipv6();
        let host = |n: u8| if v6 { host6(zone, u16::from(n)) } else { host4(zone, n) };
        let bits = if v6 { 128 } else { 32 };
        let mut single = self.rng.u8(1..=8);
        if self.gateway && zone == 0 && single == 7 {
            single = 8;
        }
        match self.rng.u8(0..100) {
            0..35 => Addresses::Host(host(single)),
            35..55 => {
                let (a, b) = (self.rng.u8(1..=6), self.rng.u8(1..=8));
                Addresses::Range(host(a.min(b)), host(a.max(b)))
            }
            55..70 => Addresses::Range(host(1), host(self.pick(&[20, 40]))),
            70..72 if !v6 && net.prefix_len() == 16 => {
                Addresses::Range(host(3), Ipv4Addr::new(10, zone as u8, 20, 9).into())
            }
            70..95 => {
                let (first, free) = self.pick(&[(0, 4), (0, 3), (0, 2), (4, 2), (4, 1), (6, 0), (0, 6)]);
                Addresses::Prefix(IpNet::new(host(first), bits - free).unwrap())
            }
            _ => Addresses::Prefix(net),
        }
    }

    fn finish(mut self, zones: usize) -> Policy {
        let mut policy = Policy {
            forwarding: Forwarding::Stack,
            wires: Vec::new(),
            default_mode: self.mode(),
            default_agent_loss: AgentLoss::default(),
            zones: self.zones.clone(),
            assets: self.assets.clone(),
            services: self.services.clone(),
            conduits: Vec::new(),
            rules: Vec::new(),
        };
        let mut pairs: Vec<(usize, usize)> =
            (0..policy.zones.len()).flat_map(|a| (0..a).map(move |b| (a, b))).collect();
        self.rng.shuffle(&mut pairs);
        for (a, b) in pairs {
            let (a, b) = if self.rng.bool() { (a, b) } else { (b, a) };
            match self.rng.u8(0..10) {
                0..2 if !policy.conduits.is_empty() || zones > 2 => {}
                0..6 => self.conduit(&mut policy, (a, b), false),
                6..8 => self.conduit(&mut policy, (a, b), true),
                _ => {
                    self.conduit(&mut policy, (a, b), true);
                    self.conduit(&mut policy, (b, a), true);
                }
            }
        }
        policy
    }

    fn mode(&mut self) -> Mode {
        if self.rng.bool() { Mode::Alert } else { Mode::Enforce }
    }

    fn conduit(&mut self, policy: &mut Policy, zones: (usize, usize), ordered: bool) {
        let conduit = policy.conduits.len();
        let mode = self.mode();
        policy.conduits.push(Conduit {
            name: format!("conduit-{conduit}"),
            zones,
            ordered,
            mode,
            agent_loss: AgentLoss::default(),
            ethertypes: self.ethertypes(),
        });
        for _ in 0..self.pick(&[1, 3, 6, 12]) {
            let (client_zone, server_zone) =
                if ordered || self.rng.bool() { zones } else { (zones.1, zones.0) };
            let clients = self.some_assets(policy, client_zone, false);
            let mut servers = self.some_assets(policy, server_zone, true);
            let service = self.rng.usize(0..self.services.len());
            if self.services[service].transport == Transport::Udp && self.chance(30) {
                // A question to all, and the answer of each.
                let groups = self.groups_of(policy, server_zone);
                servers.extend(groups.first().filter(|group| !servers.contains(group)));
            }
            if clients.is_empty() || servers.is_empty() || !self.can_serve(service, &servers) {
                continue;
            }
            // Both sides can ask only where the conduit lets both.
            if ordered && self.services[service].peer {
                continue;
            }
            let mut reply_to = self.groups_of(policy, client_zone);
            let asked = &self.services[service];
            let answered = asked.transport == Transport::Udp && asked.reply != Reply::None;
            reply_to.truncate(if answered && self.chance(40) { self.pick(&[1, 1, 2]) } else { 0 });
            let mode = self.chance(20).then(|| self.mode());
            let number = policy.rules.len();
            let expires_s = if self.grants {
                self.pick(&[None, Some(0), Some(1_000_000), Some(20_000_000), Some(u32::MAX)])
            } else {
                None
            };
            policy.rules.push(Rule {
                name: format!("rule-{number}"),
                conduit,
                client_zone,
                server_zone,
                clients,
                servers,
                service,
                reply_to,
                mode,
                line: number + 1,
                expires_s,
            });
        }
    }

    fn some_assets(&mut self, policy: &Policy, zone: usize, groups: bool) -> Vec<usize> {
        let group = |addresses: &Addresses| {
            is_multicast(addresses) || matches!(addresses, Addresses::Host(host) if policy.is_group(*host))
        };
        let is_group = |asset: &Asset| asset.addresses.iter().any(group);
        let fitting = self.assets.iter().enumerate().filter(|(_, asset)| asset.zone == zone);
        let mut all: Vec<usize> =
            fitting.filter(|(_, asset)| groups || !is_group(asset)).map(|(id, _)| id).collect();
        self.rng.shuffle(&mut all);
        all.truncate(self.pick(&[1, 1, 2, 3]));
        all
    }

    /// Assets of a zone that have nothing but groups.
    fn groups_of(&mut self, policy: &Policy, zone: usize) -> Vec<usize> {
        let all_groups = |asset: &Asset| {
            asset.addresses.iter().all(|addresses| match addresses {
                Addresses::Host(host) => policy.is_group(*host),
                other => is_multicast(other),
            })
        };
        let assets = self.assets.iter().enumerate();
        let mut found: Vec<usize> =
            assets.filter(|(_, asset)| asset.zone == zone && all_groups(asset)).map(|(id, _)| id).collect();
        self.rng.shuffle(&mut found);
        found
    }

    fn ethertypes(&mut self) -> Vec<Ethertype> {
        let some = self.chance(40);
        let mut kinds: Vec<Ethertype> =
            BELOW_IP.into_iter().filter(|_| some && self.rng.bool()).map(Ethertype).collect();
        kinds.sort_unstable();
        kinds
    }

    /// What `linked-octet`, `linked-port-range` and `not-in-table` say.
    fn can_serve(&self, service: usize, servers: &[usize]) -> bool {
        let spans =
            servers.iter().flat_map(|server| &self.assets[*server].addresses).map(super::packets::span);
        match &self.services[service].port {
            ServerPort::Any | ServerPort::Set(_) => true,
            ServerPort::Linked { base, octet, step } => spans.into_iter().all(|(first, last)| {
                let octets = |address: IpAddr| match address {
                    IpAddr::V4(v4) => v4.octets().to_vec(),
                    IpAddr::V6(v6) => v6.octets().to_vec(),
                };
                let (first, last) = (octets(first), octets(last));
                let at = usize::from(*octet) - 1;
                let (Some(mut low), Some(mut high)) = (first.get(at).copied(), last.get(at).copied()) else {
                    return false;
                };
                if first[..at] != last[..at] {
                    (low, high) = (0, 255);
                }
                let port = |octet: u8| u32::from(*base) + u32::from(*step) * u32::from(octet);
                port(low) >= 1 && port(high) <= 65_535
            }),
            ServerPort::ByAddress(table) => spans.into_iter().all(|(first, last)| {
                table.range(first..=last).count() as u128
                    == super::packets::bits(last) - super::packets::bits(first) + 1
            }),
        }
    }
}

fn prefix(text: &str) -> Addresses {
    Addresses::Prefix(text.parse().unwrap())
}

fn is_multicast(addresses: &Addresses) -> bool {
    let (first, last) = super::packets::span(addresses);
    let group = |address: IpAddr| address.is_multicast() || address == IpAddr::from([255; 4]);
    group(first) && group(last)
}
