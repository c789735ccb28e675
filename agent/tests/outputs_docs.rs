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
    std::fs::read_to_string(root().join("docs/outputs.md")).unwrap()
}

/// Compares, or writes, what stands between two marks.
fn section(name: &str, table: &str) {
    let (start, end) = (
        format!("<!-- {name}: written by agent/tests/outputs_docs.rs -->\n"),
        format!("<!-- end of {name} -->\n"),
    );
    let text = document();
    let (head, rest) = text.split_once(&start).unwrap();
    let (found, tail) = rest.split_once(&end).unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(root().join("docs/outputs.md"), format!("{head}{start}{table}{end}{tail}")).unwrap();
    } else {
        assert_eq!(found, table, "docs/outputs.md is stale");
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
    section("keys", &table);

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
    section("reasons", &table);
}

#[test]
fn every_example_is_taken() {
    let shipped = std::fs::read_to_string(root().join("packaging/agent.yaml")).unwrap();
    let text = format!("{}```yaml\n{}```", document(), shipped.split_once("version: 1").unwrap().1);
    let mut taken = 0;
    for block in text.split("```yaml\n").skip(1) {
        let yaml = block.split("```").next().unwrap();
        let yaml = if yaml.starts_with("version:") { yaml.to_owned() } else { format!("version: 1\n{yaml}") };
        let loaded = config::load("example", &yaml);
        assert!(loaded.config.is_some(), "{}", loaded.render(&yaml, Style::Plain));
        taken += 1;
    }
    assert!(taken >= 6, "{taken} examples");
}

#[test]
fn the_schema_is_strict() {
    let schema = config::schema();
    assert_eq!(schema["additionalProperties"], Value::Bool(false));
    assert_eq!(schema["$defs"]["Output"]["additionalProperties"], Value::Bool(false));
    assert_eq!(schema["required"], serde_json::json!(["version"]));
}
