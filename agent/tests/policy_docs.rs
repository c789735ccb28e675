//! `docs/policy.md` and `examples/` against the code.
//!
//! `BLESS=1 cargo test -p banchi --test policy_docs -- --test-threads 1` writes its tables anew: read the difference.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use banchi::policy::render::Style;
use banchi::policy::{Severity, codes, describe, load, schema};
use banchi_common::direction::{Classes, PROTOCOLS};
use banchi_common::wire::OT_ETHERTYPES;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn reference() -> String {
    std::fs::read_to_string(root().join("docs/policy.md")).unwrap()
}

/// The policy that fragments of the reference add to, by top-level key.
const BASE: &[(&str, &str)] = &[
    ("version", "version: 1\n"),
    (
        "zones",
        "zones:\n  \
           control: { interfaces: [eth1], networks: [10.10.0.0/16] }\n  \
           line-a: { interfaces: [eth2], vlans: [20], networks: [10.20.0.0/24] }\n",
    ),
    (
        "assets",
        "assets:\n  \
           scada: { zone: control, address: 10.10.1.5 }\n  \
           plcs: { zone: line-a, addresses: [10.20.0.11-10.20.0.18] }\n",
    ),
    (
        "services",
        "services:\n  \
           modbus: { transport: tcp, port: 502 }\n  \
           ping: { transport: icmp }\n",
    ),
    ("conduits", "conduits:\n"),
];

const BASE_CONDUIT: &str = "  - between: [control, line-a]\n    allow:\n      - { client: scada, server: plcs, service: [modbus, ping] }\n";

/// Puts the sections of a fragment behind those of the base.
fn wrap(fragment: &str) -> String {
    let mut sections: BTreeMap<String, String> = BTreeMap::new();
    let mut key = String::new();
    for line in fragment.lines() {
        if !line.starts_with(' ') {
            key = line.split(':').next().unwrap().to_owned();
            let inline = line.split_once(':').unwrap().1.trim();
            if !inline.is_empty() {
                sections.insert(key.clone(), format!("{line}\n"));
            }
        } else {
            let section = sections.entry(key.clone()).or_default();
            section.push_str(line);
            section.push('\n');
        }
    }
    let mut text = String::new();
    for (key, base) in BASE {
        text.push_str(base);
        let added = sections.remove(*key);
        let has_own_pair = added.as_ref().is_some_and(|added| added.contains("line-a"));
        if *key == "conduits" && !has_own_pair {
            text.push_str(BASE_CONDUIT);
        }
        text.push_str(&added.unwrap_or_default());
    }
    for (key, added) in sections {
        let inline = !added.starts_with(' ');
        text.push_str(&if inline { added } else { format!("{key}:\n{added}") });
    }
    text
}

fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => open = Some((info.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, body)), None) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

#[test]
fn every_yaml_block_of_the_reference_loads() {
    let blocks: Vec<_> =
        blocks(&reference()).into_iter().filter(|(info, _)| info.starts_with("yaml")).collect();
    assert!(blocks.len() >= 10, "only {} blocks", blocks.len());
    for (info, body) in blocks {
        let text = match info.as_str() {
            "yaml" => body,
            "yaml fragment" => wrap(&body),
            _ => panic!("what is a block of `{info}`?"),
        };
        let loaded = load("policy.md", &text);
        assert!(loaded.policy.is_some(), "{text}\n{}", loaded.render(&text, Style::Plain));
    }
}

#[test]
fn examples_load_without_a_warning_but_for_what_comes_later() {
    let folder = root().join("examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        count += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let loaded = load(&path.display().to_string(), &text);
        let said = loaded.render(&text, Style::Plain);
        assert!(loaded.policy.is_some(), "{said}");
        assert!(loaded.diagnostics.iter().all(|found| found.code == "not-yet-enforced"), "{said}");
    }
    assert!(count >= 5, "only {count} examples");
}

/// Keys of each record of the schema, and which of them are required.
fn records() -> BTreeMap<String, BTreeMap<String, bool>> {
    let schema = schema::schema();
    let mut records = BTreeMap::new();
    let definitions = schema["$defs"].as_object().unwrap().iter();
    let all = definitions.map(|(name, record)| (name.as_str(), record)).chain([("Policy", &schema)]);
    for (name, record) in all {
        let Some(properties) = record.get("properties").and_then(Value::as_object) else { continue };
        assert_eq!(record["additionalProperties"], Value::Bool(false), "{name} is not strict");
        let required: BTreeSet<&str> =
            record["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let keys = properties.keys().map(|key| (key.clone(), required.contains(key.as_str()))).collect();
        records.insert(name.to_owned(), keys);
    }
    records
}

#[test]
fn key_tables_are_those_of_the_schema() {
    let text = reference();
    let mut documented = BTreeSet::new();
    let records = records();
    for part in text.split("<!-- keys: ").skip(1) {
        let (name, rest) = part.split_once(" -->").unwrap();
        let rows: BTreeMap<&str, &str> = rest
            .lines()
            .skip(3)
            .take_while(|line| line.starts_with('|'))
            .map(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                assert_eq!(cells.len(), 6, "{line}");
                (cells[1].trim_matches('`'), cells[3])
            })
            .collect();
        let keys = records.get(name).unwrap_or_else(|| panic!("the schema has no {name}"));
        assert_eq!(rows.keys().copied().collect::<Vec<_>>(), keys.keys().collect::<Vec<_>>(), "{name}");
        for (key, default) in rows {
            if keys[key] {
                assert!(default.starts_with("required"), "{name}.{key} is required, not `{default}`");
            }
        }
        documented.insert(name.to_owned());
    }
    assert_eq!(documented, records.into_keys().collect());
}

#[test]
fn the_list_of_codes_is_that_of_the_code() {
    let mut table = String::from("<!-- codes -->\n| code | severity | meaning |\n|---|---|---|\n");
    for code in codes::ALL {
        let severity = match code.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        table.push_str(&format!("| `{}` | {severity} | {} |\n", code.name, code.meaning));
    }
    let text = reference();
    let (before, found) = text.split_at(text.find("<!-- codes -->").unwrap());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(root().join("docs/policy.md"), format!("{before}{table}")).unwrap();
    } else {
        assert_eq!(found, table, "BLESS=1 writes the table anew");
    }
}

/// Compares a table between two markers, or writes it.
fn compare_table(marker: &str, table: &str) {
    let (start, end) = (format!("<!-- {marker} -->\n"), format!("<!-- end of {marker} -->\n"));
    let text = reference();
    let (head, rest) = text.split_once(&start).unwrap();
    let (found, tail) = rest.split_once(&end).unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(root().join("docs/policy.md"), format!("{head}{start}{table}{end}{tail}")).unwrap();
    } else {
        assert_eq!(found, table, "BLESS=1 writes the table anew");
    }
}

#[test]
fn the_table_of_protocols_below_ip_is_that_of_the_code() {
    let mut table = String::from("| name | EtherType | protocol |\n|---|---|---|\n");
    for known in OT_ETHERTYPES {
        let number = if known.value < 0x100 {
            format!("LLC {:#04x}", known.value)
        } else {
            format!("{:#06x}", known.value)
        };
        table.push_str(&format!("| `{}` | {number} | {} |\n", known.word, known.name));
    }
    compare_table("ethertypes", &table);
}

#[test]
fn the_table_of_directions_is_that_of_the_code() {
    let mut protocols: Vec<_> = PROTOCOLS.iter().collect();
    protocols.sort_by_key(|about| about.name);
    let mut table = String::from(
        "| name | protocol | over | clients may send | servers may send |\n|---|---|---|---|---|\n",
    );
    for about in protocols {
        let over: Vec<&str> = about.transports.iter().map(|transport| transport.name()).collect();
        table.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            about.name,
            about.title,
            over.join(", "),
            describe::may_send(about.client.with(Classes::REQUEST)),
            describe::may_send(about.server.with(Classes::RESPONSE)),
        ));
    }
    compare_table("directions", &table);
}

#[test]
fn every_reference_in_the_schema_has_its_definition() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let schema = schema::schema();
    let mut found = BTreeSet::new();
    references(&schema, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(schema.pointer(pointer).is_some(), "{reference}");
    }
    assert!(!schema.to_string().contains("\"null\""), "no key can be null");
}
