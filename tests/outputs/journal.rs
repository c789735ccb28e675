//! The journal's entries as a journal reads them: one datagram each, beside the JSON of the same event.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, bail, ensure};
use banchi::config::Facility;
use banchi::events::Report;
use banchi::outputs::{OutputState, OutputStatus, Outputs, Syslog};
use banchi_tests::traffic::uninterrupted;
use serde_json::Value;

use super::failing::{is_complete, start};
use super::{reports, until};

/// As documented.
const MESSAGE_ID: &str = "198b2052c35b46c590f7ac088ebf4630";

/// The values of each field.
pub(crate) type Entry = BTreeMap<String, Vec<String>>;

/// Takes an entry apart, as systemd documents its native protocol.
fn take_apart(mut rest: &[u8]) -> Result<Entry> {
    let mut entry = Entry::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').context("a line without an end")?;
        let (line, behind) = (&rest[..end], &rest[end + 1..]);
        let (name, value) = match line.iter().position(|byte| *byte == b'=') {
            Some(at) => {
                rest = behind;
                (&line[..at], &line[at + 1..])
            }
            None => {
                let (length, data) = behind.split_first_chunk().context("no length")?;
                let length = u64::from_le_bytes(*length) as usize;
                ensure!(data.get(length) == Some(&b'\n'), "a value of {length} bytes does not end there");
                rest = &data[length + 1..];
                (line, &data[..length])
            }
        };
        let name = String::from_utf8(name.to_vec())?;
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        // What journald drops without a word.
        ensure!(!name.starts_with('_') && name.len() <= 64 && name.chars().all(is_name), "{name}");
        entry.entry(name).or_default().push(String::from_utf8(value.to_vec())?);
    }
    Ok(entry)
}

/// Whoever reads a journal's socket, in a thread.
pub(crate) struct Journald {
    path: PathBuf,
    entries: Arc<Mutex<Vec<Entry>>>,
    thread: Option<JoinHandle<Result<UnixDatagram>>>,
}

impl Journald {
    /// Listens where nobody does.
    pub(crate) fn bind(path: &Path) -> Result<Self> {
        Ok(Self::read(path, UnixDatagram::bind(path)?))
    }

    /// Reads what a socket has.
    fn read(path: &Path, socket: UnixDatagram) -> Self {
        let entries = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&entries);
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            loop {
                let length = uninterrupted(|| socket.recv(&mut buffer))?;
                match &buffer[..length] {
                    [] => return Ok(socket),
                    entry => taken.lock().unwrap().push(take_apart(entry)?),
                }
            }
        });
        Self { path: path.to_owned(), entries, thread: Some(thread) }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.entries.lock().unwrap().len()
    }

    /// Reads no more: the socket stays, and fills.
    pub(crate) fn hang(mut self) -> Result<(Vec<Entry>, UnixDatagram)> {
        UnixDatagram::unbound()?.send_to(b"", &self.path)?;
        let thread = self.thread.take().context("a thread")?;
        let socket = thread.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
        Ok((self.entries(), socket))
    }
}

/// Words of a value of JSON, each of them a field.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().flat_map(words).collect(),
        other => vec![other.to_string()],
    }
}

/// The entry of an event, from its JSON.
pub(crate) fn entry_of(json: &Value) -> Result<Entry> {
    let mut entry = Entry::new();
    for (key, value) in json.as_object().context("an object")? {
        let name =
            if key == "line" { "MESSAGE".to_owned() } else { format!("BANCHI_{}", key.to_uppercase()) };
        let words = words(value);
        if !words.is_empty() {
            entry.insert(name, words);
        }
    }
    Ok(entry)
}

/// An entry without what the JSON of its event does not say, which is looked at here.
pub(crate) fn stripped(mut entry: Entry) -> Result<Entry> {
    for (name, wanted) in [("SYSLOG_IDENTIFIER", "banchi"), ("MESSAGE_ID", MESSAGE_ID)] {
        ensure!(entry.remove(name) == Some(vec![wanted.to_owned()]), "{name} of {entry:?}");
    }
    let verdict = entry["BANCHI_VERDICT"].concat();
    let priority = entry.remove("PRIORITY").context("PRIORITY")?.concat();
    let is_right = if verdict == "pass" { priority == "6" } else { ["3", "4", "5"].contains(&&*priority) };
    ensure!(is_right, "priority {priority} of {verdict}");
    Ok(entry)
}

/// Samples, and one whose names have lines of their own.
fn samples() -> Vec<Arc<Report>> {
    let mut samples = reports::samples();
    let mut odd = Report::clone(&samples[0]);
    odd.rule = Some("scada > plcs\n: modbus = é".into());
    odd.conduit = Some("\n".into());
    odd.interface = Some("".into());
    odd.vlans = vec![20, 30];
    samples.push(Arc::new(odd));
    samples
}

#[test]
fn an_entry_says_what_json_and_syslog_say() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("socket");
    let journald = Journald::bind(&path)?;
    let outputs =
        start(&format!("version: 1\noutputs:\n  journal: {{ kind: journal, path: {} }}\n", path.display()))?;
    let samples = samples();
    samples.iter().for_each(|report| outputs.publish(report));
    until("all entries", || Ok(journald.count() == samples.len()))?;
    let status = outputs.end();
    ensure!((status[0].kind.as_str(), status[0].sent, status[0].lost) == ("journal", 7, 0), "{status:?}");
    let syslog = Syslog::of(Facility(0), "gateway-7", 4711);
    for (entry, report) in journald.entries().into_iter().zip(&samples) {
        let priority = format!("<{}>", entry["PRIORITY"].concat());
        ensure!(syslog.message(report).starts_with(&priority), "{priority} {}", syslog.message(report));
        let json: Value = serde_json::from_str(&report.json()?)?;
        let (found, wanted) = (stripped(entry)?, entry_of(&json)?);
        ensure!(found == wanted, "{found:#?} and not {wanted:#?}");
    }
    ensure!(entry_of(&serde_json::from_str(&samples[6].json()?)?)?["BANCHI_VLANS"] == ["20", "30"]);
    Ok(())
}

#[test]
fn the_documented_identity_is_that_of_the_catalog() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let catalog = fs::read_to_string(root.join("packaging/systemd/banchi.catalog"))?;
    ensure!(catalog.lines().any(|line| line == format!("-- {MESSAGE_ID}")), "{catalog}");
    ensure!(fs::read_to_string(root.join("docs/outputs.md"))?.contains(&format!("MESSAGE_ID={MESSAGE_ID}")));
    Ok(())
}

fn status(outputs: &Outputs, name: &str) -> Result<OutputStatus> {
    outputs.status().into_iter().find(|one| one.name == name).context("an output")
}

/// Times of events, which are their numbers.
fn times(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry["BANCHI_TIME"].concat()).collect()
}

#[test]
fn a_journal_that_hangs_or_is_away_costs_its_own_events_and_comes_back() -> Result<()> {
    const EVENTS: usize = 4_000;
    let _memory = crate::memory();
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name);
    let (plain, kept) = (at("plain.socket"), at("kept.socket"));
    let outputs = start(&format!(
        "version: 1
outputs:
  good: {{ kind: json, path: {}, queue: 40000 }}
  plain: {{ kind: journal, path: {}, queue: 64 }}
  kept: {{ kind: journal, path: {}, queue: 40000, spool: {}, spool_size: 64MiB }}
",
        at("good.jsonl").display(),
        plain.display(),
        kept.display(),
        at("spool").display(),
    ))?;
    let events = reports::numbered(0..3 * EVENTS as u64);
    let publish = |part: usize| {
        let part = events.iter().skip(part * EVENTS).take(EVENTS);
        part.for_each(|event| outputs.publish(event));
    };
    let good = |parts: usize| {
        until("the good one has all", || Ok(status(&outputs, "good")?.sent as usize == parts * EVENTS))
    };
    let is_down = |name: &str, why: &str| {
        until("it is known to be down", || {
            let one = status(&outputs, name)?;
            Ok(one.state == OutputState::Down && one.error.is_some_and(|error| error.contains(why)))
        })
    };
    let is_done = |name: &str| {
        until("all of it is sent", || {
            let one = status(&outputs, name)?;
            Ok(one.state == OutputState::Up && one.waiting + one.spooled == 0)
        })
    };

    // Nobody is there.
    publish(0);
    good(1)?;
    is_down("plain", "cannot connect")?;
    is_down("kept", "cannot connect")?;
    let readers = [Journald::bind(&plain)?, Journald::bind(&kept)?];
    is_done("plain")?;
    is_done("kept")?;

    // Its socket is full.
    let [(mut of_plain, plain_socket), (mut of_kept, kept_socket)] = {
        let [plain, kept] = readers;
        [plain.hang()?, kept.hang()?]
    };
    publish(1);
    good(2)?;
    is_down("plain", "takes nothing")?;
    is_down("kept", "takes nothing")?;
    let [plain_reader, kept_reader] =
        [Journald::read(&plain, plain_socket), Journald::read(&kept, kept_socket)];
    is_done("plain")?;
    is_done("kept")?;

    // It dies, and another comes.
    for (reader, entries) in [(plain_reader, &mut of_plain), (kept_reader, &mut of_kept)] {
        let path = reader.path.clone();
        let (more, socket) = reader.hang()?;
        entries.extend(more);
        drop(socket);
        fs::remove_file(path)?;
    }
    publish(2);
    good(3)?;
    is_down("plain", "cannot connect")?;
    is_down("kept", "cannot connect")?;
    let readers = [Journald::bind(&plain)?, Journald::bind(&kept)?];
    is_done("plain")?;
    is_done("kept")?;
    let [plain_reader, kept_reader] = readers;
    of_plain.extend(plain_reader.hang()?.0);
    of_kept.extend(kept_reader.hang()?.0);

    // Each once, in order: all where there is a spool, and else all but those that were counted.
    let all: Vec<String> = events.iter().map(|event| event.time.clone()).collect();
    ensure!(times(&of_kept) == all, "{} of {}", of_kept.len(), all.len());
    let some = times(&of_plain);
    ensure!(some.windows(2).all(|pair| pair[0] < pair[1]), "out of order, or twice");
    ensure!(fs::read_to_string(at("good.jsonl"))?.lines().count() == 3 * EVENTS);
    for one in outputs.end() {
        ensure!(is_complete(&one), "{one:#?}");
        match one.name.as_str() {
            "plain" => {
                ensure!(one.sent as usize == some.len() && one.lost_queue == one.lost, "{one:#?}");
                ensure!(one.lost > 1_000, "{one:#?}");
            }
            _ => ensure!((one.sent as usize, one.lost) == (3 * EVENTS, 0), "{one:#?}"),
        }
    }
    Ok(())
}

#[test]
fn an_entry_that_is_too_large_is_lost_and_counted_and_the_next_goes_on() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("socket");
    let journald = Journald::bind(&path)?;
    let outputs =
        start(&format!("version: 1\noutputs:\n  j: {{ kind: journal, path: {} }}\n", path.display()))?;
    let events = reports::numbered(0..4);
    let [first, second, third, fourth] = events.as_slice() else { bail!("four") };
    let room: usize = fs::read_to_string("/proc/sys/net/core/wmem_default")?.trim().parse()?;
    let mut large = Report::clone(second);
    large.rule = Some("x".repeat(2 * room).into());
    let large = Arc::new(large);
    outputs.publish(first);
    outputs.publish(&large);
    until("it is lost", || Ok(outputs.status()[0].lost_failed == 1))?;
    // Between others, and at the end: it is never counted as sent, and the output works all the time.
    [third, &large, fourth, &large].into_iter().for_each(|event| outputs.publish(event));
    until("the others arrive", || {
        let one = status(&outputs, "j")?;
        ensure!(one.sent <= 3 && one.state != OutputState::Down, "{one:?}");
        Ok(journald.count() == 3 && one.lost_failed == 3)
    })?;
    let status = outputs.end();
    ensure!(status[0].state == OutputState::Up && is_complete(&status[0]), "{status:?}");
    ensure!((status[0].sent, status[0].lost, status[0].failures) == (3, 3, 0), "{status:?}");
    ensure!(times(&journald.entries()) == [first, third, fourth].map(|event| event.time.clone()));
    Ok(())
}
