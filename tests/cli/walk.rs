//! `banchi review walk` in a real terminal, and that its answers are what the verbs do.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::Lab;
use banchi_tests::packet::Packet;
use banchi_tests::scenarios::POLICY;
use banchi_tests::screen::{Screen, until};
use banchi_tests::traffic::{Outcome, TcpEcho, ask_tcp};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{banchi, plant};

/// How long a client waits that is not answered.
const PATIENCE: Duration = Duration::from_millis(500);
/// Of a service that the policy does not have.
const PORT: u16 = 8080;

/// What is answered, by the title of the change, and the words of the verb for it.
const ANSWERS: [(&str, &[&str], &[&str]); 4] = [
    ("workstation > 10.20.0.11 tcp/8080", &["a", "web pages of the PLC"], &["accept"]),
    ("10.10.9.99 > 10.20.0.11 udp/9100", &["g", "2h", "firmware"], &["grant", "--for", "2h"]),
    ("10.10.9.99 > 10.20.0.12 udp/9101", &["d", "gone on Friday"], &["dismiss"]),
    ("10.10.9.98 > 10.20.0.12 udp/9102", &["m", "nobody knows it"], &["malicious"]),
];

/// Everything that the answers are about, and nothing else.
fn deviate(lab: &Lab) -> Result<()> {
    let (workstation, laptop) = (lab.host("workstation"), lab.host("laptop"));
    let (plc_1, plc_2) = (lab.host("plc-1"), lab.host("plc-2"));
    ask_tcp(workstation, (workstation.ipv4(), 0), (plc_1.ipv4(), PORT), b"status?", PATIENCE)?;
    let stranger = std::net::Ipv4Addr::new(10, 10, 9, 98);
    for packet in [
        Packet::udp((laptop.ipv4(), 5_000), (plc_1.ipv4(), 9_100)),
        Packet::udp((laptop.ipv4(), 5_000), (plc_2.ipv4(), 9_101)),
        Packet::udp((stranger, 5_000), (plc_2.ipv4(), 9_102)),
    ] {
        laptop.raw("eth0")?.send(&packet.to_mac(lab.gateway_mac("control")).build())?;
    }
    Ok(())
}

/// Identities of the open changes, by title.
fn open(lab: &Lab, more: &[&str]) -> Result<BTreeMap<String, String>> {
    let output = agent::verb(lab, &[&["review", "list", "--json"], more].concat())?;
    ensure!(output.status.success(), "{output}");
    let document: Value = serde_json::from_str(&output.stdout)?;
    let changes = document["changes"].as_array().into_iter().flatten();
    let open = changes.filter(|change| change["state"] == "open");
    Ok(open
        .filter_map(|one| Some((one["title"].as_str()?.to_owned(), one["id"].as_str()?.to_owned())))
        .collect())
}

/// Decisions, log and grants, without what differs from one minute to the next.
fn outcome(agent: &Agent<'_>, memory: &Path, audit: &Path) -> Result<(Value, Vec<Value>, Value)> {
    let mut memory: Value = serde_json::from_slice(&fs::read(memory)?)?;
    for decision in memory["decisions"].as_object_mut().context("decisions")?.values_mut() {
        decision["time"].take();
    }
    let log = fs::read_to_string(audit)?;
    let entries = log.lines().map(|line| -> Result<Value> {
        let mut entry: Value = serde_json::from_str(line)?;
        for key in ["time", "previous", "pid", "command"] {
            entry.as_object_mut().context("an entry")?.remove(key);
        }
        Ok(entry)
    });
    let entries = entries.collect::<Result<Vec<Value>>>()?;
    let grants: Value = serde_json::from_str(&agent.ask(&["grants", "--json"])?)?;
    let held = grants.as_array().context("grants")?.iter().filter(|grant| grant["state"] == "holds").cloned();
    let grants = held.map(|mut grant| {
        for key in ["id", "since", "until", "expires_s", "ranked_s", "asked", "answered", "flows"] {
            if let Some(grant) = grant.as_object_mut() {
                grant.remove(key);
            }
        }
        grant
    });
    let grants = grants.collect();
    Ok((memory, entries, grants))
}

#[test]
fn an_answer_in_a_terminal_does_what_the_verb_does() -> Result<()> {
    let lab = plant()?;
    let events = lab.directory().join("events.jsonl");
    let policy = POLICY.replace("mode: alert", "mode: enforce");
    let agent = Agent::start_with(&lab, &policy, &["--events", events.to_str().unwrap(), "--suppress", "0"])?;
    let plc = lab.host("plc-1");
    let _server = TcpEcho::new(plc, (plc.ipv4(), PORT))?;
    deviate(&lab)?;
    let titles = || ANSWERS.iter().map(|(title, ..)| *title);
    let known = |found: &BTreeMap<String, String>| titles().all(|title| found.contains_key(title));
    until("all is reported", || open(&lab, &[]).ok().filter(known), String::new)?;
    // Both decide about the same events: what goes on meanwhile is for the next review.
    let kept = lab.directory().join("kept.jsonl");
    fs::copy(&events, &kept)?;
    let kept = kept.to_str().unwrap();
    let file = lab.directory().join("next.yaml");
    let [memory, audit] = ["walked.json", "walked.jsonl"].map(|name| lab.directory().join(name));
    let into = file.to_str().unwrap();
    let places = |memory: &Path, audit: &Path| {
        ["--events", kept, "--memory", memory.to_str().unwrap(), "--audit", audit.to_str().unwrap()]
            .map(str::to_owned)
    };
    let places_of_walk = places(&memory, &audit);

    fs::write(&file, &policy)?;
    let screen = Screen::in_lab(&lab, 80, 24)?;
    screen.type_line(&format!("banchi review walk --into {into} --by alice {}", places_of_walk.join(" ")))?;
    let found = open(&lab, &["--events", kept, "--policy", into])?;
    let mut order: Vec<String> = Vec::new();
    for place in 1..=found.len() {
        let question = format!("({place}/{})", found.len());
        let shown = screen
            .wait_for(&question, |shown| shown.trim_end().ends_with("]?") && shown.contains(&question))?;
        let id =
            shown.split(&question).last().and_then(|rest| rest.trim().split(':').next()).context("an id")?;
        let (title, _) =
            found.iter().find(|(_, known)| known.starts_with(id)).with_context(|| shown.clone())?;
        order.push(title.clone());
        let Some((_, lines, _)) = ANSWERS.iter().find(|answer| answer.0 == title) else {
            screen.type_line("s")?;
            continue;
        };
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                let prompt = if at + 1 == lines.len() { "leave it)?" } else { "[1h]?" };
                screen.wait_for(prompt, |shown| shown.trim_end().ends_with(prompt))?;
            }
            screen.type_line(line)?;
        }
    }
    let shown = screen.wait("until `banchi apply")?;
    ensure!(shown.contains("1 accepted, 1 granted, 1 dismissed, 1 malicious"), "{shown}");
    screen.type_line("echo it was $?")?;
    screen.wait("it was 0")?;
    screen.check_restored()?;
    let walked = (fs::read_to_string(&file)?, outcome(&agent, &memory, &audit)?);
    ensure!(walked.0 != policy && ask(&lab)? != Outcome::Answered, "written, and not applied");

    // The same by the verbs.
    ensure!(agent::verb(&lab, &["revoke", "--all"])?.status.success());
    fs::write(&file, &policy)?;
    let [memory, audit] = ["verbs.json", "verbs.jsonl"].map(|name| lab.directory().join(name));
    for title in &order {
        let Some((_, lines, verb)) = ANSWERS.iter().find(|answer| answer.0 == title) else { continue };
        let id = found.get(title).context("an id")?;
        let mut words: Vec<&str> = vec!["review", verb[0], id];
        words.extend(&verb[1..]);
        match verb[0] {
            "accept" => words.extend(["--into", into]),
            "grant" => {}
            _ => words.extend(["--policy", into]),
        }
        words.extend(["--by", "alice", "--reason", lines.last().context("a reason")?]);
        let places = places(&memory, &audit);
        words.extend(places.iter().map(String::as_str));
        let output = agent::verb(&lab, &words)?;
        ensure!(output.status.success(), "{words:?}: {output}");
    }
    let by_verbs = (fs::read_to_string(&file)?, outcome(&agent, &memory, &audit)?);
    ensure!(walked == by_verbs, "{walked:#?}\nby the verbs\n{by_verbs:#?}");

    ensure!(agent::verb(&lab, &["apply", into])?.status.success());
    ensure!(ask(&lab)? == Outcome::Answered, "it passes when it is applied");
    agent.stop()
}

/// The workstation asks PLC 1 for what the policy does not have.
fn ask(lab: &Lab) -> Result<Outcome> {
    let (workstation, plc) = (lab.host("workstation"), lab.host("plc-1"));
    ask_tcp(workstation, (workstation.ipv4(), 0), (plc.ipv4(), PORT), b"status?", PATIENCE)
}

/// A policy and events where no agent is needed, and a terminal in front of them. The line leaves its process in `pid`.
fn without_agent(directory: &Path) -> Result<(Screen, String)> {
    at_terminal(directory, "--into")
}

fn at_terminal(directory: &Path, option: &str) -> Result<(Screen, String)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/tests/review");
    for name in ["policy.yaml", "events.jsonl"] {
        fs::copy(data.join(name), directory.join(name))?;
    }
    let at = |name: &str| directory.join(name).display().to_string();
    let line = format!(
        "sh -c 'echo $$ > {}; exec banchi review walk {option} {} --events {} --memory {} --audit {}'; echo it was $?",
        at("pid"),
        at("policy.yaml"),
        at("events.jsonl"),
        at("review.json"),
        at("audit.jsonl")
    );
    Ok((Screen::at(directory, &directory.join("agent.sock"), 80, 40)?, line))
}

fn pid(directory: &Path) -> Result<Pid> {
    let id = fs::read_to_string(directory.join("pid"))?.trim().parse()?;
    Pid::from_raw(id).context("a process")
}

/// Whether it has ended; whoever inherits it may not have taken note of that yet.
fn has_ended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.map_or(true, |stat| !stat.contains("(banchi)") || stat.contains("(banchi) Z"))
}

fn decisions(directory: &Path) -> Result<Vec<String>> {
    let memory: Value = serde_json::from_slice(&fs::read(directory.join("review.json"))?)?;
    let all = memory["decisions"].as_object().context("decisions")?.values();
    Ok(all.filter_map(|one| Some(one["verdict"].as_str()?.to_owned())).collect())
}

/// Dismisses the first, and accepts the second, up to the reason.
fn begin(screen: &Screen, line: &str) -> Result<()> {
    screen.type_line(line)?;
    screen.wait("(1/14)")?;
    screen.type_line("d")?;
    screen.wait("leave it)?")?;
    screen.type_line("known")?;
    screen.wait("(2/14)")?;
    screen.type_line("a")?;
    screen.wait_for("the reason", |shown| {
        shown.trim_end().ends_with("leave it)?") || shown.contains("nothing can be written")
    })?;
    Ok(())
}

#[test]
fn whoever_leaves_keeps_what_was_decided() -> Result<()> {
    type Leaves = fn(&Screen, Pid) -> Result<()>;
    let ways: [(Leaves, u8, &str); 4] = [
        (|screen, _| screen.press("C-c"), 130, "left open"),
        (|screen, _| screen.press("C-d"), 1, "the terminal was closed"),
        (|_, pid| Ok(kill_process(pid, Signal::HUP)?), 1, "or a signal came, before the end"),
        (|_, pid| Ok(kill_process(pid, Signal::TERM)?), 1, "or a signal came, before the end"),
    ];
    for (leave, code, says) in ways {
        let directory = tempfile::tempdir()?;
        let (screen, line) = without_agent(directory.path())?;
        begin(&screen, &line)?;
        leave(&screen, pid(directory.path())?)?;
        let shown = screen.wait(&format!("it was {code}"))?;
        ensure!(shown.contains(says) && shown.contains("1 dismissed, 13 left open"), "{shown}");
        screen.check_restored()?;
        ensure!(decisions(directory.path())? == ["dismissed"]);
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/tests/review/policy.yaml");
        ensure!(fs::read(directory.path().join("policy.yaml"))? == fs::read(data)?);
    }
    Ok(())
}

#[test]
fn a_terminal_that_is_gone_ends_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (screen, line) = without_agent(directory.path())?;
    begin(&screen, &line)?;
    let pid = pid(directory.path())?;
    ensure!(!has_ended(pid));
    drop(screen);
    until("the walk to end", || has_ended(pid).then_some(()), String::new)?;
    ensure!(decisions(directory.path())? == ["dismissed"]);
    Ok(())
}

/// Walks to where a grant waits for an agent that hangs: the terminal, and the agent's side of the connection.
fn granting(directory: &Path) -> Result<(Screen, UnixStream)> {
    let listener = UnixListener::bind(directory.join("agent.sock"))?;
    let (screen, line) = at_terminal(directory, "--policy")?;
    screen.type_line(&line)?;
    let mut place = 0;
    loop {
        place += 1;
        let question = format!("({place}/14)");
        let shown = screen
            .wait_for(&question, |shown| shown.trim_end().ends_with("]?") && shown.contains(&question))?;
        let asked = shown.split(&question).last().context("a question")?;
        if asked.contains("[g,") {
            break;
        }
        screen.type_line("s")?;
    }
    screen.type_line("g")?;
    screen.wait("[1h]?")?;
    screen.type_line("2h")?;
    screen.wait("leave it)?")?;
    screen.type_line("firmware")?;
    let (stream, _) = listener.accept()?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    ensure!(line.contains("\"verb\":\"grant\"") && line.contains("firmware"), "{line}");
    screen.wait("waiting for the agent")?;
    Ok((screen, stream))
}

#[test]
fn a_grant_under_way_is_kept_whatever_signal_comes() -> Result<()> {
    for (signal, code) in [(Signal::HUP, 1), (Signal::TERM, 1), (Signal::INT, 130)] {
        let directory = tempfile::tempdir()?;
        let (screen, mut agent) = granting(directory.path())?;
        kill_process(pid(directory.path())?, signal)?;
        writeln!(agent, "{{\"reply\":\"grants\",\"grants\":[]}}")?;
        let shown = screen.wait(&format!("it was {code}"))?;
        ensure!(shown.contains("1 granted"), "{shown}");
        ensure!(decisions(directory.path())? == ["granted"]);
    }
    Ok(())
}

#[test]
fn of_an_agent_that_hangs_whoever_presses_twice_is_rid() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (screen, _agent) = granting(directory.path())?;
    screen.press("C-c")?;
    screen.wait("^C")?;
    ensure!(!has_ended(pid(directory.path())?), "the first one waits");
    screen.press("C-c")?;
    screen.wait("it was 130")?;
    screen.check_restored()
}

#[test]
fn nothing_of_what_is_pasted_is_an_answer() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (screen, line) = without_agent(directory.path())?;
    screen.type_line(&line)?;
    screen.wait("(1/14)")?;
    screen.type_line("d")?;
    screen.wait("leave it)?")?;
    // Three lines at once; the first is the reason.
    screen.paste("ticket 4711\nq\nm\n")?;
    screen.wait("(2/14)")?;
    screen.type_line("q")?;
    screen.wait("it was 0")?;
    let memory = fs::read_to_string(directory.path().join("review.json"))?;
    ensure!(memory.contains("ticket 4711") && !memory.contains("malicious"), "{memory}");
    ensure!(screen.shown().contains("1 dismissed, 13 left open"), "{}", screen.shown());
    Ok(())
}

#[test]
fn without_a_terminal_the_verbs_are_named() -> Result<()> {
    let output = banchi(&["review", "walk"])?;
    ensure!(output.status.code() == Some(2), "{output}");
    for word in ["needs a terminal", "banchi review list --json", "banchi review accept", "`malicious`"] {
        ensure!(output.stderr.contains(word), "{word}: {output}");
    }
    let output = banchi(&["review", "walk", "--json"])?;
    ensure!(output.status.code() == Some(2) && output.stderr.contains("--json"), "{output}");
    Ok(())
}
