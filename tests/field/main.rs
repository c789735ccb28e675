//! The agent in the field: real traffic across a gateway on which it runs, in alert and in enforce.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

mod bridge;
mod direction;
mod events;
mod idioms;
mod modes;
mod network;
mod stacks;

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use banchi_tests::agent::{Agent, Events};
use banchi_tests::lab::Lab;
use banchi_tests::packet::Packet;

/// Follows the events of an agent that reports every packet: the laptop knocks at an address that nobody has.
fn follow(lab: &Lab, agent: &Agent<'_>) -> Result<Events> {
    let laptop = lab.host("laptop");
    let socket = laptop.raw("eth0")?;
    agent.follow(|number| {
        let knock = Packet::udp((laptop.ipv4(), 1), (Ipv4Addr::new(10, 20, 0, 250), 1 + number));
        socket.send(&knock.to_mac(lab.gateway_mac(laptop.zone())).build())
    })
}

/// What is attached to the interfaces of the gateway: for each, the id of its program, and those of the program's
/// links.
fn attached(lab: &Lab) -> Result<Vec<(String, u64, Vec<u32>)>> {
    let links: serde_json::Value = serde_json::from_str(&lab.gateway().check(&["ip", "-j", "link"])?)?;
    let links = links.as_array().context("a list of links")?;
    let program = |link: &serde_json::Value| {
        let id = link["xdp"]["prog"]["id"].as_u64()?;
        let links = aya::programs::loaded_links().filter_map(Result::ok);
        let links = links.filter(|link| u64::from(link.program_id()) == id).map(|link| link.id()).collect();
        Some((link["ifname"].as_str()?.to_owned(), id, links))
    };
    Ok(links.iter().filter_map(program).collect())
}

/// Packets of a reason, of all conduits.
fn packets_of(status: &serde_json::Value, reason: &str) -> u64 {
    let conduits = status["conduits"].as_array().into_iter().flatten();
    let reasons = conduits.flat_map(|conduit| conduit["reasons"].as_array().into_iter().flatten());
    reasons.filter(|row| row["reason"] == reason).filter_map(|row| row["packets"].as_u64()).sum()
}

/// What became of the reports of a reason: sent, suppressed, limited, lost.
fn reports_of(status: &serde_json::Value, reason: &str) -> [u64; 4] {
    let row = status["reports"].as_array().into_iter().flatten().find(|row| row["reason"] == reason);
    ["sent", "suppressed", "limited", "lost"].map(|key| row.and_then(|row| row[key].as_u64()).unwrap_or(0))
}
