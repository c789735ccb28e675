//! A million events through every kind of file and socket, in bounded memory.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use banchi::config;
use banchi::outputs::Outputs;

use super::servers::{Counting, anywhere};
use super::{reports, until};
use banchi_tests::traffic::uninterrupted;

/// Memory that outputs may add, in kilobytes, whatever comes.
const BOUND: u64 = 96 << 10;
const QUEUE: u64 = 8_192;

fn resident_kb() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Each event is handed out when every queue has room, so that none is lost: what is measured is what outputs take.
fn run(events: u64) -> Result<()> {
    let _memory = super::memory();
    let directory = tempfile::tempdir()?;
    let at = |name: &str| directory.path().join(name).display().to_string();
    let server = Counting::start(anywhere(), false)?;
    let datagrams = UdpSocket::bind(anywhere())?;
    datagrams.set_read_timeout(Some(Duration::from_secs(2)))?;
    let udp = datagrams.local_addr()?;
    let heard = Arc::new(AtomicU64::new(0));
    let listener = {
        let heard = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while uninterrupted(|| datagrams.recv(&mut buffer)).is_ok() {
                heard.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let journal = directory.path().join("journal");
    let entries = UnixDatagram::bind(&journal)?;
    let journald = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        let mut is_entry = || uninterrupted(|| entries.recv(&mut buffer)).is_ok_and(|length| length > 0);
        (0..).take_while(|_| is_entry()).count() as u64
    });
    let yaml = format!(
        "version: 1
outputs:
  json: {{ kind: json, path: {}, rotate_at: 16MiB, keep: 2 }}
  eve: {{ kind: eve, path: {}, rotate_at: 16MiB, keep: 2 }}
  packets: {{ kind: pcapng, path: {}, rotate_at: 16MiB, keep: 2 }}
  tcp: {{ kind: syslog, to: \"tcp://{}\", spool: {}, spool_size: 16MiB }}
  udp: {{ kind: syslog, to: \"udp://{udp}\" }}
  journal: {{ kind: journal, path: {} }}
",
        at("events.jsonl"),
        at("eve.json"),
        at("evidence.pcapng"),
        server.address,
        at("spool"),
        journal.display(),
    );
    let loaded = config::load("agent.yaml", &yaml);
    let outputs = Outputs::start(&loaded.config.context("the configuration")?)?;
    // Counts of repeats have no packet, and would not be in every output.
    let samples: Vec<_> = reports::samples().into_iter().filter(|report| !report.frame.is_empty()).collect();
    let before = resident_kb()?;
    let (began, mut most) = (Instant::now(), before);
    for (number, event) in (0..events).zip(samples.iter().cycle()) {
        if number % 1_024 == 0 {
            until("room", || {
                Ok(outputs.status().iter().all(|one| one.waiting + one.spooled < QUEUE - 1_024))
            })?;
            most = most.max(resident_kb()?);
        }
        outputs.publish(event);
    }
    until("everything is out", || Ok(outputs.status().iter().all(|one| one.sent + one.lost == events)))?;
    let took = began.elapsed();
    most = most.max(resident_kb()?);
    for one in outputs.status() {
        ensure!((one.offered, one.sent, one.lost) == (events, events, 0), "{one:#?}");
    }
    until("the server has all", || Ok(server.count() == events))?;
    outputs.end();
    let _ = listener.join();
    UnixDatagram::unbound()?.send_to(b"", &journal)?;
    ensure!(journald.join().is_ok_and(|count| count == events), "the journal has not all");
    let on_disk: u64 = std::fs::read_dir(directory.path())?
        .flatten()
        .filter_map(|entry| entry.metadata().ok().filter(|meta| meta.is_file()))
        .map(|meta| meta.len())
        .sum();
    println!(
        "{events} events through 6 outputs in {:.1} s ({:.0} a second); memory {} kB before, {most} kB at most; {} MB on the disk; {} datagrams heard",
        took.as_secs_f64(),
        events as f64 / took.as_secs_f64(),
        before,
        on_disk >> 20,
        heard.load(Ordering::Relaxed),
    );
    ensure!(server.wrong() == 0 && heard.load(Ordering::Relaxed) > 0);
    ensure!(most - before < BOUND, "{} kB more than before", most - before);
    ensure!(on_disk <= 9 * (16 << 20), "{on_disk} bytes on the disk");
    Ok(())
}

#[test]
fn a_million_events_go_through_every_output_in_bounded_memory() -> Result<()> {
    run(1_000_000)
}

#[test]
#[ignore = "takes minutes: see outputs/main.rs"]
fn ten_million_events_go_through_every_output_in_bounded_memory() -> Result<()> {
    run(10_000_000)
}

/// Without anybody who waits: what there is no room for is counted, and memory stays bounded.
#[test]
fn a_flood_is_counted_to_the_last_event() -> Result<()> {
    const EVENTS: u64 = 1_000_000;
    let _memory = super::memory();
    let directory = tempfile::tempdir()?;
    let yaml = format!(
        "version: 1\noutputs:\n  json: {{ kind: json, path: {}, rotate_at: 4MiB, keep: 1, queue: 1024 }}\n",
        directory.path().join("events.jsonl").display()
    );
    let outputs = Outputs::start(&config::load("agent.yaml", &yaml).config.context("the configuration")?)?;
    let samples = reports::samples();
    let before = resident_kb()?;
    samples.iter().cycle().take(EVENTS as usize).for_each(|event| outputs.publish(event));
    let after = resident_kb()?;
    until("everything is written or lost", || Ok(outputs.status()[0].waiting == 0))?;
    let ended = &outputs.end()[0];
    println!("{EVENTS} events at once: {} written, {} lost", ended.sent, ended.lost);
    ensure!(ended.offered == EVENTS && ended.sent + ended.lost == EVENTS && ended.sent > 0, "{ended:#?}");
    ensure!(after.saturating_sub(before) < BOUND, "{} kB more than before", after - before);
    Ok(())
}
