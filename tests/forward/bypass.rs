//! Wires carry on where no policy decides, or nobody is there.

use anyhow::{Result, ensure};
use aya::maps::{Map, MapData, ProgramArray};
use banchi_tests::agent::Agent;
use banchi_tests::lab::Gateway;
use rustix::process::Signal;

use super::{ECHO, OTHER, WIRES, answers, forwarded, lab, listen, policy, silent, succeed, until};

#[test]
fn a_bypass_is_a_wire_without_a_policy() -> Result<()> {
    let lab = lab(Gateway::Isolates)?;
    let (_plc, _drive) = (listen(&lab, "plc-1")?, listen(&lab, "drive")?);
    let plc = lab.host("plc-1").ipv4();
    let passes = |port| answers(&lab, "scada", plc, port);
    let stays = |port| silent(&lab, "scada", plc, port);
    let agent = Agent::start(&lab, &policy(WIRES))?;
    ensure!(passes(ECHO)? && stays(OTHER)?);
    succeed(&lab, &["bypass"])?;
    ensure!(passes(ECHO)? && passes(OTHER)? && answers(&lab, "clerk", lab.host("drive").ipv4(), OTHER)?);
    succeed(&lab, &["bypass", "--off"])?;
    ensure!(passes(ECHO)? && stays(OTHER)?);

    // Without an agent all the same.
    agent.end(Signal::KILL)?;
    ensure!(passes(ECHO)? && stays(OTHER)?);
    succeed(&lab, &["bypass"])?;
    ensure!(passes(OTHER)?);
    succeed(&lab, &["bypass", "--off"])?;
    ensure!(stays(OTHER)?);

    // An island.
    succeed(&lab, &["island"])?;
    ensure!(stays(ECHO)?);
    succeed(&lab, &["island", "--off"])?;
    ensure!(passes(ECHO)?);

    // No generation: everything passes, and is counted.
    let data = MapData::from_pin(lab.pins().join("root/PROGRAMS"))?;
    let mut programs = ProgramArray::try_from(Map::ProgramArray(data))?;
    programs.clear_index(&0)?;
    ensure!(passes(ECHO)? && passes(OTHER)?);
    succeed(&lab, &["detach", "--yes"])?;
    // The kernel takes a program off when it finds time.
    until("without banchi nothing crosses", || stays(ECHO))
}

#[test]
fn another_policy_has_other_wires_and_a_rollback_brings_them_back() -> Result<()> {
    let lab = lab(Gateway::Isolates)?;
    let (_plc, _drive) = (listen(&lab, "plc-1")?, listen(&lab, "drive")?);
    let control = || answers(&lab, "scada", lab.host("plc-1").ipv4(), ECHO);
    let office = || answers(&lab, "clerk", lab.host("drive").ipv4(), ECHO);
    let no_control = || silent(&lab, "scada", lab.host("plc-1").ipv4(), ECHO);
    let no_office = || silent(&lab, "clerk", lab.host("drive").ipv4(), ECHO);
    let agent = Agent::start(&lab, &policy(WIRES))?;
    ensure!(control()? && office()?);
    let file = lab.directory().join("one.yaml");
    let one = |text: &str| -> Result<()> {
        std::fs::write(&file, policy(text))?;
        succeed(&lab, &["apply", file.to_str().unwrap()]).map(|_| ())
    };
    one("forwarding: wire, wires: [[control, line-a]]")?;
    ensure!(control()? && no_office()?);
    let status: serde_json::Value = serde_json::from_str(&succeed(&lab, &["status", "--json"])?.stdout)?;
    ensure!(forwarded(&status, "no-wire") > 0, "{status:#}");
    succeed(&lab, &["bypass"])?;
    ensure!(control()? && no_office()?, "a bypass has the wires of the policy that decides");
    succeed(&lab, &["rollback"])?;
    ensure!(control()? && office()?);
    succeed(&lab, &["bypass", "--off"])?;
    ensure!(control()? && office()?);
    // By the stack, which joins nothing here.
    one("forwarding: stack")?;
    ensure!(no_control()? && no_office()?);
    succeed(&lab, &["rollback"])?;
    ensure!(control()? && office()?);
    agent.stop()
}
