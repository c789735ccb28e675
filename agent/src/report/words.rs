//! Numbers, times, ports and idioms as people read them.

use std::collections::BTreeSet;

use banchi_common::abi::Transport;

use crate::learn::{Flow, Idiom, Ports};

/// Ports of a list that are written out.
const WRITTEN: usize = 4;

/// A count with thin spaces between thousands.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A count in few characters: `999`, `12k`, `3.4M`.
pub(super) fn short(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..10_000 => format!("{:.1}k", number as f64 / 1e3),
        10_000..1_000_000 => format!("{}k", number / 1_000),
        1_000_000..10_000_000 => format!("{:.1}M", number as f64 / 1e6),
        _ => format!("{}M", number / 1_000_000),
    }
}

/// Bytes in a unit.
pub(super) fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{:.1} kB", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number as f64 / 1e6),
        _ => format!("{:.1} GB", number as f64 / 1e9),
    }
}

/// One of a thing or several: `1 host`, `3 hosts`.
pub(super) fn some(number: usize, one: &str) -> String {
    match (number, one.strip_suffix('y')) {
        (1, _) => format!("1 {one}"),
        (_, Some(stem)) if !one.ends_with("day") => format!("{} {stem}ies", count(number as u64)),
        _ => format!("{} {one}s", count(number as u64)),
    }
}

/// Nanoseconds since 1970 as a minute in UTC.
pub(super) fn minute(nanoseconds: u64) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// From one time to another, in minutes; one where they are the same.
pub(super) fn span(first: u64, last: u64) -> String {
    let (first, last) = (minute(first), minute(last));
    match (first.split_once(' '), last.split_once(' ')) {
        _ if first == last => first,
        (Some((day, _)), Some((same, time))) if day == same => format!("{first}–{time}"),
        _ => format!("{first} – {last}"),
    }
}

/// A length of time in its unit, as drafts say it.
pub(super) use crate::learn::draft::span as length;

/// Ports of one side.
pub(super) fn ports(ports: &Ports) -> String {
    match ports {
        Ports::Any => "any".to_owned(),
        Ports::Linked(port) => port.to_string(),
        Ports::Set(ports) => set(ports),
    }
}

/// A set of ports, with neighbours as ranges.
pub(super) fn set(ports: &BTreeSet<u16>) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*port) => *last = *port,
            _ => ranges.push((*port, *port)),
        }
    }
    let word = |(first, last): &(u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}–{last}") }
    };
    let mut words: Vec<String> = ranges.iter().take(WRITTEN).map(word).collect();
    if ranges.len() > WRITTEN {
        words.push(format!("{} more", ranges.len() - WRITTEN));
    }
    words.join(", ")
}

/// Ports from the client's to the server's; a transport without ports has none.
pub(super) fn relation(flow: &Flow) -> String {
    if flow.transport == Transport::Icmp {
        return "echo".to_owned();
    }
    format!("{} → {}", ports(&flow.client_port), ports(&flow.server_port))
}

/// The same in few characters, beside a sign of the idiom.
pub(super) fn brief(flow: &Flow) -> String {
    match (&flow.client_port, flow.idiom) {
        _ if flow.transport == Transport::Icmp => String::new(),
        (Ports::Any, _) => ports(&flow.server_port),
        (_, Idiom::SamePort) => format!("{} both", ports(&flow.server_port)),
        _ => relation(flow),
    }
}

/// A sign for an idiom, so that colour is not the only carrier.
pub(super) const fn sign(idiom: Idiom) -> &'static str {
    match idiom {
        Idiom::Ordinary => "→",
        Idiom::SamePort => "=",
        Idiom::PinnedSource => "◆",
        Idiom::AddressLinked => "ƒ",
        Idiom::OneWay => "↦",
        Idiom::Peer => "⇄",
        Idiom::Undecided => "?",
    }
}

/// All idioms, in the order in which they are shown.
pub(super) const IDIOMS: [Idiom; 7] = [
    Idiom::SamePort,
    Idiom::PinnedSource,
    Idiom::AddressLinked,
    Idiom::Ordinary,
    Idiom::OneWay,
    Idiom::Peer,
    Idiom::Undecided,
];

#[cfg(test)]
mod tests {
    use super::{count, set, short, some, span};

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(999), "999");
        assert_eq!(
            [short(999), short(1_500), short(12_345), short(3_400_000)],
            ["999", "1.5k", "12k", "3.4M"]
        );
        assert_eq!([some(1, "host"), some(2, "day"), some(0, "reply")], ["1 host", "2 days", "0 replies"]);
        assert_eq!(set(&[1, 2, 3, 7, 9, 11, 13].into()), "1–3, 7, 9, 11, 1 more");
    }

    #[test]
    fn a_span_names_a_day_once() {
        const MINUTE: u64 = 60_000_000_000;
        assert_eq!(span(0, 0), "1970-01-01 00:00");
        assert_eq!(span(0, 5 * MINUTE), "1970-01-01 00:00–00:05");
        assert_eq!(span(0, 1_440 * MINUTE), "1970-01-01 00:00 – 1970-01-02 00:00");
    }
}
