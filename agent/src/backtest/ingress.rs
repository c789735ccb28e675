//! Where a packet of a capture would come in at the gateway, and as which frame.
//!
//! The interface that the capture names decides, if the policy has it; then VLAN tags; then the zone of the source
//! address, as on a mirror port, where nothing else tells. A frame gets the tags that its zone has.

use std::collections::HashMap;
use std::net::IpAddr;

use banchi_common::wire::{Bytes, Content, Headers, arp_claim, ethertype, parse};

use crate::capture::Frame;
use crate::image::Image;
use crate::learn::ip;
use crate::policy::model::{Policy, Vlan, ZoneId};

/// Longest frame that the kernel takes for a run of a program: a page, less what it needs itself.
const LONGEST: usize = 3_200;
/// Stations whose zone is remembered.
const STATIONS: usize = 1 << 16;

/// What becomes of a packet before the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It comes in by this interface, counted from 0 in the order of [`Image::interfaces`].
    In(usize),
    /// Both hosts are in one zone: the gateway does not see it.
    Within,
    /// Nothing says where it comes from.
    Nowhere,
}

/// The sides of a gateway.
pub struct Ingress<'p> {
    policy: &'p Policy,
    image: &'p Image,
    homes: HashMap<IpAddr, Option<ZoneId>>,
    stations: HashMap<[u8; 6], ZoneId>,
    /// The frame as it comes in.
    pub frame: Vec<u8>,
}

impl<'p> Ingress<'p> {
    /// The sides that a policy names.
    pub fn new(policy: &'p Policy, image: &'p Image) -> Self {
        Self { policy, image, homes: HashMap::new(), stations: HashMap::new(), frame: Vec::new() }
    }

    /// Finds the way of a packet, and leaves its frame in [`Self::frame`]. `interfaces` are those of the captures.
    pub fn place(&mut self, captured: &Frame, interfaces: &[String]) -> Way {
        let bytes = Bytes(&captured.bytes);
        let mut headers = Headers::default();
        let content = parse(&bytes, &mut headers);
        let source = match content {
            Content::Arp => arp_claim(&bytes, headers.l3()).map(|(address, _)| ip(4, address)),
            _ if headers.family != 0 => Some(ip(headers.family, headers.source)),
            _ => None,
        };
        let destination = (headers.family != 0).then(|| ip(headers.family, headers.destination));
        let station: Option<[u8; 6]> = captured.bytes.get(6..12).and_then(|mac| mac.try_into().ok());
        let home = source.and_then(|address| self.home(address));
        let station_zone = station.and_then(|station| self.stations.get(&station).copied());
        if let (Some(station), Some(home)) = (station, home)
            && self.stations.len() < STATIONS
        {
            self.stations.entry(station).or_insert(home);
        }
        let to = destination.and_then(|address| self.home(address));
        let tags = tags(&headers);
        let named = captured.interface.and_then(|at| interfaces.get(at));
        // One name alone is that of a mirror port, where packets of all zones come by.
        let several = interfaces.iter().filter(|name| self.image.interfaces.contains(name)).count() > 1;
        let named = named.filter(|name| several && self.image.interfaces.contains(name));
        let candidates = self.candidates(named, tags);
        let here = home.or(station_zone);
        let zone = match here.filter(|zone| candidates.contains(zone)) {
            Some(zone) => Some((zone, false)),
            None if named.is_some() || tags != Vlan::Untagged => candidates
                .iter()
                .find(|zone| Some(**zone) != to)
                .or(candidates.first())
                .map(|zone| (*zone, false))
                .or_else(|| here.filter(|_| named.is_none()).map(|zone| (zone, true))),
            None => here.or_else(|| source.and_then(|_| self.other(to))).map(|zone| (zone, true)),
        };
        self.frame.clear();
        let Some((zone, retag)) = zone else {
            // An interface of the policy, but none of its VLANs.
            let place = named.and_then(|name| self.image.interfaces.iter().position(|known| known == name));
            self.frame.extend_from_slice(&captured.bytes);
            self.fit(&headers, 0);
            return place.map_or(Way::Nowhere, Way::In);
        };
        let is_group = destination.is_some_and(|address| self.policy.is_group(address));
        let at_home = home.is_none_or(|home| home == zone);
        if to == Some(zone) && at_home && !is_group && content != Content::Arp {
            return Way::Within;
        }
        let (place, grown) = self.enter(captured, &headers, zone, named, retag);
        self.fit(&headers, grown);
        place.map_or(Way::Nowhere, Way::In)
    }

    /// Zones that an interface and tags may stand for.
    fn candidates(&self, named: Option<&String>, tags: Vlan) -> Vec<ZoneId> {
        let zones = self.policy.zones.iter().enumerate().filter(|(_, zone)| !zone.is_gateway);
        let fits = zones.filter(|(_, zone)| {
            let has_tags =
                if zone.vlans.is_empty() { tags == Vlan::Untagged } else { zone.vlans.contains(&tags) };
            has_tags && named.is_none_or(|name| zone.interfaces.contains(name))
        });
        fits.map(|(place, _)| place).collect()
    }

    /// Some zone that is not this one.
    fn other(&self, zone: Option<ZoneId>) -> Option<ZoneId> {
        let others = self.policy.zones.iter().enumerate();
        others.filter(|(place, row)| !row.is_gateway && Some(*place) != zone).map(|(place, _)| place).next()
    }

    fn home(&mut self, address: IpAddr) -> Option<ZoneId> {
        if let Some(home) = self.homes.get(&address) {
            return *home;
        }
        let zones = self.policy.zones.iter().enumerate();
        let networks = zones.flat_map(|(at, zone)| zone.networks.iter().map(move |network| (at, network)));
        let home = networks
            .filter(|(_, network)| network.contains(&address))
            .max_by_key(|(_, network)| network.prefix_len())
            .map(|(at, _)| at);
        if self.homes.len() < STATIONS {
            self.homes.insert(address, home);
        }
        home
    }

    /// Writes the frame as it comes in, and gives the place of its interface and how many bytes it grew by.
    fn enter(
        &mut self,
        captured: &Frame,
        headers: &Headers,
        zone: ZoneId,
        named: Option<&String>,
        retag: bool,
    ) -> (Option<usize>, isize) {
        let bytes = &captured.bytes;
        let row = self.policy.zones.get(zone);
        let interface = named.or_else(|| row.and_then(|zone| zone.interfaces.first()));
        let place = interface.and_then(|name| self.image.interfaces.iter().position(|known| known == name));
        let kind = headers.l3().saturating_sub(2);
        let (Some(stations), Some(rest), true) = (bytes.get(..12), bytes.get(kind..), retag && kind >= 12)
        else {
            self.frame.extend_from_slice(bytes);
            return (place, 0);
        };
        self.frame.extend_from_slice(stations);
        let mut tag = |vlan: u16| {
            self.frame.extend(ethertype::VLAN.to_be_bytes());
            self.frame.extend(vlan.to_be_bytes());
        };
        match row.and_then(|zone| zone.vlans.first()) {
            Some(Vlan::Tagged(vlan)) => tag(*vlan),
            Some(Vlan::Double(outer, inner)) => {
                tag(*outer);
                tag(*inner);
            }
            Some(Vlan::Untagged) | None => {}
        }
        self.frame.extend_from_slice(rest);
        (place, self.frame.len() as isize - bytes.len() as isize)
    }

    /// Cuts a frame that is longer than the kernel takes, and its lengths with it; pads what is shorter than Ethernet
    /// allows a program to see.
    fn fit(&mut self, headers: &Headers, grown: isize) {
        if self.frame.len() < 14 {
            self.frame.resize(14, 0);
        }
        if self.frame.len() <= LONGEST {
            return;
        }
        self.frame.truncate(LONGEST);
        let l3 = headers.l3().saturating_add_signed(grown);
        let l4 = headers.l4().saturating_add_signed(grown);
        let (at, over) = match headers.family {
            4 => (l3 + 2, l3),
            6 => (l3 + 4, l3 + 40),
            _ => return,
        };
        let mut put = |at: usize, length: usize| {
            if let Some(field) = self.frame.get_mut(at..at + 2) {
                field.copy_from_slice(&(length as u16).to_be_bytes());
            }
        };
        put(at, LONGEST.saturating_sub(over));
        if headers.protocol == 17 && headers.fragment == 0 {
            put(l4 + 4, LONGEST.saturating_sub(l4));
        }
    }
}

fn tags(headers: &Headers) -> Vlan {
    match (headers.outer_vid, headers.inner_vid) {
        (0, _) => Vlan::Untagged,
        (outer, 0) => Vlan::Tagged(outer),
        (outer, inner) => Vlan::Double(outer, inner),
    }
}
