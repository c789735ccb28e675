//! Grants as rules behind those of a policy.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Grant, GrantError};
use crate::policy::model::{
    Addresses, Asset, AssetId, Conduit, ConduitId, Policy, PortRange, Reply, Rule, ServerPort, Service,
    ServiceId, SourcePort, Transport, ZoneId,
};
use crate::policy::{catalogue, suggestion};

/// Word for every service.
const ANY: &str = "any";

/// Adds grants to a policy, the one that ends last first: the first rule that matches decides, and so it is one that
/// still holds if any does. Grants that do not fit the policy are left out, and said with the reason.
pub fn overlay(policy: &mut Policy, grants: &[Grant]) -> Vec<(u32, GrantError)> {
    let mut order: Vec<&Grant> = grants.iter().collect();
    order.sort_by_key(|grant| (std::cmp::Reverse(grant.ranked_s), grant.id));
    let mut services = BTreeMap::new();
    let mut left_out = Vec::new();
    for grant in order {
        if let Err(error) = add(policy, grant, &mut services) {
            left_out.push((grant.id, error));
        }
    }
    left_out
}

fn add(
    policy: &mut Policy,
    grant: &Grant,
    services: &mut BTreeMap<String, Vec<ServiceId>>,
) -> Result<(), GrantError> {
    let client = asset(policy, &grant.wish.client)?;
    let server = asset(policy, &grant.wish.server)?;
    let zone = |policy: &Policy, id: AssetId| policy.assets.get(id).map_or(0, |asset| asset.zone);
    let (client_zone, server_zone) = (zone(policy, client), zone(policy, server));
    if client_zone == server_zone {
        return Err(GrantError(format!(
            "`{}` and `{}` are in one zone: what passes between them is not the gateway's to judge",
            grant.wish.client, grant.wish.server
        )));
    }
    if has_group(policy, client) {
        return Err(GrantError(format!(
            "`{}` is an address of many hosts: it cannot ask",
            grant.wish.client
        )));
    }
    let wanted = services_of(policy, &grant.wish.service, services)?;
    let fits = |id: &&ServiceId| policy.services.get(**id).is_some_and(|one| can_serve(policy, one, server));
    if !wanted.iter().any(|id| fits(&id)) {
        return Err(GrantError(format!(
            "the service `{}` has no port for `{}`: its table does not name the address",
            grant.wish.service, grant.wish.server
        )));
    }
    let conduit = conduit(policy, client_zone, server_zone);
    for service in wanted {
        let transport = policy.services.get(service).map_or("", |one| one.transport.name());
        policy.rules.push(Rule {
            name: grant.name(transport),
            conduit,
            client_zone,
            server_zone,
            clients: vec![client],
            servers: vec![server],
            service,
            reply_to: Vec::new(),
            mode: None,
            line: 0,
            expires_s: Some(grant.ends_s()),
        });
    }
    Ok(())
}

/// An asset of the policy by name, or a host by address.
fn asset(policy: &mut Policy, word: &str) -> Result<AssetId, GrantError> {
    if let Some(id) = policy.assets.iter().position(|asset| asset.name == word) {
        return Ok(id);
    }
    let Ok(address) = word.parse::<IpAddr>() else {
        let names = policy.assets.iter().map(|asset| asset.name.as_str());
        return Err(GrantError(format!(
            "there is no asset `{word}`, and it is no address{}",
            suggestion(word, names)
        )));
    };
    let is_it = |asset: &Asset| asset.addresses == [Addresses::Host(address)];
    if let Some(id) = policy.assets.iter().position(is_it) {
        return Ok(id);
    }
    let zone = zone_of(policy, address).ok_or_else(|| {
        GrantError(format!("`{word}` is in no network of a zone, so that nobody knows where it is"))
    })?;
    policy.assets.push(Asset {
        name: word.to_owned(),
        zone,
        addresses: vec![Addresses::Host(address)],
        mac: None,
    });
    Ok(policy.assets.len() - 1)
}

/// The zone whose most specific network holds an address.
fn zone_of(policy: &Policy, address: IpAddr) -> Option<ZoneId> {
    let networks = policy.zones.iter().enumerate().flat_map(|(id, zone)| {
        zone.networks.iter().filter(|net| net.contains(&address)).map(move |net| (net.prefix_len(), id))
    });
    networks.max_by_key(|(length, id)| (*length, std::cmp::Reverse(*id))).map(|(_, id)| id)
}

fn has_group(policy: &Policy, id: AssetId) -> bool {
    let hosts = policy.assets.get(id).into_iter().flat_map(|asset| &asset.addresses);
    hosts.into_iter().any(|addresses| matches!(addresses, Addresses::Host(host) if policy.is_group(*host)))
}

/// The conduit that traffic between two zones belongs to, or a new one with the mode that such traffic has anyway.
fn conduit(policy: &mut Policy, from: ZoneId, to: ZoneId) -> ConduitId {
    let named = |a, b| policy.conduits.iter().position(|conduit| conduit.zones == (a, b));
    if let Some(id) = named(from, to).or_else(|| named(to, from)) {
        return id;
    }
    let zone = |id: ZoneId| policy.zones.get(id).map_or("", |zone| zone.name.as_str());
    policy.conduits.push(Conduit {
        name: format!("(granted {}-{})", zone(from), zone(to)),
        zones: (from, to),
        ordered: false,
        mode: policy.default_mode,
        agent_loss: policy.default_agent_loss,
        ethertypes: Vec::new(),
    });
    policy.conduits.len() - 1
}

/// What a word for services stands for. Services of the policy are copied, so that what is asked under a grant never
/// counts as asked under a rule.
fn services_of(
    policy: &mut Policy,
    word: &str,
    known: &mut BTreeMap<String, Vec<ServiceId>>,
) -> Result<Vec<ServiceId>, GrantError> {
    if let Some(ids) = known.get(word) {
        return Ok(ids.clone());
    }
    let services = if word == ANY {
        use Transport::{Icmp, Sctp, Tcp, Udp};
        [Tcp, Udp, Sctp, Icmp].map(|transport| of_ports(word, transport, ServerPort::Any)).to_vec()
    } else if let Some(service) = policy.services.iter().find(|service| service.name == word) {
        vec![service.clone()]
    } else if let Some(entry) = catalogue::find(word) {
        vec![entry.service.clone()]
    } else {
        vec![of_port(word).ok_or_else(|| no_service(policy, word))?]
    };
    let first = policy.services.len();
    policy.services.extend(services);
    let ids: Vec<ServiceId> = (first..policy.services.len()).collect();
    known.insert(word.to_owned(), ids.clone());
    Ok(ids)
}

fn no_service(policy: &Policy, word: &str) -> GrantError {
    let names = policy.services.iter().map(|service| service.name.as_str());
    let names: Vec<&str> =
        names.chain(catalogue::entries().iter().map(|entry| entry.service.name.as_str())).collect();
    GrantError(format!(
        "there is no service `{word}`{}; expected `any`, a service of the policy or the catalogue, or a port such \
         as `tcp/22`",
        suggestion(word, names)
    ))
}

/// `tcp/22` and the like.
fn of_port(word: &str) -> Option<Service> {
    let (transport, port) = word.split_once('/')?;
    let transport = match transport {
        "tcp" => Transport::Tcp,
        "udp" => Transport::Udp,
        "sctp" => Transport::Sctp,
        _ => return None,
    };
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    Some(of_ports(word, transport, ServerPort::Set(vec![PortRange { first: port, last: port }])))
}

fn of_ports(name: &str, transport: Transport, port: ServerPort) -> Service {
    let mut service = Service::of_ports(name.to_owned(), transport, port, SourcePort::Any);
    if transport == Transport::Udp {
        service.reply = Reply::Window(crate::policy::DEFAULT_WINDOW);
    }
    service
}

/// Whether a service has a port for some address of a server.
fn can_serve(policy: &Policy, service: &Service, server: AssetId) -> bool {
    let ServerPort::ByAddress(table) = &service.port else { return true };
    let addresses = policy.assets.get(server).into_iter().flat_map(|asset| &asset.addresses);
    addresses.into_iter().any(|addresses| match addresses {
        Addresses::Host(host) => table.contains_key(host),
        Addresses::Range(first, last) => table.range(*first..=*last).next().is_some(),
        Addresses::Prefix(net) => table.keys().any(|host| net.contains(host)),
    })
}
