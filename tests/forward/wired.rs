//! The ends of wires: promiscuous, and followed as they come and go.

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{DEADLINE, Gateway, Lab};
use rustix::process::Signal;
use serde_json::Value;

use super::{ECHO, OTHER, WIRES, answers, is_promiscuous, lab, link, listen, policy, silent, succeed, until};

/// Removes an interface of the gateway and makes it again, with this index where one is given.
pub(crate) fn again(lab: &Lab, zone: &str, index: Option<u64>) -> Result<()> {
    let switch = format!("{}sw-{zone}", lab.prefix());
    let mac = lab.gateway_mac(zone).to_string();
    lab.gateway().check(&["ip", "link", "delete", zone])?;
    let index = index.map(|index| index.to_string());
    let mut words = vec!["ip", "link", "add", "name", zone, "address", &mac];
    if let Some(index) = &index {
        words.extend(["index", index]);
    }
    words.extend(["type", "veth", "peer", "name", "uplink", "netns", &switch]);
    lab.gateway().check(&words)?;
    let far = |words: &[&str]| {
        lab.gateway().check(&[&["ip", "-n", &switch, "link", "set", "uplink"], words].concat())
    };
    lab.switch(zone).check(&["ethtool", "-K", "uplink", "tx", "off", "gro", "on"])?;
    far(&["master", "br0"])?;
    far(&["up"])?;
    lab.gateway().check(&["ethtool", "-K", zone, "tx", "off"])?;
    lab.gateway().check(&["ip", "link", "set", zone, "up"]).map(|_| ())
}

#[test]
fn an_end_that_is_made_again_is_joined_again() -> Result<()> {
    let lab = lab(Gateway::Isolates)?;
    let _plc = listen(&lab, "plc-1")?;
    let crosses = || answers(&lab, "scada", lab.host("plc-1").ipv4(), ECHO);
    let cut = || silent(&lab, "scada", lab.host("plc-1").ipv4(), ECHO);
    let joined = || cut().map(|cut| !cut);
    let agent = Agent::start(&lab, &policy(WIRES))?;
    ensure!(crosses()?);
    let said =
        |agent: &Agent<'_>, what: &str| agent.process().wait_stderr(|line| line.contains(what), DEADLINE);
    again(&lab, "line-a", None)?;
    said(&agent, "`line-a` was made again")?;
    until("the wire is joined", joined)?;
    ensure!(silent(&lab, "scada", lab.host("plc-1").ipv4(), OTHER)?);
    until("it is promiscuous", || is_promiscuous(&lab, "line-a"))?;
    // With the same index, which is what the maps know.
    let index = link(&lab, "line-a")?["ifindex"].as_u64();
    again(&lab, "line-a", index)?;
    until("the wire is joined", joined)?;
    succeed(&lab, &["bypass"])?;
    ensure!(answers(&lab, "scada", lab.host("plc-1").ipv4(), OTHER)?, "the root knows it, too");
    succeed(&lab, &["bypass", "--off"])?;
    // While there is no agent.
    agent.end(Signal::KILL)?;
    again(&lab, "control", None)?;
    ensure!(cut()?);
    let agent = Agent::start(&lab, &policy(WIRES))?;
    until("the wire is joined", joined)?;
    agent.stop()
}

#[test]
fn an_end_is_promiscuous_for_as_long_as_it_is_one() -> Result<()> {
    let lab = lab(Gateway::Isolates)?;
    // By somebody else, who is not to be surprised.
    lab.gateway().check(&["ip", "link", "set", "office", "promisc", "on"])?;
    let all = |wanted: [bool; 4]| -> Result<()> {
        for (name, wanted) in ["control", "line-a", "office", "cell"].into_iter().zip(wanted) {
            ensure!(is_promiscuous(&lab, name)? == wanted, "{name} is not {wanted}");
        }
        Ok(())
    };
    all([false, false, true, false])?;
    let agent = Agent::start(&lab, &policy(WIRES))?;
    all([true; 4])?;
    // It outlives the agent, and the next one knows whose it is.
    agent.end(Signal::KILL)?;
    all([true; 4])?;
    let agent = Agent::start(&lab, &policy(WIRES))?;
    lab.gateway().check(&["ip", "link", "set", "cell", "promisc", "off"])?;
    until("it is set again", || is_promiscuous(&lab, "cell"))?;
    let file = lab.directory().join("one.yaml");
    std::fs::write(&file, policy("forwarding: wire, wires: [[control, line-a]]"))?;
    // The policy before may come back.
    succeed(&lab, &["apply", file.to_str().unwrap()])?;
    all([true; 4])?;
    std::fs::write(&file, policy("forwarding: stack"))?;
    succeed(&lab, &["apply", file.to_str().unwrap()])?;
    all([true, true, true, false])?;
    agent.stop()?;
    all([false, false, true, false])
}

#[test]
fn ways_out_of_another_are_refused_by_the_next_agent() -> Result<()> {
    use aya::maps::xdp::DevMapHash;
    use aya::maps::{Map, MapData};
    let lab = lab(Gateway::Isolates)?;
    let agent = Agent::start(&lab, &policy(WIRES))?;
    agent.end(Signal::KILL)?;
    let index = |name: &str| -> Result<u32> {
        Ok(u32::try_from(link(&lab, name)?["ifindex"].as_u64().unwrap_or_default())?)
    };
    let (control, line, cell) = (index("control")?, index("line-a")?, index("cell")?);
    let data = MapData::from_pin(lab.pins().join("generations/g1/EGRESS"))?;
    let mut egress = DevMapHash::try_from(Map::DevMapHash(data))?;
    ensure!(egress.get(control, 0)?.if_index == line);
    // The map belongs to the network namespace of whoever writes it.
    lab.gateway().run(|| egress.insert(control, cell, None, 0))?;
    let file = lab.directory().join("policy.yaml");
    let output = agent::verb(&lab, &["run", "--policy", file.to_str().unwrap()])?;
    ensure!(output.status.code() == Some(18) && output.stderr.contains("g1/EGRESS"), "{output}");
    egress.remove(control)?;
    // What is missing is made.
    let agent = Agent::start(&lab, &policy(WIRES))?;
    ensure!(egress.get(control, 0)?.if_index == line);
    agent.stop()
}

#[test]
fn doctor_looks_at_what_a_wire_needs() -> Result<()> {
    let lab = lab(Gateway::Isolates)?;
    let file = lab.directory().join("wire.yaml");
    std::fs::write(&file, policy(WIRES))?;
    let findings = || -> Result<Value> {
        let output = agent::verb(&lab, &["doctor", "--policy", file.to_str().unwrap(), "--json"])?;
        Ok(serde_json::from_str::<Value>(&output.stdout)?["findings"].clone())
    };
    let level = |findings: &Value, subject: &str, check: &str| -> Option<String> {
        let found =
            findings.as_array()?.iter().find(|one| one["subject"] == subject && one["check"] == check)?;
        Some(found["level"].as_str()?.to_owned())
    };
    let good = findings()?;
    ensure!(level(&good, "control", "redirects").as_deref() == Some("ok"), "{good:#}");
    ensure!(level(&good, "control", "promiscuous").as_deref() == Some("ok"), "{good:#}");
    lab.switch("control").check(&["ethtool", "-K", "uplink", "gro", "off"])?;
    let bad = findings()?;
    ensure!(level(&bad, "control", "redirects").as_deref() == Some("unsafe"), "{bad:#}");
    // Nothing is enforced there.
    let output = agent::verb(&lab, &["run", "--policy", file.to_str().unwrap()])?;
    ensure!(output.status.code() == Some(21) && output.stderr.contains("gro on"), "{output}");
    Ok(())
}
