//! What of a rule's addresses and ports was used.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::learn::flow::Ports;
use crate::policy::model::{Addresses, Policy, Rule, ServerPort};
use crate::report::gather::{Gathered, holds, width};

/// Parts of a set that are named; more are counted.
const NAMED: usize = 20;

/// What is used of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// How many.
    pub used: u64,
    /// Of how many; no more than fit.
    pub of: u64,
    /// What is not used.
    pub unused: Vec<String>,
    /// Parts that are not named here.
    pub more: usize,
}

/// What is used of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breadth {
    /// Of its clients' addresses.
    pub clients: Share,
    /// Of its servers' addresses.
    pub servers: Share,
    /// Of the ports of its service; none where they are not a set.
    pub ports: Option<Share>,
}

impl Breadth {
    /// Whether it holds more than was used.
    pub fn is_wide(&self) -> bool {
        [Some(&self.clients), Some(&self.servers), self.ports.as_ref()]
            .into_iter()
            .flatten()
            .any(Share::is_wide)
    }
}

impl Share {
    fn is_wide(&self) -> bool {
        self.used < self.of
    }
}

/// What captures use of a rule; `None` where nothing used it.
pub(super) fn of(policy: &Policy, gathered: &Gathered, place: usize, rule: &Rule) -> Option<Breadth> {
    let has = |assets: &[usize], address: IpAddr| {
        let mut known = assets.iter().filter_map(|id| policy.assets.get(*id));
        known.any(|asset| holds(&asset.addresses, address))
    };
    let (mut clients, mut servers, mut ports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for line in gathered.lines.iter().filter(|line| line.rule == Some(place) && line.passed > 0) {
        let flow = &line.flow;
        // Who asks is a judgement of the captures alone; the rule says it, too.
        let turned = !(has(&rule.clients, flow.client) && has(&rule.servers, flow.server))
            && has(&rule.clients, flow.server)
            && has(&rule.servers, flow.client);
        let (client, server, asked) = if turned {
            (flow.server, flow.client, &flow.client_port)
        } else {
            (flow.client, flow.server, &flow.server_port)
        };
        clients.insert(client);
        servers.insert(server);
        match asked {
            Ports::Set(seen) => ports.extend(seen.iter().copied()),
            Ports::Linked(port) => ports.extend([*port]),
            Ports::Any => {}
        }
    }
    if clients.is_empty() {
        return None;
    }
    let addresses = |assets: &[usize]| -> Vec<Addresses> {
        let known = assets.iter().filter_map(|id| policy.assets.get(*id));
        known.flat_map(|asset| asset.addresses.iter().cloned()).collect()
    };
    let service = policy.services.get(rule.service)?;
    Some(Breadth {
        clients: hosts(&addresses(&rule.clients), &clients),
        servers: hosts(&addresses(&rule.servers), &servers),
        ports: match &service.port {
            ServerPort::Set(ranges) => {
                let ranges: Vec<(u128, u128)> =
                    ranges.iter().map(|range| (range.first.into(), range.last.into())).collect();
                let used = ports.iter().map(|port| u128::from(*port)).collect();
                Some(share(&ranges, &used, &|port| port.to_string()))
            }
            ServerPort::Any | ServerPort::Linked { .. } | ServerPort::ByAddress(_) => None,
        },
    })
}

fn hosts(addresses: &[Addresses], used: &BTreeSet<IpAddr>) -> Share {
    let mut whole = Share { used: 0, of: 0, unused: Vec::new(), more: 0 };
    for is_v4 in [true, false] {
        let family = addresses.iter().filter(|one| first(one).is_ipv4() == is_v4);
        let ranges: Vec<(u128, u128)> = family
            .map(|one| {
                let first = bits(first(one));
                (first, first.saturating_add(width(one).saturating_sub(1)))
            })
            .collect();
        let used = used.iter().filter(|one| one.is_ipv4() == is_v4).map(|one| bits(*one)).collect();
        let one = share(&ranges, &used, &|bits| match u32::try_from(bits) {
            Ok(bits) if is_v4 => Ipv4Addr::from_bits(bits).to_string(),
            _ => Ipv6Addr::from_bits(bits).to_string(),
        });
        whole.used = whole.used.saturating_add(one.used);
        whole.of = whole.of.saturating_add(one.of);
        whole.unused.extend(one.unused);
        whole.more += one.more;
    }
    whole
}

fn first(addresses: &Addresses) -> IpAddr {
    match addresses {
        Addresses::Host(host) => *host,
        Addresses::Range(first, _) => *first,
        Addresses::Prefix(network) => network.network(),
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// What is used of ranges, and the gaps between.
fn share(ranges: &[(u128, u128)], used: &BTreeSet<u128>, name: &dyn Fn(u128) -> String) -> Share {
    let mut share = Share { used: 0, of: 0, unused: Vec::new(), more: 0 };
    let mut gap = |first: u128, last: u128| {
        if share.unused.len() < NAMED {
            let one = if first == last { name(first) } else { format!("{}-{}", name(first), name(last)) };
            share.unused.push(one);
        } else {
            share.more += 1;
        }
    };
    let (mut hits, mut all) = (0, 0_u64);
    for (first, last) in ranges {
        all = all.saturating_add(u64::try_from((last - first).saturating_add(1)).unwrap_or(u64::MAX));
        let mut next = Some(*first);
        for hit in used.range(*first..=*last) {
            hits += 1;
            if let Some(free) = next.filter(|free| free < hit) {
                gap(free, hit - 1);
            }
            next = hit.checked_add(1);
        }
        if let Some(free) = next.filter(|free| free <= last) {
            gap(free, *last);
        }
    }
    share.used = hits;
    share.of = all;
    share
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_used_is_named_by_its_gaps() {
        let used = BTreeSet::from([3, 5, 20]);
        let found = share(&[(1, 6), (20, 20), (30, 31)], &used, &|number| number.to_string());
        assert_eq!((found.used, found.of), (3, 9));
        assert_eq!(found.unused, ["1-2", "4", "6", "30-31"]);
        let all = share(&[(0, u128::MAX)], &BTreeSet::from([u128::MAX]), &|number| number.to_string());
        assert_eq!((all.used, all.of, all.unused.len()), (1, u64::MAX, 1));
    }

    #[test]
    fn both_families_count() {
        let addresses = [
            Addresses::Range("10.0.0.1".parse().unwrap(), "10.0.0.3".parse().unwrap()),
            Addresses::Host("fd00::1".parse().unwrap()),
            Addresses::Prefix("10.1.0.0/24".parse().unwrap()),
        ];
        let used = ["10.0.0.2", "10.1.0.0"].map(|host| host.parse().unwrap()).into();
        let found = hosts(&addresses, &used);
        assert_eq!((found.used, found.of), (2, 260));
        assert_eq!(found.unused, ["10.0.0.1", "10.0.0.3", "10.1.0.1-10.1.0.255", "fd00::1"]);
    }
}
