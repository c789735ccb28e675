//! MUD files, both ways: drafts that load, entries that come back as they were, and what is lost.
//!
//! `BLESS=1 cargo test -p banchi --test mud` writes the drafts anew: read the difference.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use banchi::learn::draft::AssetFile;
use banchi::mud::{Description, Draft, Mapping, MudError, export, import, read};
use banchi::policy::model::{Policy, Reply, ServerPort, SourcePort};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mud")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

fn drafted(name: &str, map: &[(&str, &str)], hosts: &str) -> Draft {
    let known = if hosts.is_empty() { AssetFile::default() } else { AssetFile::read(hosts).unwrap() };
    let hosts = map.iter().map(|(name, hosts)| ((*name).to_owned(), (*hosts).to_owned())).collect();
    import(&[read(&text(name)).unwrap()], &Mapping { hosts, known }).unwrap()
}

fn loaded(draft: &Draft) -> Policy {
    let loaded = banchi::policy::load("draft", &draft.text);
    loaded.policy.unwrap_or_else(|| panic!("{:#?}\n{}", loaded.diagnostics, draft.text))
}

const DRIVE: [(&str, &str); 4] = [
    ("device", "drive-1,drive-2"),
    ("my-controller", "10.10.1.5"),
    ("time.drives.example", "10.10.1.7"),
    ("urn:example:log-server", "10.10.1.8"),
];
const HOSTS: &str = "name,address,zone\ndrive-1,10.20.0.11,line\ndrive-2,10.20.0.12,line\nscada,10.10.1.5,control\n\
                     plc,10.10.1.9,control\nclock,10.10.1.7,control\nlog,10.10.1.8,control\n";

fn golden(name: &str, draft: &Draft) {
    let path = folder().join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &draft.text).unwrap();
    }
    assert_eq!(draft.text, std::fs::read_to_string(&path).unwrap_or_default(), "{name} is stale");
}

#[test]
fn a_draft_has_the_rules_of_a_file() {
    let draft = drafted("drive.json", &DRIVE, HOSTS);
    let policy = loaded(&draft);
    golden("drive.yaml", &draft);
    assert_eq!(draft.rules, 5, "{}", draft.text);
    let rule = |service: &str| {
        let found = policy.rules.iter().find(|rule| policy.services[rule.service].name == service);
        let rule = found.unwrap_or_else(|| panic!("no {service}\n{}", draft.text));
        let name = |ids: &[usize]| policy.assets[ids[0]].name.clone();
        (name(&rule.clients), name(&rule.servers), &policy.services[rule.service])
    };
    let drive = "VFD-7-drive";
    assert_eq!((rule("tcp-502").0.as_str(), rule("tcp-502").1.as_str()), ("scada", drive), "who opens asks");
    let (client, server, fins) = rule("udp-9600-from-9600");
    assert_eq!((client.as_str(), server.as_str()), ("plc", drive), "where nothing tells, the device answers");
    let SourcePort::Set(pinned) = &fins.source_port else { panic!("{fins:?}") };
    assert_eq!((pinned[0].first, pinned[0].last), (9600, 9600), "the source port stays pinned");
    let (client, server, time) = rule("udp-123");
    assert_eq!((client.as_str(), server.as_str()), (drive, "clock"));
    assert!(matches!(time.reply, Reply::Window(_)), "both directions are there");
    let (client, _, log) = rule("udp-514-515-one-way");
    assert_eq!((client.as_str(), log.reply), (drive, Reply::None), "nobody answers");
    assert!(matches!(&log.port, ServerPort::Set(ranges) if ranges[0].last == 515));
    assert_eq!(rule("mud-echo").1, drive);
    let guessed: Vec<&str> =
        draft.lost.iter().filter(|lost| lost.code == "who-asks").map(|lost| lost.about.as_str()).collect();
    assert_eq!(guessed, ["vfd-to/fins-in, vfd-from/fins-out"]);
    // Every rule names its entries.
    for ace in ["vfd-to/modbus-in, ", "vfd-from/time-question", "vfd-from/log", "vfd-to/echo"] {
        assert!(draft.text.contains(ace), "{ace}\n{}", draft.text);
    }
}

#[test]
fn what_only_the_plant_knows_is_asked_for() {
    let file = read(&text("drive.json")).unwrap();
    let error = import(std::slice::from_ref(&file), &Mapping::default()).unwrap_err();
    assert!(error.contains("--map 'https://mud.drives.example/vfd-7=ADDRESS'"), "{error}");
    let draft = drafted("drive.json", &[("device", "10.20.0.11")], "");
    loaded(&draft);
    assert_eq!(draft.rules, 1, "the one with an address");
    for name in ["my-controller", "time.drives.example", "urn:example:log-server"] {
        let said = format!("--map '{name}=ADDRESS'");
        assert!(draft.lost.iter().any(|lost| lost.code == "unmapped" && lost.text.contains(&said)), "{name}");
        assert!(draft.text.contains(&said), "{name}");
    }
    let hosts = [("device".to_owned(), "nobody".to_owned())].into();
    let error = import(&[file], &Mapping { hosts, ..Mapping::default() }).unwrap_err();
    assert!(error.contains("`nobody`"), "{error}");
}

#[test]
fn what_cannot_be_said_is_left_out_and_named() {
    let draft =
        drafted("awkward.json", &[("device", "10.20.0.9"), ("same-manufacturer", "10.20.0.0/24")], "");
    loaded(&draft);
    golden("awkward.yaml", &draft);
    let lost: BTreeSet<(&str, &str)> =
        draft.lost.iter().map(|lost| (lost.code, lost.about.as_str())).collect();
    let expected = BTreeSet::from([
        ("missing-list", "nowhere"),
        ("not-accept", "from/dropped"),
        ("no-match", "from/bare"),
        ("no-transport", "from/everything"),
        ("ports", "from/unequal"),
        ("unknown-match", "from/dscp"),
        ("own-address", "from/own"),
        ("icmp", "from/timestamp"),
        ("within-zone", "from/friends"),
        ("half", "from/web"),
        ("any-port", "from/open"),
    ]);
    assert_eq!(lost, expected, "{}", draft.text);
}

#[test]
fn what_is_no_mud_file_is_refused() {
    assert!(matches!(read("{"), Err(MudError::Json(_))));
    assert_eq!(read("{}").unwrap_err(), MudError::Missing("ietf-mud:mud"));
    let other = json!({ "ietf-mud:mud": { "mud-version": 2 } }).to_string();
    assert_eq!(read(&other).unwrap_err(), MudError::Version("2".to_owned()));
}

/// Entries as a set, without their names.
fn entries(file: &Value) -> BTreeSet<String> {
    let lists = file["ietf-access-control-list:acls"]["acl"].as_array().unwrap();
    let mut found = BTreeSet::new();
    for (policy, way) in [("from-device-policy", "from"), ("to-device-policy", "to")] {
        for name in file["ietf-mud:mud"][policy]["access-lists"]["access-list"].as_array().unwrap() {
            let list = lists.iter().find(|list| list["name"] == name["name"]).unwrap();
            let aces = list["aces"]["ace"].as_array().unwrap();
            found.extend(aces.iter().map(|ace| format!("{way} {} {}", list["type"], ace["matches"])));
        }
    }
    found
}

#[test]
fn a_file_comes_back_as_it_was() {
    // The plant's names stand for its hosts in both directions; a DNS name comes back as a class of controllers.
    let original = text("drive.json")
        .replace(
            r#""ietf-acldns:src-dnsname": "time.drives.example""#,
            r#""source-ipv4-network": "10.10.1.7/32""#,
        )
        .replace(
            r#""ietf-acldns:dst-dnsname": "time.drives.example""#,
            r#""destination-ipv4-network": "10.10.1.7/32""#,
        )
        .replace(r#""my-controller": [null]"#, r#""controller": "urn:example:scada""#);
    let mut map = DRIVE.to_vec();
    map.push(("urn:example:scada", "10.10.1.5"));
    let hosts = map.iter().map(|(name, hosts)| ((*name).to_owned(), (*hosts).to_owned())).collect();
    let mapping = Mapping { hosts, known: AssetFile::read(HOSTS).unwrap() };
    let draft = import(&[read(&original).unwrap()], &mapping).unwrap();
    let policy = loaded(&draft);
    let controllers = [("scada", "urn:example:scada"), ("log", "urn:example:log-server")];
    let description = Description {
        url: "https://mud.drives.example/vfd-7".to_owned(),
        last_update: "2026-02-03T04:05:06Z".to_owned(),
        controllers: controllers.map(|(asset, uri)| (asset.to_owned(), uri.to_owned())).into(),
    };
    let (file, lost) = export(&policy, "VFD-7-drive", &description).unwrap();
    let original: Value = serde_json::from_str(&original).unwrap();
    assert_eq!(entries(&file), entries(&original));
    // And once more: what was written is read as what it was written from.
    let again = import(&[read(&file.to_string()).unwrap()], &mapping).unwrap();
    let rules = |policy: &Policy| -> BTreeSet<String> {
        let name = |ids: &[usize]| policy.assets[ids[0]].addresses.clone();
        let rules = policy.rules.iter();
        rules
            .map(|rule| {
                format!(
                    "{:?} {:?} {}",
                    name(&rule.clients),
                    name(&rule.servers),
                    policy.services[rule.service].name
                )
            })
            .collect()
    };
    assert_eq!(rules(&loaded(&again)), rules(&policy));
    let codes: BTreeSet<&str> = lost.iter().map(|lost| lost.code).collect();
    assert_eq!(codes, BTreeSet::from(["modes", "window"]), "{lost:?}");
}

#[test]
fn ports_that_hang_on_addresses_are_written_out() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/address-linked.yaml");
    let policy = banchi::policy::load("example", &std::fs::read_to_string(example).unwrap()).policy.unwrap();
    let description = Description {
        url: "https://x.example/scada".to_owned(),
        last_update: String::new(),
        controllers: Default::default(),
    };
    let (file, _) = export(&policy, "scada", &description).unwrap();
    let entries = entries(&file);
    // Eight of the ring and three stations, asked and answered.
    assert_eq!(entries.len(), 22, "{entries:#?}");
    let has = |parts: &[&str]| entries.iter().any(|entry| parts.iter().all(|part| entry.contains(part)));
    assert!(has(&["from", "10.20.0.13/32", "6013", "6000"]) && !has(&["10.20.0.13/32", "6014"]));
    assert!(export(&policy, "nobody", &description).is_none());
}
