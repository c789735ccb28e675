//! Words that are addresses: hosts, ranges, networks.

use std::net::IpAddr;

use ipnet::IpNet;

use super::codes;
use super::model::Addresses;
use super::read::{Refusal, Word};
use super::words::word_schema;

/// One address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host(pub IpAddr);

word_schema!(Host, "Host", { "type": "string", "examples": ["10.10.0.1", "fd00:10::1"] });

impl Word for Host {
    const EXPECTED: &'static str = "one address, such as `10.10.0.1` or `fd00:10::1`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        host(text, Self::EXPECTED).map(Host)
    }
}

/// A network of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub IpNet);

word_schema!(Network, "Network", { "type": "string", "examples": ["10.20.0.0/24", "fd00:20::/64", "0.0.0.0/0"] });

impl Word for Network {
    const EXPECTED: &'static str = "a network, such as `10.20.0.0/24` or `fd00:20::/64`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        if !text.contains('/') {
            let address = host(text, Self::EXPECTED)?;
            let length = if address.is_ipv4() { 32 } else { 128 };
            return Err(Refusal::new(
                &codes::INVALID_ADDRESS,
                format!("`{text}` is an address, not a network"),
                format!("add the prefix length: `{address}/{length}` for this one address"),
            ));
        }
        prefix(text).map(Network)
    }
}

word_schema!(Addresses, "Addresses", {
    "type": "string",
    "examples": ["10.20.0.11", "10.20.0.11-10.20.0.18", "10.20.0.32/28", "fd00:20::11"]
});

impl Word for Addresses {
    const EXPECTED: &'static str =
        "an address (`10.20.0.11`), a range (`10.20.0.11-10.20.0.18`) or a network (`10.20.0.0/28`)";

    fn parse(text: &str) -> Result<Self, Refusal> {
        if text.contains('/') {
            return prefix(text).map(|net| {
                let whole = net.prefix_len() == net.max_prefix_len();
                if whole { Addresses::Host(net.addr()) } else { Addresses::Prefix(net) }
            });
        }
        let Some((first, last)) = text.split_once('-') else {
            return host(text, Self::EXPECTED).map(Addresses::Host);
        };
        let (first, last) = (host(first.trim(), Self::EXPECTED)?, range_end(first.trim(), last.trim())?);
        if first.is_ipv4() != last.is_ipv4() {
            return Err(Refusal::new(
                &codes::INVALID_ADDRESS,
                format!("`{text}` starts with one address family and ends with the other"),
                "write two ranges, one for IPv4 and one for IPv6",
            ));
        }
        match first.cmp(&last) {
            std::cmp::Ordering::Less => Ok(Addresses::Range(first, last)),
            std::cmp::Ordering::Equal => Ok(Addresses::Host(first)),
            std::cmp::Ordering::Greater => Err(Refusal::new(
                &codes::REVERSED_RANGE,
                format!("the range `{text}` starts after its end"),
                format!("write `{last}-{first}`"),
            )),
        }
    }
}

/// The end of a range; the short form `10.20.0.11-18` gets the full one as its suggestion.
fn range_end(first: &str, last: &str) -> Result<IpAddr, Refusal> {
    if let (Ok(_), Some((network, _))) = (last.parse::<u8>(), first.rsplit_once('.')) {
        return Err(Refusal::new(
            &codes::INVALID_ADDRESS,
            format!("the end of the range `{first}-{last}` is not an address"),
            format!("write `{first}-{network}.{last}`"),
        ));
    }
    host(last, Addresses::EXPECTED)
}

fn host(text: &str, expected: &str) -> Result<IpAddr, Refusal> {
    let refuse =
        |help: String| Refusal::new(&codes::INVALID_ADDRESS, format!("`{text}` is not an address"), help);
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(inner) => Err(refuse(format!("packets carry this address as IPv4: write `{inner}`"))),
            None => Ok(IpAddr::V6(address)),
        },
        Ok(address) => Ok(address),
        Err(_) => Err(refuse(why_not(text).unwrap_or_else(|| format!("expected {expected}")))),
    }
}

/// The usual slips of dotted addresses.
fn why_not(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() != 4
        || !parts.iter().all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
    {
        return None;
    }
    if let Some(part) = parts.iter().find(|part| part.parse::<u8>().is_err()) {
        return Some(format!("`{part}` is above 255"));
    }
    let part = parts.iter().find(|part| part.len() > 1 && part.starts_with('0'))?;
    Some(format!(
        "`{part}` has a leading zero, which some software reads as octal: write `{}`",
        part.trim_start_matches('0').parse::<u8>().unwrap_or(0)
    ))
}

fn prefix(text: &str) -> Result<IpNet, Refusal> {
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    let address = host(address, Network::EXPECTED)?;
    let longest: u8 = if address.is_ipv4() { 32 } else { 128 };
    let length = length.parse::<u8>().ok().filter(|length| *length <= longest).ok_or_else(|| {
        Refusal::new(
            &codes::INVALID_ADDRESS,
            format!("`{text}` has no prefix length from 0 to {longest}"),
            format!("expected {}", Network::EXPECTED),
        )
    })?;
    let Ok(net) = IpNet::new(address, length) else {
        return Err(Refusal::new(&codes::INVALID_ADDRESS, format!("`{text}` is not a network"), ""));
    };
    if net.trunc() == net {
        return Ok(net);
    }
    Err(Refusal::new(
        &codes::HOST_BITS_SET,
        format!("`{text}` is not a network: {address} has bits beyond the prefix length {length}"),
        format!("write `{}` for the network, or `{address}` for the one host", net.trunc()),
    ))
}
