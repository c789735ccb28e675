//! Pinned state that is not what it should be is refused, and nothing is detached.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, HashMap, Map, MapData, ProgramArray};
use aya::programs::loaded_programs;
use banchi_common::abi::{ConduitRow, STATE_VERSION};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::Lab;
use banchi_tests::traffic::Exchanges;
use rustix::process::Signal;

use super::{A, lab, policy};

/// Starts an agent, which has to refuse with the code for pinned state; the traffic does not notice.
fn refuses(lab: &Lab, exchanges: &Exchanges, says: &[&str]) -> Result<()> {
    let before = exchanges.done();
    let policy = lab.directory().join("policy.yaml");
    let output = agent::verb(lab, &["run", "--policy", policy.to_str().unwrap()])?;
    ensure!(output.status.code() == Some(18), "{output}");
    for word in says.iter().chain(&["Nothing was changed", "banchi detach"]) {
        ensure!(output.stderr.contains(word), "no `{word}` in {output}");
    }
    exchanges.go_on(before)
}

#[test]
fn what_is_pinned_is_checked() -> Result<()> {
    let (lab, _, _) = lab()?;
    Agent::start(&lab, &policy(A))?.end(Signal::KILL)?;
    let exchanges = Exchanges::start(&lab)?;
    let pins = lab.pins();

    // Older and newer.
    let word = |value: u64| -> Result<()> {
        let mut words: Array<_, u64> =
            Array::try_from(Map::Array(MapData::from_pin(pins.join("root/ROOT"))?))?;
        Ok(words.set(0, value, 0)?)
    };
    word(STATE_VERSION - 1)?;
    refuses(&lab, &exchanges, &["root/ROOT", &format!("version {}", STATE_VERSION - 1)])?;
    word(STATE_VERSION + 1)?;
    refuses(&lab, &exchanges, &[&format!("version {}", STATE_VERSION + 1)])?;
    word(STATE_VERSION)?;

    // Corrupted: one bit of one row, of a rule that this traffic does not need.
    let rules = pins.join("generations/g1/RULES");
    let flip = || -> Result<()> {
        let mut rows: Array<_, [u8; 32]> = Array::try_from(Map::Array(MapData::from_pin(&rules)?))?;
        let mut row = rows.get(&3, 0)?;
        row[0] ^= 1;
        Ok(rows.set(3, row, 0)?)
    };
    flip()?;
    refuses(&lab, &exchanges, &["g1/RULES", "other contents"])?;
    flip()?;

    // Emptied: what the slow path of a generation is found in. This traffic does not need it.
    let slow = pins.join("generations/g1/SLOW_PATH");
    let mut slots = ProgramArray::try_from(Map::ProgramArray(MapData::from_pin(&slow)?))?;
    let id = Array::<_, u32>::try_from(Map::Array(MapData::from_pin(&slow)?))?.get(&0, 0)?;
    let program = loaded_programs().flatten().find(|program| program.id() == id);
    let program = program.context("the slow path is loaded")?.fd()?;
    slots.clear_index(&0)?;
    refuses(&lab, &exchanges, &["g1/SLOW_PATH", "no slow path"])?;
    slots.set(0, &program, 0)?;

    // Foreign: another map under the same name, then none at all.
    let events = pins.join("root/FRAGMENTS");
    let aside = MapData::from_pin(&events)?;
    fs::remove_file(&events)?;
    MapData::from_pin(pins.join("root/ROOT"))?.pin(&events)?;
    refuses(&lab, &exchanges, &["root/FRAGMENTS", "Array", "LruHash"])?;
    fs::remove_file(&events)?;
    refuses(&lab, &exchanges, &["root/FRAGMENTS"])?;
    aside.pin(&events)?;
    let _: HashMap<_, [u8; 40], u64> = HashMap::try_from(Map::LruHashMap(MapData::from_pin(&events)?))?;

    // The record: broken, and of another version.
    let record = lab.directory().join("generation-1.json");
    let text = fs::read_to_string(&record)?;
    fs::write(&record, &text[..text.len() / 2])?;
    refuses(&lab, &exchanges, &["generation-1.json"])?;
    fs::write(&record, text.replacen(&format!("\"version\": {STATE_VERSION}"), "\"version\": 77", 1))?;
    refuses(&lab, &exchanges, &["generation-1.json", "version 77"])?;
    fs::write(&record, &text)?;

    // As it was: the next agent takes it up. A mode that somebody changed is no corruption.
    let mut modes: Array<_, [u8; 8]> =
        Array::try_from(Map::Array(MapData::from_pin(pins.join("generations/g1/CONDUITS"))?))?;
    ensure!(size_of::<ConduitRow>() == 8);
    modes.set(1, [1, 1, 0, 0, 0, 0, 0, 0], 0)?;
    let agent = Agent::start(&lab, &policy(A))?;
    ensure!(agent.process().stderr().iter().any(|line| line.contains("the same policy")));
    ensure!(agent.status()?["conduits"][0]["by_hand"] == true);
    exchanges.finish()?;
    agent.stop()
}

/// A socket that answers, or that somebody else holds, is another agent's: nothing is touched.
#[test]
fn a_second_agent_by_mistake_is_refused() -> Result<()> {
    let (lab, _, _) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let exchanges = Exchanges::start(&lab)?;
    let policy = lab.directory().join("policy.yaml");
    let output = agent::verb(&lab, &["run", "--policy", policy.to_str().unwrap()])?;
    ensure!(output.status.code() == Some(16), "{output}");
    let output = agent::verb(&lab, &["detach", "--yes"])?;
    ensure!(output.status.code() == Some(16) && output.stderr.contains("stop it first"), "{output}");
    ensure!(agent.status()?["generation"] == 1);
    exchanges.finish()?;
    agent.stop()?;
    Ok(())
}
