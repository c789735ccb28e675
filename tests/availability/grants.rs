//! Grants: something passes for a time, and the kernel ends it.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::Lab;
use banchi_tests::traffic::Exchanges;
use rustix::process::Signal;
use serde_json::Value;

use super::probe::Probe;
use super::{A, B, lab, policy, policy_hash, succeed};

/// Ports that no policy allows.
const PORTS: (u16, u16) = (7777, 9999);
/// What the kernel may take longer: it counts whole seconds.
const LATE: Duration = Duration::from_millis(2_300);

fn grant(lab: &Lab, client: &str, server: &str, service: &str, time: &str) -> Result<u64> {
    let arguments = [
        "--client",
        client,
        "--server",
        server,
        "--service",
        service,
        "--for",
        time,
        "--reason",
        "new valve",
    ];
    let output = succeed(lab, &[&["grant", "--json"], &arguments[..]].concat())?;
    let granted: Value = serde_json::from_str(&output.stdout)?;
    granted[0]["id"].as_u64().context("an id")
}

fn grants(lab: &Lab) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(&succeed(lab, &["grants", "--json"])?.stdout)?)
}

#[test]
fn a_grant_passes_is_seen_and_ends_without_an_agent() -> Result<()> {
    let (lab, _, _) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let exchanges = Exchanges::start(&lab)?;
    let mut probe = Probe::new(&lab, "scada", "plc-1")?;
    let hash = policy_hash(&agent)?;
    ensure!(!probe.passes(PORTS)?);

    let begun = Instant::now();
    let id = grant(&lab, "scada", "plc", "udp/9999", "4s")?;
    let holds = probe.passes(PORTS)?;
    ensure!(holds, "a grant holds at once: {}", agent.ask(&["events", "--last", "5", "--json"])?);
    ensure!(!probe.passes((7777, 9998))?, "another port was not granted");
    ensure!(policy_hash(&agent)? == hash, "the policy is the same");
    let shown = grants(&lab)?;
    ensure!(shown.len() == 1 && shown[0]["id"] == id && shown[0]["state"] == "holds", "{shown:?}");
    ensure!(shown[0]["reason"] == "new valve" && shown[0]["asked"].as_u64() > Some(0), "{shown:?}");
    ensure!(shown[0]["flows"][0]["port"] == 9999, "what passed is seen: {shown:?}");
    let events = agent.ask(&["events", "--last", "1000", "--json"])?;
    let granted = events.lines().find(|line| line.contains("\"granted\"")).context("an event")?;
    let event: Value = serde_json::from_str(granted)?;
    ensure!(event["verdict"] == "pass" && event["rule"] == "grant 1 udp", "{event:#}");
    ensure!(event["rule_line"].is_null() && event["orientation"] == "forward", "{event:#}");
    let suggestion = succeed(&lab, &["grants", "--suggest"])?.stdout;
    ensure!(suggestion.contains("udp-9999: { transport: udp, port: 9999 }"), "{suggestion}");

    agent.end(Signal::KILL)?;
    let ended = probe.until(PORTS, false, Duration::from_secs(10))?.duration_since(begun);
    println!("a grant for 4 s ended after {ended:?}, without an agent");
    ensure!(ended >= Duration::from_secs(4) && ended <= Duration::from_secs(4) + LATE, "{ended:?}");

    let agent = Agent::start(&lab, &policy(A))?;
    ensure!(grants(&lab)?[0]["state"] == "over");
    ensure!(!probe.passes(PORTS)?);
    let events = agent.ask(&["events", "--last", "1000", "--json"])?;
    ensure!(events.contains("\"reason\":\"grant-expired\""), "{events}");
    exchanges.finish()?;
    agent.stop()
}

#[test]
fn grants_end_by_hand_and_go_on_over_policies() -> Result<()> {
    let (lab, _, b) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let exchanges = Exchanges::start(&lab)?;
    let mut probe = Probe::new(&lab, "scada", "plc-1")?;
    let first = policy_hash(&agent)?;

    // A laptop that the policy does not know, and any service.
    let laptop = lab.host("laptop").ipv4();
    let id = grant(&lab, &laptop.to_string(), "plc", "any", "1h")?;
    ensure!(probe.passes_from(laptop, PORTS)? && !probe.passes(PORTS)?);
    succeed(&lab, &["apply", b.to_str().unwrap()])?;
    ensure!(probe.passes_from(laptop, PORTS)? && probe.passes(B)? && !probe.passes(A)?);
    // A grant is no policy: what comes back is the policy before.
    let second = grant(&lab, "scada", "plc", "udp/9999", "1h")?;
    ensure!(probe.passes(PORTS)?);
    succeed(&lab, &["rollback"])?;
    ensure!(policy_hash(&agent)? == first && probe.passes(A)? && !probe.passes(B)?);
    succeed(&lab, &["rollback"])?;

    ensure!(probe.passes(PORTS)? && probe.passes_from(laptop, PORTS)?);
    succeed(&lab, &["revoke", &second.to_string()])?;
    ensure!(!probe.passes(PORTS)? && probe.passes_from(laptop, PORTS)?);
    // Who is killed right after it has taken it back.
    agent.end(Signal::KILL)?;
    let agent = Agent::start(&lab, &policy(B))?;
    ensure!(!probe.passes(PORTS)? && probe.passes_from(laptop, PORTS)?);
    let states: Vec<(Value, Value)> =
        grants(&lab)?.iter().map(|one| (one["id"].clone(), one["state"].clone())).collect();
    ensure!(states == [(id.into(), "holds".into()), (second.into(), "revoked".into())], "{states:?}");
    succeed(&lab, &["revoke", "--all"])?;
    ensure!(!probe.passes_from(laptop, PORTS)?);
    exchanges.finish()?;
    agent.stop()
}

#[test]
fn what_cannot_be_granted_changes_nothing() -> Result<()> {
    let (lab, _, _) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let generation = agent.status()?["generation"].clone();
    for (client, server, service, time, reason, says) in [
        ("scad", "plc", "any", "1h", "r", "did you mean `scada`"),
        ("scada", "10.99.0.1", "any", "1h", "r", "in no network of a zone"),
        ("scada", "10.10.1.6", "any", "1h", "r", "in one zone"),
        ("10.10.255.255", "plc", "any", "1h", "r", "cannot ask"),
        ("scada", "plc", "modbuss", "1h", "r", "did you mean"),
        ("scada", "plc", "tcp/0", "1h", "r", "tcp/22"),
        ("scada", "plc", "any", "1h", " ", "reason"),
    ] {
        let arguments = ["grant", "--client", client, "--server", server, "--service", service];
        let rest = ["--for", time, "--reason", reason];
        let output = agent::verb(&lab, &[&arguments[..], &rest[..]].concat())?;
        ensure!(output.status.code() == Some(1) && output.stderr.contains(says), "{says}: {output}");
    }
    let output = agent::verb(&lab, &["revoke", "7"])?;
    ensure!(output.status.code() == Some(1) && output.stderr.contains("no grant 7"), "{output}");
    // One that does not fit, and none is granted.
    let file = lab.directory().join("grants.yaml");
    let entry = |client: &str| {
        format!("- {{ client: {client}, server: plc, service: any, for: 1h, reason: maintenance }}\n")
    };
    std::fs::write(&file, format!("{}{}", entry("scada"), entry("nobody")))?;
    let output = agent::verb(&lab, &["grant", "--from", file.to_str().unwrap()])?;
    ensure!(output.status.code() == Some(1) && output.stderr.contains("nobody > plc"), "{output}");
    ensure!(agent.status()?["generation"] == generation && grants(&lab)?.is_empty());
    agent.stop()
}

#[test]
fn ten_thousand_grants_end_at_once() -> Result<()> {
    const GRANTS: u16 = 10_000;
    const SECONDS: u64 = 60;
    let (lab, _, _) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let exchanges = Exchanges::start(&lab)?;
    let client = |number: u16| Ipv4Addr::new(10, 10, 100 + (number >> 8) as u8, number as u8);
    let mut text = String::new();
    for number in (0..GRANTS).filter(|number| number % 256 != 0 && number % 256 != 255) {
        let client = client(number);
        writeln!(
            text,
            "- {{ client: {client}, server: plc, service: udp/9999, for: {SECONDS}s, reason: test }}"
        )?;
    }
    let granted = text.lines().count();
    // As many as the title says, with the second server port.
    for number in
        (0..GRANTS).filter(|number| number % 256 != 0 && number % 256 != 255).take(GRANTS as usize - granted)
    {
        let client = client(number);
        writeln!(
            text,
            "- {{ client: {client}, server: plc, service: udp/9998, for: {SECONDS}s, reason: test }}"
        )?;
    }
    let file = lab.directory().join("grants.yaml");
    std::fs::write(&file, &text)?;
    let begun = Instant::now();
    let arguments = ["grant", "--json", "--from", file.to_str().unwrap()];
    let output = agent::verb_within(&lab, &arguments, Duration::from_secs(SECONDS))?;
    ensure!(output.status.success(), "{}", output.stderr);
    println!("{GRANTS} grants took {:?}", begun.elapsed());
    let granted: Vec<Value> = serde_json::from_str(&output.stdout)?;
    ensure!(granted.len() == usize::from(GRANTS), "{}", granted.len());

    let mut probe = Probe::new(&lab, "scada", "plc-1")?;
    let sample: Vec<Ipv4Addr> = (0..20).map(|n| client(n * 500 + 1)).collect();
    for client in &sample {
        ensure!(probe.passes_from(*client, PORTS)?, "{client}");
    }
    ensure!(begun.elapsed() < Duration::from_secs(SECONDS), "this machine is too slow for this test");
    let before = exchanges.done();
    let until = begun + Duration::from_secs(SECONDS + 60);
    while probe.passes_from(sample[0], PORTS)? {
        ensure!(Instant::now() < until, "the grants do not end");
    }
    for client in &sample {
        ensure!(!probe.passes_from(*client, PORTS)?, "{client}");
    }
    exchanges.go_on(before)?;
    let states = grants(&lab)?;
    ensure!(states.iter().all(|one| one["state"] == "over"), "some grant is not over");
    exchanges.finish()?;
    agent.stop()
}
