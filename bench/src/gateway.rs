//! A gateway between two zones, frames into one of them, and a count of what comes out of the other.
//!
//! ```text
//!   generate ── uplink │ control   gateway   line-a │ uplink ── count
//! ```

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::programs::Xdp;
use banchi_tests::lab::{Gateway, Lab, Namespace, Zone};
use banchi_tests::packet::Packet;

use crate::frames::{self, FRAME, Seen};
use crate::kernel::{self, Kit, Plan};
use crate::measure;
use crate::traffic::{PORT, Tuples, client, server};

/// Where the gateway sends what is for the clients and for the servers: nobody, but with a hardware address.
const BEHIND: [(&str, &str, &str); 4] = [
    ("control", "10.10.0.0/16", "10.99.0.2"),
    ("line-a", "10.20.0.0/16", "10.99.1.2"),
    ("control", "fd00:10::/64", "fd00:99:0::2"),
    ("line-a", "fd00:20::/64", "fd00:99:1::2"),
];
/// Bursts a second: the kernel takes some milliseconds to begin and to end one.
const BURSTS: u32 = 40;
/// How long frames may be under way.
const UNDER_WAY: Duration = Duration::from_millis(500);

/// The gateway, and who counts behind it.
pub(crate) struct Bed {
    pub(crate) lab: Lab,
    pub(crate) counter: Kit,
}

/// What sends.
pub(crate) struct Generator {
    kit: Kit,
    program: Xdp,
}

impl Bed {
    /// Builds it; the gateway routes, and nothing filters.
    pub(crate) fn new() -> Result<Self> {
        let lab = lab()?;
        let mut counter = Kit::load(&Plan { gaps: false, ..Plan::new(Tuples::new(1, 1)) }, 1)?;
        attach(lab.switch("line-a"), &mut counter)?;
        Ok(Self { lab, counter })
    }

    /// The same, and gaps between two frames are noted.
    pub(crate) fn with_gaps() -> Result<Self> {
        let Self { lab, counter } = Self::new()?;
        drop(counter);
        let mut counter = Kit::load(&Plan { gaps: true, ..Plan::new(Tuples::new(1, 1)) }, 1)?;
        attach(lab.switch("line-a"), &mut counter)?;
        Ok(Self { lab, counter })
    }

    /// The same, and frames are counted where they come into the gateway.
    pub(crate) fn short() -> Result<Self> {
        let Self { lab, counter } = Self::new()?;
        drop(counter);
        let mut counter = Kit::load(&Plan::new(Tuples::new(1, 1)), 1)?;
        lab.gateway().run(|| counter.attach("count", kernel::index("control")?))?;
        Ok(Self { lab, counter })
    }

    /// A program that sends frames of the clients on to the servers' zone, as long as it lasts.
    pub(crate) fn onward(&self, program: &str, tuples: Tuples) -> Result<Kit> {
        self.lab.gateway().run(|| {
            let plan = Plan { out: kernel::index("line-a")?, ..Plan::new(tuples) };
            let mut kit = Kit::load(&plan, tuples.count())?;
            kit.fill(tuples)?;
            kit.attach(program, kernel::index("control")?)?;
            Ok(kit)
        })
    }

    /// What sends frames of all tuples into the clients' zone. Of `one_of` frames one is listed; 0 is none.
    pub(crate) fn generator(&self, tuples: Tuples, one_of: u32, unlisted: (u32, u32)) -> Result<Generator> {
        generator(&self.lab, Plan { one_of, unlisted, ..Plan::new(tuples) })
    }

    /// What has arrived, once no more does.
    pub(crate) fn seen(&self) -> Result<Seen> {
        settled(&self.counter)
    }
}

/// A gateway that routes between two zones without hosts.
pub(crate) fn lab() -> Result<Lab> {
    let zones = [("control", 0), ("line-a", 1)].map(|(name, number)| {
        let zone = Zone::new(name).network(&format!("10.99.{number}.1/24"));
        zone.network(&format!("fd00:99:{number}::1/64"))
    });
    let lab = Lab::new(Gateway::Routes, &zones)?;
    for (zone, network, next) in BEHIND {
        let gateway = lab.gateway();
        let neighbour = ["lladdr", "02:00:00:00:00:02", "dev", zone, "nud", "permanent"];
        gateway.check(&[&["ip", "neigh", "replace", next][..], &neighbour].concat())?;
        gateway.check(&["ip", "route", "replace", network, "via", next, "dev", zone])?;
    }
    Ok(lab)
}

/// The counts of a program, once they stand still: nothing tells of the last frame.
pub(crate) fn settled(counter: &Kit) -> Result<Seen> {
    let deadline = Instant::now() + UNDER_WAY;
    let mut before = counter.seen()?;
    loop {
        std::thread::park_timeout(Duration::from_millis(2));
        let now = counter.seen()?;
        if (now.listed, now.unlisted) == (before.listed, before.unlisted) || Instant::now() > deadline {
            return Ok(now);
        }
        before = now;
    }
}

fn attach(switch: &Namespace, counter: &mut Kit) -> Result<()> {
    switch.run(|| counter.attach("count", kernel::index("uplink")?))
}

/// A generator in the clients' zone of a lab.
pub(crate) fn generator(lab: &Lab, plan: Plan) -> Result<Generator> {
    let to = lab.gateway_mac("control");
    let packet = Packet::udp((client(0), PORT), (server(0), PORT)).to_mac(to).payload([0; 22]);
    let mut frame = packet.build();
    ensure!(frame.len() == FRAME, "a frame of {} bytes", frame.len());
    // UDP over IPv4 needs no checksum, and the ports change.
    frame.get_mut(40..42).context("no checksum")?.fill(0);
    let words = frame.get(14..26).context("no header")?.chunks_exact(2).enumerate();
    let words = words.filter(|(at, _)| *at != 5).filter_map(|(_, word)| word.try_into().ok());
    let header_sum = words.map(|word| u32::from(u16::from_ne_bytes(word))).sum();
    let out = lab.switch("control").run(|| kernel::index("uplink"))?;
    let mut kit = Kit::load(&Plan { out, header_sum, ..plan }, 1)?;
    kit.template(&frame)?;
    let program = kit.handle("generate")?;
    Ok(Generator { kit, program })
}

impl Generator {
    /// Sends frames as fast as they go, on a thread in the clients' zone that stays on one CPU, and yields how long
    /// it took.
    pub(crate) fn send(&self, lab: &Lab, frames: u32) -> Result<Duration> {
        lab.switch("control").run(|| {
            measure::pin()?;
            let began = Instant::now();
            frames::send(&self.program, frames)?;
            Ok(began.elapsed())
        })
    }

    /// Sends so many frames a second for some seconds, in bursts as fast as they go, and yields how long it took. It is
    /// longer where the bursts take more time than there is.
    pub(crate) fn pace(&self, lab: &Lab, rate: u32, seconds: u32) -> Result<Duration> {
        lab.switch("control").run(|| {
            measure::pin()?;
            let began = Instant::now();
            for number in 1..=seconds * BURSTS {
                frames::send(&self.program, rate / BURSTS)?;
                let until = began + Duration::from_secs(1) / BURSTS * number;
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
            }
            Ok(began.elapsed())
        })
    }

    /// Frames so far, listed and not.
    pub(crate) fn sent(&self) -> Result<(u64, u64)> {
        self.kit.sent()
    }
}
