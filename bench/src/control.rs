//! What a policy costs on its way into the kernel, there, and while it takes the place of another one.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{Array, Map, MapData, MapInfo};
use banchi::datapath::{Datapath, Options, Root, Store};
use banchi_common::abi::SLOT_ACTIVE;
use banchi_tests::agent::{self, Agent};
use banchi_tests::lab::{Gateway, Lab, Zone};
use banchi_tests::packet::Packet;
use rustix::thread::sched_setaffinity;

use crate::gateway::Bed;
use crate::kernel;
use crate::measure::{self, Rounds};
use crate::report::{Row, short};
use crate::traffic::{self, Forwarding, Service, Tuples};

const BENCH: &str = "control";
const SIZES: [Tuples; 6] = [
    Tuples::new(2, 5),
    Tuples::new(10, 10),
    Tuples::new(10, 100),
    Tuples::new(100, 100),
    Tuples::new(400, 250),
    Tuples::new(1000, 1000),
];
/// The size of the policies that take each other's place under traffic.
const SWAPPED: (Tuples, Tuples) = (Tuples::new(400, 250), Tuples::new(1000, 1000));
/// A change of a large policy takes seconds, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two frames.
const INTERVAL: Duration = Duration::from_micros(100);
/// How long frames go on after a change: the kernel frees later than the verb ends.
const AFTER: Duration = Duration::from_millis(500);

/// What goes on while gaps are looked for: who, its verb, and whether it keeps away from the CPU that packets are on.
const CHANGES: [(&str, Option<&str>, bool); 4] = [
    ("nothing", None, false),
    ("compile-only", Some("compile"), false),
    ("banchi", Some("apply"), false),
    ("banchi-apart", Some("apply"), true),
];

/// Runs the part.
pub(crate) fn run(quick: bool) -> Result<Vec<Row>> {
    let forwardings = traffic::forwardings();
    let zones = [Zone::new("control").network("10.10.0.1/16"), Zone::new("line-a").network("10.20.0.1/16")];
    let lab = Lab::new(Gateway::Routes, &zones)?;
    let mut rows = Vec::new();
    for forwarding in &forwardings {
        // What is loaded depends on the way of forwarding, and not on how much of it.
        let sizes =
            if *forwarding == traffic::STACK { &SIZES[..] } else { SIZES.get(5..).unwrap_or_default() };
        for tuples in sizes {
            eprintln!("    {} tuples, {}", short(tuples.count()), forwarding.name);
            let rounds = match (quick, tuples.count()) {
                (true, 100_000..) => 1,
                (true, _) | (false, 1_000_000..) => 3,
                (false, _) => 5,
            };
            rows.extend(lab.gateway().run(|| sized(&lab, *tuples, *forwarding, rounds))?);
        }
    }
    rows.extend(gaps(quick)?);
    Ok(rows)
}

/// One policy, loaded over and over, each time in the place of the one before.
fn sized(lab: &Lab, tuples: Tuples, forwarding: Forwarding, rounds: usize) -> Result<Vec<Row>> {
    let text = traffic::policy(Service::SamePort, tuples, forwarding, "enforce");
    let place = format!("control-{}-{}", tuples.count(), forwarding.name);
    let store = Store::new(lab.pins().join(&place), lab.directory().join(&place));
    let mut root = Root::create(&store, 1 << 20)?;
    let indices = [kernel::index("control")?, kernel::index("line-a")?];
    let steps = ["read", "compile", "load", "prove", "swap"];
    let mut times = steps.map(|_| Rounds::default());
    let mut bytes = 0;
    for _ in 0..rounds {
        let mut clock = Instant::now();
        let mut lap = || std::mem::replace(&mut clock, Instant::now()).elapsed();
        let loaded = banchi::policy::load("bench.yaml", &text);
        let Some(policy) = &loaded.policy else { bail!("the policy: {:?}", loaded.diagnostics.first()) };
        let read = lap();
        let image = banchi::image::compile(policy)?;
        let compile = lap();
        ensure!(image.exact_tuples.iter().sum::<u32>() == tuples.count(), "the policy has other tuples");
        let names: Vec<&str> = image.interfaces.iter().map(String::as_str).collect();
        ensure!(names == ["control", "line-a"], "the policy has other interfaces: {names:?}");
        lap();
        let mut datapath = Datapath::load_in(&store, &image, &indices, &Options::default())?;
        let load = lap();
        let proved = datapath.prove(policy, &image, &indices)?;
        let prove = lap();
        ensure!(proved > 0, "nothing was proved");
        root.activate((&datapath, 1), None, None)?;
        let swap = lap();
        for (rounds, time) in times.iter_mut().zip([read, compile, load, prove, swap]) {
            rounds.push(time.as_secs_f64() * 1e3);
        }
        bytes = memory(&store)?;
    }
    store.remove()?;
    let row = |case: &str| {
        let row = Row::new(BENCH, "banchi", case).tuples(tuples.count());
        Row { forwarding: Some(forwarding.name), ..row }
    };
    let mut rows: Vec<Row> =
        steps.iter().zip(&times).map(|(step, all)| row(step).values(all, "ms")).collect();
    let once = |value: f64| std::iter::once(value).collect::<Rounds>();
    rows.push(row("memory").values(&once(bytes as f64 / 1e6), "MB"));
    rows.push(row("memory-per-tuple").values(&once(bytes as f64 / f64::from(tuples.count())), "B"));
    Ok(rows)
}

/// Bytes of the maps of the generation that decides, as the kernel counts them, without those that all generations share.
fn memory(store: &Store) -> Result<u64> {
    let shared = store.pins().join("root");
    let ids: Array<_, u32> = Array::try_from(Map::Array(MapData::from_pin(shared.join("PROGRAMS"))?))?;
    let program = kernel::by_id(ids.get(&SLOT_ACTIVE, 0)?)?;
    let mut others = Vec::new();
    for entry in std::fs::read_dir(&shared)? {
        // The root program itself is there, too.
        others.extend(MapInfo::from_pin(entry?.path()).map(|map| map.id()).ok());
    }
    let maps = program.info()?.map_ids()?.context("the kernel does not tell the maps of a program")?;
    let mut sum = 0;
    for id in maps.into_iter().filter(|id| !others.contains(id)) {
        let map = MapInfo::from_id(id)?.fd()?;
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd()))?;
        let bytes = info.lines().find_map(|line| line.strip_prefix("memlock:"));
        sum += bytes.and_then(|bytes| bytes.trim().parse::<u64>().ok()).context("no size of a map")?;
    }
    Ok(sum)
}

/// The longest time between two frames behind a gateway, of which one comes in each tenth of a millisecond, while policies
/// take each other's place and old ones are freed: by an agent that runs on any CPU, and by one that leaves out that of
/// the packets. Beside it the same while a policy is compiled only, and while nothing happens.
///
/// Who sends goes before all other processes, as the packets of a network card do. Else a gap would be the time that the
/// scheduler gives to somebody else.
fn gaps(quick: bool) -> Result<Vec<Row>> {
    let tuples = if quick { SWAPPED.0 } else { SWAPPED.1 };
    let forwarding = traffic::STACK;
    eprintln!("    {} tuples: gaps", short(tuples.count()));
    let mut bed = Bed::with_gaps()?;
    let text = traffic::policy(Service::SamePort, tuples, forwarding, "enforce");
    let files = [0, 1].map(|number| {
        let path = bed.lab.directory().join(format!("swap-{number}.yaml"));
        let written = std::fs::write(&path, format!("{text}# {number}\n"));
        written.map(|()| path)
    });
    let [first, second] = files;
    let files: [PathBuf; 2] = [first?, second?];
    let running = Agent::start(&bed.lab, &text)?;
    let status = running.status()?;
    let pid = status.get("pid").and_then(|pid| pid.as_i64()?.try_into().ok()).context("no pid")?;
    let mut measured = CHANGES.map(|change| (change, Rounds::default()));
    let mut turn = 0;
    // The first one replaces nothing that is old enough to be freed.
    for number in 0..if quick { 3 } else { 6 } {
        for ((_, verb, is_apart), rounds) in &mut measured {
            turn += usize::from(*verb == Some("apply"));
            let file = files.get(turn % 2).and_then(|path| path.to_str()).context("no file")?;
            let cpus = measure::cpus(*is_apart)?;
            measure::move_to(pid, &cpus)?;
            bed.counter.pause(true)?;
            let lab = &bed.lab;
            let sent = std::thread::scope(|scope| -> Result<u64> {
                let change = scope.spawn(|| -> Result<()> {
                    sched_setaffinity(None, &cpus).context("choose the CPUs")?;
                    let Some(verb) = verb else { return Ok(()) };
                    let output = agent::verb_within(lab, &[verb, file], PATIENCE)?;
                    ensure!(output.status.success(), "banchi {verb}: {output}");
                    Ok(())
                });
                // A thread of its own, which goes before the others.
                let sent = std::thread::scope(|scope| {
                    let sender = scope.spawn(|| frames_while(lab, || !change.is_finished()));
                    sender.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
                })?;
                change.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))?;
                Ok(sent)
            })?;
            let seen = bed.seen()?;
            ensure!(seen.listed == sent, "{} of {sent} frames came through", seen.listed);
            ensure!(seen.gap_ns > 0, "no time has passed between the frames");
            if number > 0 {
                rounds.push(seen.gap_ns as f64 / 1e3);
            }
        }
    }
    running.stop()?;
    let [(_, nothing), ..] = &measured;
    let rows = measured.iter().map(|((subject, verb, _), rounds)| {
        let row = Row::new(BENCH, *subject, "longest-gap").tuples(tuples.count()).values(rounds, "us");
        match *verb {
            None => row,
            Some("apply") => row.by(forwarding, "enforce").against("nothing", rounds, nothing),
            Some(_) => row.against("nothing", rounds, nothing),
        }
    });
    Ok(rows.collect())
}

/// Sends a frame of a listed tuple each [`INTERVAL`], as long as something goes on and some time after, and yields how many.
fn frames_while(lab: &Lab, goes_on: impl Fn() -> bool) -> Result<u64> {
    measure::pin()?;
    measure::go_first()?;
    let socket = lab.switch("control").raw("uplink")?;
    let frame = Packet::udp((traffic::client(0), traffic::PORT), (traffic::server(0), traffic::PORT));
    let frame = frame.to_mac(lab.gateway_mac("control")).build();
    let (mut sent, mut next) = (0, Instant::now());
    let mut until = next + AFTER;
    while next < until {
        socket.send(&frame)?;
        sent += 1;
        // Where one was late, the others come as late: none is made up for.
        let now = Instant::now();
        next = (next + INTERVAL).max(now);
        std::thread::sleep(next - now);
        if goes_on() {
            until = next + AFTER;
        }
    }
    Ok(sent)
}
