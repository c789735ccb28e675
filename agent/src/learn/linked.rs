//! Ports that follow from addresses: an arithmetic relation, fitted and counted, or else a table.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Fewest stations that make a relation.
pub const FEWEST: usize = 3;
/// Stations that each one is compared with.
const NEIGHBOURS: usize = 24;

/// How a server's port follows from its address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// `base + step * octet`.
    Linear {
        /// Port at octet 0.
        base: u16,
        /// Which byte of the address, from 1.
        octet: u8,
        /// Ports from one value to the next.
        step: u16,
        /// Stations that are off it, with their ports.
        exceptions: BTreeMap<IpAddr, u16>,
    },
    /// Each station has a port of its own.
    Table,
}

impl Link {
    /// Port of an address by the relation; `None` in a table.
    pub fn port(&self, address: IpAddr) -> Option<u16> {
        match self {
            Self::Linear { base, octet, step, .. } => linear(*base, *octet, *step, address),
            Self::Table => None,
        }
    }
}

fn linear(base: u16, octet: u8, step: u16, address: IpAddr) -> Option<u16> {
    let value = *octets(address).get(usize::from(octet).checked_sub(1)?)?;
    let port = u32::from(base) + u32::from(step) * u32::from(value);
    u16::try_from(port).ok()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// Finds the relation of stations and ports. `alike` says that something else shows them as one service: then a table
/// is enough, as long as hardly any two stations share a port.
pub fn fit(stations: &BTreeMap<IpAddr, u16>, alike: bool) -> Option<Link> {
    let ports: BTreeSet<u16> = stations.values().copied().collect();
    if stations.len() < FEWEST || ports.len() < FEWEST {
        return None;
    }
    if let Some(link) = best_line(stations) {
        return Some(link);
    }
    let narrow = ports.last().zip(ports.first()).is_some_and(|(last, first)| last - first <= 1000);
    let distinct = ports.len() * 5 >= stations.len() * 4;
    (distinct && (alike || narrow)).then_some(Link::Table)
}

/// The line through most stations, if it is three of five and three at least.
fn best_line(stations: &BTreeMap<IpAddr, u16>) -> Option<Link> {
    let rows: Vec<(Vec<u8>, u16)> = stations.iter().map(|(at, port)| (octets(*at), *port)).collect();
    let width = rows.iter().map(|(octets, _)| octets.len()).min()?;
    // The same number of pairs: the last byte first, since stations are counted there.
    let mut best: Option<(usize, usize, u16, u16)> = None;
    for octet in (0..width).rev() {
        let mut lines: BTreeMap<(u16, u16), usize> = BTreeMap::new();
        for (at, one) in rows.iter().enumerate() {
            for other in rows.iter().skip(at + 1).take(NEIGHBOURS) {
                if let Some(line) = line(one, other, octet) {
                    *lines.entry(line).or_default() += 1;
                }
            }
        }
        let most = lines.into_iter().max_by_key(|(line, pairs)| (*pairs, std::cmp::Reverse(*line)));
        let Some(((step, base), _)) = most else { continue };
        let fits = |(octets, port): &&(Vec<u8>, u16)| {
            octets.get(octet).is_some_and(|value| {
                u32::from(base) + u32::from(step) * u32::from(*value) == u32::from(*port)
            })
        };
        let support = rows.iter().filter(fits).count();
        if best.is_none_or(|(most, ..)| support > most) {
            best = Some((support, octet, step, base));
        }
    }
    let (support, octet, step, base) = best?;
    if support < FEWEST || support * 5 < stations.len() * 3 {
        return None;
    }
    let octet = octet as u8 + 1;
    let off = |(at, port): &(&IpAddr, &u16)| linear(base, octet, step, **at) != Some(**port);
    let exceptions = stations.iter().filter(off).map(|(at, port)| (*at, *port)).collect();
    Some(Link::Linear { base, octet, step, exceptions })
}

/// Step and base of the line through two stations.
fn line(one: &(Vec<u8>, u16), other: &(Vec<u8>, u16), octet: usize) -> Option<(u16, u16)> {
    let (a, b) = (i32::from(*one.0.get(octet)?), i32::from(*other.0.get(octet)?));
    let (p, q) = (i32::from(one.1), i32::from(other.1));
    if a == b || (q - p) % (b - a) != 0 {
        return None;
    }
    let step = (q - p) / (b - a);
    let base = p - step * a;
    Some((u16::try_from(step).ok().filter(|step| *step > 0)?, u16::try_from(base).ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
    use super::*;

    fn stations(ports: impl IntoIterator<Item = (u8, u16)>) -> BTreeMap<IpAddr, u16> {
        ports.into_iter().map(|(last, port)| (IpAddr::from([10, 20, 0, last]), port)).collect()
    }

    #[test]
    fn a_line_is_found_through_gaps_and_swaps() {
        for count in [3_u8, 8, 50, 200] {
            let mut found = stations(
                (10..10 + count).filter(|n| n % 7 != 3 || count < 8).map(|n| (n, 6000 + 2 * u16::from(n))),
            );
            let swapped: Vec<IpAddr> =
                if count < 8 { vec![] } else { found.keys().copied().skip(2).take(2).collect() };
            if let [a, b] = swapped.as_slice() {
                let (p, q) = (found[a], found[b]);
                found.insert(*a, q);
                found.insert(*b, p);
            }
            let Some(Link::Linear { base, octet, step, exceptions }) = fit(&found, false) else {
                panic!("{count}")
            };
            assert_eq!((base, octet, step), (6000, 4, 2));
            assert_eq!(exceptions.keys().copied().collect::<Vec<_>>(), swapped);
        }
    }

    #[test]
    fn a_table_needs_ports_of_its_own() {
        assert_eq!(fit(&stations([(1, 7001), (2, 7005), (3, 7003), (4, 7010)]), false), Some(Link::Table));
        assert_eq!(fit(&stations([(1, 502), (2, 502), (3, 502), (4, 503), (5, 700)]), true), None);
        assert_eq!(fit(&stations([(1, 102), (2, 502), (3, 44818)]), false), None);
        assert_eq!(fit(&stations([(1, 6001), (2, 6002)]), true), None);
    }
}
