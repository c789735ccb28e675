//! Cases: a packet, and what came before it.

use std::net::IpAddr;

use banchi::policy::model::{Reply, Rule};
use banchi_tests::oracle::{Body, Flow, Fragment, TestPacket};

use super::packets::Packets;
use super::services::WINDOWS_MS;

/// Longer than any window, in nanoseconds: what a case asks is forgotten in the next one.
const BEYOND: u64 = 25 * HOUR;
const HOUR: u64 = 3_600_000_000_000;

/// Packets in the order in which they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) packets: Vec<Timed>,
}

/// A packet and its time, in nanoseconds since boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timed {
    pub(crate) at: u64,
    pub(crate) packet: TestPacket,
}

impl<'p> Packets<'p> {
    /// The next case.
    pub(crate) fn case(&mut self) -> Case {
        let (packet, rule) = match self.windowed() {
            Some(rule) if self.chance(25) => {
                let mut answer = self.fitting(rule, false);
                if self.chance(25) {
                    self.change(&mut answer);
                }
                (answer, Some(rule))
            }
            _ => self.next(),
        };
        let is_udp =
            matches!(&packet.body, Body::Flow(Flow::Udp(..)) | Body::IcmpError { about: Flow::Udp(..), .. });
        let before = if self.chance(if is_udp { 75 } else { 4 }) { self.pick(&[1, 1, 2, 3]) } else { 0 };
        let mut before: Vec<(u64, TestPacket)> =
            (0..before).map(|_| (self.pause(rule), self.earlier(&packet, rule))).collect();
        before.sort_by_key(|(pause, _)| std::cmp::Reverse(*pause));
        let longest = before.first().map_or(0, |(pause, _)| *pause);
        // The first case comes right after boot.
        let end = if self.now == 0 { 1 + longest } else { self.now + BEYOND + longest };
        self.now = end;
        let mut packets: Vec<Timed> =
            before.into_iter().map(|(pause, packet)| Timed { at: end - pause, packet }).collect();
        packets.push(Timed { at: end, packet });
        Case { packets }
    }

    /// Some rule whose answers need a question.
    fn windowed(&mut self) -> Option<&'p Rule> {
        let policy = self.policy;
        let waits =
            |rule: &&Rule| matches!(policy.services[rule.service].reply, Reply::Window(_) | Reply::Strict(_));
        let rules: Vec<&Rule> = policy.rules.iter().filter(waits).collect();
        self.rng.choice(rules)
    }

    /// Time between a question and what is judged: about the windows.
    fn pause(&mut self, rule: Option<&Rule>) -> u64 {
        let window = rule.and_then(|rule| match self.policy.services[rule.service].reply {
            Reply::Window(window) | Reply::Strict(window) => Some(window.as_nanos() as u64),
            _ => None,
        });
        let window = match window {
            Some(window) if self.chance(85) => window,
            _ => self.pick(&WINDOWS_MS) * 1_000_000,
        };
        match self.rng.u8(0..16) {
            0..3 => 0,
            3 => 1,
            4..7 => window,
            7..10 => window + 1,
            10 => window - 1,
            11..14 => self.rng.u64(0..=window),
            14 => window.saturating_mul(2).min(BEYOND),
            _ => BEYOND,
        }
    }

    /// A packet that came before another one: mostly the question to its answer, or nearly.
    fn earlier(&mut self, packet: &TestPacket, rule: Option<&'p Rule>) -> TestPacket {
        match self.rng.u8(0..20) {
            0 => self.next().0,
            1 | 2 => match rule {
                Some(rule) => {
                    let forward = self.chance(40);
                    self.fitting(rule, forward)
                }
                None => self.next().0,
            },
            3 => {
                let mut again = packet.clone();
                self.change(&mut again);
                self.alone(again)
            }
            _ => {
                let mut question = self.question(packet, rule);
                if self.chance(12) {
                    self.change(&mut question);
                }
                self.alone(question)
            }
        }
    }

    /// Fragments of one packet are not fragments of another.
    fn alone(&mut self, mut packet: TestPacket) -> TestPacket {
        packet.fragment = match packet.fragment {
            Fragment::Whole => Fragment::Whole,
            Fragment::First(_) => Fragment::First(self.new_id()),
            Fragment::Later { after_first, .. } => Fragment::Later { id: self.new_id(), after_first },
        };
        packet
    }

    /// What could have asked for a packet.
    fn question(&mut self, answer: &TestPacket, rule: Option<&'p Rule>) -> TestPacket {
        let Body::Flow(Flow::Udp(from, to)) = answer.body else { return answer.clone() };
        let mut question = answer.clone();
        question.fragment = Fragment::Whole;
        question.defect = None;
        question.options = false;
        (question.source, question.destination) = (answer.destination, answer.source);
        let (mut client_port, mut server_port) = (to, from);
        if let Some(rule) = rule {
            let service = &self.policy.services[rule.service];
            if self.policy.is_group(question.source) || self.chance(6) {
                question.source = self.member(&rule.clients);
            }
            let groups: Vec<IpAddr> = self.groups_of(rule.service);
            if !groups.is_empty() && self.chance(60) {
                question.destination = self.pick(&groups);
            } else if self.chance(4) {
                question.destination = self.member(&rule.servers);
            }
            if question.destination.is_ipv4() != question.source.is_ipv4() {
                question.destination = self.address_like(question.source);
            }
            if !service.reply_from.is_empty() && self.chance(75) {
                (_, server_port) = self.fitting_ports(service, question.destination);
            }
            self.fill(&mut question, service);
        }
        match self.rng.u8(0..40) {
            0 => client_port = self.port(),
            1 => server_port = self.port(),
            2 => question.source = self.address_like(question.source),
            3 => question.destination = self.address_like(question.destination),
            _ => {}
        }
        question.body = Body::Flow(Flow::Udp(client_port, server_port));
        question.source_mac = self.mac_of(question.source);
        let zone = match rule {
            // Some groups have no network, and some addresses two homes.
            Some(rule) if self.chance(90) => {
                let from_client = rule.clients.iter().any(|id| self.is_member(*id, question.source));
                Some(if from_client { rule.client_zone } else { rule.server_zone })
            }
            _ => self.zone_near(question.source),
        };
        if let Some(zone) = zone {
            (question.interface, question.vids) = self.slot(zone);
        }
        question
    }

    fn is_member(&self, asset: usize, address: IpAddr) -> bool {
        self.policy.assets[asset].addresses.iter().any(|addresses| {
            let (first, last) = super::packets::span(addresses);
            first.is_ipv4() == address.is_ipv4() && first <= address && address <= last
        })
    }

    /// Groups that a service is asked of, by some rule.
    fn groups_of(&self, service: usize) -> Vec<IpAddr> {
        let rules = self.policy.rules.iter().filter(|rule| rule.service == service);
        let assets = rules.flat_map(|rule| &rule.servers).map(|id| &self.policy.assets[*id]);
        let spans = assets.flat_map(|asset| &asset.addresses).map(super::packets::span);
        spans
            .flat_map(|(first, last)| [first, last])
            .filter(|address| self.policy.is_group(*address))
            .collect()
    }
}
