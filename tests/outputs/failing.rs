//! Outputs that hang, refuse, or have no room: each costs its own events, and they are counted.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use banchi::config;
use banchi::events::Report;
use banchi::outputs::{OutputState, OutputStatus, Outputs};

use super::servers::{Counting, anywhere, nowhere};
use super::{reports, until};

pub(crate) fn start(yaml: &str) -> Result<Outputs> {
    let loaded = config::load("agent.yaml", yaml);
    let config = loaded.config.with_context(|| format!("{:?}", loaded.diagnostics))?;
    Ok(Outputs::start(&config)?)
}

fn by_name(statuses: Vec<OutputStatus>) -> BTreeMap<String, OutputStatus> {
    statuses.into_iter().map(|one| (one.name.clone(), one)).collect()
}

fn publish(outputs: &Outputs, events: &[Arc<Report>], count: usize) {
    events.iter().cycle().take(count).for_each(|event| outputs.publish(event));
}

/// The sum that has to hold when nothing is under way.
pub(crate) fn is_complete(one: &OutputStatus) -> bool {
    one.offered + one.restored == one.sent + one.lost + one.waiting + one.spooled
        && one.lost == one.lost_queue + one.lost_spool + one.lost_failed
}

#[test]
fn what_hangs_or_refuses_costs_its_own_events_only() -> Result<()> {
    const EVENTS: usize = 20_000;
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name).display().to_string();
    let fifo = directory.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0)?;
    // Its connections wait in the backlog, and nobody reads.
    let silent = TcpListener::bind(anywhere())?;
    let good = Counting::start(anywhere(), false)?;
    let refused = nowhere()?;
    let yaml = format!(
        "version: 1
outputs:
  good: {{ kind: json, path: {}, queue: 40000 }}
  server: {{ kind: syslog, to: \"tcp://{}\", queue: 40000 }}
  full: {{ kind: json, path: /dev/full, queue: 40000 }}
  hangs: {{ kind: eve, path: {}, queue: 64 }}
  silent: {{ kind: syslog, to: \"tcp://{}\", queue: 64 }}
  spooled: {{ kind: syslog, to: \"tcp://{refused}\", queue: 40000, spool: {}, spool_size: 2MiB }}
  refused: {{ kind: syslog, to: \"udp://{refused}\", queue: 64 }}
  nodir: {{ kind: pcapng, path: {}, queue: 64 }}
",
        at("good.jsonl"),
        good.address,
        fifo.display(),
        silent.local_addr()?,
        at("spool"),
        at("no/such/directory.pcapng"),
    );
    let outputs = start(&yaml)?;
    let samples = reports::samples();
    let began = Instant::now();
    publish(&outputs, &samples, EVENTS);
    let took = began.elapsed();
    println!("{EVENTS} events handed to 8 outputs in {took:?}");
    ensure!(took < Duration::from_secs(5), "the event loop waited: {took:?}");
    let events = EVENTS as u64;
    let now = || by_name(outputs.status());
    until("the good ones have all", || {
        let now = now();
        Ok(["good", "server"].iter().all(|name| now[*name].sent == events)
            && now["full"].lost_failed == events
            && now["spooled"].waiting <= 1_024
            && now["nodir"].state == OutputState::Down)
    })?;
    until("all arrive", || Ok(good.count() == events))?;
    let found = now();
    ensure!(fs::read_to_string(at("good.jsonl"))?.lines().count() == EVENTS && good.wrong() == 0);
    for one in found.values() {
        ensure!(is_complete(one), "{one:#?}");
    }
    for name in ["hangs", "silent", "refused"] {
        ensure!(found[name].lost_queue > 0, "{:#?}", found[name]);
    }
    ensure!(found["hangs"].sent == 0 && found["full"].sent == 0 && found["spooled"].sent == 0);
    for name in ["full", "spooled", "refused"] {
        ensure!(found[name].state == OutputState::Down && found[name].error.is_some(), "{:#?}", found[name]);
    }
    let spooled = &found["spooled"];
    ensure!(spooled.spooled > 1_000 && spooled.lost_spool > 1_000, "{spooled:#?}");
    ensure!(used(&directory.path().join("spool"))? <= 2 << 20);

    let began = Instant::now();
    let ended = by_name(outputs.end());
    ensure!(began.elapsed() < Duration::from_secs(8), "the end took {:?}", began.elapsed());
    for (name, one) in &ended {
        ensure!(is_complete(one), "{one:#?}");
        // What hangs in the kernel keeps what it had.
        ensure!(one.waiting == 0 || name == "hangs", "{one:#?}");
    }
    // Lets the thread go that hangs.
    drop(fs::OpenOptions::new().read(true).write(true).open(&fifo)?);
    Ok(())
}

fn used(directory: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        sum += entry?.metadata()?.len();
    }
    Ok(sum)
}

/// Numbers of the events in messages, which have them as their time.
fn times(messages: &[String]) -> Vec<String> {
    messages.iter().map(|message| message.split(' ').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn what_waits_on_the_disk_is_sent_by_the_next_agent_in_order() -> Result<()> {
    const EVENTS: u64 = 5_000;
    let directory = tempfile::tempdir()?;
    let spool = directory.path().join("spool");
    let to = nowhere()?;
    let yaml = format!(
        "version: 1\noutputs:\n  siem: {{ kind: syslog, to: \"tcp://{to}\", queue: 20000, spool: {}, spool_size: 16MiB }}\n",
        spool.display()
    );
    let events = reports::numbered(0..2 * EVENTS);
    let (first, second) = events.split_at(EVENTS as usize);
    let outputs = start(&yaml)?;
    first.iter().for_each(|event| outputs.publish(event));
    until("the spool has what memory has not", || Ok(outputs.status()[0].spooled > 3_000))?;
    let ended = outputs.end();
    ensure!((ended[0].spooled, ended[0].lost, ended[0].sent) == (EVENTS, 0, 0), "{ended:#?}");

    let server = Counting::start(to, true)?;
    let outputs = start(&yaml)?;
    second.iter().for_each(|event| outputs.publish(event));
    until("everything arrives", || Ok(server.count() == 2 * EVENTS))?;
    until("everything is counted", || Ok(outputs.status()[0].sent == 2 * EVENTS))?;
    let ended = outputs.end();
    ensure!((ended[0].restored, ended[0].offered, ended[0].lost) == (EVENTS, EVENTS, 0), "{ended:#?}");
    ensure!(ended[0].spooled == 0 && used(&spool)? == 0, "{ended:#?}");
    let expected: BTreeMap<&str, u64> =
        events.iter().zip(0..).map(|(event, at)| (event.time.as_str(), at)).collect();
    let arrived: Vec<u64> = times(&server.messages()).iter().map(|time| expected[time.as_str()]).collect();
    // What was in memory when the first agent ended stands behind what was on the disk.
    let mut sorted = arrived.clone();
    sorted.sort_unstable();
    ensure!(sorted == (0..2 * EVENTS).collect::<Vec<_>>(), "something is missing, or there twice");
    let inversions = arrived.windows(2).filter(|pair| pair[0] > pair[1]).count();
    ensure!(inversions <= 2, "{inversions} times out of order");
    Ok(())
}

#[test]
fn a_server_that_goes_and_comes_back_misses_nothing_that_was_sent_while_it_was_known_to_be_away() -> Result<()>
{
    let server = Counting::start(anywhere(), true)?;
    let to = server.address;
    let outputs = start(&format!("version: 1\noutputs:\n  siem: {{ kind: syslog, to: \"tcp://{to}\" }}\n"))?;
    let events = reports::numbered(0..300);
    let publish = |part: usize| {
        let events = events.iter().skip(part * 100).take(100);
        events.for_each(|event| outputs.publish(event));
    };
    publish(0);
    until("the first part arrives", || Ok(server.count() == 100))?;
    ensure!(outputs.status()[0].state == OutputState::Up);
    drop(server);
    until("it is known to be away", || Ok(outputs.status()[0].state == OutputState::Down))?;
    publish(1);
    let server = Counting::start(to, true)?;
    publish(2);
    until("the rest arrives", || Ok(server.count() == 200))?;
    until("it is up", || Ok(outputs.status()[0].state == OutputState::Up))?;
    let ended = outputs.end();
    ensure!((ended[0].sent, ended[0].lost) == (300, 0), "{ended:#?}");
    ensure!(ended[0].failures > 0);
    let expected: Vec<String> = events.iter().skip(100).map(|event| event.time.clone()).collect();
    ensure!(times(&server.messages()) == expected);
    Ok(())
}
