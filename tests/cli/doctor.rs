//! What `banchi doctor` says of real interfaces, and that nothing is enforced where it is unsafe.

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{DEADLINE, Lab, Output};
use banchi_tests::packet::Packet;
use rustix::process::Signal;
use serde_json::Value;

use super::other::Other;
use super::{LOADING, plant, text_fits};

/// A policy with a zone behind a trunk.
fn policy(mode: &str) -> String {
    format!(
        "version: 1
defaults: {{ mode: {mode} }}
zones:
  control: {{ interfaces: [control], networks: [10.10.0.0/16] }}
  trunk:   {{ interfaces: [trunk], vlans: [untagged, 20], networks: [10.40.0.0/24] }}
assets:
  scada:   {{ zone: control, address: 10.10.1.5 }}
  station: {{ zone: trunk, address: 10.40.0.5 }}
services:
  polling: {{ transport: udp, source_port: 7000, port: 8000 }}
conduits:
  - between: [control, trunk]
    allow:
      - {{ client: scada, server: station, service: polling }}
"
    )
}

fn write(lab: &Lab, text: &str) -> Result<String> {
    let file = lab.directory().join("doctor.yaml");
    std::fs::write(&file, text)?;
    Ok(file.to_string_lossy().into_owned())
}

/// `banchi doctor` in the gateway, which has to end with this code: every finding.
fn doctor(lab: &Lab, arguments: &[&str], code: i32) -> Result<Vec<Value>> {
    let words: Vec<&str> = ["doctor"].iter().chain(arguments).copied().collect();
    let output = agent::verb(lab, &words)?;
    ensure!(output.status.code() == Some(code), "{output}");
    text_fits(&output.stdout, 80)?;
    let words: Vec<&str> = words.iter().chain(&["--json"]).copied().collect();
    let json = agent::verb(lab, &words)?;
    ensure!(json.status.code() == Some(code), "{json}");
    let report: Value = serde_json::from_str(&json.stdout)?;
    let findings = report["findings"].as_array().context("findings")?.clone();
    for finding in &findings {
        let is_bad = finding["level"] == "unsafe" || finding["level"] == "warning";
        ensure!(finding["why"].as_str().is_some_and(|why| !why.is_empty()), "{finding:#}");
        ensure!(!is_bad || finding["remedy"].is_string(), "no remedy: {finding:#}");
    }
    Ok(findings)
}

fn has(findings: &[Value], subject: &str, check: &str, level: &str, says: &str) -> Result<()> {
    let found = findings.iter().find(|one| one["subject"] == subject && one["check"] == check);
    let found = found.with_context(|| format!("nothing about {check} of {subject}"))?;
    let text = found["found"].as_str().unwrap_or_default();
    ensure!(found["level"] == level && text.contains(says), "{level}, {says:?}: {found:#}");
    Ok(())
}

#[test]
fn interfaces_are_what_the_kernel_says() -> Result<()> {
    let lab = plant()?;
    // Without interfaces and policy it is about the kernel only.
    let findings = doctor(&lab, &[], 0)?;
    ensure!(findings.iter().all(|finding| finding["subject"] == "kernel"), "{findings:#?}");
    let findings = doctor(&lab, &["control", "line-a"], 0)?;
    has(&findings, "control", "xdp", "ok", "veth has native XDP")?;
    has(&findings, "line-a", "merged-packets", "ok", "one by one")?;
    has(&findings, "line-a", "link", "ok", "up")?;
    let findings = doctor(&lab, &["nowhere"], 21)?;
    has(&findings, "nowhere", "interface", "unsafe", "does not exist; there are: lo, control, line-a")?;

    // The interfaces of a policy; down, large frames, another program, no native XDP.
    let gateway = lab.gateway();
    gateway.check(&["ip", "link", "add", "trunk", "type", "bridge"])?;
    gateway.check(&["ip", "link", "set", "control", "mtu", "9000"])?;
    let other = Other::attach(gateway, "line-a", "somebody_else")?;
    let file = write(&lab, &policy("alert"))?;
    let findings = doctor(&lab, &["--policy", &file], 21)?;
    ensure!(!findings.iter().any(|finding| finding["subject"] == "line-a"));
    has(&findings, "trunk", "xdp", "unsafe", "bridge has no native XDP")?;
    has(&findings, "trunk", "kind", "warning", "a bridge")?;
    has(&findings, "trunk", "link", "warning", "down")?;
    has(&findings, "control", "frame-size", "note", "MTU 9000")?;
    has(&doctor(&lab, &["line-a"], 21)?, "line-a", "xdp", "unsafe", "`somebody_else`")?;
    has(&doctor(&lab, &["trunk", "--xdp-mode", "generic"], 0)?, "trunk", "xdp", "note", "generic")?;
    drop(other);

    let agent = Agent::start(&lab, banchi_tests::scenarios::POLICY)?;
    has(&doctor(&lab, &["line-a"], 0)?, "line-a", "xdp", "ok", "banchi runs here, native")?;
    let asked = ["line-a", "--xdp-mode", "generic"];
    has(&doctor(&lab, &asked, 0)?, "line-a", "xdp", "warning", "banchi runs here, native")?;
    agent.stop()
}

#[test]
fn the_mode_is_that_of_the_kernel_whoever_attached() -> Result<()> {
    let lab = plant()?;
    let policy = banchi_tests::scenarios::POLICY;
    let modes = |agent: &Agent<'_>| -> Result<(Value, Vec<(Value, Value)>)> {
        let status = agent.status()?;
        let links = status["links"].as_array().context("links")?.iter();
        let links = links.map(|link| (link["runs"].clone(), link["as_asked"].clone())).collect();
        Ok((status["xdp_mode"].clone(), links))
    };
    let both = |runs: &str, as_asked: bool| vec![(Value::from(runs), Value::from(as_asked)); 2];
    let agent = Agent::start_with(&lab, policy, &["--xdp-mode", "generic"])?;
    ensure!(modes(&agent)? == ("generic".into(), both("generic", true)));
    agent.end(Signal::TERM)?;
    // The next one asks for something else, and attaches nothing: it says what is there.
    let agent = Agent::start(&lab, policy)?;
    ensure!(modes(&agent)? == ("generic".into(), both("generic", false)), "{:?}", modes(&agent)?);
    let lines = agent.process().stderr();
    let says = |name: &str| {
        lines.iter().any(|line| line.contains(name) && line.contains("runs generic XDP, which is not what"))
    };
    ensure!(says("`control`") && says("`line-a`"), "{lines:#?}");
    let text = agent.ask(&["status"])?;
    ensure!(text.contains("line-a (generic, which is NOT what was asked for)"), "{text}");
    has(&doctor(&lab, &["line-a"], 0)?, "line-a", "xdp", "warning", "banchi runs here, generic")?;
    agent.stop()?;
    let agent = Agent::start(&lab, policy)?;
    ensure!(modes(&agent)? == ("native".into(), both("native", true)));
    agent.stop()
}

/// What decides about a veth: not what it says of itself, but whether its other end keeps the tag beside the frame.
#[test]
fn a_veth_hides_a_tag_where_its_other_end_keeps_it_beside_the_frame() -> Result<()> {
    let lab = plant()?;
    let (gateway, far) = (lab.gateway(), lab.host("laptop"));
    gateway.check(&["ip", "link", "add", "trunk", "type", "veth", "peer", "far", "netns", far.netns()])?;
    gateway.check(&["ip", "link", "set", "trunk", "up"])?;
    far.check(&["ip", "link", "set", "far", "up"])?;
    let _tags = Other::tag(far, "far")?;
    let file = write(&lab, &policy("alert"))?;
    has(&doctor(&lab, &["--policy", &file], 0)?, "trunk", "vlan-tags", "warning", "another namespace")?;
    let socket = far.raw("far")?;
    for mode in ["native", "generic"] {
        let agent = Agent::start_with(&lab, &policy("alert"), &["--xdp-mode", mode, "--suppress", "0"])?;
        let send =
            |port: u16| socket.send(&Packet::udp(&*format!("10.40.0.9:{port}"), "10.10.1.5:9").build());
        let events = agent.follow(|number| send(40_000 + number))?;
        let mut port = 50_000;
        for (own, theirs) in [("on", "on"), ("on", "off"), ("off", "on"), ("off", "off")] {
            gateway.check(&["ethtool", "-K", "trunk", "rxvlan", own])?;
            far.check(&["ethtool", "-K", "far", "txvlan", theirs])?;
            port += 1;
            let from = events.count();
            send(port)?;
            let event = events
                .wait_from(from, |event| event.src_port == Some(port), DEADLINE)?
                .context("no event")?;
            let expected: &[u16] = if theirs == "on" { &[] } else { &[20] };
            ensure!(event.vlans == expected, "{mode}, rxvlan {own}, other end {theirs}: {:?}", event.vlans);
        }
        drop(events);
        agent.stop()?;
    }
    Ok(())
}

#[test]
fn nothing_is_enforced_where_it_is_unsafe_unless_somebody_accepts_it() -> Result<()> {
    let lab = plant()?;
    let gateway = lab.gateway();
    // The other end is in the same namespace, so that it can be looked at.
    gateway.check(&["ip", "link", "add", "trunk", "type", "veth", "peer", "far"])?;
    gateway.check(&["ip", "link", "set", "trunk", "up"])?;
    gateway.check(&["ip", "link", "set", "far", "up"])?;
    let (alert, enforce) = (policy("alert"), policy("enforce"));
    let file = write(&lab, &enforce)?;
    has(&doctor(&lab, &["--policy", &file], 21)?, "trunk", "vlan-tags", "unsafe", "far, keeps VLAN tags")?;
    let refused = |output: &Output, code: i32| -> Result<()> {
        ensure!(output.status.code() == Some(code), "{output}");
        for word in ["not safe", "trunk: ", "`ethtool -K far txvlan off", "--accept-unsafe"] {
            ensure!(output.stderr.contains(word), "nothing of {word:?} in {output}");
        }
        Ok(())
    };
    let run = |more: &[&str]| -> Result<Output> {
        let binary = agent::binary()?;
        let (socket, pins) = (agent::socket(&lab), lab.pins());
        let mut words = vec![binary.to_str().unwrap(), "run", "--policy", &file, "--socket"];
        words.extend([socket.to_str().unwrap(), "--pins", pins.to_str().unwrap()]);
        words.extend(more);
        gateway.output(&words, LOADING)
    };
    refused(&run(&[])?, 21)?;
    refused(&run(&["--dry-run"])?, 21)?;
    ensure!(!lab.pins().exists() && super::attached(&lab)?.is_empty());

    // In alert mode it is said, and no more.
    let agent = Agent::start(&lab, &alert)?;
    let said = |what: &str| agent.process().wait_stderr(|line| line.contains(what), DEADLINE);
    said("it would not be safe: trunk")?;
    refused(&agent::verb(&lab, &["mode", "enforce", "--all"])?, 1)?;
    refused(&agent::verb(&lab, &["mode", "enforce", "--conduit", "control-trunk"])?, 1)?;
    refused(&agent::verb(&lab, &["apply", &file])?, 1)?;
    let status = agent.status()?;
    ensure!(status["generation"] == 1 && status["enforced_unsafe"] == serde_json::json!([]), "{status:#}");
    ensure!(status["conduits"].as_array().unwrap().iter().all(|conduit| conduit["mode"] == "alert"));

    // Accepted, and said everywhere.
    agent.ask(&["mode", "enforce", "--all", "--accept-unsafe"])?;
    said("enforced all the same (--accept-unsafe): trunk")?;
    let status = agent.status()?;
    ensure!(status["enforced_unsafe"][0]["subject"] == "trunk", "{status:#}");
    ensure!(agent.ask(&["status"])?.contains("UNSAFE, and enforced: trunk"));
    // What was set by hand stays with the next policy, and so does what it needs.
    let alert_file = lab.directory().join("alert.yaml");
    std::fs::write(&alert_file, &alert)?;
    refused(&agent::verb(&lab, &["apply", alert_file.to_str().unwrap()])?, 1)?;
    agent.ask(&["mode", "alert", "--all"])?;
    let output = agent::verb(&lab, &["mode", "enforce", "--elsewhere"])?;
    refused(&output, 1)?;
    agent.ask(&["mode", "enforce", "--all", "--accept-unsafe"])?;
    agent.end(Signal::KILL)?;

    // Who takes it up says it too; and without the cause there is nothing to say.
    let agent = Agent::start(&lab, &alert)?;
    ensure!(
        agent.process().stderr().iter().any(|line| line.contains("UNSAFE")),
        "{:#?}",
        agent.process().stderr()
    );
    gateway.check(&["ethtool", "-K", "far", "txvlan", "off", "tx-vlan-stag-hw-insert", "off"])?;
    ensure!(agent.status()?["enforced_unsafe"] == serde_json::json!([]));
    agent.ask(&["mode", "enforce", "--all"])?;
    agent.ask(&["apply", &file])?;
    agent.stop()
}
