//! Learning from live traffic, held against a capture of the same time: real stacks and every idiom, across a gateway that
//! observes.
//!
//! Needs root, dumpcap (of tshark's package), and the binary of `cargo xtask build`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use banchi::capture::{Captures, Frame};
use banchi::learn::observed::Observed;
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{DEADLINE, Gateway, Lab, Output, Process};
use banchi_tests::packet::Packet;
use banchi_tests::peers;
use banchi_tests::plant;
use banchi_tests::scenarios::{POLICY, SCENARIOS, Scenario};
use banchi_tests::stage::{Delivery, Stage};
use banchi_tests::traffic::{self, Outcome, UdpEcho};
use rustix::process::Signal;
use serde_json::Value;

const INTERFACES: [&str; 2] = ["control", "line-a"];
/// Ports of packets that say how far something got.
const MARKS: std::ops::Range<u16> = 49_000..49_100;
/// Time in nanoseconds within which a first word may be the second.
const BEGINNING: u64 = 2_000_000_000;
/// How long a verb may take that loads a program.
const LOADING: Duration = Duration::from_secs(60);

fn lab() -> Result<Lab> {
    Lab::new(Gateway::Routes, &plant::zones())
}

/// Starts to observe; it does when this returns.
fn observe(lab: &Lab, arguments: &[&str]) -> Result<Process> {
    let mut command = Command::new(agent::binary()?);
    command.args(["learn", "--live"]).args(INTERFACES).args(arguments).current_dir(lab.directory());
    let process = lab.gateway().spawn(command)?;
    process.wait_stderr(|line| line.starts_with("observing control, line-a"), LOADING)?;
    Ok(process)
}

/// Ends it as Ctrl-C does.
fn end(process: Process) -> Result<Output> {
    process.signal(Signal::INT)?;
    let output = process.finish(LOADING)?;
    ensure!(output.status.success(), "{output}");
    Ok(output)
}

/// A recording of what comes in by both interfaces: a file for each, since one file of both is out of order.
struct Recording {
    processes: Vec<Process>,
    files: Vec<PathBuf>,
}

impl Recording {
    /// Records when this returns.
    fn start(lab: &Lab) -> Result<Self> {
        let mut recording = Self { processes: Vec::new(), files: Vec::new() };
        for interface in INTERFACES {
            let file = lab.directory().join(format!("{interface}.pcapng"));
            let mut command = Command::new("dumpcap");
            command.args(["-i", interface, "-f", "inbound", "-w"]).arg(&file);
            recording.processes.push(lab.gateway().spawn(command)?);
            recording.files.push(file);
        }
        for process in &recording.processes {
            process.wait_stderr(|line| line.starts_with("File:"), DEADLINE)?;
        }
        // Who speaks first says less in the first two seconds, and those who observe began earlier.
        mark(lab, MARKS.start, || {
            Ok(lasts(&recording.files[0])? > BEGINNING && lasts(&recording.files[1])? > BEGINNING)
        })?;
        Ok(recording)
    }

    /// Waits until both files have everything so far.
    fn mark(&self, lab: &Lab, port: u16) -> Result<()> {
        mark(lab, port, || Ok(has(&self.files[0], port)? && has(&self.files[1], port)?))
    }

    /// What `banchi learn` makes of it.
    fn learn(self, lab: &Lab) -> Result<BTreeMap<String, u64>> {
        self.mark(lab, MARKS.end - 1)?;
        for process in self.processes {
            process.terminate(DEADLINE)?;
        }
        let mut command = Command::new(agent::binary()?);
        command.arg("learn").args(&self.files).args(["--flows-json", "-"]);
        let output = Process::spawn(command)?.finish(LOADING)?;
        ensure!(output.status.success() && !output.stderr.contains("older"), "{output}");
        flows(&output.stdout)
    }
}

/// How long a capture that is being written lasts so far, in nanoseconds.
fn lasts(path: &Path) -> Result<u64> {
    let mut captures = Captures::open(&[path.to_owned()])?;
    let (mut frame, mut first, mut last) = (Frame::default(), None, 0);
    while captures.next(&mut frame) {
        first = first.or(Some(frame.at));
        last = frame.at;
    }
    Ok(last - first.unwrap_or(last))
}

/// Whether a capture that is being written has the mark.
fn has(path: &Path, port: u16) -> Result<bool> {
    let mut captures = Captures::open(&[path.to_owned()])?;
    let mut frame = Frame::default();
    let mut found = false;
    while captures.next(&mut frame) {
        found |= frame.bytes.get(34..36) == Some(&port.to_be_bytes());
    }
    Ok(found)
}

/// Sends packets with a port of their own from both sides until something has come that far. Nobody answers them.
fn mark(lab: &Lab, port: u16, is_there: impl Fn() -> Result<bool>) -> Result<()> {
    let mut senders = Vec::new();
    for (host, to) in [("laptop", Ipv4Addr::new(10, 20, 0, 250)), ("plc-2", Ipv4Addr::new(10, 10, 0, 250))] {
        let host = lab.host(host);
        let packet = Packet::udp((host.ipv4(), port), (to, port));
        senders.push((host.raw("eth0")?, packet.to_mac(lab.gateway_mac(host.zone())).build()));
    }
    let deadline = Instant::now() + LOADING;
    while !is_there()? {
        ensure!(Instant::now() < deadline, "the mark {port} does not arrive");
        for (socket, frame) in &senders {
            socket.send(frame)?;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Whether a state file has the mark.
fn is_kept(path: &Path, port: u16) -> Result<bool> {
    if !path.exists() {
        return Ok(false);
    }
    let interfaces = INTERFACES.map(str::to_owned).to_vec();
    let traffic = Observed::resume(path, interfaces, 1_000_000)?.finish();
    Ok(traffic.tuples.iter().any(|tuple| tuple.key.port(0) == port && tuple.key.port(1) == port))
}

/// Everything but the marks: who asks whom, over what, which way round, and how many packets.
fn flows(text: &str) -> Result<BTreeMap<String, u64>> {
    let rows: Vec<Value> = serde_json::from_str(text).with_context(|| text.to_owned())?;
    let of_mark =
        |row: &Value| row["server_port"].as_u64().is_some_and(|port| MARKS.contains(&(port as u16)));
    let rows = rows.iter().filter(|row| !of_mark(row)).map(|row| {
        let fields = ["client", "client_port", "server", "server_port", "transport", "idiom", "protocol"];
        let words: Vec<String> = fields.iter().map(|field| row[*field].to_string()).collect();
        (words.join(" "), row["packets"].as_u64().unwrap())
    });
    Ok(rows.collect())
}

fn play(stage: &Stage<'_>, scenarios: &[Scenario]) -> Result<()> {
    for scenario in scenarios {
        let delivery = stage.deliver(scenario)?;
        ensure!(delivery == Delivery::Answered, "{}: {delivery}", scenario.name);
    }
    Ok(())
}

/// Traffic of which the kernel shows a small part only.
fn busy(lab: &Lab) -> Result<()> {
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let polls = peers::modbus_client(scada, &plc.ipv4().to_string(), 400)?;
    for number in 0..300_u16 {
        let question = number.to_be_bytes();
        let outcome = traffic::ask_udp(scada, (scada.ipv4(), 6000), (plc.ipv4(), 6011), &question, DEADLINE)?;
        ensure!(outcome == Outcome::Answered, "question {number}: {outcome:?}");
        // A pause, as between the questions of a poll: without one nothing tells who asks.
        std::thread::sleep(Duration::from_millis(20));
    }
    let exchanges = peers::exchanges(polls, LOADING)?;
    ensure!(exchanges.len() == 400 && exchanges.iter().all(|exchange| exchange.ok), "{exchanges:?}");
    Ok(())
}

/// Fails with the rows that are on one side only.
fn same(observed: &BTreeMap<String, u64>, recorded: &BTreeMap<String, u64>) {
    let only = |these: &BTreeMap<String, u64>, others: &BTreeMap<String, u64>| -> Vec<String> {
        let rows = these.iter().filter(|(row, packets)| others.get(*row) != Some(packets));
        rows.map(|(row, packets)| format!("{row}: {packets}")).collect()
    };
    let (mine, others) = (only(observed, recorded), only(recorded, observed));
    assert!(mine.is_empty() && others.is_empty(), "observed only: {mine:#?}\nrecorded only: {others:#?}");
}

fn attached(lab: &Lab) -> Result<bool> {
    Ok(lab.gateway().check(&["ip", "link"])?.contains("xdp"))
}

/// Not the packets of these rows, which went on while nobody observed.
fn without(mut flows: BTreeMap<String, u64>, part: &str) -> BTreeMap<String, u64> {
    let (rows, mut found) = (flows.iter_mut(), 0);
    for (_, packets) in rows.filter(|(row, _)| row.contains(part)) {
        (*packets, found) = (0, found + 1);
    }
    assert!(found > 0, "{part}: {flows:#?}");
    flows
}

#[test]
fn what_is_observed_is_what_a_capture_of_the_same_time_says() -> Result<()> {
    let lab = lab()?;
    let stage = Stage::new(&lab, SCENARIOS)?;
    let draft = lab.directory().join("draft.yaml");
    let process = observe(&lab, &["--flows-json", "-", "-o", "draft.yaml"])?;
    let recording = Recording::start(&lab)?;
    play(&stage, SCENARIOS)?;
    busy(&lab)?;
    recording.mark(&lab, MARKS.start + 1)?;
    let output = end(process)?;

    let observed = flows(&output.stdout)?;
    let recorded = recording.learn(&lab)?;
    same(&observed, &recorded);
    let busiest = observed.values().max().copied().unwrap_or(0);
    ensure!(observed.len() >= 14 && busiest > 1_000, "{observed:#?}");
    ensure!(!output.stderr.contains("counted and not looked at"), "{output}");
    ensure!(!attached(&lab)?, "a program stays behind");

    // The draft is a policy, and knows which zone is behind which interface.
    let text = std::fs::read_to_string(&draft)?;
    let loaded = banchi::policy::load("draft.yaml", &text);
    ensure!(loaded.policy.is_some(), "{:?}\n{text}", loaded.diagnostics);
    ensure!(text.starts_with("# Draft, learnt from live traffic of control"), "{text}");
    for interface in INTERFACES {
        ensure!(text.contains(&format!("interfaces: [{interface}]")), "nothing of {interface}: {text}");
    }
    Ok(())
}

#[test]
fn a_run_that_is_killed_goes_on_where_its_state_was_kept() -> Result<()> {
    let lab = lab()?;
    let stage = Stage::new(&lab, SCENARIOS)?;
    let state = lab.directory().join("state");
    let (workstation, plc) = (lab.host("workstation"), lab.host("plc-3"));
    let _echo = UdpEcho::new(plc, plc.ipv4(), &[7777])?;
    let over = AtomicBool::new(false);
    let arguments = ["--flows-json", "-", "--state", "state", "--save-every", "1s"];

    let (output, recording, answered) = std::thread::scope(|scope| {
        // Nothing of this is lost, whatever becomes of who observes.
        let poll = scope.spawn(|| -> Result<u32> {
            for number in 0.. {
                if over.load(Ordering::Relaxed) {
                    return Ok(number);
                }
                let to = (plc.ipv4(), 7777);
                let from = (workstation.ipv4(), 7777);
                let outcome = traffic::ask_udp(workstation, from, to, &number.to_be_bytes(), DEADLINE)?;
                ensure!(outcome == Outcome::Answered, "question {number}: {outcome:?}");
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(0)
        });
        let run = || -> Result<(Output, Recording)> {
            let process = observe(&lab, &arguments)?;
            let recording = Recording::start(&lab)?;
            play(&stage, &SCENARIOS[..7])?;
            mark(&lab, MARKS.start + 1, || is_kept(&state, MARKS.start + 1))?;
            process.signal(Signal::KILL)?;
            process.finish(DEADLINE)?;
            let deadline = Instant::now() + DEADLINE;
            while attached(&lab)? {
                ensure!(Instant::now() < deadline, "the program outlives its process");
            }
            let process = observe(&lab, &arguments)?;
            play(&stage, &SCENARIOS[7..])?;
            recording.mark(&lab, MARKS.start + 2)?;
            Ok((end(process)?, recording))
        };
        let ran = run();
        over.store(true, Ordering::Relaxed);
        let (output, recording) = ran?;
        Ok::<_, anyhow::Error>((output, recording, poll.join().unwrap()?))
    })?;
    ensure!(answered > 100, "{answered}");
    ensure!(output.stderr.contains(", in 2 runs"), "{output}");
    let poll = format!("{:?} 7777", plc.ipv4().to_string());
    same(&without(flows(&output.stdout)?, &poll), &without(recording.learn(&lab)?, &poll));

    // A state that is not what it says is refused, and not guessed at.
    let refused = |arguments: &[&str], words: &str| -> Result<()> {
        let output = agent::verb_within(&lab, arguments, LOADING)?;
        ensure!(output.status.code() == Some(2) && output.stderr.contains(words), "{words}: {output}");
        Ok(())
    };
    let path = state.to_str().unwrap();
    refused(&["learn", "--live", "control", "--state", path], "and not on control")?;
    let mut bytes = std::fs::read(&state)?;
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&state, &bytes)?;
    refused(&["learn", "--live", "control", "line-a", "--state", path], "is broken")?;
    std::fs::write(&state, b"something else")?;
    refused(&["learn", "--live", "control", "line-a", "--state", path], "is no state of")?;
    Ok(())
}

#[test]
fn what_finds_no_room_is_counted_and_passes() -> Result<()> {
    const PACKETS: u16 = 500;
    let lab = lab()?;
    let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
    let process = observe(&lab, &["--flows-json", "-", "--active-flows", "64", "--xdp-mode", "native"])?;
    let (sender, receiver) = (scada.raw("eth0")?, plc.raw("eth0")?);
    // Each waits for the one before: rings and queues of the lab are short, and the table is not emptied meanwhile.
    for port in 1..=PACKETS {
        let packet = Packet::udp((scada.ipv4(), port), (plc.ipv4(), 9_000));
        sender.send(&packet.to_mac(lab.gateway_mac("control")).build())?;
        let ports = [port.to_be_bytes(), 9_000_u16.to_be_bytes()].concat();
        receiver.wait_for(|frame| frame.get(34..38) == Some(&ports[..]), DEADLINE)?;
    }
    let output = end(process)?;
    let number = |words: &str| -> Result<u64> {
        let line = output.stderr.lines().find(|line| line.contains(words));
        let before = line.with_context(|| output.to_string())?.split(words).next().unwrap_or_default();
        before.rsplit(' ').next().unwrap_or_default().parse().with_context(|| before.to_owned())
    };
    let no_room = number(" packets of tuples for which the kernel had no room")?;
    let seen: u64 =
        flows(&output.stdout)?.iter().filter(|(row, _)| row.contains(" 9000 ")).map(|(_, n)| n).sum();
    // Frames that are no flows, as neighbour discovery, may take rows too.
    ensure!(seen > 0 && seen <= 64, "{seen} in flows: {output}");
    ensure!(no_room + seen >= u64::from(PACKETS), "{no_room} and {seen}: {output}");
    ensure!(number(" packets, ")? >= no_room + seen, "{output}");
    Ok(())
}

#[test]
fn where_banchi_decides_nobody_observes() -> Result<()> {
    let lab = lab()?;
    let agent = Agent::start(&lab, POLICY)?;
    let refused = |words: &str, code: i32, arguments: &[&str]| -> Result<()> {
        let output = agent::verb_within(&lab, arguments, LOADING)?;
        ensure!(output.status.code() == Some(code) && output.stderr.contains(words), "{words}: {output}");
        Ok(())
    };
    let learn = ["learn", "--live", "line-a", "--for", "1s", "--flows-json", "-"];
    refused("the data plane of banchi decides on `line-a`", 14, &learn)?;
    refused("`nowhere` does not exist; there are: ", 11, &["learn", "--live", "nowhere"])?;
    refused("`line-a` is named twice", 2, &["learn", "--live", "line-a", "line-a"])?;
    agent.stop()?;
    let process = observe(&lab, &[])?;
    refused("another XDP program holds `line-a`: program `observe`", 14, &learn)?;
    end(process)?;
    let output = agent::verb_within(&lab, &learn, LOADING)?;
    ensure!(output.status.success() && output.stderr.contains("observed for 1 s"), "{output}");
    Ok(())
}
