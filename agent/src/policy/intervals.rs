//! Sets of addresses as ordered intervals, so that "inside" and "in common" cost a binary search.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::model::Addresses;

/// Inclusive interval of addresses of one family. Ordered by family, then first, then last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Interval {
    v6: bool,
    first: u128,
    last: u128,
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl Interval {
    pub(crate) fn host(address: IpAddr) -> Self {
        Self::range(address, address)
    }

    pub(crate) fn range(first: IpAddr, last: IpAddr) -> Self {
        Self { v6: first.is_ipv6(), first: number(first), last: number(last) }
    }

    pub(crate) fn network(network: &IpNet) -> Self {
        Self::range(network.network(), network.broadcast())
    }

    pub(crate) fn of(addresses: &Addresses) -> Self {
        match addresses {
            Addresses::Host(address) => Self::host(*address),
            Addresses::Range(first, last) => Self::range(*first, *last),
            Addresses::Prefix(network) => Self::network(network),
        }
    }

    pub(crate) fn contains(&self, other: &Self) -> bool {
        self.v6 == other.v6 && self.first <= other.first && other.last <= self.last
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.v6 == other.v6 && self.first <= other.last && other.first <= self.last
    }

    pub(crate) fn is_v6(&self) -> bool {
        self.v6
    }

    /// Number of addresses, saturating.
    pub(crate) fn len(&self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    pub(crate) fn first(&self) -> IpAddr {
        address(self.v6, self.first)
    }

    pub(crate) fn last(&self) -> IpAddr {
        address(self.v6, self.last)
    }

    /// Its addresses in order, as many as asked for.
    pub(crate) fn addresses(self) -> impl Iterator<Item = IpAddr> {
        (self.first..=self.last).map(move |number| address(self.v6, number))
    }

    /// Lowest and highest value of the `octet`-th byte (from 1) over all its addresses.
    pub(crate) fn octet(&self, octet: u8) -> Option<(u8, u8)> {
        let bytes: u32 = if self.v6 { 16 } else { 4 };
        let shift = bytes.checked_sub(u32::from(octet)).filter(|_| octet > 0)? * 8;
        let (first, last) = (self.first >> shift, self.last >> shift);
        let byte = |number: u128| u8::try_from(number & 0xff).unwrap_or(u8::MAX);
        if first >> 8 == last >> 8 { Some((byte(first), byte(last))) } else { Some((0, u8::MAX)) }
    }
}

fn address(v6: bool, number: u128) -> IpAddr {
    if v6 {
        IpAddr::V6(Ipv6Addr::from(number))
    } else {
        IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)))
    }
}

/// A set of addresses: ascending intervals that neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct AddressSet(Vec<Interval>);

impl FromIterator<Interval> for AddressSet {
    fn from_iter<I: IntoIterator<Item = Interval>>(intervals: I) -> Self {
        let mut intervals: Vec<Interval> = intervals.into_iter().collect();
        intervals.sort_unstable();
        let mut merged: Vec<Interval> = Vec::with_capacity(intervals.len());
        for next in intervals {
            match merged.last_mut() {
                Some(last) if last.v6 == next.v6 && next.first <= last.last.saturating_add(1) => {
                    last.last = last.last.max(next.last);
                }
                _ => merged.push(next),
            }
        }
        Self(merged)
    }
}

impl AddressSet {
    /// The interval of the set at or before `interval`, if it takes all of it in.
    pub(crate) fn contains(&self, interval: &Interval) -> bool {
        let after = self.0.partition_point(|own| (own.v6, own.first) <= (interval.v6, interval.first));
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|own| own.contains(interval))
    }

    pub(crate) fn overlaps(&self, interval: &Interval) -> bool {
        let after = self.0.partition_point(|own| (own.v6, own.first) <= (interval.v6, interval.last));
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|own| own.overlaps(interval))
    }

    pub(crate) fn contains_all(&self, other: &Self) -> bool {
        other.0.iter().all(|interval| self.contains(interval))
    }

    pub(crate) fn overlaps_any(&self, other: &Self) -> bool {
        let (few, many) = if self.0.len() < other.0.len() { (self, other) } else { (other, self) };
        few.0.iter().any(|interval| many.overlaps(interval))
    }

    pub(crate) fn intervals(&self) -> &[Interval] {
        &self.0
    }
}

/// Calls `found` for each pair of items whose intervals overlap, once for each pair.
pub(crate) fn overlapping_pairs<T: Copy>(items: &[(Interval, T)], mut found: impl FnMut(T, T)) {
    let mut sorted: Vec<&(Interval, T)> = items.iter().collect();
    sorted.sort_by_key(|(interval, _)| *interval);
    let mut open: Vec<&(Interval, T)> = Vec::new();
    for item in sorted {
        open.retain(|other| other.0.v6 == item.0.v6 && other.0.last >= item.0.first);
        for other in &open {
            found(other.1, item.1);
        }
        open.push(item);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> AddressSet {
        texts.iter().map(|text| interval(text)).collect()
    }

    fn interval(text: &str) -> Interval {
        match text.split_once('-') {
            Some((first, last)) => Interval::range(first.parse().unwrap(), last.parse().unwrap()),
            None => Interval::network(&text.parse().unwrap()),
        }
    }

    #[test]
    fn neighbours_merge_within_their_family() {
        assert_eq!(set(&["10.0.0.0/25", "10.0.0.128/25"]), set(&["10.0.0.0/24"]));
        assert_eq!(set(&["0.0.0.0/0", "::/0"]).intervals().len(), 2);
    }

    #[test]
    fn contains_and_overlaps_at_the_edges() {
        let own = set(&["10.0.0.0/24", "10.0.2.0/24", "fd00::/64"]);
        assert!(own.contains(&interval("10.0.0.255-10.0.0.255")));
        assert!(!own.contains(&interval("10.0.0.255-10.0.1.0")));
        assert!(own.overlaps(&interval("10.0.1.255-10.0.2.0")));
        assert!(!own.overlaps(&interval("10.0.1.0-10.0.1.255")));
        assert!(own.overlaps(&interval("::/0")));
        assert!(!own.contains(&interval("::/128")));
        assert!(own.overlaps(&interval("0.0.0.0/0")));
    }

    #[test]
    fn octets_of_an_interval() {
        assert_eq!(interval("10.0.0.11-10.0.0.18").octet(4), Some((11, 18)));
        assert_eq!(interval("10.0.0.11-10.0.1.18").octet(4), Some((0, 255)));
        assert_eq!(interval("10.0.0.11-10.0.1.18").octet(3), Some((0, 1)));
        assert_eq!(interval("10.0.0.11-10.0.0.18").octet(5), None);
        assert_eq!(interval("fd00::7-fd00::9").octet(16), Some((7, 9)));
    }

    #[test]
    fn pairs_are_found_once() {
        let items = [
            (interval("10.0.0.0/8"), 'a'),
            (interval("10.1.0.0/16"), 'b'),
            (interval("11.0.0.0/8"), 'c'),
            (interval("10.1.2.0/24"), 'd'),
        ];
        let mut pairs = Vec::new();
        overlapping_pairs(&items, |a, b| pairs.push((a, b)));
        assert_eq!(pairs, [('a', 'b'), ('a', 'd'), ('b', 'd')]);
    }
}
