//! Lets [`scenarios`](crate::scenarios) happen in the lab, and watches what the hosts and the agent make of them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::agent::{Agent, Event, Events, Mode};
use crate::lab::{DEADLINE, Host, Lab, Process, RawSocket};
use crate::packet::{Packet, protocol};
use crate::peers;
use crate::scenarios::{Means, Scenario};
use crate::traffic::{self, Outcome, TcpEcho, UdpEcho};

/// How long a client waits before it gives up.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a real stack may take for all of its exchanges, its start included.
const PEER: Duration = Duration::from_secs(30);

/// The exchanges of a Modbus client.
const POLLS: u32 = 10;

/// The exchanges of a BACnet client that may; of one that may not, each costs its whole patience.
const READINGS: u32 = 3;

/// All servers that the scenarios need, for as long as this lives.
#[derive(Debug)]
pub struct Stage<'lab> {
    lab: &'lab Lab,
    _peers: Vec<Process>,
    _udp: Vec<UdpEcho>,
    _tcp: Vec<TcpEcho>,
}

/// What became of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// What the hosts saw.
    pub delivery: Delivery,
    /// What the agent reported: verdict and reason of the first event about the flow.
    pub report: Option<(String, String)>,
}

/// What the hosts saw of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Every question was answered.
    Answered,
    /// No question was answered, and none arrived at the server's interface.
    Stopped,
    /// Anything else.
    Partial {
        /// Questions that were asked.
        asked: usize,
        /// Questions that were answered.
        answered: usize,
        /// Packets that arrived at the server's interface.
        arrived: usize,
    },
}

impl Observation {
    /// What has to be observed of a scenario in this mode.
    pub fn expected(scenario: &Scenario, mode: Mode) -> Self {
        let Some(reason) = scenario.reason else {
            return Self { delivery: Delivery::Answered, report: None };
        };
        let (delivery, verdict) = match mode {
            Mode::Alert => (Delivery::Answered, "would-drop"),
            Mode::Enforce => (Delivery::Stopped, "drop"),
        };
        Self { delivery, report: Some((verdict.to_owned(), reason.to_owned())) }
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.report {
            None => write!(f, "{}, not reported", self.delivery),
            Some((verdict, reason)) => write!(f, "{}, {verdict}: {reason}", self.delivery),
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered => f.write_str("answered"),
            Self::Stopped => f.write_str("stopped"),
            Self::Partial { asked, answered, arrived } => {
                write!(f, "{answered} of {asked} answered, {arrived} packets arrived")
            }
        }
    }
}

impl<'lab> Stage<'lab> {
    /// Starts the servers; all of them listen when this returns.
    ///
    /// # Errors
    /// If one does not start.
    pub fn new(lab: &'lab Lab, scenarios: &[Scenario]) -> Result<Self> {
        let mut servers: BTreeMap<(Means, &str), Vec<u16>> = BTreeMap::new();
        for scenario in scenarios {
            for &(host, port) in scenario.servers {
                let ports = servers.entry((scenario.means, host)).or_default();
                if !ports.contains(&port) {
                    ports.push(port);
                }
            }
        }
        let (mut stacks, mut udp, mut tcp) = (Vec::new(), Vec::new(), Vec::new());
        for ((means, name), ports) in servers {
            let host = lab.host(name);
            match means {
                Means::Modbus => stacks.push(peers::modbus_server(host, &host.ipv4().to_string())?),
                Means::Bacnet => stacks.push(peers::bacnet_device(host, &host.ipv4_with_prefix())?),
                Means::Udp => udp.push(UdpEcho::new(host, host.ipv4(), &ports)?),
                Means::Fins => {
                    udp.push(UdpEcho::answering(host, host.ipv4(), &ports, traffic::answer_fins)?);
                }
                Means::Tcp => {
                    for port in ports {
                        tcp.push(TcpEcho::new(host, (host.ipv4(), port))?);
                    }
                }
            }
        }
        Ok(Self { lab, _peers: stacks, _udp: udp, _tcp: tcp })
    }

    /// Lets everything happen once while the agent is in this mode. The observations are in the order of the
    /// scenarios; `tell` hears of each scenario before it begins.
    ///
    /// # Errors
    /// If a scenario cannot happen at all; that it ends in another way than expected is an observation.
    pub fn play(
        &self,
        scenarios: &[Scenario],
        mode: Mode,
        events: &Events,
        mut tell: impl FnMut(&Scenario),
    ) -> Result<Vec<Observation>> {
        let beginning = events.count();
        let mut observations = Vec::new();
        for scenario in scenarios {
            tell(scenario);
            let delivery = self.deliver(scenario).with_context(|| format!("scenario {:?}", scenario.name))?;
            let is_reported = |event: &Event| event.mode == mode && self.asks(scenario, event);
            // Of an allowed one there should be none; what there is may come until the end.
            let patience = if scenario.reason.is_some() { DEADLINE } else { Duration::ZERO };
            let event = events.wait_from(beginning, is_reported, patience)?;
            observations.push(Observation { delivery, report: event.map(|e| (e.verdict, e.reason)) });
        }
        // Events arrive in their order: with the last expected one, all about allowed scenarios are here.
        let reported = events.since(beginning)?;
        for (scenario, observation) in scenarios.iter().zip(&mut observations) {
            let about = |e: &&Event| e.mode == mode && (self.asks(scenario, e) || self.answers(scenario, e));
            if let (None, Some(event)) = (scenario.reason, reported.iter().find(about)) {
                observation.report = Some((event.verdict.clone(), event.reason.clone()));
            }
        }
        Ok(observations)
    }

    /// Follows the agent's events from now on: the laptop knocks at an address that nobody has.
    ///
    /// # Errors
    /// If no event arrives.
    pub fn follow(&self, agent: &Agent<'_>) -> Result<Events> {
        let laptop = self.lab.host("laptop");
        let socket = laptop.raw("eth0")?;
        agent.follow(|number| {
            let knock = Packet::udp((laptop.ipv4(), 1), (Ipv4Addr::new(10, 20, 0, 250), 1 + number));
            socket.send(&knock.to_mac(self.lab.gateway_mac(laptop.zone())).build())
        })
    }

    /// Lets one happen, and says what the hosts saw of it.
    ///
    /// # Errors
    /// If it cannot happen at all.
    pub fn deliver(&self, scenario: &Scenario) -> Result<Delivery> {
        let client = self.lab.host(scenario.client);
        let watchers = self.watchers(scenario)?;
        let (asked, answered) = match scenario.means {
            Means::Modbus => {
                let server = self.server(scenario.servers[0]);
                let peer = peers::modbus_client(client, &server.ip().to_string(), POLLS)?;
                successes(peer, POLLS)?
            }
            Means::Bacnet => {
                let address = format!("{}:{}", client.ipv4_with_prefix(), scenario.source_port);
                let server = self.server(scenario.servers[0]);
                let readings = if scenario.reason.is_some() { 1 } else { READINGS };
                let peer = peers::bacnet_client(client, &address, &server.ip().to_string(), readings)?;
                successes(peer, readings)?
            }
            Means::Udp | Means::Fins | Means::Tcp => self.ask(scenario, client)?,
        };
        let arrived = watchers
            .iter()
            .map(|(server, socket)| arrivals(socket, client.ipv4(), *server))
            .sum::<Result<usize>>()?;
        Ok(match (answered, arrived) {
            _ if answered == asked => Delivery::Answered,
            (0, 0) => Delivery::Stopped,
            _ => Delivery::Partial { asked, answered, arrived },
        })
    }

    fn ask(&self, scenario: &Scenario, client: &Host) -> Result<(usize, usize)> {
        let from = (client.ipv4(), scenario.source_port);
        let question = scenario.name.as_bytes();
        let outcome = |&server| match scenario.means {
            Means::Tcp => traffic::ask_tcp(client, from, self.server(server), question, PATIENCE),
            Means::Fins => {
                let mut answer = traffic::FINS_COMMAND;
                traffic::answer_fins(&mut answer);
                let command = &traffic::FINS_COMMAND;
                traffic::exchange_udp(client, from, self.server(server), command, &answer, PATIENCE)
            }
            _ => traffic::ask_udp(client, from, self.server(server), question, PATIENCE),
        };
        let outcomes: Vec<_> = scenario.servers.iter().map(outcome).collect::<Result<_>>()?;
        Ok((outcomes.len(), outcomes.iter().filter(|o| **o == Outcome::Answered).count()))
    }

    /// A packet socket at each server, to tell a question that was stopped from one that was not answered.
    fn watchers(&self, scenario: &Scenario) -> Result<Vec<(SocketAddr, RawSocket)>> {
        let watch = |&(host, port)| Ok((self.server((host, port)), self.lab.host(host).raw("eth0")?));
        scenario.servers.iter().map(watch).collect()
    }

    /// Whether the event is about a question of the scenario.
    fn asks(&self, scenario: &Scenario, event: &Event) -> bool {
        let (Some(src_port), Some(dst_port)) = (event.src_port, event.dst_port) else { return false };
        self.is_between(scenario, (event.src, src_port), (event.dst, dst_port))
    }

    /// Whether the event is about an answer.
    fn answers(&self, scenario: &Scenario, event: &Event) -> bool {
        let (Some(src_port), Some(dst_port)) = (event.src_port, event.dst_port) else { return false };
        self.is_between(scenario, (event.dst, dst_port), (event.src, src_port))
    }

    fn is_between(
        &self,
        scenario: &Scenario,
        (client, source_port): (Option<IpAddr>, u16),
        (server, port): (Option<IpAddr>, u16),
    ) -> bool {
        let from = client == Some(self.lab.host(scenario.client).ipv4().into());
        let by = scenario.source_port == 0 || scenario.source_port == source_port;
        let to = |&(name, number): &(&str, u16)| {
            number == port && server == Some(self.lab.host(name).ipv4().into())
        };
        from && by && scenario.servers.iter().any(to)
    }

    fn server(&self, (name, port): (&str, u16)) -> SocketAddr {
        (self.lab.host(name).ipv4(), port).into()
    }
}

/// How many exchanges there were to be, and how many were good.
fn successes(client: Process, count: u32) -> Result<(usize, usize)> {
    let exchanges = peers::exchanges(client, PEER)?;
    Ok((count as usize, exchanges.iter().filter(|exchange| exchange.ok).count()))
}

/// The packets for `server` that arrived so far.
fn arrivals(socket: &RawSocket, client: Ipv4Addr, server: SocketAddr) -> Result<usize> {
    let mut count = 0;
    while let Some(frame) = socket.receive(Duration::ZERO)? {
        count += usize::from(is_for(&frame, client, server));
    }
    Ok(count)
}

fn is_for(frame: &[u8], client: Ipv4Addr, server: SocketAddr) -> bool {
    let IpAddr::V4(address) = server.ip() else { return false };
    let Some(packet) = frame.get(14..).filter(|packet| packet.len() >= 20) else { return false };
    let header = usize::from(packet[0] & 0x0f) * 4;
    frame[12..14] == [0x08, 0x00]
        && [protocol::TCP, protocol::UDP].contains(&packet[9])
        && packet[12..16] == client.octets()
        && packet[16..20] == address.octets()
        && packet.get(header + 2..header + 4) == Some(&server.port().to_be_bytes())
}
