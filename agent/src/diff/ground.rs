//! The addresses that two policies speak of, cut into pieces about which each of them says one thing only.
//!
//! What a policy says of an address follows the most specific name that holds it, whichever asset or zone that is of: see
//! `docs/policy.md`. So two policies are compared piece by piece, and not name by name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::policy::model::{Addresses, AssetId, Policy, ServerPort, ZoneId};

/// Inclusive range of addresses of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) v6: bool,
    pub(crate) first: u128,
    pub(crate) last: u128,
}

impl Span {
    pub(crate) fn of(addresses: &Addresses) -> Self {
        let (first, last) = match addresses {
            Addresses::Host(host) => (*host, *host),
            Addresses::Range(first, last) => (*first, *last),
            Addresses::Prefix(net) => (net.network(), net.broadcast()),
        };
        Self { v6: first.is_ipv6(), first: bits(first), last: bits(last) }
    }

    pub(crate) fn host(address: IpAddr) -> Self {
        Self::of(&Addresses::Host(address))
    }

    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        self.v6 == address.is_ipv6() && (self.first..=self.last).contains(&bits(address))
    }

    pub(crate) fn len(&self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    pub(crate) fn addresses(self) -> impl Iterator<Item = IpAddr> {
        (self.first..=self.last).map(move |number| address(self.v6, number))
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, last) = (address(self.v6, self.first), address(self.v6, self.last));
        let bits = if self.v6 { 128 } else { 32 };
        let free = (self.first ^ self.last).checked_ilog2().map_or(0, |bit| bit + 1);
        let mask = 1u128.checked_shl(free).map_or(u128::MAX, |size| size - 1);
        if self.first == self.last {
            write!(f, "{first}")
        } else if self.first & mask == 0 && self.last & mask == mask {
            write!(f, "{first}/{}", bits - free)
        } else {
            write!(f, "{first}-{last}")
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(v6: bool, bits: u128) -> IpAddr {
    if v6 { Ipv6Addr::from_bits(bits).into() } else { Ipv4Addr::from_bits(bits as u32).into() }
}

/// What one policy says of a piece.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    /// Zone where it is at home.
    pub(crate) home: Option<ZoneId>,
    /// Assets that take it in, ascending.
    pub(crate) assets: Vec<AssetId>,
    /// The hardware address that it is bound to.
    pub(crate) mac: Option<[u8; 6]>,
    /// Several hosts hear it.
    pub(crate) group: bool,
    /// An asset names it as such.
    pub(crate) named_group: bool,
}

/// A name that a policy has for addresses.
struct Claim {
    span: Span,
    /// How much it says: a host most, then a range, then by the length of the prefix.
    says: u16,
    zone: ZoneId,
    asset: Option<AssetId>,
    range: bool,
    names_groups: bool,
}

const RANGE: u16 = 1000;
const HOST: u16 = 1001;

fn claims(policy: &Policy) -> Vec<Claim> {
    let claim = |addresses: &Addresses, zone: ZoneId, asset: Option<AssetId>| {
        let (says, names_groups) = match addresses {
            Addresses::Host(_) => (HOST, true),
            Addresses::Range(..) => (RANGE, true),
            Addresses::Prefix(net) if net.prefix_len() == net.max_prefix_len() => (HOST, true),
            Addresses::Prefix(net) => {
                (u16::from(net.prefix_len()), net.network().is_multicast() && net.broadcast().is_multicast())
            }
        };
        let range = matches!(addresses, Addresses::Range(..));
        let names_groups = names_groups && asset.is_some();
        Claim { span: Span::of(addresses), says, zone, asset, range, names_groups }
    };
    let zones = policy.zones.iter().enumerate().flat_map(|(zone, row)| {
        row.networks.iter().map(move |net| claim(&Addresses::Prefix(*net), zone, None))
    });
    let assets = policy.assets.iter().enumerate().flat_map(|(id, asset)| {
        asset.addresses.iter().map(move |addresses| claim(addresses, asset.zone, Some(id)))
    });
    zones.chain(assets).collect()
}

/// Pieces of both policies, ascending.
pub(crate) fn pieces(policies: [&Policy; 2]) -> Vec<Span> {
    let groups = ["224.0.0.0/4", "255.255.255.255/32", "ff00::/8"];
    let mut spans: Vec<Span> = groups
        .iter()
        .filter_map(|net| net.parse().ok())
        .map(|net| Span::of(&Addresses::Prefix(net)))
        .collect();
    for policy in policies {
        spans.extend(claims(policy).iter().map(|claim| claim.span));
        let networks = policy.zones.iter().flat_map(|zone| &zone.networks);
        // Its last address may be a group by itself.
        spans.extend(networks.map(|net| Span::host(net.broadcast())));
        for service in &policy.services {
            if let ServerPort::ByAddress(table) = &service.port {
                spans.extend(table.keys().map(|host| Span::host(*host)));
            }
        }
    }
    let mut cuts: Vec<(bool, u128)> = Vec::with_capacity(2 * spans.len());
    for span in &spans {
        cuts.push((span.v6, span.first));
        cuts.extend(span.last.checked_add(1).map(|next| (span.v6, next)));
    }
    cuts.sort_unstable();
    cuts.dedup();
    let ends = |v6: bool| if v6 { u128::MAX } else { u128::from(u32::MAX) };
    let next = cuts.iter().skip(1).map(Some).chain([None]);
    let between = cuts.iter().zip(next).filter_map(|((v6, first), next)| {
        let last = match next {
            Some((same, next)) if same == v6 => next - 1,
            _ => ends(*v6),
        };
        (*first <= last).then_some(Span { v6: *v6, first: *first, last })
    });
    between.collect()
}

/// What a policy says of each piece.
pub(crate) fn said(policy: &Policy, pieces: &[Span]) -> Vec<Said> {
    let mut claims = claims(policy);
    // Stable: of equals the first in the file counts.
    let mut coming: Vec<(usize, Claim)> = claims.drain(..).enumerate().collect();
    coming.sort_by_key(|(order, claim)| (claim.span.v6, claim.span.first, *order));
    let mut coming = coming.into_iter().peekable();
    let mut open: Vec<(usize, Claim)> = Vec::new();
    pieces
        .iter()
        .map(|piece| {
            open.retain(|(_, claim)| claim.span.v6 == piece.v6 && claim.span.last >= piece.first);
            while let Some(next) =
                coming.next_if(|(_, claim)| (claim.span.v6, claim.span.first) <= (piece.v6, piece.first))
            {
                open.push(next);
            }
            open.sort_by_key(|(order, _)| *order);
            of_claims(policy, piece, &open)
        })
        .collect()
}

fn of_claims(policy: &Policy, piece: &Span, open: &[(usize, Claim)]) -> Said {
    let mut best: Option<(u16, ZoneId)> = None;
    for (_, claim) in open {
        if best.is_none_or(|(most, _)| claim.says > most) {
            best = Some((claim.says, claim.zone));
        }
    }
    let group = policy.is_group(address(piece.v6, piece.first));
    let Some((most, home)) = best else { return Said { group, ..Said::default() } };
    let takes_in = |claim: &Claim| claim.zone == home || (!claim.range && claim.says >= most);
    let mut assets: Vec<AssetId> =
        open.iter().filter(|(_, claim)| takes_in(claim)).filter_map(|(_, claim)| claim.asset).collect();
    assets.sort_unstable();
    assets.dedup();
    let mut holders: Vec<AssetId> = open.iter().filter_map(|(_, claim)| claim.asset).collect();
    holders.sort_unstable();
    let mac = holders.iter().find_map(|id| policy.assets.get(*id)?.mac);
    let named_group = group && open.iter().any(|(_, claim)| claim.names_groups);
    Said { home: Some(home), assets, mac, group, named_group }
}

/// The piece that holds an address.
pub(crate) fn piece_of(pieces: &[Span], address: IpAddr) -> Option<usize> {
    let key = (address.is_ipv6(), bits(address));
    let after = pieces.partition_point(|piece| (piece.v6, piece.first) <= key);
    let at = after.checked_sub(1)?;
    pieces.get(at).filter(|piece| piece.holds(address)).map(|_| at)
}

/// Pieces as people write them: neighbours joined.
pub(crate) fn joined(pieces: impl IntoIterator<Item = Span>) -> Vec<Span> {
    let mut joined: Vec<Span> = Vec::new();
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if last.v6 == piece.v6 && last.last.checked_add(1) == Some(piece.first) => {
                last.last = piece.last;
            }
            _ => joined.push(piece),
        }
    }
    joined
}
