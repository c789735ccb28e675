#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use super::*;
use crate::datapath::{Attached, Feature, Link};

/// A card as a gateway should have it, with these offloads on.
fn card(on: &[&str]) -> InterfaceFacts {
    let offloads = STRIPPING.iter().chain(&FILTERING).chain(&MERGING).map(|(feature, _)| *feature);
    let feature = |name: &str| Feature { is_on: on.contains(&name), is_fixed: false };
    let features: BTreeMap<_, _> = offloads.map(|name| (name.to_owned(), feature(name))).collect();
    let link = Link {
        index: 2,
        name: "eth1".to_owned(),
        mtu: 1500,
        is_up: true,
        has_carrier: true,
        kind: None,
        lower: None,
        is_promiscuous: false,
        hardware: None,
        xdp: None,
    };
    InterfaceFacts {
        link,
        driver: "igb".to_owned(),
        program: None,
        has_native_xdp: Some(true),
        features: Some(features),
        queues: None,
        peer: None,
        cpus: 2,
        page: 4096,
    }
}

fn veth(on: &[&str], peer: Option<bool>) -> InterfaceFacts {
    let peer = peer.map(|inserts| ("peer0".to_owned(), inserts));
    InterfaceFacts { driver: "veth".to_owned(), peer, ..card(on) }
}

fn wanted(vlans: Option<bool>) -> Wanted {
    Wanted { mode: XdpMode::Native, vlans, own: Some(7) }
}

fn said(facts: &InterfaceFacts, wanted: &Wanted, check: &str) -> Finding {
    examine(facts, wanted).into_iter().find(|finding| finding.check == check).unwrap()
}

fn level(facts: &InterfaceFacts, vlans: Option<bool>, check: &str) -> Level {
    said(facts, &wanted(vlans), check).level
}

#[test]
fn a_card_that_hides_nothing_is_ok() {
    for vlans in [None, Some(false), Some(true)] {
        assert!(examine(&card(&[]), &wanted(vlans)).iter().all(|finding| finding.level == Level::Ok));
    }
}

#[test]
fn stripped_tags_are_unsafe_where_zones_are_vlans() {
    for feature in ["rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"] {
        let card = card(&[feature]);
        assert_eq!(level(&card, Some(true), "vlan-tags"), Level::Unsafe);
        assert_eq!(level(&card, Some(false), "vlan-tags"), Level::Warning);
        assert_eq!(level(&card, None, "vlan-tags"), Level::Warning);
    }
    let remedy = |on: &[&str]| said(&card(on), &wanted(Some(true)), "vlan-tags").remedy.unwrap();
    assert_eq!(remedy(&["rx-vlan-hw-parse"]), "ethtool -K eth1 rxvlan off");
    let both = remedy(&["rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"]);
    assert_eq!(both, "ethtool -K eth1 rxvlan off rx-vlan-stag-hw-parse off");
}

#[test]
fn a_veth_is_judged_by_its_other_end() {
    // It says that it takes tags off, and does not.
    let stripping = ["rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"];
    let judged = |peer, vlans| level(&veth(&stripping, peer), vlans, "vlan-tags");
    assert_eq!(judged(Some(false), Some(true)), Level::Ok);
    assert_eq!(judged(Some(true), Some(true)), Level::Unsafe);
    assert_eq!(judged(Some(true), Some(false)), Level::Warning);
    assert_eq!(judged(None, Some(true)), Level::Warning);
    assert_eq!(judged(None, Some(false)), Level::Note);
    let remedy = said(&veth(&[], Some(true)), &wanted(Some(true)), "vlan-tags").remedy.unwrap();
    assert!(remedy.starts_with("ethtool -K peer0 txvlan off"), "{remedy}");
}

#[test]
fn a_filter_of_vlans_loses_and_does_not_hide() {
    assert_eq!(level(&card(&["rx-vlan-filter"]), Some(true), "vlan-filter"), Level::Warning);
    assert_eq!(level(&card(&["rx-vlan-filter"]), Some(false), "vlan-filter"), Level::Ok);
}

#[test]
fn merged_packets_are_unsafe_for_every_policy() {
    for feature in ["rx-lro", "rx-gro-hw"] {
        for vlans in [None, Some(false), Some(true)] {
            assert_eq!(level(&card(&[feature]), vlans, "merged-packets"), Level::Unsafe);
        }
        assert_eq!(level(&veth(&[feature], None), Some(false), "merged-packets"), Level::Unsafe);
    }
    let remedy = said(&card(&["rx-lro"]), &wanted(None), "merged-packets").remedy.unwrap();
    assert_eq!(remedy, "ethtool -K eth1 lro off");
}

#[test]
fn what_has_no_switch_is_said_to_have_none() {
    let mut card = card(&["rx-gro-hw"]);
    for feature in card.features.as_mut().unwrap().values_mut() {
        feature.is_fixed = true;
    }
    let finding = said(&card, &wanted(None), "merged-packets");
    assert_eq!(finding.level, Level::Unsafe);
    assert!(finding.remedy.unwrap().contains("no switch"));
}

#[test]
fn frames_have_to_fit_one_buffer_in_native_mode() {
    let sized = |mtu: u32, facts: InterfaceFacts| InterfaceFacts {
        link: Link { mtu, ..facts.link.clone() },
        ..facts
    };
    assert_eq!(level(&sized(3498, card(&[])), None, "frame-size"), Level::Ok);
    assert_eq!(level(&sized(3499, card(&[])), None, "frame-size"), Level::Unsafe);
    assert_eq!(level(&sized(9000, veth(&[], None)), None, "frame-size"), Level::Note);
    let generic = Wanted { mode: XdpMode::Generic, ..wanted(None) };
    assert_eq!(said(&sized(9000, card(&[])), &generic, "frame-size").level, Level::Note);
    // What it runs as counts, not what was asked for.
    let attached = |runs| {
        let facts = sized(9000, card(&[]));
        InterfaceFacts {
            link: Link { xdp: Some(Attached { program: 7, runs }), ..facts.link.clone() },
            ..facts
        }
    };
    assert_eq!(level(&attached(Runs::Generic), None, "frame-size"), Level::Note);
    assert_eq!(said(&attached(Runs::Native), &generic, "frame-size").level, Level::Unsafe);
}

#[test]
fn what_is_not_known_is_said() {
    let facts = InterfaceFacts { features: None, ..card(&[]) };
    assert_eq!(level(&facts, Some(true), "offloads"), Level::Warning);
}
