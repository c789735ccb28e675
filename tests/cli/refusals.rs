//! Every way in which `banchi run` refuses: its own exit code, a message that names the cause, and no change.

use std::process::Command;

use anyhow::{Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{Lab, Output};
use banchi_tests::scenarios::POLICY;

use super::other::Other;
use super::{LOADING, attached, plant};

/// `banchi run` in the gateway, behind a command that takes something away from it. It has to refuse with this
/// code, say all of this, and leave everything as it was.
fn refuses(lab: &Lab, before: &[&str], policy: &str, more: &[&str], code: i32, words: &[&str]) -> Result<()> {
    let file = lab.directory().join("refused.yaml");
    std::fs::write(&file, policy)?;
    let state = || -> Result<_> { Ok((attached(lab)?, files(lab)?, lab.pins().exists())) };
    let then = state()?;
    let output = run(lab, before, &file, more)?;
    ensure!(output.status.code() == Some(code), "expected the exit code {code}: {output}");
    for word in words {
        ensure!(output.stderr.contains(word), "nothing of {word:?} in: {output}");
    }
    ensure!(output.stdout.is_empty(), "standard output is for results: {output}");
    ensure!(state()? == then, "it left something: {:?}, before: {then:?}", state()?);
    Ok(())
}

fn run(lab: &Lab, before: &[&str], policy: &std::path::Path, more: &[&str]) -> Result<Output> {
    let binary = agent::binary()?;
    let mut words = before.iter().map(std::ffi::OsStr::new).chain([binary.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg("run").arg("--policy").arg(policy).env("BANCHI_PINS", lab.pins());
    command.arg("--socket").arg(agent::socket(lab)).args(more);
    lab.gateway().spawn(command)?.finish(LOADING)
}

fn files(lab: &Lab) -> Result<Vec<std::ffi::OsString>> {
    let mut names: Vec<_> =
        std::fs::read_dir(lab.directory())?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

/// A shell in a mount namespace of its own that does something before it becomes `banchi`.
fn mounts(first: &str) -> [String; 5] {
    ["unshare", "-m", "sh", "-c", &format!("{first} && exec \"$0\" \"$@\"")].map(str::to_owned)
}

#[test]
fn what_is_missing_is_named_and_nothing_is_changed() -> Result<()> {
    let lab = plant()?;
    let events = lab.directory().join("never.jsonl");
    let more = ["--events", events.to_str().unwrap()];

    // No privilege at all, and none for BPF.
    let none = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let lacks = ["no privilege", "CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF", "run as root"];
    refuses(&lab, &none, POLICY, &more, 10, &lacks)?;
    let no_bpf = ["setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin"];
    refuses(&lab, &no_bpf, POLICY, &more, 10, &["lacks CAP_BPF)"])?;

    // No interface of that name.
    let elsewhere = POLICY.replace("interfaces: [line-a]", "interfaces: [line-z]");
    let there = ["zone `line-a`", "`line-z`", "does not exist", "there are: lo, control, line-a"];
    refuses(&lab, &[], &elsewhere, &more, 11, &there)?;

    // A kernel without what is needed.
    let fake = |first: String, words: &[&str], code| {
        let before = mounts(&first);
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        refuses(&lab, &before, POLICY, &more, code, words)
    };
    fake("mount -t tmpfs none /sys/kernel/btf".to_owned(), &["BTF (CONFIG_DEBUG_INFO_BTF)"], 12)?;
    let old =
        "f=$(mktemp) && echo 5.15.0-91-generic > $f && mount --bind $f /proc/sys/kernel/osrelease && rm $f";
    fake(old.to_owned(), &["this kernel (5.15.0-91-generic)", "Linux 6.1"], 12)?;

    // No BPF file system.
    let bare = "mount -t tmpfs none /sys/fs/bpf".to_owned();
    fake(bare, &["no BPF file system at /sys/fs/bpf", "mount -t bpf bpf /sys/fs/bpf"], 15)?;

    // Nothing is wrong when nothing is taken away: what refused above was the only obstacle.
    let file = lab.directory().join("refused.yaml");
    std::fs::write(&file, POLICY)?;
    let output = run(&lab, &[], &file, &["--dry-run"])?;
    ensure!(output.status.success(), "{output}");
    ensure!(attached(&lab)?.is_empty());
    Ok(())
}

#[test]
fn a_wrong_policy_is_refused_before_anything_is_touched() -> Result<()> {
    let lab = plant()?;
    let twice = POLICY.replace("interfaces: [line-a]", "interfaces: [control]");
    refuses(&lab, &[], &twice, &[], 1, &["interface-in-two-zones", "control", "nothing was changed"])?;
    refuses(&lab, &[], "", &[], 1, &["nothing was changed"])?;
    let (head, _) = POLICY.split_once("conduits:").unwrap();
    refuses(&lab, &[], &format!("{head}conduits: []\n"), &[], 1, &["empty-set"])?;
    let empty = format!("{head}conduits:\n  - between: [control, line-a]\n");
    refuses(&lab, &[], &empty, &[], 1, &["empty-policy"])?;
    refuses(&lab, &[], "zones: [", &[], 1, &["yaml-syntax"])?;
    let misspelt = POLICY.replace("mode: alert", "mood: alert");
    refuses(&lab, &[], &misspelt, &[], 1, &["unknown-key", "`mode`"])?;

    let missing = lab.directory().join("missing.yaml");
    let output = run(&lab, &[], &missing, &[])?;
    ensure!(output.status.code() == Some(2), "{output}");
    ensure!(output.stderr.contains("cannot read") && output.stderr.contains("missing.yaml"), "{output}");
    Ok(())
}

#[test]
fn a_driver_that_refuses_is_named() -> Result<()> {
    let lab = plant()?;
    // Bridges have no XDP in their driver.
    lab.gateway().check(&["ip", "link", "add", "name", "trunk", "type", "bridge"])?;
    let bridge = POLICY.replace("interfaces: [line-a]", "interfaces: [trunk]");
    let words = ["driver `bridge` of `trunk`", "native XDP", "--xdp-mode generic"];
    refuses(&lab, &[], &bridge, &[], 13, &words)?;
    // A veth has, but not for frames that do not fit a page.
    let switch = format!("{}sw-line-a", lab.prefix());
    let large = ["ip", "-n", &switch, "link", "set", "dev", "uplink", "mtu", "9000"];
    lab.gateway().check(&large)?;
    refuses(&lab, &[], POLICY, &[], 13, &["driver `veth` of `line-a`", "lower the MTU"])?;
    // The generic mode takes both.
    let agent = Agent::start_with(&lab, POLICY, &["--xdp-mode", "generic"])?;
    ensure!(agent.status()?["xdp_mode"] == "generic");
    let links = lab.gateway().check(&["ip", "-d", "link", "show", "dev", "line-a"])?;
    ensure!(links.contains("xdpgeneric"), "{links}");
    agent.stop()
}

#[test]
fn a_hook_that_is_taken_stays_with_its_holder() -> Result<()> {
    let lab = plant()?;
    let other = Other::attach(lab.gateway(), "line-a", "somebody_else")?;
    let holder = attached(&lab)?;
    ensure!(matches!(&holder[..], [(name, _)] if name == "line-a"), "{holder:?}");
    let id = format!("id {}", holder[0].1);
    refuses(&lab, &[], POLICY, &[], 14, &["`line-a`", "`somebody_else`", &id])?;
    // The native one has no room for a generic one beside it either.
    refuses(&lab, &[], POLICY, &["--xdp-mode", "generic"], 14, &["`somebody_else`"])?;
    drop(other);
    Agent::start(&lab, POLICY)?.stop()
}

#[test]
fn a_second_agent_does_not_disturb_the_first() -> Result<()> {
    let lab = plant()?;
    let first = Agent::start(&lab, POLICY)?;
    let status = first.status()?;
    refuses(&lab, &[], POLICY, &[], 16, &["another banchi", "banchi.sock"])?;
    // On another socket it finds the interfaces taken.
    let elsewhere = lab.directory().join("second.sock");
    let more = ["--socket", elsewhere.to_str().unwrap()];
    let file = lab.directory().join("refused.yaml");
    let mut command = Command::new(agent::binary()?);
    command.arg("run").arg("--policy").arg(&file).args(more).env("BANCHI_PINS", lab.pins().join("second"));
    let output = lab.gateway().spawn(command)?.finish(LOADING)?;
    ensure!(output.status.code() == Some(14), "{output}");
    ensure!(output.stderr.contains("program `banchi`"), "{output}");
    ensure!(!elsewhere.exists(), "a socket is left");
    ensure!(first.status()?["pid"] == status["pid"], "the first answers as before");
    first.stop()
}
