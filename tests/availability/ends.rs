//! Ends of an agent that nobody asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::DEADLINE;
use banchi_tests::traffic::Exchanges;
use rustix::process::Signal;

use super::{A, lab, policy, policy_hash};

/// A panic ends in an abort at worst, a defect in a library in some signal like these.
#[test]
fn an_agent_that_crashes_leaves_the_data_plane_going() -> Result<()> {
    let (lab, _, _) = lab()?;
    let mut exchanges = None;
    let mut known = None;
    for signal in [Signal::ABORT, Signal::ILL, Signal::FPE] {
        let agent = Agent::start(&lab, &policy(A))?;
        let exchanges = match &exchanges {
            Some(exchanges) => exchanges,
            None => exchanges.insert(Exchanges::start(&lab)?),
        };
        let hash = policy_hash(&agent)?;
        ensure!(*known.get_or_insert_with(|| hash.clone()) == hash);
        let status = agent.end(signal)?;
        ensure!(!status.success(), "{status} after {signal:?}");
        exchanges.go_on(exchanges.done())?;
    }
    let agent = Agent::start(&lab, &policy(A))?;
    ensure!(agent.process().stderr().iter().any(|line| line.contains("the same policy")));
    exchanges.map(Exchanges::finish).transpose()?;
    agent.stop()
}

/// A group of processes with a limit of memory, gone when dropped.
struct Group(PathBuf);

impl Group {
    /// Where this machine lets the test make one; both versions of control groups have them.
    fn make() -> Option<(Self, &'static str)> {
        let name = format!("banchi-test-{}", std::process::id());
        for (place, limit) in
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]
        {
            let path = Path::new(place).join(&name);
            if fs::create_dir(&path).is_ok() {
                let group = Self(path);
                if group.0.join(limit).exists() {
                    return Some((group, limit));
                }
            }
        }
        None
    }

    fn write(&self, file: &str, text: &str) -> std::io::Result<()> {
        fs::write(self.0.join(file), text)
    }

    /// Processes that were killed for want of memory.
    fn kills(&self) -> u64 {
        let text = ["memory.oom_control", "memory.events"].map(|file| fs::read_to_string(self.0.join(file)));
        let text: String = text.into_iter().flatten().collect();
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn an_agent_without_memory_leaves_the_data_plane_going() -> Result<()> {
    let Some((group, limit)) = Group::make() else {
        println!("SKIPPED: no control group with a limit of memory can be made here");
        return Ok(());
    };
    let (lab, _, b) = lab()?;
    let agent = Agent::start(&lab, &policy(A))?;
    let exchanges = Exchanges::start(&lab)?;
    let hash = policy_hash(&agent)?;
    group.write(limit, "1048576")?;
    group.write("cgroup.procs", &agent.process().id().to_string())?;
    // Loading a policy takes more than that.
    let mut command = Command::new(agent::binary()?);
    command.arg("apply").arg(&b).env("BANCHI_SOCKET", agent::socket(&lab)).env("BANCHI_PINS", lab.pins());
    let apply = lab.gateway().spawn(command)?;
    let output = apply.finish(6 * DEADLINE)?;
    println!("apply with a mebibyte: {output}");
    ensure!(!output.status.success(), "{output}");
    let kills = group.kills();
    exchanges.go_on(exchanges.done())?;
    ensure!(kills > 0, "it was not killed: {output}");
    agent.end(Signal::KILL)?;
    let agent = Agent::start(&lab, &policy(A))?;
    ensure!(policy_hash(&agent)? == hash);
    exchanges.finish()?;
    agent.stop()
}
