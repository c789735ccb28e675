//! What becomes of what is asked, and how: ports, direction, answers.

use std::net::IpAddr;

use super::ground::Span;
use super::{Delta, Effect};
use crate::policy::describe;
use crate::policy::model::{
    Direction, EPHEMERAL, PortRange, Reply, ServerPort, Service, SourcePort, Transport,
};

/// Addresses that are looked at one by one where ports hang on them.
const ONE_BY_ONE: u128 = 65_536;
const EVERY: PortRange = PortRange { first: 0, last: u16::MAX };

/// What is different between two services, for these servers.
pub(super) fn deltas(old: &Service, new: &Service, servers: &[Span]) -> Vec<Delta> {
    let mut deltas = Vec::new();
    let mut push = |effect: Effect, text: String| deltas.push(Delta { effect, text });
    if old.transport != new.transport {
        push(Effect::Other, format!("{} instead of {}", new.transport.name(), old.transport.name()));
    }
    if old.transport != Transport::Icmp || new.transport != Transport::Icmp {
        if let Some(effect) = server_effect(&old.port, &new.port, servers) {
            let (was, is) = (server_words(&old.port), server_words(&new.port));
            push(effect, format!("server port {is} instead of {was}"));
        }
        if let Some(effect) = client_effect(old, new) {
            let (was, is) = (client_words(&old.source_port), client_words(&new.source_port));
            push(effect, format!("client port {is} instead of {was}"));
        }
    }
    if old.direction != new.direction {
        let word = |service: &Service| match &service.direction {
            None => "not read from the payload".to_owned(),
            Some(Direction::Named(protocol)) => format!("read as {}", protocol.about().name),
            Some(Direction::Custom { at, mask, request, response }) => {
                format!(
                    "read from byte {at} (mask {mask:#04x}, {request:#04x} asks, {response:#04x} answers)"
                )
            }
        };
        push(Effect::Other, format!("direction {} instead of {}", word(new), word(old)));
    }
    if old.direction.is_some() || new.direction.is_some() {
        for (who, was, is) in
            [("clients", old.client_may, new.client_may), ("servers", old.server_may, new.server_may)]
        {
            if was != is {
                let effect = match (was.0 & !is.0, is.0 & !was.0) {
                    (0, _) => Effect::Wider,
                    (_, 0) => Effect::Narrower,
                    _ => Effect::Other,
                };
                let words = (describe::may_send(is), describe::may_send(was));
                push(effect, format!("{who} may send {} instead of {}", words.0, words.1));
            }
        }
    }
    if let Some(effect) = reply_effect(old, new) {
        push(effect, format!("answers: {} instead of {}", reply_words(new.reply), reply_words(old.reply)));
    }
    if old.reply_from != new.reply_from {
        let effect = sets(&old.reply_from, &new.reply_from).unwrap_or(Effect::Other);
        let words = |ranges: &[PortRange]| if ranges.is_empty() { "none".to_owned() } else { list(ranges) };
        push(
            effect,
            format!(
                "answers from other ports: {} instead of {}",
                words(&new.reply_from),
                words(&old.reply_from)
            ),
        );
    }
    if old.peer != new.peer {
        let (effect, text) = if new.peer {
            (Effect::Wider, "either side may ask")
        } else {
            (Effect::Narrower, "only the client may ask")
        };
        push(effect, text.to_owned());
    }
    deltas
}

/// Whether both services can match one packet, as far as ports go.
pub(super) fn may_match_the_same(one: &Service, other: &Service) -> bool {
    if one.transport != other.transport {
        return false;
    }
    if !one.reply_from.is_empty() || !other.reply_from.is_empty() {
        return true;
    }
    match (constant(&one.port), constant(&other.port)) {
        (Some(a), Some(b)) => a.iter().any(|a| b.iter().any(|b| a.first <= b.last && b.first <= a.last)),
        _ => true,
    }
}

/// Server ports that hang on no address.
fn constant(port: &ServerPort) -> Option<Vec<PortRange>> {
    match port {
        ServerPort::Any => Some(vec![EVERY]),
        ServerPort::Set(ranges) => Some(ranges.clone()),
        ServerPort::Linked { .. } | ServerPort::ByAddress(_) => None,
    }
}

fn server_effect(old: &ServerPort, new: &ServerPort, servers: &[Span]) -> Option<Effect> {
    if old == new {
        return None;
    }
    if let (Some(old), Some(new)) = (constant(old), constant(new)) {
        return sets(&old, &new);
    }
    if servers.iter().fold(0u128, |sum, span| sum.saturating_add(span.len())) > ONE_BY_ONE {
        return Some(Effect::Other);
    }
    let effects = servers.iter().flat_map(|span| span.addresses());
    let mut effects =
        effects.filter_map(|server| sets(&ports_of(old, server), &ports_of(new, server))).peekable();
    match effects.peek().copied() {
        // A port that is off its link is told apart by what the link can give at all.
        None if links(old) != links(new) => Some(Effect::Other),
        None => None,
        Some(first) => Some(if effects.all(|effect| effect == first) { first } else { Effect::Other }),
    }
}

/// What makes a port one that is off its link.
fn links(port: &ServerPort) -> Option<Vec<PortRange>> {
    match port {
        ServerPort::Any | ServerPort::Set(_) => None,
        ServerPort::Linked { base, step, .. } => {
            let last = u32::from(*base) + 255 * u32::from(*step);
            Some(vec![PortRange { first: *base, last: u16::try_from(last).unwrap_or(u16::MAX) }])
        }
        ServerPort::ByAddress(table) => {
            let mut ports: Vec<PortRange> =
                table.values().map(|port| PortRange { first: *port, last: *port }).collect();
            ports.sort_unstable();
            ports.dedup();
            Some(ports)
        }
    }
}

/// Ports of one server.
fn ports_of(port: &ServerPort, server: IpAddr) -> Vec<PortRange> {
    let one = |port: u16| vec![PortRange { first: port, last: port }];
    match port {
        ServerPort::Any => vec![EVERY],
        ServerPort::Set(ranges) => ranges.clone(),
        ServerPort::ByAddress(table) => table.get(&server).map_or_else(Vec::new, |port| one(*port)),
        ServerPort::Linked { base, octet, step } => {
            let octets = match server {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            let octet = usize::from(*octet).checked_sub(1).and_then(|at| octets.get(at));
            let port = octet.map(|octet| u32::from(*base) + u32::from(*step) * u32::from(*octet));
            port.and_then(|port| u16::try_from(port).ok()).map_or_else(Vec::new, one)
        }
    }
}

/// Client ports; `None` is the same as the server's.
fn client_ports(service: &Service) -> Option<Vec<PortRange>> {
    match (&service.source_port, &service.port) {
        (SourcePort::Any, _) => Some(vec![EVERY]),
        (SourcePort::Ephemeral, _) => Some(vec![EPHEMERAL]),
        (SourcePort::Set(ranges), _) => Some(ranges.clone()),
        // One port on both sides is that port on each side.
        (SourcePort::Same, ServerPort::Set(ranges)) if is_one(ranges) => Some(ranges.clone()),
        (SourcePort::Same, _) => None,
    }
}

fn is_one(ranges: &[PortRange]) -> bool {
    matches!(ranges, [range] if range.first == range.last)
}

fn client_effect(old: &Service, new: &Service) -> Option<Effect> {
    let inside = |service: &Service, ports: &[PortRange]| {
        constant(&service.port).is_some_and(|own| without(&own, ports).is_empty())
    };
    match (client_ports(old), client_ports(new)) {
        (None, None) => None,
        (Some(was), Some(is)) => sets(&was, &is),
        (None, Some(is)) => Some(if inside(old, &is) { Effect::Wider } else { Effect::Other }),
        (Some(was), None) => Some(if inside(new, &was) { Effect::Narrower } else { Effect::Other }),
    }
}

fn reply_effect(old: &Service, new: &Service) -> Option<Effect> {
    // Without a direction nothing shows itself as an answer, so that every answer needs its question.
    let of = |service: &Service| match service.reply {
        Reply::Strict(window) if service.direction.is_none() => Reply::Window(window),
        reply => reply,
    };
    let (was, is) = (of(old), of(new));
    if was == is {
        return None;
    }
    let rank = |reply: Reply| match reply {
        Reply::None => (0, None),
        Reply::Strict(window) => (1, Some(window)),
        Reply::Window(window) => (2, Some(window)),
        Reply::Free => (3, None),
    };
    let ((was, was_window), (is, is_window)) = (rank(was), rank(is));
    let times = match (was_window, is_window) {
        (Some(was), Some(is)) => is.cmp(&was),
        _ => std::cmp::Ordering::Equal,
    };
    Some(match (is.cmp(&was), times) {
        (std::cmp::Ordering::Less, std::cmp::Ordering::Less | std::cmp::Ordering::Equal)
        | (std::cmp::Ordering::Equal, std::cmp::Ordering::Less) => Effect::Narrower,
        (std::cmp::Ordering::Less, std::cmp::Ordering::Greater)
        | (std::cmp::Ordering::Greater, std::cmp::Ordering::Less) => Effect::Other,
        _ => Effect::Wider,
    })
}

/// What became of a set of ports.
fn sets(old: &[PortRange], new: &[PortRange]) -> Option<Effect> {
    match (without(old, new).is_empty(), without(new, old).is_empty()) {
        (true, true) => None,
        (true, false) => Some(Effect::Wider),
        (false, true) => Some(Effect::Narrower),
        (false, false) => Some(Effect::Other),
    }
}

/// Ports that are in some ranges and not in others. All ranges ascend.
fn without(ranges: &[PortRange], others: &[PortRange]) -> Vec<PortRange> {
    let mut left = Vec::new();
    let mut push = |first: u32, last: u32| {
        if let (true, Ok(first), Ok(last)) = (first <= last, u16::try_from(first), u16::try_from(last)) {
            left.push(PortRange { first, last });
        }
    };
    for range in ranges {
        let mut first = u32::from(range.first);
        let end = u32::from(range.last);
        for other in others {
            if u32::from(other.first) > first {
                push(first, end.min(u32::from(other.first) - 1));
            }
            first = first.max(u32::from(other.last) + 1);
        }
        push(first, end);
    }
    left
}

fn list(ranges: &[PortRange]) -> String {
    let one = |range: &PortRange| match range {
        PortRange { first, last } if first == last => first.to_string(),
        PortRange { first, last } => format!("{first}-{last}"),
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn server_words(port: &ServerPort) -> String {
    match port {
        ServerPort::Any => "any".to_owned(),
        ServerPort::Set(ranges) => list(ranges),
        ServerPort::Linked { base, octet, step } => {
            format!("linked to octet {octet} (base {base}, step {step})")
        }
        ServerPort::ByAddress(table) => {
            let rows: Vec<String> =
                table.iter().take(4).map(|(address, port)| format!("{address}: {port}")).collect();
            let more = if table.len() > 4 { ", .." } else { "" };
            format!("by address ({}{more})", rows.join(", "))
        }
    }
}

fn client_words(port: &SourcePort) -> String {
    match port {
        SourcePort::Any => "any".to_owned(),
        SourcePort::Ephemeral => "ephemeral".to_owned(),
        SourcePort::Same => "the same as the server's".to_owned(),
        SourcePort::Set(ranges) => list(ranges),
    }
}

fn reply_words(reply: Reply) -> String {
    match reply {
        Reply::Window(window) => format!("to a question of the last {window:?}"),
        Reply::Strict(window) => format!("to a question of the last {window:?}, strictly"),
        Reply::Free => "at any time".to_owned(),
        Reply::None => "none".to_owned(),
    }
}
