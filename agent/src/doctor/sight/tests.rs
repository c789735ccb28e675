#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use super::*;
use crate::datapath::{Attached, Feature, Link};
use crate::policy::model::Forwarding;

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
        takes_redirects: Some(true),
        features: Some(features),
        queues: None,
        peer: None,
        peer_leaves_checksums: None,
        cpus: 2,
        page: 4096,
    }
}

fn veth(on: &[&str], peer: Option<bool>) -> InterfaceFacts {
    let peer = peer.map(|inserts| ("peer0".to_owned(), inserts));
    InterfaceFacts { driver: "veth".to_owned(), peer, ..card(on) }
}

fn wanted(vlans: Option<bool>) -> Wanted {
    Wanted { mode: XdpMode::Native, vlans, own: Some(7), forwarding: Forwarding::Stack, is_end: false }
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

/// Of an end of a wire.
fn wire() -> Wanted {
    Wanted { forwarding: Forwarding::Wire, is_end: true, ..wanted(Some(false)) }
}

fn route() -> Wanted {
    Wanted { forwarding: Forwarding::Route, ..wanted(Some(false)) }
}

#[test]
fn what_is_sent_on_keeps_its_tag_and_its_checksum() {
    let tag = |wanted: &Wanted| said(&card(&["rx-vlan-hw-parse"]), wanted, "vlan-tags").level;
    assert_eq!(
        (tag(&wanted(Some(false))), tag(&wire()), tag(&route())),
        (Level::Warning, Level::Unsafe, Level::Unsafe)
    );
    let sum = |leaves, wanted: &Wanted| {
        let facts = InterfaceFacts { peer_leaves_checksums: Some(leaves), ..veth(&[], Some(false)) };
        said(&facts, wanted, "checksums")
    };
    assert_eq!(sum(true, &wanted(None)).level, Level::Ok);
    for wanted in [wire(), route()] {
        assert_eq!(sum(false, &wanted).level, Level::Ok);
        assert_eq!(sum(true, &wanted).level, Level::Unsafe);
        assert_eq!(sum(true, &wanted).remedy.unwrap(), "ethtool -K peer0 tx off");
        assert_eq!(said(&veth(&[], None), &wanted, "checksums").level, Level::Note);
    }
}

#[test]
fn what_is_redirected_has_to_leave() {
    let redirects = |takes_redirects, facts: InterfaceFacts, wanted: &Wanted| {
        said(&InterfaceFacts { takes_redirects, ..facts }, wanted, "redirects")
    };
    for wanted in [wire(), route()] {
        assert_eq!(redirects(Some(true), card(&[]), &wanted).level, Level::Ok);
        assert_eq!(redirects(None, card(&[]), &wanted).level, Level::Note);
        assert_eq!(redirects(Some(false), card(&[]), &wanted).level, Level::Unsafe);
        let veth = redirects(Some(false), veth(&[], Some(false)), &wanted);
        assert_eq!((veth.level, veth.remedy.unwrap().as_str()), (Level::Unsafe, "ethtool -K peer0 gro on"));
        let generic = Wanted { mode: XdpMode::Generic, ..wanted };
        assert_eq!(redirects(Some(false), card(&[]), &generic).level, Level::Ok);
    }
    // An interface beside the wires, and every one where the stack forwards.
    for wanted in [Wanted { is_end: false, ..wire() }, wanted(None)] {
        let facts = InterfaceFacts { takes_redirects: Some(false), ..card(&[]) };
        assert!(examine(&facts, &wanted).iter().all(|finding| finding.check != "redirects"));
    }
}

#[test]
fn an_end_of_a_wire_is_promiscuous_once_banchi_runs() {
    let promiscuous = |is_promiscuous, xdp| {
        let facts = card(&[]);
        let link = Link { is_promiscuous, xdp, ..facts.link.clone() };
        said(&InterfaceFacts { link, ..facts }, &wire(), "promiscuous")
    };
    let own = Some(Attached { program: 7, runs: Runs::Native });
    assert_eq!(promiscuous(true, own).level, Level::Ok);
    assert_eq!(promiscuous(false, None).level, Level::Ok);
    let lost = promiscuous(false, own);
    assert_eq!(
        (lost.level, lost.remedy.unwrap().as_str()),
        (Level::Warning, "ip link set dev eth1 promisc on")
    );
    assert!(examine(&card(&[]), &route()).iter().all(|finding| finding.check != "promiscuous"));
}
