//! Interfaces go down, get another name, another MTU and other VLANs, are removed and made again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{DEADLINE, Gateway, Lab, Zone};
use banchi_tests::packet::Packet;
use banchi_tests::traffic::Exchanges;
use rustix::process::Signal;
use serde_json::Value;

use super::{A, B, lab, policy, succeed};

/// The XDP program on an interface of the gateway, as `ip` has it.
fn program(lab: &Lab, interface: &str) -> Result<Option<u64>> {
    let text = lab.gateway().check(&["ip", "-j", "link", "show", "dev", interface])?;
    let links: Value = serde_json::from_str(&text)?;
    Ok(links[0]["xdp"]["prog"]["id"].as_u64())
}

/// Traffic goes on, and this policy decides: packets of its own ports pass, those of the other policy do not.
fn check(lab: &Lab, (own, other): ((u16, u16), (u16, u16))) -> Result<()> {
    joined(lab)?;
    let exchanges = Exchanges::start(lab)?;
    exchanges.go_on(0)?;
    exchanges.finish()?;
    decides(lab, (own, other))
}

fn decides(lab: &Lab, (own, other): ((u16, u16), (u16, u16))) -> Result<()> {
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let (socket, watch) = (scada.raw("eth0")?, plc.raw("eth0")?);
    for (source, port) in [other, own] {
        let packet = Packet::udp((scada.ipv4(), source), (plc.ipv4(), port));
        socket.send(&packet.to_mac(lab.gateway_mac("control")).build())?;
    }
    let is = |frame: &[u8], (_, port): (u16, u16)| frame.get(36..38) == Some(&port.to_be_bytes()[..]);
    let frames = watch.receive_until(|frame| is(frame, own), DEADLINE)?;
    ensure!(!frames.iter().any(|frame| is(frame, other)), "{other:?} passes");
    Ok(())
}

/// What passes, and what does not.
const A_DECIDES: ((u16, u16), (u16, u16)) = (A, B);
const B_DECIDES: ((u16, u16), (u16, u16)) = (B, A);

/// Waits until both ends of the cable of `line-a` know that it is plugged in: the kernel tells them later.
fn joined(lab: &Lab) -> Result<()> {
    let switch = format!("{}sw-line-a", lab.prefix());
    let ends: [&[&str]; 2] = [&["dev", "line-a"], &["dev", "uplink"]];
    let began = Instant::now();
    loop {
        let mut up = 0;
        for (at, end) in [&["ip"][..], &["ip", "-n", &switch]].into_iter().zip(ends) {
            let text = lab.gateway().check(&[at, &["-j", "link", "show"], end].concat())?;
            let links: Value = serde_json::from_str(&text)?;
            up += usize::from(links[0]["operstate"] == "UP");
        }
        if up == ends.len() {
            return Ok(());
        }
        ensure!(began.elapsed() < DEADLINE, "the cable of line-a stays unplugged");
    }
}

/// Removes the interface `line-a` of the gateway, as when a card is pulled out.
fn remove(lab: &Lab) -> Result<()> {
    lab.gateway().check(&["ip", "link", "delete", "line-a"]).map(|_| ())
}

/// Makes it again, with its cable, and with this index where one is given; up at last.
fn make(lab: &Lab, index: Option<u32>) -> Result<()> {
    let switch = format!("{}sw-line-a", lab.prefix());
    let mac = lab.gateway_mac("line-a").to_string();
    let index = index.map(|index| index.to_string());
    let mut words = vec!["ip", "link", "add", "name", "line-a", "address", &mac];
    if let Some(index) = &index {
        words.extend(["index", index]);
    }
    words.extend(["type", "veth", "peer", "name", "uplink", "netns", &switch]);
    lab.gateway().check(&words)?;
    let far = |words: &[&str]| {
        lab.gateway().check(&[&["ip", "-n", &switch, "link", "set", "uplink"], words].concat())
    };
    far(&["master", "br0"])?;
    far(&["up"])?;
    lab.gateway().check(&["ip", "address", "add", "10.20.0.1/24", "dev", "line-a"])?;
    lab.gateway().check(&["ip", "link", "set", "line-a", "up"])?;
    // Complete checksums, as on a wire.
    lab.gateway().check(&["ethtool", "-K", "line-a", "tx", "off"]).map(|_| ())
}

fn said(agent: &Agent<'_>, what: &str) -> Result<()> {
    agent.process().wait_stderr(|line| line.contains(what), DEADLINE).map(|_| ())
}

fn link(agent: &Agent<'_>, name: &str) -> Result<Value> {
    let status = agent.status()?;
    let links = status["links"].as_array().context("links")?;
    links.iter().find(|link| link["interface"] == name).cloned().context("the link")
}

#[test]
fn an_interface_that_was_down_goes_on() -> Result<()> {
    let (lab, _, _) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    check(&lab, A_DECIDES)?;
    let before = program(&lab, "line-a")?;
    lab.gateway().check(&["ip", "link", "set", "line-a", "down"])?;
    ensure!(program(&lab, "line-a")? == before && before.is_some());
    ensure!(link(&agent, "line-a")?["is_up"] == false);
    ensure!(agent.ask(&["status"])?.contains("line-a (native, down)"));
    lab.gateway().check(&["ip", "link", "set", "line-a", "up"])?;
    check(&lab, A_DECIDES)?;
    ensure!(program(&lab, "line-a")? == before, "nothing was attached anew");
    agent.stop()
}

#[test]
fn an_interface_with_another_name_goes_on_without_a_gap() -> Result<()> {
    let (lab, a, b) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let exchanges = Exchanges::start(&lab)?;
    let before = program(&lab, "line-a")?;
    let rename = |from: &str, to: &str| lab.gateway().check(&["ip", "link", "set", from, "name", to]);
    rename("line-a", "ens9")?;
    said(&agent, "`line-a` is called `ens9` now")?;
    exchanges.go_on(exchanges.done())?;
    ensure!(program(&lab, "ens9")? == before);
    ensure!(link(&agent, "line-a")?["name"] == "ens9");
    ensure!(agent.ask(&["status"])?.contains("line-a (native, now called ens9)"));
    decides(&lab, A_DECIDES)?;
    // A policy that names what is not there is refused, and the name is what it says.
    let output = agent::verb(&lab, &["apply", b.to_str().unwrap()])?;
    ensure!(output.status.code() == Some(1) && output.stderr.contains("ens9"), "{output}");
    rename("ens9", "line-a")?;
    succeed(&lab, &["apply", a.to_str().unwrap()])?;
    ensure!(program(&lab, "line-a")? == before, "nothing was attached anew");
    exchanges.finish()?;
    agent.stop()
}

#[test]
fn an_interface_that_is_made_again_is_attached_again() -> Result<()> {
    let (lab, _, b) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    succeed(&lab, &["apply", b.to_str().unwrap()])?;
    let old = link(&agent, "line-a")?["index"].as_u64().context("an index")?;
    check(&lab, B_DECIDES)?;
    remove(&lab)?;
    said(&agent, "`line-a` is gone")?;
    ensure!(link(&agent, "line-a")?["name"].is_null());
    ensure!(agent.ask(&["status"])?.contains("line-a (NOT ATTACHED, gone)"));

    // With another number, as it is when a card comes back.
    make(&lab, None)?;
    let made = Instant::now();
    while program(&lab, "line-a")?.is_none() {
        ensure!(made.elapsed() < DEADLINE, "{:#?}", agent.process().stderr());
    }
    println!("attached again at most {:?} after it was up", made.elapsed());
    said(&agent, "`line-a` was made again")?;
    let new = link(&agent, "line-a")?["index"].as_u64().context("an index")?;
    ensure!(new != old);
    check(&lab, B_DECIDES)?;
    // Events name it as the policy does.
    let events = agent.ask(&["events", "--json"])?;
    ensure!(!events.contains("index "), "{events}");
    // The policy before knows it too, and so does the next agent, which changes nothing.
    succeed(&lab, &["rollback"])?;
    check(&lab, A_DECIDES)?;
    succeed(&lab, &["rollback"])?;
    agent.end(Signal::KILL)?;
    let agent = Agent::start(&lab, &policy(B))?;
    said(&agent, "the same policy")?;
    ensure!(agent.status()?["generation"] == 2);
    check(&lab, B_DECIDES)?;

    // With the same number.
    remove(&lab)?;
    said(&agent, "`line-a` is gone")?;
    make(&lab, Some(u32::try_from(new)?))?;
    said(&agent, "`line-a` was made again")?;
    check(&lab, B_DECIDES)?;

    // While there is no agent.
    agent.end(Signal::KILL)?;
    remove(&lab)?;
    make(&lab, None)?;
    ensure!(program(&lab, "line-a")?.is_none());
    let agent = Agent::start(&lab, &policy(B))?;
    check(&lab, B_DECIDES)?;
    ensure!(std::fs::read_dir(lab.pins().join("links"))?.count() == 2, "a pin of what is gone is left");
    agent.stop()
}

#[test]
fn what_stands_for_an_interface_is_checked_by_the_next_agent() -> Result<()> {
    use aya::maps::{Array, Map, MapData};
    let (lab, _, _) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let index = u32::try_from(link(&agent, "line-a")?["index"].as_u64().context("an index")?)?;
    agent.end(Signal::KILL)?;
    let place = |index: u32, value: Option<u32>| -> Result<u32> {
        let data = MapData::from_pin(lab.pins().join("generations/g1/INTERFACES"))?;
        let mut table: Array<_, u32> = Array::try_from(Map::Array(data))?;
        let before = table.get(&index, 0)?;
        value.map_or(Ok(()), |value| table.set(index, value, 0))?;
        Ok(before)
    };
    let refused = || -> Result<()> {
        let policy = lab.directory().join("policy.yaml");
        let output = agent::verb(&lab, &["run", "--policy", policy.to_str().unwrap()])?;
        ensure!(output.status.code() == Some(18) && output.stderr.contains("g1/INTERFACES"), "{output}");
        Ok(())
    };
    // No place, another one, and a place for what has none.
    let right = place(index, Some(0))?;
    refused()?;
    place(index, Some(3 - right))?;
    refused()?;
    place(index, Some(right))?;
    place(index + 500, Some(1))?;
    refused()?;
    place(index + 500, Some(0))?;

    // A move that was cut off is finished: the record has both, the table either.
    let file = lab.directory().join("generation-1.json");
    let mut record: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    record["moving"] = serde_json::json!([[index + 500, right], [index, right]]);
    std::fs::write(&file, record.to_string())?;
    place(index + 500, Some(right))?;
    place(index, Some(0))?;
    let agent = Agent::start(&lab, &policy(A))?;
    said(&agent, "the same policy")?;
    ensure!(place(index + 500, None)? == 0 && place(index, None)? == right);
    check(&lab, A_DECIDES)?;
    agent.stop()
}

#[test]
fn an_mtu_may_change_as_far_as_the_program_can_take_it() -> Result<()> {
    let (lab, _, _) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let exchanges = Exchanges::start(&lab)?;
    let before = program(&lab, "line-a")?;
    for mtu in ["1400", "3000", "1500"] {
        lab.gateway().check(&["ip", "link", "set", "line-a", "mtu", mtu])?;
        exchanges.go_on(exchanges.done())?;
        ensure!(program(&lab, "line-a")? == before, "nothing was attached anew");
    }
    // The kernel refuses what would not fit one buffer, for as long as the program is on it.
    let switch = format!("{}sw-line-a", lab.prefix());
    let large = ["ip", "-n", &switch, "link", "set", "uplink", "mtu", "9000"];
    let output = lab.gateway().output(&large, DEADLINE)?;
    ensure!(!output.status.success(), "{output}");
    exchanges.finish()?;
    agent.stop()?;
    lab.gateway().check(&large).map(|_| ())
}

/// Frames of one VLAN after the other become the zone's, untagged ones are it all the time.
#[test]
fn the_vlans_of_a_zone_change_between_two_packets() -> Result<()> {
    let network = |name| Zone::new(name).network("10.30.0.254/24");
    let zones = [network("left").host("a", &["10.30.0.1"]), network("right").host("b", &["10.30.0.200"])];
    let lab = Lab::new(Gateway::Bridges, &zones)?;
    let policy = |vlan: u16| {
        format!(
            "version: 1
defaults: {{ mode: enforce }}
zones:
  left:  {{ interfaces: [left], vlans: [untagged, {vlan}], networks: [10.30.0.0/25] }}
  right: {{ interfaces: [right], networks: [10.30.0.128/25] }}
assets:
  one: {{ zone: left, address: 10.30.0.1 }}
  two: {{ zone: right, address: 10.30.0.200 }}
services:
  s: {{ transport: udp, source_port: 7000, port: 8000 }}
conduits:
  - between: [left, right]
    allow: [{{ client: one, server: two, service: s }}]
"
        )
    };
    let file = lab.directory().join("next.yaml");
    let agent = Agent::start(&lab, &policy(20))?;
    let before = (program(&lab, "left")?, program(&lab, "right")?);
    let (a, b) = (lab.host("a"), lab.host("b"));
    let (socket, watch) = (a.raw("eth0")?, b.raw("eth0")?);
    let packet =
        |mark: u8| Packet::udp("10.30.0.1:7000", "10.30.0.200:8000").to_mac(b.mac()).payload([mark; 8]);
    let has = |frame: &[u8], mark: u8| frame.windows(8).any(|bytes| bytes == [mark; 8]);
    for vlan in [20, 30, 20, 30] {
        std::fs::write(&file, policy(vlan))?;
        succeed(&lab, &["apply", file.to_str().unwrap()])?;
        let other = 50 - vlan;
        socket.send(&packet(1).vlan(vlan).build())?;
        socket.send(&packet(2).vlan(other).build())?;
        socket.send(&packet(3).build())?;
        let frames = watch.receive_until(|frame| has(frame, 3), Duration::from_secs(5))?;
        let seen = |mark| frames.iter().any(|frame| has(frame, mark));
        ensure!(seen(1) && !seen(2), "VLAN {vlan} passes: {}, {other}: {}", seen(1), seen(2));
    }
    ensure!((program(&lab, "left")?, program(&lab, "right")?) == before, "nothing was attached anew");
    agent.stop()
}
