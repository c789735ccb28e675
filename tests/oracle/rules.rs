//! The rules of a policy in the order in which they are asked: those that are written, then those that they imply.

use std::net::IpAddr;

use banchi::policy::model::{Policy, PortRange, Rule, ServerPort, Service, SourcePort};
use banchi_common::abi::Transport;
use banchi_common::reason::Reason;

use super::address::{names_group, takes_in, takes_in_group};
use super::packet::{Flow, Way};
use super::relate::{client_port_fits, is_in, linked_port_fits, linked_to_some, port_fits};

/// The two ends of a question: who would be the client, who the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) client: IpAddr,
    pub(super) server: IpAddr,
    pub(super) client_port: u16,
    pub(super) server_port: u16,
}

impl Ends {
    pub(super) fn of(source: IpAddr, destination: IpAddr, flow: &Flow, way: Way) -> Self {
        let (from, to) = flow.ports();
        match way {
            Way::Forward => Self { client: source, server: destination, client_port: from, server_port: to },
            Way::Return => Self { client: destination, server: source, client_port: to, server_port: from },
        }
    }
}

/// One rule as it is asked.
#[derive(Debug, Clone)]
pub(super) struct Asked<'p> {
    policy: &'p Policy,
    rule: &'p Rule,
    /// Its number in the file, from 0.
    pub(super) number: usize,
    /// Clients and servers change places: both sides of the service may ask.
    exchanged: bool,
    /// Stands for answers from these ports only.
    answers_from: Option<Vec<PortRange>>,
    /// It names a group as one of its clients, or under `reply_to`.
    pub(super) names_group_client: bool,
    /// What its service asks, some rule asks of a group.
    pub(super) asks_groups: bool,
}

/// All rules, in the order in which they are asked.
pub(super) fn asked(policy: &Policy) -> Vec<Asked<'_>> {
    let written = policy.rules.iter().enumerate().map(|(number, rule)| Asked {
        policy,
        rule,
        number,
        exchanged: false,
        answers_from: None,
        names_group_client: false,
        asks_groups: false,
    });
    let (grants, written): (Vec<_>, Vec<_>) = written.partition(|asked| asked.rule.expires_s.is_some());
    let mut all = with_implied(written);
    all.extend(with_implied(grants));
    let assets = |ids: &[usize]| ids.iter().map(|id| &policy.assets[*id]).collect::<Vec<_>>();
    let of_groups: Vec<usize> = all
        .iter()
        .filter(|asked| assets(asked.servers()).into_iter().any(|asset| takes_in_group(policy, asset)))
        .map(|asked| asked.rule.service)
        .collect();
    for asked in &mut all {
        let clients = [asked.clients(), asked.reply_to()].concat();
        asked.names_group_client = assets(&clients).into_iter().any(|asset| names_group(policy, asset));
        asked.asks_groups = of_groups.contains(&asked.rule.service);
    }
    all
}

/// Rules, and behind them those that they imply.
fn with_implied(written: Vec<Asked<'_>>) -> Vec<Asked<'_>> {
    let both_ask = written.iter().filter(|asked| asked.service().peer).cloned();
    let exchanged: Vec<_> = both_ask.map(|asked| Asked { exchanged: true, ..asked }).collect();
    let mut all = written;
    all.extend(exchanged);
    let answers: Vec<_> = all
        .iter()
        .filter(|asked| !asked.service().reply_from.is_empty())
        .map(|asked| Asked { answers_from: Some(other_ports(asked.service())), ..asked.clone() })
        .collect();
    all.extend(answers);
    all
}

/// Ports that answers may come from, besides those that are asked.
fn other_ports(service: &Service) -> Vec<PortRange> {
    let ServerPort::Set(own) = &service.port else { return service.reply_from.clone() };
    let mut left = service.reply_from.clone();
    for cut in own {
        left = left
            .into_iter()
            .flat_map(|range| {
                let below = (range.first < cut.first)
                    .then(|| PortRange { first: range.first, last: range.last.min(cut.first - 1) });
                let above = (range.last > cut.last)
                    .then(|| PortRange { first: range.first.max(cut.last + 1), last: range.last });
                [below, above].into_iter().flatten()
            })
            .collect();
    }
    left
}

impl<'p> Asked<'p> {
    pub(super) fn service(&self) -> &'p Service {
        &self.policy.services[self.rule.service]
    }

    fn clients(&self) -> &'p [usize] {
        if self.exchanged { &self.rule.servers } else { &self.rule.clients }
    }

    fn servers(&self) -> &'p [usize] {
        if self.exchanged { &self.rule.clients } else { &self.rule.servers }
    }

    /// Groups that answers may go to.
    fn reply_to(&self) -> &'p [usize] {
        if self.exchanged { &[] } else { &self.rule.reply_to }
    }

    pub(super) fn client_zone(&self) -> usize {
        if self.exchanged { self.rule.server_zone } else { self.rule.client_zone }
    }

    pub(super) fn server_zone(&self) -> usize {
        if self.exchanged { self.rule.client_zone } else { self.rule.server_zone }
    }

    pub(super) fn conduit(&self) -> usize {
        self.rule.conduit
    }

    /// Whether it is a grant.
    pub(super) fn is_grant(&self) -> bool {
        self.rule.expires_s.is_some()
    }

    /// What a packet is that it allows at a time, in nanoseconds.
    pub(super) fn allows(&self, now: u64) -> Reason {
        match self.rule.expires_s {
            None => Reason::Allowed,
            Some(expires_s) if now < u64::from(expires_s) * 1_000_000_000 => Reason::Granted,
            Some(_) => Reason::GrantExpired,
        }
    }

    pub(super) fn is_exchanged(&self) -> bool {
        self.exchanged
    }

    pub(super) fn answers_only(&self) -> bool {
        self.answers_from.is_some()
    }

    pub(super) fn is_between(&self, ends: &Ends) -> bool {
        let side = |assets: &[usize], address| {
            assets.iter().any(|asset| takes_in(self.policy, &self.policy.assets[*asset], address))
        };
        (side(self.clients(), ends.client) || side(self.reply_to(), ends.client))
            && side(self.servers(), ends.server)
    }

    fn ports_fit(&self, ends: &Ends) -> bool {
        let service = self.service();
        let Some(from) = &self.answers_from else {
            return port_fits(service, ends.server, ends.client_port, ends.server_port);
        };
        let client_fits = match (&service.source_port, &service.port) {
            // The same as the port that was asked, which is not the one that answers.
            (SourcePort::Same, ServerPort::Set(own)) => is_in(own, ends.client_port),
            _ => client_port_fits(service, ends.client_port, ends.server_port),
        };
        is_in(from, ends.server_port) && client_fits
    }
}

/// The first rule that has these ends, for a question or for an answer. What only answers is no question, and hides
/// the grants behind it.
pub(super) fn first_match<'a, 'p>(
    rules: &'a [Asked<'p>],
    source: IpAddr,
    destination: IpAddr,
    flow: &Flow,
    way: Way,
) -> Option<&'a Asked<'p>> {
    let ends = Ends::of(source, destination, flow, way);
    let first = rules.iter().find(|rule| {
        rule.service().transport == flow.transport() && rule.ports_fit(&ends) && rule.is_between(&ends)
    });
    first.filter(|rule| way == Way::Return || !rule.answers_only())
}

/// How a rule nearly fits.
type Fits = fn(&Service, &Ends) -> bool;

fn off_link(service: &Service, ends: &Ends) -> bool {
    linked_to_some(&service.port, ends.server_port)
        && client_port_fits(service, ends.client_port, ends.server_port)
}

fn any_client_port(service: &Service, ends: &Ends) -> bool {
    linked_port_fits(service, ends.server, ends.server_port)
        // An echo has no port that could deviate.
        && (service.transport != Transport::Icmp || ends.client_port == 0)
}

fn anything(_: &Service, _: &Ends) -> bool {
    true
}

/// The nearest rule, and what deviates from it.
pub(super) fn nearest<'a, 'p>(
    rules: &'a [Asked<'p>],
    source: IpAddr,
    destination: IpAddr,
    flow: &Flow,
) -> Option<(&'a Asked<'p>, Reason)> {
    let forward = Ends::of(source, destination, flow, Way::Forward);
    let back = Ends::of(source, destination, flow, Way::Return);
    // The source is the rule's server, and asks the client's machine for the service.
    let swapped = Ends { client: destination, server: source, ..forward };
    let attempts: [(Ends, Fits, bool, Reason); 7] = [
        (forward, off_link, true, Reason::AddressPortMismatch),
        (back, off_link, true, Reason::AddressPortMismatch),
        (forward, any_client_port, true, Reason::SourcePortDeviation),
        (back, any_client_port, true, Reason::SourcePortDeviation),
        (swapped, any_client_port, true, Reason::ReversedDirection),
        (forward, anything, false, Reason::UnlistedService),
        (back, anything, false, Reason::UnlistedService),
    ];
    attempts.into_iter().find_map(|(ends, fits, same_transport, reason)| {
        let found = rules.iter().find(|rule| {
            let service = rule.service();
            !rule.answers_only()
                && (!same_transport || service.transport == flow.transport())
                && fits(service, &ends)
                && rule.is_between(&ends)
        });
        found.map(|rule| (rule, reason))
    })
}
