//! What Prometheus scrapes, and what is made of it: read by promtool.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent::Agent;
use banchi_tests::lab::{Gateway, Lab, Process};
use banchi_tests::packet::Packet;
use banchi_tests::plant;
use banchi_tests::scenarios::POLICY;
use serde_json::Value;

use super::{PATIENCE, until};

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(name)
}

fn promtool(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(packaging("prometheus"));
    let output =
        Process::spawn(command).context("promtool is not there: cargo xtask setup")?.finish(PATIENCE)?;
    ensure!(output.status.success(), "promtool {arguments:?}: {output}");
    Ok(())
}

#[test]
fn metrics_rules_are_valid_and_do_what_their_tests_say() -> Result<()> {
    promtool(&["check", "rules", "--lint-fatal", "banchi.rules.yml"])?;
    promtool(&["test", "rules", "banchi.rules.test.yml"])
}

/// A page over HTTP from the gateway: its head and its body.
fn get(lab: &Lab, request: &str) -> Result<(String, String)> {
    let text = lab.gateway().run(|| -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, 9477))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })?;
    let (head, body) = text.split_once("\r\n\r\n").context(text.clone())?;
    Ok((head.to_owned(), body.to_owned()))
}

fn request(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n{headers}\r\n")
}

/// Samples by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

#[test]
fn metrics_are_those_of_status_and_promtool_takes_them() -> Result<()> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let file = lab.directory().join("agent.yaml");
    let lines = lab.directory().join("events.jsonl");
    let config =
        format!("version: 1\nmetrics: {{}}\noutputs:\n  own: {{ kind: json, path: {} }}\n", lines.display());
    fs::write(&file, config)?;
    let agent = Agent::start_with(&lab, POLICY, &["--config", file.to_str().unwrap(), "--suppress", "100"])?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let socket = scada.raw("eth0")?;
    for port in 20_000..20_100 {
        let packet = Packet::udp((scada.ipv4(), port), (plc.ipv4(), 6011));
        socket.send(&packet.to_mac(lab.gateway_mac("control")).build())?;
    }
    let packets = |status: &Value| -> u64 {
        let conduits = status["conduits"].as_array().into_iter().flatten();
        let reasons = conduits.flat_map(|one| one["reasons"].as_array().into_iter().flatten());
        reasons
            .filter(|row| row["reason"] == "source-port-deviation")
            .filter_map(|row| row["packets"].as_u64())
            .sum()
    };
    until("all packets are counted", || Ok(packets(&agent.status()?) == 100))?;
    let conduit = r#"conduit="control-line-a""#;
    let reported = format!(
        "banchi_reported_packets_total{{{conduit},verdict=\"would-drop\",reason=\"source-port-deviation\"}}"
    );
    // Counts of repeats follow when the flow is quiet.
    until("all packets are reported", || {
        let (head, body) = get(&lab, &request("/metrics", ""))?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
        Ok(samples(&body).get(&reported) == Some(&100.0))
    })?;
    let (head, classic) = get(&lab, &request("/metrics", ""))?;
    ensure!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    let mut check = Command::new("promtool");
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().context("promtool is not there: cargo xtask setup")?;
    check.stdin.take().context("stdin")?.write_all(classic.as_bytes())?;
    let said = check.wait_with_output()?;
    let said = (said.status.success(), String::from_utf8(said.stdout)?, String::from_utf8(said.stderr)?);
    ensure!(said == (true, String::new(), String::new()), "{said:?}\n{classic}");

    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n";
    let (head, open) = get(&lab, &request("/metrics", accept))?;
    ensure!(
        head.to_lowercase().contains("content-type: application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    ensure!(open.ends_with("# EOF\n") && open.contains("# TYPE banchi_packets counter\n"), "{open}");
    ensure!(samples(&open).keys().eq(samples(&classic).keys()), "one text lacks something");

    let found = samples(&open);
    let status = agent.status()?;
    let value = |name: &str| found.get(name).copied().with_context(|| format!("no {name} in\n{open}"));
    ensure!(value(&format!("banchi_packets_total{{{conduit},reason=\"source-port-deviation\"}}"))? == 100.0);
    ensure!(value(&format!("banchi_packets_total{{{conduit},reason=\"reversed-direction\"}}"))? == 0.0);
    ensure!(value(&format!("banchi_conduit_enforcing{{{conduit}}}"))? == 0.0);
    ensure!(value("banchi_generation")? == 1.0 && value("banchi_bypass")? == 0.0);
    ensure!(value("banchi_heartbeat_age_seconds")? < 10.0);
    let own = &status["outputs"][0];
    ensure!(
        value("banchi_output_events_total{output=\"own\",kind=\"json\",outcome=\"sent\"}")?
            <= own["sent"].as_u64().context("sent")? as f64
    );
    ensure!(value("banchi_output_up{output=\"own\",kind=\"json\"}")? == 1.0);
    // No label holds what a packet chose.
    for name in found.keys() {
        for label in name.split('"').skip(1).step_by(2) {
            ensure!(label.parse::<IpAddr>().is_err(), "{name}");
        }
        ensure!(!name.contains("10.10.") && !name.contains("20000"), "{name}");
    }
    ensure!(found.len() < 300, "{} series", found.len());
    let (head, _) = get(&lab, &request("/", ""))?;
    ensure!(head.starts_with("HTTP/1.1 404"), "{head}");
    let (head, _) = get(&lab, &request("/metrics", "").replace("GET", "POST"))?;
    ensure!(head.starts_with("HTTP/1.1 405"), "{head}");

    // Rules and the dashboard name nothing that is not there.
    let known: BTreeSet<&str> = found.keys().map(|name| name.split('{').next().unwrap()).collect();
    for file in ["prometheus/banchi.rules.yml", "grafana/banchi.json"] {
        let text = fs::read_to_string(packaging(file))?;
        let mut used = 0;
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if word.starts_with("banchi_") {
                ensure!(known.contains(word), "{file} names {word}");
                used += 1;
            }
        }
        ensure!(used > 10, "{file} names {used} metrics");
    }
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(packaging("grafana/banchi.json"))?)?;
    ensure!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() >= 10));
    agent.stop()
}
