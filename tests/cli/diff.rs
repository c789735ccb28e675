//! `banchi diff` and policies without a rule.

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::Output;
use rustix::process::Signal;
use serde_json::Value;

use super::{banchi, plant, text_fits};

const POLICY: &str = "version: 1
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24] }
assets:
  hmi:  { zone: control, address: 10.10.1.5 }
  plcs: { zone: line-a, addresses: [10.20.0.11-10.20.0.12] }
  plc-3: { zone: line-a, address: 10.20.0.13 }
  drive: { zone: line-a, address: 10.20.0.20 }
services:
  custom: { transport: tcp, port: [7000, 7001] }
conduits:
  - between: [control, line-a]
    mode: alert
    allow:
      - { name: hmi-reads-plc, client: hmi, server: plcs, service: modbus }
      - { name: special, client: hmi, server: [plcs, plc-3], service: custom }
      - { name: to-the-drive, client: hmi, server: drive, service: custom, mode: enforce }
";

fn between(new: &str) -> Result<(Output, Value)> {
    let folder = tempfile::tempdir()?;
    let (old, file) = (folder.path().join("old.yaml"), folder.path().join("new.yaml"));
    std::fs::write(&old, POLICY)?;
    std::fs::write(&file, new)?;
    let arguments = ["diff", old.to_str().unwrap(), file.to_str().unwrap()];
    let text = banchi(&arguments)?;
    let json = banchi(&[arguments.as_slice(), &["--json"]].concat())?;
    ensure!(text.status.code() == json.status.code(), "{text} {json}");
    text_fits(&text.stdout, 130)?;
    let json = if text.status.code() == Some(2) { Value::Null } else { serde_json::from_str(&json.stdout)? };
    Ok((text, json))
}

/// The lines about rules, as kind and name.
fn rules(json: &Value) -> Vec<(String, String)> {
    let word = |change: &Value, field: &str| change[field].as_str().unwrap_or_default().to_owned();
    let changes = json["changes"].as_array().into_iter().flatten();
    changes
        .filter(|change| change["what"] == "rule")
        .map(|change| (word(change, "kind"), word(change, "name")))
        .collect()
}

#[test]
fn a_change_is_told_by_what_it_allows() -> Result<()> {
    let (output, json) = between(POLICY)?;
    ensure!(output.status.code() == Some(0) && output.stdout.contains("no packet is judged differently"));
    ensure!(json["differs"] == false && json["changes"] == serde_json::json!([]), "{json:#}");

    // Another name, and the same addresses in other words.
    let renamed =
        POLICY.replace("plcs", "controllers").replace("[10.20.0.11-10.20.0.12]", "[10.20.0.11, 10.20.0.12]");
    let (output, json) = between(&renamed)?;
    ensure!(output.status.code() == Some(0) && json["differs"] == false, "{output}");
    ensure!(output.stdout.contains("asset `controllers`: was called `plcs`"), "{output}");

    let wider = POLICY.replace("server: plcs, service: modbus", "server: [plcs, plc-3], service: modbus");
    let (output, json) = between(&wider)?;
    ensure!(output.status.code() == Some(1), "{output}");
    ensure!(
        output.stdout.contains("rule `hmi-reads-plc`: WIDENED: server plc-3 (10.20.0.13) added"),
        "{output}"
    );
    ensure!(rules(&json) == [("widened".to_owned(), "hmi-reads-plc".to_owned())], "{json:#}");

    // A service and an asset change what rules allow.
    let (output, json) = between(&POLICY.replace("[7000, 7001]", "7000"))?;
    ensure!(output.stdout.contains("server port 7000 instead of 7000-7001"), "{output}");
    ensure!(rules(&json).iter().all(|(kind, _)| kind == "narrowed") && rules(&json).len() == 2, "{json:#}");
    ensure!(json["notes"][0]["what"] == "service", "{json:#}");
    let (output, json) = between(&POLICY.replace("10.20.0.11-10.20.0.12", "10.20.0.12-10.20.0.14"))?;
    ensure!(output.stdout.contains("server plcs (10.20.0.11) removed"), "{output}");
    ensure!(output.stdout.contains("rule `hmi-reads-plc`: CHANGED"), "{output}");
    ensure!(rules(&json)[0].0 == "changed", "{json:#}");

    // Modes, whole rules, and a rule that has another name because of what it says.
    let (output, _) = between(&POLICY.replace("mode: alert", "mode: enforce"))?;
    ensure!(output.stdout.contains("conduit `control-line-a`: MODE: alert > ENFORCE"), "{output}");
    let (output, _) = between(&POLICY.replace(", mode: enforce", ""))?;
    ensure!(output.stdout.contains("rule `to-the-drive`: MODE: ENFORCE > alert"), "{output}");
    let (head, _) = POLICY.rsplit_once("      - { name: to-the-drive").unwrap();
    let (output, json) = between(head)?;
    ensure!(output.stdout.contains("rule `to-the-drive`: REMOVED"), "{output}");
    ensure!(rules(&json) == [("removed".to_owned(), "to-the-drive".to_owned())], "{json:#}");
    let (output, json) =
        between(&format!("{POLICY}      - {{ client: drive, server: hmi, service: custom }}\n"))?;
    ensure!(output.stdout.contains("drive (10.20.0.20) may ask hmi (10.10.1.5) for custom"), "{output}");
    ensure!(rules(&json)[0].0 == "added", "{json:#}");
    let (_, json) = between(&POLICY.replace("name: special, ", ""))?;
    ensure!(json["differs"] == false && json["notes"][0]["kind"] == "renamed", "{json:#}");

    // Whose an address is.
    let (output, _) = between(&POLICY.replace("[10.20.0.0/24]", "[10.20.0.0/24, 10.30.0.0/24]"))?;
    ensure!(output.stdout.contains("zone `line-a`: CHANGED: network 10.30.0.0/24 added"), "{output}");
    ensure!(output.stdout.contains("at home in line-a instead of no zone"), "{output}");

    let (output, _) = between("version: 1\n")?;
    ensure!(output.status.code() == Some(2) && output.stderr.contains("missing-key"), "{output}");
    let output = banchi(&["diff", "/nowhere/a.yaml", "/nowhere/b.yaml"])?;
    ensure!(output.status.code() == Some(2) && output.stderr.contains("cannot read"), "{output}");
    Ok(())
}

#[test]
fn what_decides_is_compared_and_an_empty_policy_is_asked_for_by_name() -> Result<()> {
    let lab = plant()?;
    let file = |name: &str, text: &str| -> Result<String> {
        let path = lab.directory().join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_str().unwrap().to_owned())
    };
    let wider = file(
        "wider.yaml",
        &POLICY.replace("server: plcs, service: modbus", "server: [plcs, plc-3], service: modbus"),
    )?;
    let output = agent::verb(&lab, &["diff", &wider])?;
    ensure!(output.status.code() == Some(20), "{output}");

    // Nothing allowed: refused before anything is touched.
    let (head, _) = POLICY.split_once("    allow:").unwrap();
    let empty = file("empty.yaml", head)?;
    let below = file("below.yaml", &format!("{head}    ethertypes: [0x8892]\n"))?;
    for policy in [&empty, &below] {
        let output = agent::verb(&lab, &["run", "--policy", policy])?;
        ensure!(output.status.code() == Some(1), "{output}");
        for word in ["empty-policy", "--allow-empty", "nothing was changed"] {
            ensure!(output.stderr.contains(word), "no `{word}` in {output}");
        }
        ensure!(super::attached(&lab)?.is_empty());
    }
    let agent = Agent::start(&lab, POLICY)?;
    for (old, new, code) in
        [("active", wider.as_str(), 1), (wider.as_str(), "active", 1), ("active", "active", 0)]
    {
        let output = agent::verb(&lab, &["diff", old, new])?;
        ensure!(output.status.code() == Some(code), "{output}");
    }
    let output = agent::verb(&lab, &["diff", &wider])?;
    ensure!(output.stdout.contains("hmi-reads-plc`: WIDENED"), "{output}");

    let before = agent.status()?;
    for (policy, says) in
        [(&empty, "empty-policy"), (&below, "empty-policy"), (&file("zero.yaml", "")?, "is empty")]
    {
        let output = agent::verb(&lab, &["apply", policy])?;
        ensure!(output.status.code() == Some(1) && output.stderr.contains(says), "{output}");
        ensure!(agent.status()?["generation"] == before["generation"]);
    }
    let output = agent::verb(&lab, &["apply", &file("zero.yaml", "")?, "--allow-empty"])?;
    ensure!(output.status.code() == Some(1), "{output}");
    let output = agent::verb(&lab, &["apply", &empty, "--allow-empty"])?;
    ensure!(output.status.success(), "{output}");
    ensure!(agent.status()?["rules"] == serde_json::json!([]));
    let output = agent::verb(&lab, &["diff", &wider, "active"])?;
    ensure!(output.stdout.contains("3 removed"), "{output}");
    // Whoever starts with what decides already needs no word for it again.
    agent.end(Signal::KILL)?;
    let output = agent::verb(&lab, &["diff", "active", &wider])?;
    ensure!(output.stdout.contains("3 added"), "{output}");
    let agent = Agent::start(&lab, head)?;
    agent.stop()?;
    let agent = Agent::start_with(&lab, head, &["--allow-empty"])?;
    agent.stop()
}
