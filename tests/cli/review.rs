//! `banchi review`: from what deviated to a rule, a grant, or a word that it is known.

use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{DEADLINE, Lab, Output};
use banchi_tests::packet::{Packet, flags};
use banchi_tests::scenarios::POLICY;
use banchi_tests::traffic::{Outcome, TcpEcho, ask_tcp};
use rustix::process::Signal;
use serde_json::Value;

use super::{plant, text_fits};

/// How long a client waits that is not answered.
const PATIENCE: Duration = Duration::from_millis(500);
/// Of a service that the policy does not have.
const PORT: u16 = 8080;

fn succeed(lab: &Lab, arguments: &[&str]) -> Result<String> {
    let output = agent::verb(lab, arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {output}");
    Ok(output.stdout)
}

fn refused(lab: &Lab, arguments: &[&str], says: &str) -> Result<Output> {
    let output = agent::verb(lab, arguments)?;
    ensure!(output.status.code() == Some(1) && output.stderr.contains(says), "{arguments:?}: {output}");
    Ok(output)
}

fn changes(lab: &Lab, more: &[&str]) -> Result<Vec<Value>> {
    let text = succeed(lab, &[&["review", "list", "--json"], more].concat())?;
    let document: Value = serde_json::from_str(&text)?;
    Ok(document["changes"].as_array().context("changes")?.clone())
}

/// The change with this title, once the agent has heard of it.
fn change(lab: &Lab, title: &str) -> Result<Value> {
    let until = Instant::now() + DEADLINE;
    loop {
        let found = changes(lab, &[])?;
        if let Some(change) = found.iter().find(|change| change["title"] == title) {
            return Ok(change.clone());
        }
        if Instant::now() > until {
            let titles: Vec<&Value> = found.iter().map(|change| &change["title"]).collect();
            bail!("no change `{title}` in {titles:?}");
        }
    }
}

fn id(change: &Value) -> Result<String> {
    Ok(change["id"].as_str().context("an id")?.to_owned())
}

/// The workstation asks PLC 1 for what the policy does not have.
fn ask(lab: &Lab) -> Result<Outcome> {
    let (workstation, plc) = (lab.host("workstation"), lab.host("plc-1"));
    ask_tcp(workstation, (workstation.ipv4(), 0), (plc.ipv4(), PORT), b"status?", PATIENCE)
}

#[test]
fn what_deviates_is_accepted_applied_and_passes() -> Result<()> {
    let lab = plant()?;
    let policy = POLICY.replace("mode: alert", "mode: enforce");
    let agent = Agent::start(&lab, &policy)?;
    let plc = lab.host("plc-1");
    let _server = TcpEcho::new(plc, (plc.ipv4(), PORT))?;
    ensure!(ask(&lab)? != Outcome::Answered, "enforced");

    let found = change(&lab, "workstation > 10.20.0.11 tcp/8080")?;
    ensure!(found["kind"] == "new-service" && found["state"] == "open", "{found:#}");
    ensure!(found["who_asks"] == "opened" && found["conduit"] == "control-line-a", "{found:#}");
    let id = id(&found)?;
    let shown = succeed(&lab, &["review", "show", &id[..8]])?;
    text_fits(&shown, 80)?;
    ensure!(shown.contains("writes client: workstation, server: plcs-11"), "{shown}");
    text_fits(&succeed(&lab, &["review"])?, 80)?;

    let file = lab.directory().join("next.yaml");
    fs::write(&file, &policy)?;
    let into = file.to_str().unwrap();
    let accept =
        ["review", "accept", &id, "--into", into, "--by", "alice", "--reason", "web pages of the PLC"];
    let dry = succeed(&lab, &[&accept[..], &["--dry-run"]].concat())?;
    ensure!(dry.contains("+  plcs-11: { zone: line-a, address: 10.20.0.11 }"), "{dry}");
    ensure!(fs::read_to_string(&file)? == policy, "a dry run writes nothing");
    let output = agent::verb(&lab, &["review", "accept", &id, "--into", into, "--reason", "  "])?;
    ensure!(output.status.code() == Some(2), "a reason is needed: {output}");

    succeed(&lab, &accept)?;
    let written = fs::read_to_string(&file)?;
    // Every line of before is there as it was, in its order.
    let mut rest = written.lines();
    for line in policy.lines() {
        ensure!(rest.any(|written| written == line), "`{line}` is not in\n{written}");
    }
    ensure!(written.contains("# web pages of the PLC (alice, "), "{written}");
    ensure!(ask(&lab)? != Outcome::Answered, "a policy file alone decides nothing");
    ensure!(changes(&lab, &[])?.iter().any(|change| change["id"] == *id && change["state"] == "accepted"));
    refused(&lab, &accept, "lets it pass already")?;

    succeed(&lab, &["check", into])?;
    succeed(&lab, &["apply", into])?;
    ensure!(ask(&lab)? == Outcome::Answered, "it passes: {}", agent.ask(&["events"])?);
    ensure!(changes(&lab, &[])?.iter().all(|change| change["id"] != *id), "it is settled");
    let all = changes(&lab, &["--all"])?;
    ensure!(all.iter().any(|change| change["id"] == *id && change["state"] == "settled"), "{all:#?}");

    let audit: Vec<Value> =
        succeed(&lab, &["audit", "--json"])?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let entry = audit.iter().find(|entry| entry["verb"] == "review-accept").context("an entry")?;
    ensure!(entry["result"] == "done" && entry["arguments"]["by"] == "alice", "{entry:#}");
    ensure!(entry["arguments"]["change"] == *id && entry["user"] == "root", "{entry:#}");
    succeed(&lab, &["audit", "--check"])?;
    agent.stop()
}

#[test]
fn what_was_decided_is_remembered() -> Result<()> {
    let lab = plant()?;
    let events = lab.directory().join("events.jsonl");
    let more = ["--events", events.to_str().unwrap(), "--suppress", "0"];
    let agent = Agent::start_with(&lab, POLICY, &more)?;
    let plc = lab.host("plc-1");
    let _server = TcpEcho::new(plc, (plc.ipv4(), PORT))?;
    let laptop = lab.host("laptop");
    let knock = |port: u16| -> Result<()> {
        let packet = Packet::udp((laptop.ipv4(), 5_000), (plc.ipv4(), port));
        laptop.raw("eth0")?.send(&packet.to_mac(lab.gateway_mac("control")).build())
    };
    ask(&lab)?;
    knock(9_100)?;
    let service = id(&change(&lab, "workstation > 10.20.0.11 tcp/8080")?)?;
    let stranger = change(&lab, "10.10.9.99 > 10.20.0.11 udp/9100")?;
    ensure!(stranger["kind"] == "new-host" && stranger["once"] == true, "{stranger:#}");
    let stranger = id(&stranger)?;

    succeed(&lab, &["review", "dismiss", &service, "--reason", "the vendor's tool, gone on Friday"])?;
    succeed(&lab, &["review", "malicious", &stranger, "--reason", "nobody knows this laptop"])?;
    ask(&lab)?;
    knock(9_101)?;
    let other = change(&lab, "10.10.9.99 > 10.20.0.11 udp/9101")?;
    let listed = changes(&lab, &[])?;
    ensure!(listed.iter().all(|change| change["id"] != *service), "it came back: {listed:#?}");
    let flagged = listed.iter().find(|change| change["id"] == *stranger).context("still flagged")?;
    ensure!(flagged["state"] == "malicious", "{flagged:#}");
    ensure!(other["forbidden_by"] == *stranger, "of the same host: {other:#}");

    let file = lab.directory().join("next.yaml");
    fs::write(&file, POLICY)?;
    let into = file.to_str().unwrap();
    for wanted in [&stranger, &id(&other)?] {
        let accept = ["review", "accept", wanted, "--into", into, "--reason", "why not"];
        refused(&lab, &accept, "is malicious")?;
        refused(&lab, &["review", "grant", wanted, "--for", "1h", "--reason", "why not"], "is malicious")?;
    }
    refused(&lab, &["review", "dismiss", &stranger, "--reason", "tired of it"], "is malicious")?;
    ensure!(fs::read_to_string(&file)? == POLICY);

    // Another agent, and the file of events instead of what an agent keeps.
    agent.end(Signal::TERM)?;
    let agent = Agent::start_with(&lab, POLICY, &more)?;
    let of_file = changes(&lab, &["--events", events.to_str().unwrap()])?;
    ensure!(of_file.iter().all(|change| change["id"] != *service), "it came back: {of_file:#?}");
    ensure!(of_file.iter().any(|change| change["id"] == *stranger && change["state"] == "malicious"));

    let from = ["--events", events.to_str().unwrap()];
    let forget = ["review", "forget", &stranger, "--reason", "it is the integrator's"];
    succeed(&lab, &forget)?;
    let grant = ["review", "grant", &stranger, "--for", "1h", "--reason", "the integrator, today"];
    succeed(&lab, &[&grant[..], &from].concat())?;
    let grants = succeed(&lab, &["grants", "--json"])?;
    ensure!(grants.contains("udp/9100") && grants.contains("the integrator, today (review "), "{grants}");
    knock(9_100)?;
    let granted = change(&lab, "10.10.9.99 > 10.20.0.11 udp/9100")?;
    ensure!(granted["kind"] == "grant" && granted["id"] == *stranger, "the same change: {granted:#}");
    agent.stop()
}

/// Everything that can be told apart, from real packets.
#[test]
fn each_kind_is_told() -> Result<()> {
    let lab = plant()?;
    let policy = POLICY.replace(
        "controller:  { zone: line-a, address: 10.20.0.21 }",
        "controller:  { zone: line-a, address: 10.20.0.21, mac: \"00:80:f4:0a:0b:0c\" }",
    );
    let agent = Agent::start_with(&lab, &policy, &["--suppress", "0"])?;
    let host = |name: &str| lab.host(name).ipv4();
    let (scada, workstation, laptop) = (host("scada"), host("workstation"), host("laptop"));
    let (plc_1, plc_2, controller) = (host("plc-1"), host("plc-2"), host("controller"));
    let send = |zone: &str, packet: Packet| -> Result<()> {
        let from = if zone == "control" { "laptop" } else { "controller" };
        lab.host(from).raw("eth0")?.send(&packet.to_mac(lab.gateway_mac(zone)).build())
    };
    for packet in [
        Packet::tcp((workstation, 40_001), (plc_1, PORT), flags::SYN),
        Packet::tcp((workstation, 40_002), (plc_1, PORT), flags::SYN),
        Packet::udp((workstation, 47_808), (controller, 47_808)),
        Packet::udp((workstation, 5_009), (plc_2, 5_011)),
        Packet::udp((scada, 6_000), (plc_1, 6_012)),
        Packet::tcp((laptop, 40_003), (plc_1, 502), flags::SYN),
        Packet::ip_protocol(scada, plc_1, 47),
        Packet::ethernet(0x8892, &[0; 46]),
    ] {
        send("control", packet)?;
    }
    for packet in [
        Packet::tcp((plc_2, 40_004), (scada, 502), flags::SYN),
        Packet::tcp((plc_1, 502), (scada, 40_005), flags::SYN),
        Packet::udp((controller, 47_808), (scada, 47_808)),
        Packet::udp((workstation, 7), (scada, 9)),
    ] {
        send("line-a", packet)?;
    }
    for port in 20..36 {
        send("control", Packet::tcp((Ipv4Addr::new(10, 10, 9, 98), 50_000), (plc_1, port), flags::SYN))?;
    }
    let expected = [
        ("changed-device", format!("controller at {}", lab.host("controller").mac())),
        ("changed-device", "workstation in line-a".to_owned()),
        ("changed-device", "workstation > 10.20.0.12 udp/5011".to_owned()),
        ("reversed", "10.20.0.12 > scada tcp/502".to_owned()),
        ("reversed", "10.20.0.11 > scada from tcp/502".to_owned()),
        ("scan", "10.10.9.98 asks 16 hosts or ports".to_owned()),
        ("new-host", "10.10.9.99 > 10.20.0.11 tcp/502".to_owned()),
        ("new-pair", "workstation > controller udp/47808".to_owned()),
        ("new-service", "workstation > 10.20.0.11 tcp/8080".to_owned()),
        ("new-service", "scada > 10.20.0.11 udp/6012".to_owned()),
        ("other", "unlisted-protocol: 10.10.1.5 > 10.20.0.11 47".to_owned()),
    ];
    for (kind, title) in &expected {
        let found = change(&lab, title)?;
        ensure!(found["kind"] == *kind, "{found:#}");
    }
    if let Some(path) = std::env::var_os("BANCHI_REVIEW_EVENTS") {
        fs::write(path, agent.ask(&["events", "--last", "1000", "--json"])?)?;
    }
    text_fits(&succeed(&lab, &["review", "list", "--all"])?, 80)?;
    let scan = id(&change(&lab, "10.10.9.98 asks 16 hosts or ports")?)?;
    let file = lab.directory().join("next.yaml");
    fs::write(&file, &policy)?;
    let accept = ["review", "accept", &scan, "--into", file.to_str().unwrap(), "--reason", "why not"];
    refused(&lab, &accept, "never accepted as a whole")?;

    // A device that was replaced: its hardware address, and no other byte.
    let mac = lab.host("controller").mac().to_string();
    let device = id(&change(&lab, &format!("controller at {mac}"))?)?;
    let accept = ["review", "accept", &device, "--into", file.to_str().unwrap(), "--reason", "replaced"];
    succeed(&lab, &accept)?;
    ensure!(fs::read_to_string(&file)? == policy.replace("00:80:f4:0a:0b:0c", &mac));
    agent.stop()
}

#[test]
fn what_nothing_uses_is_told() -> Result<()> {
    let lab = plant()?;
    let agent = Agent::start(&lab, POLICY)?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let _server = TcpEcho::new(plc, (plc.ipv4(), 502))?;
    ensure!(ask_tcp(scada, (scada.ipv4(), 0), (plc.ipv4(), 502), b"read", PATIENCE)? == Outcome::Answered);
    let usage = |more: &[&str]| -> Result<Value> {
        Ok(serde_json::from_str(&succeed(&lab, &[&["audit", "policy", "--json"], more].concat())?)?)
    };
    let states = |found: &Value| -> Vec<(String, String)> {
        let word = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        let rules = found["rules"].as_array().into_iter().flatten();
        rules.map(|rule| (word(rule, "name"), word(rule, "state"))).collect()
    };
    // Nobody has counted for so long.
    let found = usage(&[])?;
    let (first, others) =
        states(&found).split_first().map(|(a, b)| (a.clone(), b.to_vec())).context("rules")?;
    ensure!(first == ("polling".to_owned(), "used".to_owned()), "{found:#}");
    ensure!(others.len() == 4 && others.iter().all(|(_, state)| state == "unknown"), "{found:#}");
    ensure!(found["unseen_assets"] == serde_json::json!([]), "{found:#}");

    // What the gateway said before it was started anew counts as well, and what another agent counted anyway.
    let mut old = agent.status()?;
    old["counts_since"] = "2020-01-01T00:00:00.000000Z".into();
    let file = lab.directory().join("old.json");
    fs::write(&file, old.to_string())?;
    agent.end(Signal::TERM)?;
    let before = ["--status", file.to_str().unwrap(), "--live"];
    let found = usage(&before)?;
    let unused = states(&found).iter().filter(|(_, state)| state == "unused").count();
    ensure!(unused == 4 && found["rules"][0]["state"] == "used", "{found:#}");
    // The workstation is in rules of its own that nothing used, and SCADA is not.
    ensure!(found["unseen_assets"][0]["name"] == "workstation", "{found:#}");
    ensure!(found["unseen_assets"].as_array().is_some_and(|assets| assets.len() == 2), "{found:#}");
    ensure!(found["conduits"][0]["name"] == "control-line-a" && found["conduits"][0]["figure"].is_number());
    let shown = succeed(&lab, &[&["audit", "policy"], &before[..]].concat())?;
    text_fits(&shown, 80)?;
    ensure!(shown.contains("5 rules: 1 used, 4 unused for 30 days"), "{shown}");
    // The trail is where it was.
    ensure!(succeed(&lab, &["audit", "trail"])? == succeed(&lab, &["audit"])?);
    let agent = Agent::start(&lab, POLICY)?;
    agent.stop()
}
