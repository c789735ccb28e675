//! `docs/outputs.md` and the shipped files against the code.
//!
//! `BLESS=1 cargo test -p banchi --test outputs_docs` writes the tables of keys and of reasons anew: read the difference.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use banchi::config;
use banchi::events::{Clock, Names, Report};
use banchi::outputs::alert;
use banchi::policy::render::Style;
use banchi_common::abi::Event;
use banchi_common::reason::REASONS;
use bytemuck::Zeroable as _;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn document() -> String {
    std::fs::read_to_string(root().join(OUTPUTS)).unwrap()
}

const OUTPUTS: &str = "docs/outputs.md";
const INTEGRATIONS: &str = "docs/integrations.md";

/// Compares, or writes, what stands between two marks.
fn section(document: &str, name: &str, table: &str) {
    let (start, end) = (
        format!("<!-- {name}: written by agent/tests/outputs_docs.rs -->\n"),
        format!("<!-- end of {name} -->\n"),
    );
    let path = root().join(document);
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(&start).unwrap();
    let (found, tail) = rest.split_once(&end).unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, format!("{head}{start}{table}{end}{tail}")).unwrap();
    } else {
        assert_eq!(found, table, "{document} is stale");
    }
}

#[test]
fn the_tables_are_those_of_the_code() {
    let schema = config::schema();
    let mut table = "| key | meaning |\n|---|---|\n".to_owned();
    let records = [
        ("", &schema["properties"]),
        ("metrics.", &schema["$defs"]["Metrics"]["properties"]),
        ("outputs.NAME.", &schema["$defs"]["Output"]["properties"]),
    ];
    for (prefix, properties) in records {
        let properties = properties.as_object().unwrap_or_else(|| panic!("{prefix}: {schema:#}"));
        assert!(!properties.is_empty());
        for (key, about) in properties {
            let meaning = about["description"].as_str().unwrap_or_else(|| panic!("{key} is not described"));
            table += &format!("| `{prefix}{key}` | {} |\n", meaning.replace('\n', " "));
        }
    }
    section(OUTPUTS, "keys", &table);

    let mut table = "| reason | `signature_id` | `severity` | `category` |\n|---|---:|---:|---|\n".to_owned();
    for about in REASONS.iter().filter(|about| about.reason.is_reported()) {
        let event = Event { reason: about.reason as u8, kind: 1, ..Event::zeroed() };
        let report = Report::of(&event, &Names::none(), &Clock::booted_at(0)).unwrap();
        let alert = &alert(&report)["alert"];
        let category = alert["category"].as_str().unwrap();
        table += &format!(
            "| `{}` | {} | {} | {category} |\n",
            about.name, alert["signature_id"], alert["severity"]
        );
    }
    section(OUTPUTS, "reasons", &table);
}

#[test]
fn techniques_are_those_that_alerts_have() {
    let mut table = "| reason | technique |\n|---|---|\n".to_owned();
    for about in REASONS.iter().filter(|about| about.reason.is_reported()) {
        let event = Event { reason: about.reason as u8, kind: 1, ..Event::zeroed() };
        let report = Report::of(&event, &Names::none(), &Clock::booted_at(0)).unwrap();
        let metadata = &alert(&report)["alert"]["metadata"];
        assert_eq!(metadata["banchi_reason"], serde_json::json!([about.name]));
        let word = |key: &str| metadata[key][0].as_str().map(|word| word.replace('_', " "));
        let technique = about.reason.technique();
        assert_eq!(word("mitre_technique_id"), technique.map(|known| known.id.to_owned()));
        let Some((id, name)) = word("mitre_technique_id").zip(word("mitre_technique_name")) else { continue };
        table += &format!("| `{}` | {id} {name} |\n", about.name);
    }
    section(INTEGRATIONS, "techniques", &table);
    let text = std::fs::read_to_string(root().join(INTEGRATIONS)).unwrap();
    assert!(text.contains(&format!("version\n{}", banchi_common::reason::ATTACK_VERSION)));
}

#[test]
fn every_example_is_taken() {
    let shipped = std::fs::read_to_string(root().join("packaging/agent.yaml")).unwrap();
    let integrations = std::fs::read_to_string(root().join(INTEGRATIONS)).unwrap();
    let text =
        format!("{}{integrations}```yaml\n{}```", document(), shipped.split_once("version: 1").unwrap().1);
    let mut taken = 0;
    for block in text.split("```yaml\n").skip(1) {
        let yaml = block.split("```").next().unwrap();
        let yaml = if yaml.starts_with("version:") { yaml.to_owned() } else { format!("version: 1\n{yaml}") };
        let loaded = config::load("example", &yaml);
        assert!(loaded.config.is_some(), "{}", loaded.render(&yaml, Style::Plain));
        taken += 1;
    }
    assert!(taken >= 12, "{taken} examples");
}

#[test]
fn the_schema_is_strict() {
    let schema = config::schema();
    assert_eq!(schema["additionalProperties"], Value::Bool(false));
    assert_eq!(schema["$defs"]["Output"]["additionalProperties"], Value::Bool(false));
    assert_eq!(schema["required"], serde_json::json!(["version"]));
}
