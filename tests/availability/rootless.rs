//! An agent that is not root: three capabilities, and directories of its own.

use std::net::UdpSocket;
use std::os::unix::fs::chown;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent::{self, Agent, User};
use banchi_tests::lab::{DEADLINE, Lab, Output};
use banchi_tests::traffic::Exchanges;
use rustix::process::Signal;

use super::{A, B, lab, policy, policy_hash};

const ID: u32 = 61_003;
const CAPABILITIES: &[&str] = &["bpf", "net_admin", "perfmon"];

/// What a package or a unit prepares: a directory for sockets and records, and one for pins.
fn prepare(lab: &Lab) -> Result<()> {
    std::fs::create_dir_all(lab.pins())?;
    for path in [lab.pins(), lab.directory().to_owned()] {
        chown(&path, Some(ID), Some(ID)).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn user(capabilities: &'static [&'static str]) -> User {
    User { id: ID, groups: Vec::new(), capabilities }
}

fn verb(lab: &Lab, user: &User, arguments: &[&str]) -> Result<Output> {
    let mut command = user.command(lab)?;
    command.args(arguments).env("BANCHI_SOCKET", agent::socket(lab)).env("BANCHI_PINS", lab.pins());
    lab.gateway().spawn(command)?.finish(6 * DEADLINE)
}

#[test]
fn three_capabilities_are_enough() -> Result<()> {
    let (lab, a, b) = lab()?;
    prepare(&lab)?;
    let user = user(CAPABILITIES);
    let succeed = |arguments: &[&str]| -> Result<()> {
        let output = verb(&lab, &user, arguments)?;
        ensure!(output.status.success(), "{arguments:?}: {output}");
        Ok(())
    };
    let agent = Agent::start_as(&lab, &user, &policy(A), &[])?;
    let uid = std::fs::read_to_string(format!("/proc/{}/status", agent.process().id()))?;
    ensure!(uid.contains(&format!("Uid:\t{ID}\t{ID}")), "{uid}");
    let exchanges = Exchanges::start(&lab)?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let socket = |(source, port): (u16, u16)| -> Result<(UdpSocket, UdpSocket)> {
        let (from, to) = (scada.udp((scada.ipv4(), source))?, plc.udp((plc.ipv4(), port))?);
        from.connect((plc.ipv4(), port))?;
        to.set_nonblocking(true)?;
        Ok((from, to))
    };
    let pairs = [socket(A)?, socket(B)?];
    // Whether a pair of ports passes: what is allowed for sure comes after it.
    let mut number: u64 = 0;
    let mut passes = |wanted: usize| -> Result<bool> {
        number += 1;
        let text = number.to_be_bytes();
        let ((from, to), (known_from, known_to)) = (&pairs[wanted], &pairs[1 - wanted]);
        let has = |socket: &UdpSocket| {
            let mut buffer = [0; 8];
            std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|_| buffer)).any(|found| found == text)
        };
        from.send(&text)?;
        let end = Instant::now() + DEADLINE;
        known_from.send(&text)?;
        while !has(known_to) {
            ensure!(Instant::now() < end, "what is allowed does not arrive");
        }
        Ok(has(to))
    };
    let (only_a, only_b) = (0, 1);
    let first = policy_hash(&agent)?;
    ensure!(!passes(only_b)?, "policy A is enforced");
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    succeed(&["apply", b, "--confirm-within", "1m"])?;
    ensure!(!passes(only_a)?, "policy B is enforced");
    succeed(&["confirm"])?;
    succeed(&["rollback"])?;
    ensure!(!passes(only_b)?, "policy A is back");
    succeed(&["mode", "alert", "--all"])?;
    ensure!(passes(only_b)?);
    succeed(&["mode", "enforce", "--all"])?;
    succeed(&["bypass"])?;
    ensure!(passes(only_b)?);
    // Root is not kept out, and what it writes the agent can go on with.
    let output = agent::verb(&lab, &["bypass", "--off"])?;
    ensure!(output.status.success(), "{output}");
    agent.end(Signal::KILL)?;
    ensure!(!passes(only_b)?, "the policy goes on without an agent");
    let agent = Agent::start_as(&lab, &user, &std::fs::read_to_string(a)?, &[])?;
    ensure!(agent.process().stderr().iter().any(|line| line.contains("the same policy")));
    ensure!(policy_hash(&agent)? == first);
    succeed(&["audit", "--check"])?;
    let log = agent.ask(&["audit"])?;
    ensure!(log.contains(&format!("uid {ID}: apply")) && log.contains("root: bypass off=true"), "{log}");
    agent.end(Signal::TERM)?;
    exchanges.finish()?;
    succeed(&["detach", "--yes"])?;
    let links = lab.gateway().check(&["ip", "link", "show", "dev", "control"])?;
    ensure!(!links.contains("xdp"), "{links}");
    Ok(())
}

#[test]
fn a_capability_that_is_missing_is_named() -> Result<()> {
    let (lab, a, _) = lab()?;
    prepare(&lab)?;
    let run = ["run", "--policy", a.to_str().unwrap()];
    for (has, missing) in [
        (&["net_admin", "perfmon"][..], "lacks CAP_BPF)"),
        (&["bpf", "perfmon"], "lacks CAP_NET_ADMIN)"),
        (&["bpf", "net_admin"], "lacks CAP_PERFMON)"),
        (&[], "lacks CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF)"),
    ] {
        let output = verb(&lab, &user(has), &run)?;
        ensure!(output.status.code() == Some(10) && output.stderr.contains(missing), "{output}");
    }
    // A directory for pins that it may not write to.
    std::fs::remove_dir(lab.pins())?;
    std::fs::create_dir(lab.pins())?;
    let output = verb(&lab, &user(CAPABILITIES), &run)?;
    let pins = lab.pins();
    ensure!(output.status.code() == Some(1) && output.stderr.contains(pins.to_str().unwrap()), "{output}");
    ensure!(output.stderr.contains("ermission denied"), "{output}");
    chown(&pins, Some(ID), Some(ID))?;

    // In an emergency it is said as well, and not that there is nothing.
    let agent = Agent::start_as(&lab, &user(CAPABILITIES), &policy(A), &[])?;
    let other = User { id: ID + 1, groups: Vec::new(), capabilities: &[] };
    let output = verb(&lab, &other, &["bypass"])?;
    ensure!(output.status.code() == Some(10) && output.stderr.contains("CAP_BPF"), "{output}");
    let output = verb(&lab, &User { capabilities: CAPABILITIES, ..other }, &["bypass"])?;
    ensure!(output.status.code() == Some(1) && output.stderr.contains("ermission denied"), "{output}");
    agent.end(Signal::TERM)?;
    let output = verb(&lab, &user(CAPABILITIES), &["detach", "--yes"])?;
    ensure!(output.status.success(), "{output}");
    Ok(())
}
