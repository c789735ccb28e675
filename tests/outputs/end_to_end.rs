//! Packets that deviate, through the data plane and the agent, to every output at once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent::Agent;
use banchi_tests::lab::{DEADLINE, Gateway, Lab, Process};
use banchi_tests::packet::Packet;
use banchi_tests::plant;
use banchi_tests::scenarios::POLICY;
use serde_json::Value;

use super::journal::{Entry, Journald, entry_of, stripped};
use super::servers::{Certificates, mosquitto, rsyslog, subscriber};
use super::{PATIENCE, until};

/// What an event means, whoever says it: time, source, destination, ports, transport, reason, verdict.
type Meaning = [String; 8];

fn meaning(event: &Value) -> Meaning {
    let word = |key: &str| match &event[key] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    ["time", "src", "src_port", "dst", "dst_port", "transport", "reason", "verdict"].map(word)
}

fn of_json(text: &str) -> Result<BTreeSet<Meaning>> {
    text.lines().map(|line| Ok(meaning(&serde_json::from_str(line).context(line.to_owned())?))).collect()
}

fn of_eve(text: &str) -> Result<BTreeSet<Meaning>> {
    let one = |line: &str| -> Result<Meaning> {
        let record: Value = serde_json::from_str(line)?;
        let text = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let signature = text(&record["alert"]["signature"]);
        let reason = signature.strip_prefix("banchi ").and_then(|rest| rest.split(':').next()).unwrap_or("");
        let verdict = match record["verdict"]["action"].as_str() {
            Some("alert") => "would-drop",
            Some(other) => other,
            None => "",
        };
        let transport = text(&record["proto"]).to_lowercase();
        Ok([
            text(&record["timestamp"]).replace("+0000", "Z"),
            text(&record["src_ip"]),
            text(&record["src_port"]),
            text(&record["dest_ip"]),
            text(&record["dest_port"]),
            if transport == "ipv6-icmp" { "icmpv6".to_owned() } else { transport },
            reason.to_owned(),
            verdict.to_owned(),
        ])
    };
    text.lines().map(one).collect()
}

/// From entries of the journal.
fn of_journal(entries: &[Entry]) -> BTreeSet<Meaning> {
    let names = ["TIME", "SRC", "SRC_PORT", "DST", "DST_PORT", "TRANSPORT", "REASON", "VERDICT"];
    let one = |entry: &Entry| {
        names.map(|name| entry.get(&format!("BANCHI_{name}")).map(|words| words.concat()).unwrap_or_default())
    };
    entries.iter().map(one).collect()
}

/// From what rsyslog took a message apart into.
fn of_syslog(text: &str) -> Result<BTreeSet<Meaning>> {
    let one = |line: &str| -> Result<Meaning> {
        let parts: Vec<&str> = line.split("|~|").collect();
        let [time, _, app, reason, data, message] = parts.as_slice() else {
            anyhow::bail!("not taken apart: {line}");
        };
        ensure!(*app == "banchi" && message.contains(reason), "{line}");
        let value = |key: &str| {
            let rest = data.split_once(&format!(" {key}=\"")).map(|(_, rest)| rest);
            rest.and_then(|rest| rest.split('"').next()).unwrap_or("").to_owned()
        };
        let time = time.replace("+00:00", "Z");
        Ok([
            time,
            value("src"),
            value("src_port"),
            value("dst"),
            value("dst_port"),
            value("transport"),
            (*reason).to_owned(),
            value("verdict"),
        ])
    };
    text.lines().map(one).collect()
}

/// From what tshark reads in packets and their comments. A packet has all of its ports, so only what has some is compared.
fn of_packets(file: &Path) -> Result<BTreeSet<Meaning>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-E", "separator=|", "-E", "occurrence=f", "-r"]).arg(file);
    for field in [
        "frame.time_epoch",
        "ip.src",
        "ipv6.src",
        "udp.srcport",
        "tcp.srcport",
        "ip.dst",
        "ipv6.dst",
        "udp.dstport",
        "tcp.dstport",
        "icmp.type",
        "icmpv6.type",
        "frame.comment",
    ] {
        command.args(["-e", field]);
    }
    let output = Process::spawn(command)?.finish(PATIENCE)?;
    ensure!(output.status.success(), "tshark: {output}");
    let one = |line: &str| -> Result<Meaning> {
        let cells: Vec<&str> = line.splitn(12, '|').collect();
        let [time, src4, src6, udp, tcp, dst4, dst6, to_udp, to_tcp, icmp, icmpv6, comment] =
            cells.as_slice()
        else {
            anyhow::bail!("not a row: {line}");
        };
        let (seconds, fraction) = time.split_once('.').context("a time")?;
        let at = banchi::events::Clock::booted_at(seconds.parse::<u64>()? * 1_000_000_000);
        let word = |key: &str| -> String {
            let rest = comment.split_once(&format!("{key}=")).map(|(_, rest)| rest);
            rest.and_then(|rest| rest.split([' ', ':']).next()).unwrap_or("").to_owned()
        };
        // An ICMP error has the ports of the packet that it quotes, and none of its own.
        let is_flow = icmp.is_empty() && icmpv6.is_empty();
        let port = |words: [&str; 2]| if is_flow { words.concat() } else { String::new() };
        let transport = match (udp.is_empty() || !is_flow, tcp.is_empty() || !is_flow) {
            (false, _) => "udp",
            (_, false) => "tcp",
            _ => "",
        };
        Ok([
            at.time(fraction.parse()?),
            [*src4, *src6].concat(),
            port([*udp, *tcp]),
            [*dst4, *dst6].concat(),
            port([*to_udp, *to_tcp]),
            transport.to_owned(),
            word("reason"),
            word("verdict"),
        ])
    };
    output.stdout.lines().map(one).collect()
}

#[test]
fn every_output_says_the_same_of_every_packet() -> Result<()> {
    const ROUNDS: u16 = 40;
    let lab = Lab::new(Gateway::Routes, &plant::zones())?;
    let keys = lab.directory().join("keys");
    fs::create_dir_all(&keys)?;
    let certificates = Certificates::make(&keys)?;
    let (plain, plain_out) = rsyslog(&lab, "plain", None)?;
    let (secure, secure_out) = rsyslog(&lab, "secure", Some(&certificates))?;
    let broker = mosquitto(&lab, &certificates)?;
    let subscriber = subscriber(&lab, "plant/banchi")?;
    let at = |name: &str| lab.directory().join(name).display().to_string();
    let journald = Journald::bind(Path::new(&at("journal")))?;
    let (ca, cert, key) =
        (certificates.file("ca.pem"), certificates.file("client.pem"), certificates.file("client.key"));
    let config = format!(
        "version: 1
outputs:
  json: {{ kind: json, path: {} }}
  eve: {{ kind: eve, path: {} }}
  packets: {{ kind: pcapng, path: {} }}
  tcp: {{ kind: syslog, to: \"tcp://127.0.0.1:5514\", spool: {} }}
  udp: {{ kind: syslog, to: \"udp://127.0.0.1:5514\" }}
  tls: {{ kind: syslog, to: \"tls://127.0.0.1\", ca: {ca}, cert: {cert}, key: {key} }}
  stranger: {{ kind: syslog, to: \"tls://127.0.0.1\", ca: {ca} }}
  bus: {{ kind: mqtt, to: \"mqtts://127.0.0.1\", topic: plant/banchi, ca: {ca}, cert: {cert}, key: {key} }}
  journal: {{ kind: journal, path: {} }}
",
        at("own.jsonl"),
        at("eve.json"),
        at("evidence.pcapng"),
        at("spool"),
        at("journal"),
    );
    let file = lab.directory().join("agent.yaml");
    fs::write(&file, config)?;
    let arguments = [
        "--config",
        file.to_str().unwrap(),
        "--events",
        &at("events.jsonl"),
        "--suppress",
        "0",
        "--rate",
        "0",
    ];
    let agent = Agent::start_with(&lab, POLICY, &arguments)?;
    let output = |status: &Value, name: &str, key: &str| -> Value {
        let all = status["outputs"].as_array().into_iter().flatten();
        all.filter(|one| one["name"] == name).map(|one| one[key].clone()).next().unwrap_or_default()
    };
    until("everybody is reached", || {
        let status = agent.status()?;
        Ok(["tcp", "tls", "bus", "journal"].iter().all(|name| output(&status, name, "state") == "up"))
    })?;

    // In alert and then in enforce: both verdicts, both families, both transports, and no IP at all.
    let (scada, laptop, plc) = (lab.host("scada"), lab.host("laptop"), lab.host("plc-1"));
    let (from, stranger) = (scada.raw("eth0")?, laptop.raw("eth0")?);
    let gateway = lab.gateway_mac("control");
    for mode in ["alert", "enforce"] {
        agent.ask(&["mode", mode, "--all"])?;
        for round in 0..ROUNDS {
            let port = 20_000 + round;
            let packets = [
                (&from, Packet::udp((scada.ipv4(), port), (plc.ipv4(), 6011))),
                (&from, Packet::tcp((scada.ipv4(), port), (plc.ipv4(), 9_999), 2)),
                (
                    &stranger,
                    Packet::udp((laptop.ipv6(), port), (plc.ipv6(), 502)).payload([round as u8; 150]),
                ),
                (&stranger, Packet::ethernet(0x9999, &[round as u8; 50])),
            ];
            for (socket, packet) in packets {
                socket.send(&packet.to_mac(gateway).build())?;
            }
        }
    }
    let expected = 4 * 2 * usize::from(ROUNDS);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    // Other packets of the lab's hosts may be there, too: those of these are what is compared.
    let all = || of_json(&read(&at("events.jsonl")));
    until("all events", || Ok(all()?.len() >= expected))?;
    let events = |status: &Value| -> u64 {
        status["reports"].as_array().into_iter().flatten().filter_map(|row| row["sent"].as_u64()).sum()
    };
    until("every output is done", || {
        let status = agent.status()?;
        Ok(["json", "eve", "packets", "tcp", "udp", "tls", "bus", "journal"].iter().all(|name| {
            output(&status, name, "sent") == events(&status) && output(&status, name, "waiting") == 0
        }))
    })?;
    let status = agent.status()?;
    ensure!(output(&status, "stranger", "state") == "down", "{status:#}");
    ensure!(output(&status, "stranger", "sent") == 0, "{status:#}");
    let said = agent.ask(&["status"])?;
    ensure!(said.contains("stranger  syslog   DOWN"), "{said}");
    let want = all()?;
    ensure!(
        want.len() == events(&status) as usize,
        "events have one time: {} {}",
        want.len(),
        events(&status)
    );
    let verdicts: BTreeSet<&str> = want.iter().map(|one| one[7].as_str()).collect();
    ensure!(verdicts == BTreeSet::from(["drop", "would-drop"]), "{verdicts:?}");

    let datagrams = format!("{}.udp", plain_out.display());
    until("rsyslog has written all", || {
        Ok(read(&datagrams).lines().count() >= want.len()
            && read(plain_out.to_str().unwrap()).lines().count() >= want.len()
            && read(secure_out.to_str().unwrap()).lines().count() >= want.len())
    })?;
    let bus =
        || -> Vec<String> { subscriber.stdout().into_iter().filter(|line| line.starts_with('{')).collect() };
    until("the journal has all", || Ok(journald.entries().len() >= want.len()))?;
    until("the subscriber has all", || Ok(bus().len() >= want.len()))?;
    agent.stop()?;
    let found = [
        ("json", of_json(&read(&at("own.jsonl")))?),
        ("eve", of_eve(&read(&at("eve.json")))?),
        ("syslog over TCP", of_syslog(&read(plain_out.to_str().unwrap()))?),
        ("syslog over UDP", of_syslog(&read(&datagrams))?),
        ("syslog over TLS", of_syslog(&read(secure_out.to_str().unwrap()))?),
        ("MQTT", of_json(&bus().join("\n"))?),
        ("the journal", of_journal(&journald.entries())),
    ];
    for (name, found) in found {
        let missing: Vec<_> = want.symmetric_difference(&found).take(4).collect();
        ensure!(missing.is_empty(), "{name} differs: {missing:#?}");
    }
    // Of the journal not only that: each key of each event.
    for (line, entry) in read(&at("events.jsonl")).lines().zip(journald.entries()) {
        let (found, wanted) = (stripped(entry)?, entry_of(&serde_json::from_str(line)?)?);
        ensure!(found == wanted, "{found:#?} and not {wanted:#?}");
    }
    let with_ports = |all: &BTreeSet<Meaning>| -> BTreeSet<Meaning> {
        all.iter().filter(|one| !one[2].is_empty()).cloned().collect()
    };
    let packets = of_packets(&lab.directory().join("evidence.pcapng"))?;
    ensure!(packets.len() == want.len(), "{} packets of {}", packets.len(), want.len());
    let (want, packets) = (with_ports(&want), with_ports(&packets));
    let missing: Vec<_> = want.symmetric_difference(&packets).take(4).collect();
    ensure!(missing.is_empty(), "pcapng differs: {missing:#?}");
    ensure!(want.len() >= 3 * 2 * usize::from(ROUNDS));
    println!("{} events, the same in eight outputs", want.len());
    for process in [plain, secure, broker, subscriber] {
        process.terminate(DEADLINE)?;
    }
    Ok(())
}
