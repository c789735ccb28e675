//! What is below IP, and who is next door.

use std::net::IpAddr;

use banchi::policy::model::Policy;
use banchi_common::reason::Reason;

use super::Finding;
use super::address::{binding, home, is_known};
use super::packet::{Body, TestPacket};

/// What some conduit of the zone lists crosses.
pub(super) fn below_ip(policy: &Policy, zone: usize, kind: u16) -> Finding {
    let conduit = policy.conduits.iter().position(|conduit| {
        let (a, b) = conduit.zones;
        (a == zone || b == zone && !conduit.ordered)
            && conduit.ethertypes.iter().any(|listed| listed.0 == kind)
    });
    match conduit {
        Some(_) => Finding { conduit, ..Finding::only(Reason::ListedEthertype) },
        None => Finding::only(Reason::UnlistedEthertype),
    }
}

/// A claim to own an address.
pub(super) fn neighbour(
    policy: &Policy,
    packet: &TestPacket,
    zone: usize,
    claimed: IpAddr,
    claimed_mac: [u8; 6],
) -> Finding {
    let elsewhere = home(policy, claimed).is_some_and(|home| home != zone);
    let bound = binding(policy, claimed);
    let forged = bound.is_some_and(|mac| mac != claimed_mac || mac != packet.source_mac);
    // Who asks whether an address is free claims nothing yet; a link-local address is of each zone its own.
    let link_local = matches!(claimed, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let claims = !claimed.is_unspecified() && (!link_local || is_known(policy, claimed));
    Finding::only(if claims && (elsewhere || forged) { Reason::ArpSpoof } else { Reason::Survival })
}

/// What a network does not stay up without: certain EtherTypes, the spanning tree, and Cisco's protocols over SNAP.
pub(super) fn survives(body: &Body) -> bool {
    const SURVIVAL: [u16; 10] =
        [0x80e1, 0x8808, 0x8809, 0x888e, 0x88cc, 0x88e3, 0x88f7, 0x88fb, 0x892f, 0x9000];
    match body {
        Body::Ethertype(kind) => SURVIVAL.contains(kind),
        Body::Llc { destination: 0x42, source: 0x42, .. } => true,
        Body::Llc { destination: 0xaa, source: 0xaa, cisco, .. } => *cisco,
        _ => false,
    }
}
