//! Rules that a policy implies: the other way round of what both sides may ask, and answers from other ports.
//!
//! They stand behind all written rules, so that what is written decides first, and before all grants.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::policy::model::{Policy, PortRange, Rule, ServerPort, Service, ServiceId, SourcePort};

/// A policy with the rules that it implies.
pub(crate) struct Expanded<'p> {
    pub(crate) policy: Cow<'p, Policy>,
    /// Written rule or grant of each rule, from 0.
    pub(crate) of: Vec<usize>,
    /// Services from this one on stand for answers from other ports.
    pub(crate) first_answers: ServiceId,
}

impl Expanded<'_> {
    pub(crate) fn is_answers(&self, service: ServiceId) -> bool {
        service >= self.first_answers
    }
}

pub(crate) fn expand(policy: &Policy) -> Expanded<'_> {
    let first_answers = policy.services.len();
    let mut of: Vec<usize> = (0..policy.rules.len()).collect();
    let service_of = |rule: &Rule| policy.services.get(rule.service);
    let implies = policy.rules.iter().any(|rule| {
        !rule.reply_to.is_empty()
            || service_of(rule).is_some_and(|service| service.peer || !service.reply_from.is_empty())
    });
    if !implies && grants_stand_last(policy) {
        return Expanded { policy: Cow::Borrowed(policy), of, first_answers };
    }
    let mut expanded = policy.clone();
    for rule in &mut expanded.rules {
        let groups = rule.reply_to.clone();
        rule.clients.extend(groups);
    }
    for (number, rule) in policy.rules.iter().enumerate() {
        if service_of(rule).is_some_and(|service| service.peer) {
            expanded.rules.push(turned(rule));
            of.push(number);
        }
    }
    let mut answers: BTreeMap<ServiceId, Option<ServiceId>> = BTreeMap::new();
    for (number, rule) in expanded.rules.clone().into_iter().enumerate() {
        let service = *answers.entry(rule.service).or_insert_with(|| {
            let companion = answers_of(policy.services.get(rule.service)?)?;
            expanded.services.push(companion);
            Some(expanded.services.len() - 1)
        });
        let (Some(service), Some(written)) = (service, of.get(number).copied()) else { continue };
        expanded.rules.push(Rule { service, ..rule });
        of.push(written);
    }
    // Grants stand behind everything else: what is written decides first, and so does what it implies.
    let rules = std::mem::take(&mut expanded.rules).into_iter().zip(of);
    let (grants, rules): (Vec<_>, Vec<_>) = rules.partition(|(rule, _)| rule.expires_s.is_some());
    let (rules, of) = rules.into_iter().chain(grants).unzip();
    expanded.rules = rules;
    Expanded { policy: Cow::Owned(expanded), of, first_answers }
}

fn grants_stand_last(policy: &Policy) -> bool {
    let mut rules = policy.rules.iter().skip_while(|rule| rule.expires_s.is_none());
    rules.all(|rule| rule.expires_s.is_some())
}

/// Its servers ask its clients.
fn turned(rule: &Rule) -> Rule {
    Rule {
        client_zone: rule.server_zone,
        server_zone: rule.client_zone,
        clients: rule.servers.clone(),
        servers: rule.clients.clone(),
        reply_to: Vec::new(),
        ..rule.clone()
    }
}

/// The service on the ports that only answers come from; `None` where there are none.
fn answers_of(service: &Service) -> Option<Service> {
    let asked = match &service.port {
        ServerPort::Set(ranges) => ranges.as_slice(),
        _ => &[],
    };
    let ports = without(&service.reply_from, asked);
    if ports.is_empty() {
        return None;
    }
    let source_port = match &service.source_port {
        // The client keeps the port that it asked, whatever port the answer comes from.
        SourcePort::Same => SourcePort::Set(asked.to_vec()),
        other => other.clone(),
    };
    Some(Service { port: ServerPort::Set(ports), source_port, ..service.clone() })
}

/// Ports that are in some ranges and not in others. All ranges ascend.
fn without(ranges: &[PortRange], others: &[PortRange]) -> Vec<PortRange> {
    let mut left = Vec::new();
    for range in ranges {
        let mut first = u32::from(range.first);
        for other in others {
            let (start, end) = (u32::from(other.first), u32::from(other.last));
            if start > first {
                push(&mut left, first, (start - 1).min(u32::from(range.last)));
            }
            first = first.max(end + 1);
        }
        push(&mut left, first, u32::from(range.last));
    }
    left
}

fn push(ranges: &mut Vec<PortRange>, first: u32, last: u32) {
    if first <= last
        && let (Ok(first), Ok(last)) = (u16::try_from(first), u16::try_from(last))
    {
        ranges.push(PortRange { first, last });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_taken_out() {
        let range = |first, last| PortRange { first, last };
        assert_eq!(without(&[range(5, 9)], &[range(6, 7)]), [range(5, 5), range(8, 9)]);
        assert_eq!(without(&[range(5, 9)], &[range(1, 20)]), []);
        assert_eq!(without(&[range(5, 9)], &[]), [range(5, 9)]);
        assert_eq!(without(&[range(1, 65535)], &[range(65535, 65535)]), [range(1, 65534)]);
        assert_eq!(without(&[range(5, 9), range(20, 30)], &[range(9, 25)]), [range(5, 8), range(26, 30)]);
        assert_eq!(without(&[range(5, 9)], &[range(1, 2), range(20, 30)]), [range(5, 9)]);
    }
}
