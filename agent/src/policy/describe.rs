//! A service in words and in the language of a policy.

use std::time::Duration;

use super::model::{
    CLASSES, Classes, Direction, EPHEMERAL, PortRange, Reply, ServerPort, Service, SourcePort, Transport,
};
use super::resolve::DEFAULT_WINDOW;

/// Longest line of a definition.
const WIDTH: usize = 100;

/// A service as it stands under `services:`, indented by two.
pub fn definition(service: &Service) -> String {
    let pairs: Vec<String> =
        keys(service).into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
    let line = format!("  {}: {{ {} }}\n", service.name, pairs.join(", "));
    if line.trim_end().chars().count() <= WIDTH {
        return line;
    }
    format!("  {}:\n    {}\n", service.name, pairs.join("\n    "))
}

/// The keys that are needed, with their values.
fn keys(service: &Service) -> Vec<(&'static str, String)> {
    let mut keys = vec![("transport", service.transport.name().to_owned())];
    if service.transport != Transport::Icmp {
        keys.push(("port", server_port(&service.port)));
    }
    if service.source_port != SourcePort::Any {
        keys.push(("source_port", source_port(&service.source_port)));
    }
    let (mut client, mut server) = (Classes::NONE, Classes::NONE);
    match &service.direction {
        None => {}
        Some(Direction::Named(protocol)) => {
            let about = protocol.about();
            (client, server) = (about.client, about.server);
            keys.push(("direction", about.name.to_owned()));
        }
        Some(Direction::Custom { at, mask, request, response }) => keys.push((
            "direction",
            format!("{{ at: {at}, mask: {mask:#04x}, request: {request:#04x}, response: {response:#04x} }}"),
        )),
    }
    if service.client_may != client.with(Classes::REQUEST) {
        keys.push(("client_may", classes(service.client_may)));
    }
    if service.server_may != server.with(Classes::RESPONSE) {
        keys.push(("server_may", classes(service.server_may)));
    }
    match service.reply {
        Reply::Window(window) if window == DEFAULT_WINDOW => {}
        Reply::Window(window) => keys.push(("reply", format!("{{ window: {} }}", time(window, "")))),
        Reply::Strict(window) => {
            keys.push(("reply", format!("{{ window: {}, strict: true }}", time(window, ""))));
        }
        Reply::Free if service.transport == Transport::Udp => keys.push(("reply", "free".to_owned())),
        Reply::Free => {}
        Reply::None => keys.push(("reply", "none".to_owned())),
    }
    match service.reply_from.as_slice() {
        [] => {}
        [PortRange { first: 1, last: u16::MAX }] => keys.push(("reply_from", "any".to_owned())),
        [range] if *range == EPHEMERAL => keys.push(("reply_from", "ephemeral".to_owned())),
        ranges => keys.push(("reply_from", list(ranges))),
    }
    if service.peer {
        keys.push(("peer", "true".to_owned()));
    }
    keys
}

fn server_port(port: &ServerPort) -> String {
    match port {
        ServerPort::Any => "any".to_owned(),
        ServerPort::Set(ranges) => list(ranges),
        ServerPort::Linked { base, octet, step } => {
            format!("{{ linked: {{ base: {base}, octet: {octet}, step: {step} }} }}")
        }
        ServerPort::ByAddress(table) => {
            let entries: Vec<String> =
                table.iter().map(|(address, port)| format!("\"{address}\": {port}")).collect();
            format!("{{ by_address: {{ {} }} }}", entries.join(", "))
        }
    }
}

fn source_port(port: &SourcePort) -> String {
    match port {
        SourcePort::Any => "any".to_owned(),
        SourcePort::Ephemeral => "ephemeral".to_owned(),
        SourcePort::Same => "same".to_owned(),
        SourcePort::Set(ranges) => list(ranges),
    }
}

fn list(ranges: &[PortRange]) -> String {
    match ranges {
        [one] => range(one),
        _ => format!("[{}]", ports(ranges)),
    }
}

fn ports(ranges: &[PortRange]) -> String {
    ranges.iter().map(range).collect::<Vec<_>>().join(", ")
}

fn range(range: &PortRange) -> String {
    let PortRange { first, last } = range;
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn classes(classes: Classes) -> String {
    let words = CLASSES.into_iter().zip(["request", "response", "notify"]);
    let held: Vec<&str> = words.filter(|(class, _)| classes.holds(*class)).map(|(_, word)| word).collect();
    format!("[{}]", held.join(", "))
}

/// Ports from the client's to the server's, such as `any > 502`.
pub fn relation(service: &Service) -> String {
    if service.transport == Transport::Icmp {
        return "-".to_owned();
    }
    let server = match &service.port {
        ServerPort::Set(ranges) => ports(ranges),
        ServerPort::Any => "any".to_owned(),
        ServerPort::Linked { .. } => "linked".to_owned(),
        ServerPort::ByAddress(_) => "by address".to_owned(),
    };
    let client = match &service.source_port {
        SourcePort::Set(ranges) => ports(ranges),
        SourcePort::Same if matches!(&service.port, ServerPort::Set(ranges) if one(ranges)) => server.clone(),
        other => source_port(other),
    };
    format!("{client} > {server}")
}

fn one(ranges: &[PortRange]) -> bool {
    matches!(ranges, [range] if range.first == range.last)
}

/// Word of the direction; `-` where there is none.
pub fn direction(service: &Service) -> &'static str {
    match &service.direction {
        None => "-",
        Some(Direction::Named(protocol)) => protocol.about().name,
        Some(Direction::Custom { .. }) => "a byte",
    }
}

/// What a side may send: `requests`, `requests and notifications`, ...
pub fn may_send(classes: Classes) -> String {
    let words = CLASSES.into_iter().zip(["requests", "responses", "notifications"]);
    let held: Vec<&str> = words.filter(|(class, _)| classes.holds(*class)).map(|(_, word)| word).collect();
    match held.as_slice() {
        [first, second, third] => format!("{first}, {second} and {third}"),
        words => words.join(" and "),
    }
}

/// What a packet from server to client needs.
pub fn answers(service: &Service) -> String {
    let has_direction = service.direction.is_some();
    let from = match service.reply_from.as_slice() {
        [] => String::new(),
        [PortRange { first: 1, last: u16::MAX }] => " It may come from any port of the server.".to_owned(),
        ranges => format!(" It may come from port {} too.", ports(ranges)),
    };
    match (service.transport, service.reply) {
        (Transport::Tcp, _) => {
            "What a server sends must belong to a connection that a client opened.".to_owned()
        }
        (Transport::Udp, Reply::Window(window)) if has_direction => format!(
            "A packet of the server that does not show what it is needs a question of the last {}; one that does \
             needs none.{from}",
            time(window, " ")
        ),
        (Transport::Udp, Reply::Strict(window)) if has_direction => format!(
            "A response, and a packet of the server that does not show what it is, needs a question of the last \
             {}.{from}",
            time(window, " ")
        ),
        (Transport::Udp, Reply::Window(window) | Reply::Strict(window)) => {
            format!("A packet of the server needs a question of the last {}.{from}", time(window, " "))
        }
        (Transport::Udp, Reply::None) if service.peer => {
            "There are none: each side sends by itself, and every packet counts as a question.".to_owned()
        }
        (Transport::Udp, Reply::None) => "There are none: only the client sends.".to_owned(),
        _ => "A packet of the server needs nothing: both sides send at any time.".to_owned(),
    }
}

/// A time with its unit, and what stands between them.
fn time(time: Duration, between: &str) -> String {
    let millis = time.as_millis();
    if millis.is_multiple_of(1000) {
        format!("{}{between}s", millis / 1000)
    } else {
        format!("{millis}{between}ms")
    }
}
