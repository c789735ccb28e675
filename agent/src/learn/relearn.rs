//! Learning again: only what an approved policy does not let pass is new.

use std::collections::HashSet;
use std::net::IpAddr;

use banchi_common::wire::{Bytes, Content, Headers, parse};

use super::draft::{AssetFile, Known};
use super::key::Key;
use super::table::Traffic;
use super::verify::walk;
use crate::capture::Captures;
use crate::image::Image;
use crate::policy::model::{Addresses, Policy};

/// Tuples with a packet that a policy would not let pass; at most so many.
pub fn news(
    captures: &mut Captures,
    policy: &Policy,
    image: &Image,
    limit: usize,
    progress: impl FnMut(&Captures),
) -> HashSet<Key> {
    let mut found = HashSet::new();
    walk(captures, policy, image, progress, |frame, fate| {
        if fate.is_ok_and(|decision| !decision.reason.passes()) && found.len() < limit {
            let mut headers = Headers::default();
            if parse(&Bytes(&frame.bytes), &mut headers) == Content::Flow {
                found.insert(Key::of(&headers).0);
            }
        }
    });
    found
}

/// Zones and names that a policy has for the hosts that were seen.
pub fn known(policy: &Policy, traffic: &Traffic) -> AssetFile {
    let addresses = traffic.tuples.iter().flat_map(|tuple| [0, 1].map(|side| tuple.key.address(side)));
    let mut hosts = AssetFile::default();
    for address in addresses {
        if hosts.0.contains_key(&address) {
            continue;
        }
        let networks =
            policy.zones.iter().flat_map(|zone| zone.networks.iter().map(move |network| (zone, network)));
        let home = networks
            .filter(|(_, network)| network.contains(&address))
            .max_by_key(|(_, network)| network.prefix_len());
        if let Some((zone, _)) = home {
            let known = Known { name: name(policy, address), zone: Some(zone.name.clone()), mac: None };
            hosts.0.insert(address, known);
        }
    }
    hosts
}

/// The asset that is this one host.
fn name(policy: &Policy, address: IpAddr) -> Option<String> {
    let one = policy.assets.iter().find(|asset| asset.addresses == [Addresses::Host(address)]);
    one.map(|asset| asset.name.clone())
}
