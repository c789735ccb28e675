//! The command line: what every verb prints, every way in which it refuses, and that it leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

mod audit;
mod debug;
mod diff;
mod doctor;
mod interop;
mod lifecycle;
mod other;
mod refusals;
mod review;
mod roles;
mod verbs;
mod walk;

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{DEADLINE, Gateway, Lab, Output};
use banchi_tests::packet::Packet;
use banchi_tests::plant;

/// How long a verb may take that loads the program.
const LOADING: std::time::Duration = std::time::Duration::from_secs(60);

fn plant() -> Result<Lab> {
    Lab::new(Gateway::Routes, &plant::zones())
}

/// Runs `banchi` where no lab is needed.
fn banchi(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(agent::binary()?);
    command.args(arguments).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    banchi_tests::lab::Process::spawn(command)?.finish(DEADLINE)
}

/// Interfaces of the gateway with an XDP program on them: id of the program by name of the interface.
fn attached(lab: &Lab) -> Result<Vec<(String, u64)>> {
    let links: serde_json::Value = serde_json::from_str(&lab.gateway().check(&["ip", "-j", "link"])?)?;
    let program = |link: &serde_json::Value| {
        Some((link["ifname"].as_str()?.to_owned(), link["xdp"]["prog"]["id"].as_u64()?))
    };
    Ok(links.as_array().into_iter().flatten().filter_map(program).collect())
}

/// Whether no line is wider.
fn text_fits(text: &str, width: usize) -> Result<()> {
    for line in text.lines() {
        ensure!(line.chars().count() <= width, "{} columns: {line}", line.chars().count());
    }
    Ok(())
}

/// SCADA's packet to the controller from a wrong port, which has to be reported.
fn deviate(lab: &Lab, source_port: u16) -> Result<()> {
    let (scada, controller) = (lab.host("scada"), lab.host("controller"));
    let packet = Packet::udp((scada.ipv4(), source_port), (controller.ipv4(), 47808));
    scada.raw("eth0")?.send(&packet.to_mac(lab.gateway_mac("control")).build())
}

/// Takes what [`deviate`] sends, so that the controller does not answer that nobody listens.
fn listen(lab: &Lab) -> Result<std::net::UdpSocket> {
    let controller = lab.host("controller");
    controller.udp((controller.ipv4(), 47808))
}

/// Returns when the agent has reported something.
fn event(lab: &Lab, agent: &Agent<'_>) -> Result<()> {
    agent.follow(|number| deviate(lab, 40_000 + number)).map(|_| ())
}
