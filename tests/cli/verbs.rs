//! What every verb prints, for people and for programs.

use std::process::Command;

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::DEADLINE;
use banchi_tests::packet::Packet;
use banchi_tests::scenarios::POLICY;
use banchi_tests::traffic::{self, Outcome, TcpEcho};
use serde_json::Value;

use super::{banchi, plant, text_fits};

const DEMO: &str = "demo/policy.yaml";

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| anyhow::anyhow!("{error}: {text}"))
}

#[test]
fn verbs_that_touch_nothing() -> Result<()> {
    let output = banchi(&["check", DEMO])?;
    ensure!(output.status.success() && output.stdout.contains("2 zones, 4 assets, 5 services"), "{output}");
    let output = banchi(&["check", "--json", DEMO])?;
    ensure!(json(&output.stdout)?["valid"] == true, "{output}");

    let output = banchi(&["compile", DEMO])?;
    ensure!(output.status.success() && output.stdout.contains("polling"), "{output}");
    text_fits(&output.stdout, 100)?;
    let output = banchi(&["compile", "--json", DEMO])?;
    ensure!(json(&output.stdout)?["rules"].as_array().map(Vec::len) == Some(5), "{output}");

    let output = banchi(&["schema"])?;
    ensure!(json(&output.stdout)?["$schema"].is_string(), "{output}");

    let question = "udp 10.10.1.5:47809 > 10.20.0.21:47808";
    let output = banchi(&["explain", question, "--in", "control", "--policy", DEMO])?;
    ensure!(output.status.success(), "{output}");
    for words in ["source-port-deviation", "climate (line ", "MISSES source port 47809", "47808"] {
        ensure!(output.stdout.contains(words), "nothing of {words:?}: {output}");
    }
    text_fits(&output.stdout, 100)?;
    let output = banchi(&["explain", question, "--in", "control", "--policy", DEMO, "--json"])?;
    let explained = json(&output.stdout)?;
    ensure!(
        explained["reason"] == "source-port-deviation" && explained["verdict"] == "would-drop",
        "{output}"
    );
    ensure!(explained["nearest"][0]["rule"] == "climate", "{output}");
    Ok(())
}

#[test]
fn wrong_usage_says_what_is_right() -> Result<()> {
    let refused = |arguments: &[&str], code: i32, words: &str| -> Result<()> {
        let output = banchi(arguments)?;
        ensure!(output.status.code() == Some(code), "{arguments:?}: {output}");
        ensure!(output.stderr.contains(words), "{arguments:?}, nothing of {words:?}: {output}");
        ensure!(output.stdout.is_empty(), "{arguments:?}: {output}");
        Ok(())
    };
    refused(&["explain", "nonsense", "--policy", DEMO], 2, "not of the form")?;
    refused(&["explain", "udp 10.10.1.5:1 > 10.20.0.21:2", "--in", "attic", "--policy", DEMO], 2, "`attic`")?;
    refused(&["explain", "udp 9.9.9.9:1 > 10.20.0.21:2", "--policy", DEMO], 2, "--in")?;
    refused(&["explain", "udp 10.10.1.5:1 > 10.20.0.21:2", "--policy", "/nowhere.yaml"], 2, "/nowhere.yaml")?;
    refused(&["check", "/nowhere.yaml"], 2, "cannot read")?;
    refused(&["mode", "enforce"], 2, "--all")?;
    refused(&["mode", "panic", "--all"], 2, "alert, enforce")?;
    refused(&["run", "--ring", "5000"], 2, "a power of two")?;
    refused(&["run", "--xdp-mode", "hardware"], 2, "native, generic")?;
    for verb in [&["status"][..], &["events"], &["events", "--follow"], &["mode", "alert", "--all"]] {
        let arguments = [verb, &["--socket", "/nowhere/banchi.sock"]].concat();
        refused(&arguments, 20, "no banchi runs at /nowhere/banchi.sock")?;
    }
    Ok(())
}

#[test]
fn verbs_that_ask_the_agent() -> Result<()> {
    let lab = plant()?;
    let _listens = super::listen(&lab)?;
    let agent = Agent::start_with(&lab, POLICY, &["--suppress", "0"])?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let _echo = TcpEcho::new(plc, (plc.ipv4(), 502))?;
    let outcome = traffic::ask_tcp(scada, (scada.ipv4(), 0), (plc.ipv4(), 502), b"poll", DEADLINE)?;
    ensure!(outcome == Outcome::Answered);
    super::event(&lab, &agent)?;

    let status = agent.status()?;
    ensure!(status["pid"] == agent.process().id() && status["xdp_mode"] == "native", "{status:#}");
    ensure!(status["interfaces"] == serde_json::json!(["control", "line-a"]), "{status:#}");
    let polling = &status["rules"][0];
    ensure!(polling["name"] == "polling" && polling["forward_packets"].as_u64() > Some(3), "{polling:#}");
    ensure!(polling["return_packets"].as_u64() > Some(2) && polling["last"].is_string(), "{polling:#}");
    for columns in ["80", "100"] {
        let mut command = agent.command(&["status"])?;
        command.env("COLUMNS", columns);
        let output = lab.gateway().spawn(command)?.finish(DEADLINE)?;
        ensure!(output.status.success(), "{output}");
        for words in ["polling", "source-port-deviation", "control-line-a", "alert", "kernel memory"] {
            ensure!(output.stdout.contains(words), "nothing of {words:?}: {output}");
        }
        text_fits(&output.stdout, columns.parse()?)?;
    }

    // Modes: one conduit, what belongs to none, all.
    let text = agent.ask(&["mode", "enforce", "--conduit", "control-line-a"])?;
    ensure!(text == "enforce: control-line-a\n", "{text}");
    let conduits = |index: usize| -> Result<(Value, Value)> {
        let status = agent.status()?;
        let conduit = &status["conduits"][index];
        Ok((conduit["mode"].clone(), conduit["by_hand"].clone()))
    };
    ensure!(
        conduits(0)? == ("enforce".into(), true.into()) && conduits(1)? == ("alert".into(), false.into())
    );
    ensure!(agent.ask(&["status"])?.contains("ENFORCE (by hand)"));
    let done = json(&agent.ask(&["mode", "alert", "--all", "--json"])?)?;
    ensure!(
        done == serde_json::json!({"mode": "alert", "conduits": ["(elsewhere)", "control-line-a"]}),
        "{done}"
    );
    let done = json(&agent.ask(&["mode", "enforce", "--elsewhere", "--json"])?)?;
    ensure!(done["conduits"] == serde_json::json!(["(elsewhere)"]), "{done}");
    let output = lab.gateway().spawn(agent.command(&["mode", "alert", "--conduit", "typo"])?)?;
    let output = output.finish(DEADLINE)?;
    ensure!(output.status.code() == Some(1) && output.stderr.contains("no conduit `typo`"), "{output}");
    ensure!(output.stderr.contains("control-line-a"), "it says which there are: {output}");
    agent.ask(&["mode", "alert", "--all"])?;

    // Events: the last ones, for people and for programs.
    let text = agent.ask(&["events"])?;
    let line = text.lines().next().unwrap_or_default();
    for words in ["would-drop", "source-port-deviation", "10.10.1.5:", "10.20.0.21:47808", "climate"] {
        ensure!(line.contains(words), "nothing of {words:?}: {line}");
    }
    let last = agent.ask(&["events", "--last", "1", "--json"])?;
    let event = json(&last)?;
    ensure!(
        last.lines().count() == 1 && event["rule"] == "climate" && event["field"] == "source-port",
        "{last}"
    );
    ensure!(event["interface"] == "control" && event["conduit"] == "control-line-a", "{last}");
    ensure!(event["data"].as_str().is_some_and(|hex| hex.contains("0a0a0105")), "{last}");
    ensure!(agent.ask(&["events", "--last", "0"])?.is_empty());

    // A follower hears of what comes, and ends well when the agent does.
    let mut follower = lab.gateway().spawn(agent.command(&["events", "--follow", "--last", "1"])?)?;
    follower.wait_stdout(|_| true, DEADLINE)?;
    super::deviate(&lab, 1234)?;
    follower.wait_stdout(|line| line.contains("10.10.1.5:1234 >"), DEADLINE)?;
    agent.stop()?;
    let status = follower.wait(DEADLINE)?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[test]
fn the_same_in_ipv6_and_without_ip() -> Result<()> {
    let lab = plant()?;
    let _listens = super::listen(&lab)?;
    let agent = Agent::start_with(&lab, POLICY, &["--suppress", "0"])?;
    let laptop = lab.host("laptop");
    let events = agent.follow(|number| super::deviate(&lab, 40_000 + number))?;
    let from = events.count();
    let raw = laptop.raw("eth0")?;
    let to = lab.gateway_mac("control");
    raw.send(&Packet::udp((laptop.ipv6(), 1), "[fd00:20::11]:2").to_mac(to).build())?;
    events.wait_from(from, |event| event.src_port == Some(1), DEADLINE)?;
    raw.send(&Packet::ethernet(0x88b8, &[1, 2, 3]).to_mac(to).vlan(7).build())?;
    events.wait_from(from, |event| event.vlans == [7], DEADLINE)?;
    let text = agent.ask(&["events"])?;
    ensure!(text.contains("[fd00:10::9:99]:1 > [fd00:20::11]:2"), "{text}");
    ensure!(text.contains("0x88b8"), "{text}");
    agent.stop()
}

#[test]
fn nobody_reads_to_the_end() -> Result<()> {
    // A pipe that is closed early is no error and no panic.
    let binary = agent::binary()?;
    let script = format!("{} schema | head -n 1; {} help | head -n 1", binary.display(), binary.display());
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    let output = banchi_tests::lab::Process::spawn(command)?.finish(DEADLINE)?;
    ensure!(output.status.success() && !output.stderr.contains("panick"), "{output}");
    Ok(())
}
