//! What it takes to let a change pass: a rule more, or another hardware address. Nothing else of a policy is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use banchi_common::reason::Reason;
use serde::Serialize;
use thiserror::Error;

use super::group::{Group, Subject};
use super::{Change, Kind, stops, transport_of, words};
use crate::policy::describe::definition;
use crate::policy::insert::{Block, PlaceError, allow, free, insert, scalar};
use crate::policy::model::{
    Addresses, Direction, EPHEMERAL, Policy, PortRange, Reply, ServerPort, Service, SourcePort, Transport,
};
use crate::policy::{self, catalogue, render};
use crate::report::gather::{holds, home};

/// What would let a change pass.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "adds", rename_all = "kebab-case")]
pub enum Plan {
    /// A rule.
    Rule {
        /// Who may ask.
        client: Host,
        /// Who answers.
        server: Host,
        /// What is asked.
        service: Chosen,
    },
    /// Another hardware address of an asset, in place of the one that it has.
    Mac {
        /// The asset.
        asset: String,
        /// The new address.
        mac: String,
    },
}

/// A host of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Its asset.
    pub asset: String,
    /// Its address.
    pub address: IpAddr,
    /// Its zone.
    pub zone: String,
    /// The asset has to be added.
    pub is_new: bool,
}

/// A service of a rule.
#[derive(Debug, Clone, Serialize)]
pub struct Chosen {
    /// Its name.
    pub name: String,
    /// It has to be added.
    pub is_new: bool,
    /// What it is.
    #[serde(skip)]
    pub service: Box<Service>,
}

/// Why a policy stays as it is.
#[derive(Debug, Error)]
pub enum PlanError {
    /// Nothing can be added to it line by line.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// What came out is no policy.
    #[error("with the change the policy has errors:\n{0}")]
    Broken(String),
    /// It would not help.
    #[error("the change would not help: what was seen would still not pass ({0}); write the rule by hand")]
    NoHelp(&'static str),
    /// The policy cannot be compiled.
    #[error(transparent)]
    Compile(#[from] crate::image::CompileError),
}

/// What would let a group pass, or why nothing that can be written here.
pub(super) fn of(policy: &Policy, group: &Group, kind: Kind) -> Result<Plan, String> {
    match &group.subject {
        Subject::Flow { from: true, .. } => {
            Err("the other side's port varies: if it may really ask, write the rule by hand".to_owned())
        }
        Subject::Flow { transport, client, server, port, .. } => {
            rule(policy, group, (transport, *client, *server, *port))
        }
        Subject::Station { address, mac } => {
            let asset = policy.assets.iter().find(|asset| holds(&asset.addresses, *address));
            match asset {
                Some(asset) if asset.mac.is_some() => {
                    Ok(Plan::Mac { asset: asset.name.clone(), mac: words::mac(mac) })
                }
                _ => Err("the policy binds no hardware address to it: find out who speaks there".to_owned()),
            }
        }
        Subject::Place { .. } => {
            Err("a device belongs to one zone: move the cable, or the asset in the policy, by hand"
                .to_owned())
        }
        Subject::Scan { .. } => {
            Err("a scan is never accepted as a whole: look at its parts (`banchi review show`)".to_owned())
        }
        Subject::Other { reason, .. } => Err(match (kind, reason) {
            (_, Reason::UnlistedEthertype) => {
                "if the plant needs it, list it under `ethertypes` of the conduit by hand"
            }
            (_, Reason::UnlistedVlan) => "if the VLAN belongs there, add it to a zone by hand",
            (_, Reason::UnlistedProtocol) => "no rule can name this protocol",
            (_, Reason::UnsolicitedReply) => {
                "if the answers are only late, give the service a longer `reply` window by hand"
            }
            _ => "no rule is about such packets",
        }
        .to_owned()),
    }
}

type Flow<'f> = (&'f str, IpAddr, IpAddr, Option<u16>);

fn rule(policy: &Policy, group: &Group, flow: Flow<'_>) -> Result<Plan, String> {
    let (transport, client, server, port) = flow;
    let Some(transport) = transport_of(transport) else {
        return Err("no rule can name this protocol".to_owned());
    };
    for address in [client, server] {
        if policy.is_group(address) || address.is_unspecified() {
            return Err(format!(
                "{address} is no address of one host: write the rule by hand, or let `banchi learn --approved` do it"
            ));
        }
    }
    let mut taken: BTreeSet<String> = policy.assets.iter().map(|asset| asset.name.clone()).collect();
    let mut host = |address| {
        let host = named(policy, address, &taken)?;
        taken.insert(host.asset.clone());
        Ok::<Host, String>(host)
    };
    let (client, server) = (host(client)?, host(server)?);
    if client.zone == server.zone {
        return Err("both are in one zone: what passes between them is not the gateway's to judge".to_owned());
    }
    let service = chosen(policy, group, transport, port, server.address);
    Ok(Plan::Rule { client, server, service })
}

/// The asset that is this one host, or a new one.
fn named(policy: &Policy, address: IpAddr, taken: &BTreeSet<String>) -> Result<Host, String> {
    let zone = |zone: usize| policy.zones.get(zone).map(|zone| zone.name.clone()).unwrap_or_default();
    let own = policy.assets.iter().find(|asset| asset.addresses == [Addresses::Host(address)]);
    if let Some(own) = own {
        return Ok(Host { asset: own.name.clone(), address, zone: zone(own.zone), is_new: false });
    }
    let set = policy.assets.iter().find(|asset| holds(&asset.addresses, address));
    let home = set.map(|set| set.zone).or_else(|| home(policy, address));
    let home =
        home.ok_or_else(|| format!("{address} is in no network of a zone: nobody knows where it is"))?;
    if policy.zones.get(home).is_some_and(|zone| zone.is_gateway) {
        return Err("it is an address of the gateway itself: write the rule by hand".to_owned());
    }
    let digits = address.to_string().replace([':', '.'], "-");
    let wish = match set {
        Some(set) => format!("{}-{}", set.name, digits.rsplit('-').next().unwrap_or_default()),
        None => format!("host-{digits}"),
    };
    let taken = taken.iter().map(String::as_str).collect();
    Ok(Host { asset: free(&wish, &taken), address, zone: zone(home), is_new: true })
}

/// The narrowest service that is known and holds what was seen, or a new one.
fn chosen(policy: &Policy, group: &Group, transport: Transport, port: Option<u16>, server: IpAddr) -> Chosen {
    let seen = &group.client_ports;
    let serves = |service: &Service| {
        service.transport == transport && port.is_none_or(|port| width(&service.port, port, server) > 0)
    };
    let asked = |service: &Service| match &service.source_port {
        SourcePort::Any => true,
        SourcePort::Ephemeral => seen.iter().all(|port| *port >= EPHEMERAL.first),
        SourcePort::Same => seen.iter().all(|seen| Some(*seen) == port),
        SourcePort::Set(ranges) => {
            seen.iter().all(|port| ranges.iter().any(|range| (range.first..=range.last).contains(port)))
        }
    };
    let own = policy.services.iter().filter(|service| serves(service));
    // A name means what the policy says, where it says something.
    let is_free = |service: &&Service| !policy.services.iter().any(|own| own.name == service.name);
    let listed = catalogue::entries().iter().map(|entry| &entry.service).filter(is_free);
    let known: Vec<&Service> =
        own.chain(listed.filter(|service| serves(service) && is_one(&service.port))).collect();
    let rank = |service: &&&Service| port.map_or(0, |port| width(&service.port, port, server));
    if let Some(fits) = known.iter().filter(|service| asked(service)).min_by_key(rank) {
        return Chosen { name: fits.name.clone(), is_new: false, service: Box::new((*fits).clone()) };
    }
    let taken: BTreeSet<&str> = policy.services.iter().map(|service| service.name.as_str()).collect();
    let listed = catalogue::entries().iter().map(|entry| entry.service.name.as_str());
    let taken: BTreeSet<&str> = taken.into_iter().chain(listed).collect();
    let source_port = sources(seen, port);
    let one =
        port.map_or(ServerPort::Any, |port| ServerPort::Set(vec![PortRange { first: port, last: port }]));
    // What looks at the payload goes on to do so.
    let mut service = match known.iter().min_by_key(rank) {
        Some(like) => Service { port: one, source_port, ..(*like).clone() },
        None => {
            let mut service = Service::of_ports(String::new(), transport, one, source_port);
            if transport == Transport::Udp {
                service.reply = Reply::Window(policy::DEFAULT_WINDOW);
            }
            service
        }
    };
    let from = match &service.source_port {
        SourcePort::Set(ranges) => {
            ranges.first().map_or_else(String::new, |range| format!("-from-{}", range.first))
        }
        SourcePort::Same => "-same".to_owned(),
        SourcePort::Any | SourcePort::Ephemeral => String::new(),
    };
    let port = port.map_or_else(|| "-echo".to_owned(), |port| format!("-{port}"));
    service.name = free(&format!("{}{port}{from}", transport.name()), &taken);
    Chosen { name: service.name.clone(), is_new: true, service: Box::new(service) }
}

fn is_one(port: &ServerPort) -> bool {
    matches!(port, ServerPort::Any)
        || matches!(port, ServerPort::Set(ranges) if matches!(ranges.as_slice(), [one] if one.first == one.last))
}

/// How many ports of one server a service has, if this is one of them; else 0.
fn width(ports: &ServerPort, port: u16, server: IpAddr) -> u32 {
    match ports {
        ServerPort::Any => 1 << 16,
        ServerPort::Set(ranges) => {
            let holds = ranges.iter().any(|range| (range.first..=range.last).contains(&port));
            let all = ranges.iter().map(|range| u32::from(range.last - range.first) + 1).sum();
            if holds { all } else { 0 }
        }
        ServerPort::ByAddress(table) => u32::from(table.get(&server) == Some(&port)),
        ServerPort::Linked { base, octet, step } => {
            let octets = match server {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            let byte = usize::from(*octet).checked_sub(1).and_then(|at| octets.get(at));
            let linked = byte.map(|byte| u32::from(*base) + u32::from(*step) * u32::from(*byte));
            u32::from(linked == Some(u32::from(port)))
        }
    }
}

/// The narrowest words for the client's ports that were seen.
fn sources(seen: &BTreeSet<u16>, port: Option<u16>) -> SourcePort {
    let first = seen.first().copied();
    match first {
        None => SourcePort::Any,
        Some(first) if seen.len() == 1 && Some(first) == port => SourcePort::Same,
        Some(first) if first >= EPHEMERAL.first => SourcePort::Ephemeral,
        Some(first) if seen.len() == 1 => SourcePort::Set(vec![PortRange { first, last: first }]),
        Some(_) => SourcePort::Any,
    }
}

impl Plan {
    /// What it would let pass beyond what was seen.
    pub(super) fn admits(&self, group: &Group) -> Vec<String> {
        let Self::Rule { service: Chosen { service, .. }, .. } = self else {
            return vec!["the device before it is refused from then on".to_owned()];
        };
        let mut admits = Vec::new();
        let seen = words::ports(&group.client_ports);
        let is_wider = |range: &PortRange| range.first != range.last;
        match &service.source_port {
            _ if service.transport == Transport::Icmp => {}
            SourcePort::Any => admits.push(format!("any port of the client (seen: {seen})")),
            SourcePort::Ephemeral => {
                admits.push(format!("client ports {}-{} (seen: {seen})", EPHEMERAL.first, EPHEMERAL.last));
            }
            SourcePort::Set(ranges) if ranges.len() > 1 || ranges.iter().any(is_wider) => {
                admits.push(format!("other ports of the client that the service has (seen: {seen})"));
            }
            SourcePort::Same | SourcePort::Set(_) => {}
        }
        match &service.port {
            ServerPort::Set(ranges) if ranges.len() > 1 || ranges.iter().any(is_wider) => {
                admits.push(format!("the other ports of the service `{}`", service.name));
            }
            ServerPort::Any if service.transport != Transport::Icmp => {
                admits.push("any port of the server".to_owned())
            }
            _ => {}
        }
        admits.push(match &service.direction {
            Some(Direction::Named(protocol)) => {
                format!("every request of {}, reading and writing alike", protocol.about().name)
            }
            Some(Direction::Custom { .. }) => "every request, whatever it asks".to_owned(),
            None if service.transport == Transport::Icmp => "an echo of any size".to_owned(),
            None => "any content: nothing looks at what is asked".to_owned(),
        });
        match service.reply {
            Reply::Window(window) | Reply::Strict(window) => {
                admits.push(format!("answers within {window:?} of a question"));
            }
            Reply::Free if service.transport == Transport::Udp => {
                admits.push("answers without a question".to_owned());
            }
            Reply::Free | Reply::None => {}
        }
        if service.peer {
            admits.push("questions of the other side".to_owned());
        }
        admits.push("all of it at any time".to_owned());
        admits
    }

    /// What is written.
    pub fn text(&self) -> String {
        match self {
            Self::Rule { client, server, service } => {
                format!("client: {}, server: {}, service: {}", client.asset, server.asset, service.name)
            }
            Self::Mac { asset, mac } => format!("mac: \"{mac}\" of {asset}"),
        }
    }

    /// The word of a grant for its service.
    pub fn grant_word(&self) -> Option<String> {
        let Self::Rule { service, .. } = self else { return None };
        match (&service.service.port, service.is_new) {
            (_, false) => Some(service.name.clone()),
            (ServerPort::Set(ranges), true) => {
                Some(format!("{}/{}", service.service.transport.name(), ranges.first()?.first))
            }
            _ => None,
        }
    }

    /// Writes it into the text of a policy, with a comment before the rule. No other byte changes.
    ///
    /// # Errors
    /// Where it cannot be written line by line, where the result is no policy, or does not let pass what was seen.
    pub fn write(
        &self,
        name: &str,
        text: &str,
        policy: &Policy,
        change: &Change,
        comment: &str,
    ) -> Result<String, PlanError> {
        let written = match self {
            Self::Rule { client, server, service } => {
                let lines: Vec<&str> = text.lines().collect();
                insert(text, &places(&lines, policy, [client, server], service, comment)?)
            }
            Self::Mac { asset, mac } => {
                let at = scalar(text, &["assets", asset, "mac"]).ok_or(PlaceError::Missing("mac"))?;
                let (before, after) =
                    (text.get(..at.start).unwrap_or_default(), text.get(at.end..).unwrap_or_default());
                format!("{before}\"{mac}\"{after}")
            }
        };
        let loaded = policy::load(name, &written);
        let Some(policy) = &loaded.policy else {
            return Err(PlanError::Broken(loaded.render(&written, render::Style::Plain)));
        };
        match stops(change, policy)? {
            None => Ok(written),
            Some(reason) => Err(PlanError::NoHelp(reason.about().name)),
        }
    }
}

/// Lines of a rule, and of what it needs, by the lines that they go behind.
fn places(
    lines: &[&str],
    policy: &Policy,
    [client, server]: [&Host; 2],
    service: &Chosen,
    comment: &str,
) -> Result<BTreeMap<usize, Vec<String>>, PlaceError> {
    let mut places: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for host in [client, server].into_iter().filter(|host| host.is_new) {
        let block = Block::find(lines, "assets")?;
        let margin = " ".repeat(block.indent);
        // A colon would be taken for a key.
        let line =
            format!("{margin}{}: {{ zone: {}, address: \"{}\" }}", host.asset, host.zone, host.address);
        let line = if host.address.is_ipv4() { line.replace('"', "") } else { line };
        places.entry(block.last).or_default().push(line);
    }
    if service.is_new {
        let (after, indent) = match Block::find(lines, "services") {
            Ok(block) => (block.last, block.indent),
            // Services may be missing; they go before the conduits.
            Err(PlaceError::Missing(_)) => {
                let conduits = lines.iter().position(|line| line.starts_with("conduits:"));
                let before = conduits.ok_or(PlaceError::Missing("conduits"))?.saturating_sub(1);
                places.entry(before).or_default().push("services:".to_owned());
                (before, 2)
            }
            Err(error) => return Err(error),
        };
        let margin = " ".repeat(indent);
        let text = definition(&service.service);
        let written = text.lines().map(|line| format!("{margin}{}", line.strip_prefix("  ").unwrap_or(line)));
        places.entry(after).or_default().extend(written);
    }
    let rule = |margin: &str| {
        let names = format!("client: {}, server: {}, service: {}", client.asset, server.asset, service.name);
        [format!("{margin}# {comment}"), format!("{margin}- {{ {names} }}")]
    };
    let zone = |at: usize| policy.zones.get(at).map_or("", |zone| zone.name.as_str());
    let ends = (client.zone.as_str(), server.zone.as_str());
    let known = policy.conduits.iter().position(|conduit| {
        let (a, b) = (zone(conduit.zones.0), zone(conduit.zones.1));
        (a, b) == ends || !conduit.ordered && (b, a) == ends
    });
    match known {
        Some(place) => {
            let (after, indent) = allow(lines, place)?;
            let added = places.entry(after.line).or_default();
            if after.opens {
                added.push(format!("{}allow:", " ".repeat(indent - 2)));
            }
            added.extend(rule(&" ".repeat(indent)));
        }
        None => {
            let block = Block::find(lines, "conduits")?;
            let margin = " ".repeat(block.indent);
            let added = places.entry(block.last).or_default();
            added.push(format!("{margin}- from: {}", ends.0));
            added.push(format!("{margin}  to: {}", ends.1));
            added.push(format!("{margin}  allow:"));
            added.extend(rule(&" ".repeat(block.indent + 4)));
        }
    }
    Ok(places)
}
