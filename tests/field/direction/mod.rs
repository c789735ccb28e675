//! Who asks and who answers, told from the application layer and from timing, with real stacks where there are any.
//!
//! Where stacks or scripts talk to each other, they do so without an agent first, then in alert and in enforce: a
//! failure tells at once whether they, the lab or banchi is to blame. The deviations come in both modes.

mod bacnet;
mod broadcast;
mod classes;
mod grace;
mod slmp;
mod synthetic;
mod tcp;

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use banchi_tests::agent::{Agent, Event, Events, Mode};
use banchi_tests::lab::{DEADLINE, Host, Lab, Mac, RawSocket};
use banchi_tests::packet::Packet;
use banchi_tests::peers::{self, Peer};

/// How long a client may take for all of its exchanges, its start included.
const CLIENT: Duration = Duration::from_secs(30);

/// Exchanges of a client that ends by itself.
const COUNT: u32 = 5;

/// An agent that reports every packet, and what is needed to say that it reported nothing.
struct Watched<'lab> {
    agent: Agent<'lab>,
    events: Events,
    mode: Mode,
    knock: Knock,
}

/// The laptop, which no rule knows, and an address that nobody has: a packet that is always reported, and that causes
/// no other.
struct Knock {
    socket: RawSocket,
    from: Ipv4Addr,
    to: (Ipv4Addr, Mac),
    count: Cell<u16>,
}

impl Knock {
    /// `nobody` is an address of the other zone.
    fn new(lab: &Lab, nobody: Ipv4Addr) -> Result<Self> {
        let laptop = lab.host("laptop");
        let is_neighbour = laptop.ipv4().octets()[..2] == nobody.octets()[..2];
        let mac = if is_neighbour { Mac::of(nobody.into()) } else { lab.gateway_mac(laptop.zone()) };
        Ok(Self { socket: laptop.raw("eth0")?, from: laptop.ipv4(), to: (nobody, mac), count: Cell::new(0) })
    }

    /// Sends another one, and returns the port that tells it from all others.
    fn send(&self) -> Result<u16> {
        let port = self.count.get() + 1;
        self.count.set(port);
        let packet = Packet::udp((self.from, 1), (self.to.0, port)).to_mac(self.to.1);
        self.socket.send(&packet.build())?;
        Ok(port)
    }
}

impl<'lab> Watched<'lab> {
    fn start(lab: &'lab Lab, policy: &str, knock: Knock) -> Result<Self> {
        let agent = Agent::start_with(lab, policy, &["--suppress", "0", "--rate", "0"])?;
        let events = agent.follow(|_| knock.send().map(|_| ()))?;
        Ok(Self { agent, events, mode: Mode::Alert, knock })
    }

    /// Plays in alert, then in enforce.
    fn in_both_modes(&mut self, mut play: impl FnMut(&Self) -> Result<()>) -> Result<()> {
        for mode in [Mode::Alert, Mode::Enforce] {
            self.agent.set_mode(mode)?;
            self.mode = mode;
            play(self).with_context(|| format!("in {mode:?}"))?;
        }
        Ok(())
    }

    fn stop(self) -> Result<()> {
        self.agent.stop()
    }

    /// Plays what is allowed: it works, and there is no event about anything.
    fn allows(&self, what: &str, play: impl FnOnce() -> Result<()>) -> Result<()> {
        let from = self.events.count();
        play().with_context(|| format!("allowed, but did not work: {what}"))?;
        let reported = self.settle(from)?;
        ensure!(reported.is_empty(), "allowed, but reported: {what}: {reported:#?}");
        Ok(())
    }

    /// Plays what deviates: `play` returns the payload that is sent. It is reported for `reason`; it arrives in alert
    /// and does not arrive in enforce. Nothing is reported for another reason.
    fn deviates(&self, one: &Deviation<'_>, play: impl FnOnce() -> Result<Vec<u8>>) -> Result<()> {
        self.check(one, play).with_context(|| format!("{}, which is {}", one.what, one.reason))
    }

    fn check(&self, one: &Deviation<'_>, play: impl FnOnce() -> Result<Vec<u8>>) -> Result<()> {
        let from = self.events.count();
        let watcher = one.to.raw("eth0")?;
        let payload = play()?;
        let ends = (Some(one.from.ipv4().into()), Some(one.aim.into()));
        let about = |event: &Event| (event.src, event.dst) == ends;
        let event = self.events.wait_from(from, about, DEADLINE)?.context("not reported")?;
        let verdict = if self.mode == Mode::Enforce { "drop" } else { "would-drop" };
        let seen = (event.reason.as_str(), event.verdict.as_str(), event.mode);
        ensure!(seen == (one.reason, verdict, self.mode), "reported as {event:?}");
        let is_it = |frame: &[u8]| frame.windows(payload.len()).any(|bytes| bytes == payload);
        if self.mode == Mode::Alert {
            watcher.wait_for(is_it, DEADLINE).context("it did not arrive")?;
        }
        let others = self.settle(from)?.into_iter().filter(|event| event.reason != one.reason);
        let others: Vec<_> = others.filter(|event| !one.besides.contains(&&*event.reason)).collect();
        ensure!(others.is_empty(), "reported besides: {others:#?}");
        if self.mode == Mode::Enforce {
            while let Some(frame) = watcher.receive(Duration::ZERO)? {
                ensure!(!is_it(&frame), "it arrived all the same");
            }
        }
        Ok(())
    }

    /// What was reported since then, complete: events keep their order, so a knock now is the last of them.
    fn settle(&self, from: usize) -> Result<Vec<Event>> {
        let port = self.knock.send()?;
        let is_mine = |event: &Event| event.src == Some(self.knock.from.into());
        let last = |event: &Event| is_mine(event) && event.dst_port == Some(port);
        self.events.wait_from(from, last, DEADLINE)?.context("the knock was not reported")?;
        Ok(self.events.since(from)?.into_iter().filter(|event| !is_mine(event)).collect())
    }
}

/// A packet that has to be reported.
struct Deviation<'lab> {
    what: &'static str,
    reason: &'static str,
    from: &'lab Host,
    /// Who gets it, if it arrives.
    to: &'lab Host,
    /// The address that it is sent to.
    aim: Ipv4Addr,
    /// Reasons that may follow from it.
    besides: &'static [&'static str],
}

impl<'lab> Deviation<'lab> {
    fn new(what: &'static str, reason: &'static str, from: &'lab Host, to: &'lab Host) -> Self {
        Self { what, reason, from, to, aim: to.ipv4(), besides: &[] }
    }
}

/// Has a device of `udp_device.py` send something; returns the payload.
fn send(device: &Peer, kind: &str, port: u16, to: (Ipv4Addr, u16)) -> Result<Vec<u8>> {
    let value = device.succeed(&format!("{kind} {port} {} {}", to.0, to.1))?;
    let text = value.as_str().context("the payload in hexadecimal")?;
    let byte = |n: usize| u8::from_str_radix(&text[n..n + 2], 16).context("a byte in hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Waits for a client's end: it did as many exchanges as it should, and all were good.
fn all_good(client: banchi_tests::lab::Process, count: u32) -> Result<()> {
    let exchanges = peers::exchanges(client, CLIENT)?;
    let good = exchanges.iter().filter(|exchange| exchange.ok).count();
    ensure!((good, exchanges.len()) == (count as usize, count as usize), "{good} of {count}: {exchanges:#?}");
    Ok(())
}

/// A device on one port, whose frames `peers/{protocol}.py` has.
fn device(protocol: &str, host: &Host, port: u16, more: &[&str]) -> Result<Peer> {
    let (address, port) = (host.ipv4().to_string(), port.to_string());
    let arguments = ["--protocol", protocol, "--address", &address, "--ports", &port];
    Peer::new(host, "udp_device.py", &[&arguments, more].concat())
}

/// Asks it from the same port; the answers come from `answers`, or from any port if that is 0.
fn ask(protocol: &str, from: &Host, to: &Host, port: u16, answers: u16) -> Result<()> {
    let (address, server) = (from.ipv4().to_string(), to.ipv4().to_string());
    let (port, answers, count) = (port.to_string(), answers.to_string(), COUNT.to_string());
    let arguments = [
        ["--protocol", protocol],
        ["--address", &address],
        ["--source-port", &port],
        ["--server", &server],
        ["--port", &port],
        ["--answers-from", &answers],
        ["--count", &count],
    ];
    all_good(peers::start(from, "udp_client.py", &arguments.concat())?, COUNT)
}
