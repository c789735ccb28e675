//! Changes in words.

use std::net::IpAddr;

use banchi_common::reason::Reason;

use super::Kind;
use super::group::{Group, Subject};
use crate::policy::catalogue;
use crate::policy::model::{Addresses, Policy, PortRange, ServerPort, Service};
use crate::report::gather::{holds, home};

/// Ports that are named; more are counted.
const PORTS: usize = 5;

/// A hardware address.
pub(super) fn mac(mac: &[u8; 6]) -> String {
    mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// A host by its own asset, or by its address.
pub(super) fn host(policy: &Policy, address: IpAddr) -> String {
    let own = policy.assets.iter().find(|asset| asset.addresses == [Addresses::Host(address)]);
    own.map_or_else(|| address.to_string(), |asset| asset.name.clone())
}

/// The same with its address, and the set that it is one of.
fn host_in_full(policy: &Policy, address: IpAddr) -> String {
    let own = policy.assets.iter().find(|asset| asset.addresses == [Addresses::Host(address)]);
    let set = || policy.assets.iter().find(|asset| holds(&asset.addresses, address));
    match (own, set()) {
        (Some(asset), _) => format!("{} ({address})", asset.name),
        (None, Some(set)) => format!("{address} (one of {})", set.name),
        (None, None) => address.to_string(),
    }
}

/// `tcp 502`, with the name of a service that has this one port.
fn service(policy: &Policy, transport: &str, port: Option<u16>) -> String {
    let Some(port) = port else {
        return if transport == "icmpv6" { "an echo (ICMPv6)" } else { "an echo (ICMP)" }.to_owned();
    };
    let range = PortRange { first: port, last: port };
    let is_it = |service: &Service| {
        service.transport.name() == transport && service.port == ServerPort::Set(vec![range])
    };
    let own = policy.services.iter().find(|service| is_it(service)).map(|service| service.name.as_str());
    let listed = || {
        let entry = catalogue::entries().iter().find(|entry| is_it(&entry.service));
        entry.map(|entry| entry.service.name.as_str())
    };
    match own.or_else(listed) {
        Some(name) => format!("{transport} {port} ({name})"),
        None => format!("{transport} {port}"),
    }
}

/// Ports, the first of them by number.
pub(super) fn ports<'p>(ports: impl IntoIterator<Item = &'p u16>) -> String {
    let all: Vec<String> = ports.into_iter().map(u16::to_string).collect();
    match all.get(..PORTS) {
        Some(first) if all.len() > PORTS => format!("{} and {} more", first.join(", "), all.len() - PORTS),
        _ => all.join(", "),
    }
}

/// In a few words.
pub(super) fn title(policy: &Policy, group: &Group) -> String {
    match &group.subject {
        Subject::Flow { transport, client, server, port, from, .. } => {
            let port = port.map_or_else(String::new, |port| format!("/{port}"));
            let from = if *from { "from " } else { "" };
            format!("{} > {} {from}{transport}{port}", host(policy, *client), host(policy, *server))
        }
        Subject::Station { address, mac: station } => {
            format!("{} at {}", host(policy, *address), mac(station))
        }
        Subject::Place { address, zone } => {
            format!("{} in {}", host(policy, *address), zone.as_deref().unwrap_or("no zone"))
        }
        Subject::Scan { source } => {
            format!("{} asks {} hosts or ports", host(policy, *source), group.members.len())
        }
        Subject::Other { reason, from, to } => format!("{}: {from} > {to}", reason.about().name),
    }
}

/// In a sentence.
pub(super) fn text(policy: &Policy, group: &Group, kind: Kind) -> String {
    match &group.subject {
        Subject::Flow { transport, client, server, port, from, .. } => {
            let (asker, other) = (host_in_full(policy, *client), host_in_full(policy, *server));
            if *from {
                return format!(
                    "{asker} opens conversations with {other} from its own port {transport} {}, where only the other side \
                     may ask.",
                    port.unwrap_or(0)
                );
            }
            let asks = format!("{asker} asks {other} for {}", service(policy, transport, *port));
            let unknown = |address| !policy.assets.iter().any(|asset| holds(&asset.addresses, address));
            match kind {
                Kind::Reversed => format!("{asks}, where only the other side may ask."),
                Kind::ChangedDevice => {
                    format!("{asks} from port {}, which the rule does not have.", ports(&group.client_ports))
                }
                Kind::NewHost => {
                    let who = match (unknown(*client), unknown(*server)) {
                        (true, true) => "Neither is an asset".to_owned(),
                        (true, false) => format!("{client} is no asset"),
                        _ => format!("{server} is no asset"),
                    };
                    format!("{asks}. {who} of the policy.")
                }
                Kind::NewPair => format!("{asks}. Both are assets, but no rule joins them."),
                Kind::Grant if group.latest.reason == Reason::GrantExpired => {
                    format!("{asks}, for which a grant has ended.")
                }
                Kind::Grant => {
                    let grant = group.latest.rule.as_deref().unwrap_or("a grant");
                    format!("{asks}, which passes by {grant} for a time.")
                }
                _ => format!("{asks}. The two may speak, but not with this service."),
            }
        }
        Subject::Station { address, mac: station } => {
            let bound = policy.assets.iter().find(|asset| holds(&asset.addresses, *address));
            let bound = bound.and_then(|asset| asset.mac).map_or_else(
                || "The policy binds the address to none.".to_owned(),
                |bound| format!("The policy binds the address to {}.", mac(&bound)),
            );
            format!("{} speaks from {}. {bound}", host_in_full(policy, *address), mac(station))
        }
        Subject::Place { address, zone } => {
            let lives = home(policy, *address).and_then(|zone| policy.zones.get(zone));
            format!(
                "{} speaks in {}, and lives in {}.",
                host_in_full(policy, *address),
                zone.as_ref().map_or_else(|| "no zone".to_owned(), |zone| format!("zone {zone}")),
                lives.map_or_else(|| "no zone".to_owned(), |zone| format!("zone {}", zone.name))
            )
        }
        Subject::Scan { source } => {
            let flows = || group.members.iter().map(|member| &member.subject);
            let hosts: std::collections::BTreeSet<IpAddr> = flows()
                .filter_map(|subject| match subject {
                    Subject::Flow { server, .. } => Some(*server),
                    _ => None,
                })
                .collect();
            format!(
                "{} asks {} on {} ports in all, and hardly anybody speaks with it: a scan, or a new station whose \
                 questions are dropped.",
                host_in_full(policy, *source),
                if hosts.len() == 1 { "one host".to_owned() } else { format!("{} hosts", hosts.len()) },
                group.members.len()
            )
        }
        Subject::Other { reason, from, to } => format!("{from} > {to}: {}", reason.about().text),
    }
}
