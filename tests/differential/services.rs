//! Random services.

use std::collections::BTreeMap;
use std::time::Duration;

use banchi::policy::model::{
    Classes, Direction, EPHEMERAL, PortRange, Protocol, Reply, ServerPort, Service, SourcePort, Transport,
};

use super::policies::{Maker, PORTS, host4, host6};

/// Windows of replies.
pub(crate) const WINDOWS_MS: [u64; 5] = [1, 500, 30_000, 60_000, 24 * 3_600_000];

impl Maker<'_> {
    fn ranges(&mut self, ports: &[u16]) -> Vec<PortRange> {
        let mut firsts: Vec<u16> = (0..self.pick(&[1, 1, 1, 2, 3])).map(|_| self.pick(ports)).collect();
        firsts.sort_unstable();
        firsts.dedup();
        let mut ranges: Vec<PortRange> = Vec::new();
        for first in firsts {
            let last = first + if self.chance(30) { self.rng.u16(1..6) } else { 0 };
            match ranges.last_mut() {
                Some(before) if u32::from(before.last) + 1 >= u32::from(first) => {
                    before.last = last.max(before.last)
                }
                _ => ranges.push(PortRange { first, last }),
            }
        }
        ranges
    }

    pub(super) fn service(&mut self, number: usize) {
        use Transport::{Icmp, Sctp, Tcp, Udp};
        let transport = self.pick(&[Tcp, Tcp, Tcp, Udp, Udp, Udp, Sctp, Icmp]);
        let (port, source_port) = if transport == Icmp {
            (ServerPort::Any, SourcePort::Any)
        } else {
            let port = match self.rng.u8(0..100) {
                0..3 => ServerPort::Any,
                3..55 => ServerPort::Set(self.ranges(&PORTS)),
                55..80 => ServerPort::Linked {
                    base: self.pick(&[6000, 6000, 6001, 500, 65_520, 0]),
                    octet: self.pick(&[4, 4, 4, 3, 16, 2]),
                    step: self.pick(&[1, 1, 2, 257]),
                },
                _ => {
                    let zone = self.rng.usize(0..self.zones.len().min(3));
                    let mut table = BTreeMap::new();
                    for n in 1..=8 {
                        table.insert(host4(zone, n), 6000 + u16::from(self.rng.u8(0..4)));
                        table.insert(host6(zone, u16::from(n)), self.pick(&PORTS));
                    }
                    ServerPort::ByAddress(table)
                }
            };
            let source_port = match self.rng.u8(0..100) {
                0..15 => SourcePort::Any,
                15..35 => SourcePort::Ephemeral,
                35..60 => SourcePort::Same,
                _ => SourcePort::Set(self.ranges(&[502, 5010, 5012, 6000, 6004, 32_767, 40_000])),
            };
            (port, source_port)
        };
        let mut service = Service::of_ports(format!("service-{number}"), transport, port, source_port);
        if transport != Icmp {
            self.direction(&mut service);
        }
        if transport == Udp {
            self.reply(&mut service);
        }
        let turns = matches!(service.port, ServerPort::Any | ServerPort::Set(_)) && transport != Icmp;
        service.peer = turns && self.chance(20);
        self.services.push(service);
    }

    /// How requests are told from responses, and what each side may send.
    fn direction(&mut self, service: &mut Service) {
        if !self.chance(60) {
            return;
        }
        let protocol = self.pick(&[Protocol::Bacnet, Protocol::Slmp]);
        let known = protocol.about().transports.contains(&service.transport);
        service.direction = Some(if known && self.chance(40) {
            Direction::Named(protocol)
        } else {
            let mask: u8 = self.pick(&[0x80, 0x80, 0xff, 0x0f, 0x03, 0x40]);
            let request = self.rng.u8(..) & mask;
            // Another value of those bits: one of them flips.
            let response = request ^ (1 << mask.trailing_zeros());
            let at = self.pick(&[0, 0, 0, 1, 2, 7, 23, 24, 700, u16::MAX]);
            Direction::Custom { at, mask, request, response }
        });
        let mut may = |always: Classes, other: Classes| {
            let mut set = always;
            for class in [other, Classes::NOTIFY] {
                if self.chance(30) {
                    set = set.with(class);
                }
            }
            set
        };
        service.client_may = may(Classes::REQUEST, Classes::RESPONSE);
        service.server_may = may(Classes::RESPONSE, Classes::REQUEST);
    }

    /// What an answer needs.
    fn reply(&mut self, service: &mut Service) {
        let window = Duration::from_millis(self.pick(&WINDOWS_MS));
        service.reply = match self.rng.u8(0..100) {
            0..55 => Reply::Window(window),
            55..75 => Reply::Strict(window),
            75..88 => Reply::Free,
            _ => Reply::None,
        };
        // With the same port on both sides only a list says which one the client has.
        let moves = service.source_port != SourcePort::Same || matches!(service.port, ServerPort::Set(_));
        if moves && service.reply != Reply::None && self.chance(35) {
            service.reply_from = match self.rng.u8(0..10) {
                0 => vec![PortRange { first: 1, last: u16::MAX }],
                1 => vec![EPHEMERAL],
                _ => self.ranges(&[502, 503, 5095, 6000, 6002, 6010, 40_000]),
            };
        }
    }
}
