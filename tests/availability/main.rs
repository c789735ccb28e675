//! The data plane goes on, whatever becomes of the agent, and a policy takes the place of another between two packets.
//!
//! Two policies, chosen so that a packet that is judged by parts of both would show: each allows one pair of ports that
//! the other does not, and both allow the polling of a PLC and its own reports. The pairs of ports that take one number
//! from each policy are allowed by neither.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

mod absent;
mod counts;
mod deadline;
mod disk;
mod ends;
mod grants;
mod interfaces;
mod island;
mod kill;
mod loss;
mod pinned;
mod probe;
mod rootless;
mod swap;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{Gateway, Lab, Output};
use banchi_tests::plant;
use banchi_tests::traffic::Exchanges;

/// Ports that only policy A allows, source and destination.
const A: (u16, u16) = (7001, 8001);
/// Ports that only policy B allows.
const B: (u16, u16) = (7002, 8002);
/// Ports that both allow.
const BOTH: (u16, u16) = Exchanges::POLLING;

/// A policy that allows the ports that both allow, and one more pair.
fn policy((source, port): (u16, u16)) -> String {
    format!(
        "version: 1
defaults: {{ mode: enforce }}
zones:
  control: {{ interfaces: [control], networks: [10.10.0.0/16] }}
  line-a:  {{ interfaces: [line-a], networks: [10.20.0.0/24] }}
assets:
  scada: {{ zone: control, address: 10.10.1.5 }}
  plc:   {{ zone: line-a, addresses: [10.20.0.11] }}
services:
  polling: {{ transport: udp, source_port: {}, port: {} }}
  reports: {{ transport: udp, source_port: {}, port: {} }}
  extra:   {{ transport: udp, source_port: {source}, port: {port} }}
conduits:
  - between: [control, line-a]
    allow:
      - {{ client: scada, server: plc, service: polling }}
      - {{ client: plc, server: scada, service: reports }}
      - {{ client: scada, server: plc, service: extra }}
",
        BOTH.0,
        BOTH.1,
        Exchanges::REPORTS.0,
        Exchanges::REPORTS.1
    )
}

/// A lab, and the files of both policies in it.
fn lab() -> Result<(Lab, PathBuf, PathBuf)> {
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let (a, b) = (lab.directory().join("a.yaml"), lab.directory().join("b.yaml"));
    std::fs::write(&a, policy(A))?;
    std::fs::write(&b, policy(B))?;
    Ok((lab, a, b))
}

/// Runs a verb that has to succeed.
fn succeed(lab: &Lab, arguments: &[&str]) -> Result<Output> {
    let output = agent::verb(lab, arguments)?;
    ensure!(output.status.success(), "banchi {}: {output}", arguments.join(" "));
    Ok(output)
}

/// What decides, by the hash of its policy.
fn policy_hash(agent: &Agent<'_>) -> Result<String> {
    Ok(agent.status()?["policy_hash"].as_str().unwrap_or_default().to_owned())
}
