//! What is allowed leaves the gateway: over wires, by routes, and by the stack, with one policy.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

mod bypass;
mod route;
mod same;
mod wire;
mod wired;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{DEADLINE, Gateway, Lab, Output, Zone};
use banchi_tests::plant;
use banchi_tests::traffic::{Outcome, UdpEcho, ask_udp};
use serde_json::Value;

/// How long to wait for an answer that should not come.
const PATIENCE: Duration = Duration::from_millis(500);
/// The port that may be asked, and one that may not.
const ECHO: u16 = 8000;
const OTHER: u16 = 8001;

/// The plant, and behind two more interfaces an office and a cell.
fn zones() -> Vec<Zone> {
    let mut zones = plant::zones().to_vec();
    zones.push(Zone::new("office").network("10.40.0.1/24").host("clerk", &["10.40.0.5"]));
    zones.push(Zone::new("cell").network("10.50.0.1/24").host("drive", &["10.50.0.7"]));
    zones
}

fn lab(gateway: Gateway) -> Result<Lab> {
    Lab::new(gateway, &zones())
}

/// A policy that forwards like this: the words below `gateway`.
fn policy(gateway: &str) -> String {
    format!(
        "version: 1
gateway: {{ {gateway} }}
defaults: {{ mode: enforce }}
zones:
  control: {{ interfaces: [control], vlans: [untagged, 20, 20.30], networks: [10.10.0.0/16, 'fd00:10::/64'] }}
  line-a:  {{ interfaces: [line-a], vlans: [untagged, 20, 20.30], networks: [10.20.0.0/24, 10.99.0.0/24, 'fd00:20::/64'] }}
  office:  {{ interfaces: [office], networks: [10.40.0.0/24] }}
  cell:    {{ interfaces: [cell], networks: [10.50.0.0/24] }}
assets:
  scada: {{ zone: control, addresses: [10.10.1.5, 'fd00:10::1:5'] }}
  plcs:  {{ zone: line-a, addresses: [10.20.0.0/24, 10.99.0.0/24, 'fd00:20::/64'] }}
  clerk: {{ zone: office, address: 10.40.0.5 }}
  drive: {{ zone: cell, address: 10.50.0.7 }}
services:
  echo: {{ transport: udp, port: {ECHO}, reply: free }}
  ping: {{ transport: icmp }}
conduits:
  - between: [control, line-a]
    allow: [{{ client: scada, server: plcs, service: [echo, ping] }}]
  - between: [office, cell]
    allow: [{{ client: clerk, server: drive, service: echo }}]
"
    )
}

const WIRES: &str = "forwarding: wire, wires: [[control, line-a], [cell, office]]";

/// Runs a verb that has to succeed.
fn succeed(lab: &Lab, arguments: &[&str]) -> Result<Output> {
    let output = agent::verb(lab, arguments)?;
    ensure!(output.status.success(), "banchi {}: {output}", arguments.join(" "));
    Ok(output)
}

/// Whether questions from one host to a port of another are answered; the server has to listen. The first ones may be lost
/// with the kernel's questions for a neighbour, which nobody answered before.
fn answers(lab: &Lab, from: &str, to: impl Into<IpAddr>, port: u16) -> Result<bool> {
    let (deadline, to) = (Instant::now() + DEADLINE, to.into());
    while !answers_once(lab, from, to, port)? {
        if Instant::now() > deadline {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether it is not.
fn silent(lab: &Lab, from: &str, to: impl Into<IpAddr>, port: u16) -> Result<bool> {
    answers_once(lab, from, to, port).map(|answers| !answers)
}

fn answers_once(lab: &Lab, from: &str, to: impl Into<IpAddr>, port: u16) -> Result<bool> {
    let (client, to) = (lab.host(from), to.into());
    let own: IpAddr = if to.is_ipv4() { client.ipv4().into() } else { client.ipv6().into() };
    Ok(ask_udp(client, (own, 0), (to, port), b"how are you", PATIENCE)? == Outcome::Answered)
}

/// Listens on both ports of a host's addresses.
fn listen(lab: &Lab, host: &str) -> Result<Vec<UdpEcho>> {
    let host = lab.host(host);
    let mut echoes = vec![UdpEcho::new(host, host.ipv4(), &[ECHO, OTHER])?];
    if host.zone() == "line-a" {
        echoes.push(UdpEcho::new(host, host.ipv6(), &[ECHO, OTHER])?);
    }
    Ok(echoes)
}

/// Packets that were sent on by the program, or left to the stack for a cause.
fn forwarded(status: &Value, cause: &str) -> u64 {
    let counts = status["forwarded"].as_array().into_iter().flatten();
    counts.filter(|one| one["cause"] == cause).filter_map(|one| one["packets"].as_u64()).sum()
}

fn count(agent: &Agent<'_>, cause: &str) -> Result<u64> {
    Ok(forwarded(&agent.status()?, cause))
}

/// Waits until something holds that nobody announces.
fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + DEADLINE;
    while !holds()? {
        ensure!(Instant::now() < deadline, "after {DEADLINE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

/// What the kernel says of an interface of the gateway.
fn link(lab: &Lab, name: &str) -> Result<Value> {
    let text = lab.gateway().check(&["ip", "-details", "-j", "link", "show", "dev", name])?;
    let links: Value = serde_json::from_str(&text)?;
    links.get(0).cloned().context("one link")
}

/// Whether somebody has made an interface promiscuous.
fn is_promiscuous(lab: &Lab, name: &str) -> Result<bool> {
    let flags = link(lab, name)?["flags"].clone();
    Ok(flags.as_array().context("flags")?.iter().any(|flag| flag == "PROMISC"))
}
