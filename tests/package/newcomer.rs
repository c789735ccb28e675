//! The path of somebody who has never seen banchi, on a clean Debian, along `docs/runbook.md`: installed, a policy that was
//! learnt, alerts, enforced, a drop, panic and back, upgraded, removed, purged.
//!
//! A command that is new in the runbook has to be run here, where it belongs in the path.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use banchi_tests::agent;
use banchi_tests::lab::{DEADLINE, Lab, Process, SILENCE};
use banchi_tests::traffic::{self, LINKED_BASE, Outcome, TcpEcho, UdpEcho};

use super::built::{self, packages};
use super::gateway::Gateway;
use super::lab;
use super::runbook::Runbook;

/// How often to ask for the first event.
const PROBE: Duration = Duration::from_millis(50);
/// The last word of the traffic that is recorded.
const LAST: &[u8] = b"that was all";

/// What becomes of a laptop that nobody has listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Laptop {
    Passes,
    Stopped,
}

struct Newcomer<'lab> {
    lab: &'lab Lab,
    gateway: Gateway,
    runbook: Runbook,
    _servers: (Vec<TcpEcho>, Vec<UdpEcho>),
}

impl<'lab> Newcomer<'lab> {
    fn new(lab: &'lab Lab) -> Result<Self> {
        let (mut tcp, mut udp) = (Vec::new(), Vec::new());
        for plc in ["plc-1", "plc-2"].map(|name| lab.host(name)) {
            tcp.push(TcpEcho::new(plc, (plc.ipv4(), 502))?);
            udp.push(UdpEcho::new(plc, plc.ipv4(), &[traffic::linked_port(plc.ipv4())])?);
        }
        Ok(Self { lab, gateway: Gateway::boot(lab)?, runbook: Runbook::read()?, _servers: (tcp, udp) })
    }

    /// Runs a command of the runbook, which has to succeed; yields what it printed.
    fn run(&mut self, command: &str) -> Result<String> {
        self.run_for(command, &[])
    }

    /// The same with something in the place of words that stand for it.
    fn run_for(&mut self, command: &str, words: &[(&str, &str)]) -> Result<String> {
        self.runbook.take(command)?;
        let line = words.iter().fold(command.to_owned(), |line, (word, own)| line.replace(word, own));
        self.gateway.check(&line)
    }

    /// Runs one in another directory.
    fn run_in(&mut self, directory: &str, command: &str) -> Result<String> {
        self.runbook.take(command)?;
        self.gateway.check(&format!("cd {directory} && {command}"))
    }

    /// Runs one on a terminal, and answers what it asks.
    fn answer(&mut self, command: &str, answer: &str) -> Result<String> {
        self.runbook.take(command)?;
        let output =
            self.gateway.run(&format!("script --quiet --return --command '{command}' /dev/null"), answer)?;
        ensure!(output.status.success(), "{command}: {output}");
        Ok(output.stdout)
    }

    /// Starts one that goes on.
    fn start(&mut self, command: &str) -> Result<Process> {
        self.runbook.take(command)?;
        self.gateway.spawn(command)
    }

    /// What the plant does all day.
    fn works(&self) -> Result<bool> {
        let scada = self.lab.host("scada");
        let plcs = ["plc-1", "plc-2"].map(|name| self.lab.host(name).ipv4());
        let mut outcomes = Vec::new();
        for plc in plcs {
            outcomes.push(traffic::ask_tcp(scada, (scada.ipv4(), 0), (plc, 502), b"read", SILENCE)?);
            let (from, to) = ((scada.ipv4(), LINKED_BASE), (plc, traffic::linked_port(plc)));
            outcomes.push(traffic::ask_udp(scada, from, to, b"state", SILENCE)?);
        }
        Ok(outcomes.iter().all(|outcome| *outcome == Outcome::Answered))
    }

    /// Whether a laptop that nobody has listed gets an answer of a PLC.
    fn laptop_passes(&self) -> Result<bool> {
        let (laptop, plc) = (self.lab.host("laptop"), self.lab.host("plc-2"));
        let outcome = traffic::ask_tcp(laptop, (laptop.ipv4(), 0), (plc.ipv4(), 502), b"stop", SILENCE)?;
        Ok(outcome == Outcome::Answered)
    }

    /// The plant works, and the laptop fares like this.
    #[track_caller]
    fn expect(&self, laptop: Laptop) -> Result<()> {
        let found = if self.laptop_passes()? { Laptop::Passes } else { Laptop::Stopped };
        let status =
            || self.gateway.run("banchi status", "").map(|output| output.to_string()).unwrap_or_default();
        let line = std::panic::Location::caller().line();
        ensure!(self.works()?, "line {line}: the plant does not work\n{}", status());
        ensure!(found == laptop, "line {line}: {found:?}, and not {laptop:?}\n{}", status());
        Ok(())
    }

    /// Records the plant at work.
    fn record(&mut self) -> Result<()> {
        let recording = self.start("sudo tcpdump -U -i eth1 -w plant.pcap")?;
        recording.wait_stderr(|line| line.contains("listening on"), DEADLINE)?;
        for _ in 0..5 {
            ensure!(self.works()?);
        }
        let (scada, plc) = (self.lab.host("scada"), self.lab.host("plc-1").ipv4());
        traffic::ask_tcp(scada, (scada.ipv4(), 0), (plc, 502), LAST, SILENCE)?;
        let file = self.gateway.file("/root/plant.pcap");
        let end = Instant::now() + DEADLINE;
        while !fs::read(&file)?.windows(LAST.len()).any(|bytes| bytes == LAST) {
            ensure!(Instant::now() < end, "the recording does not have the last packet");
            std::thread::yield_now();
        }
        self.gateway.check("kill -INT $(pidof tcpdump)")?;
        let ended = recording.finish(DEADLINE)?;
        ensure!(ended.status.success(), "{ended}");
        Ok(())
    }

    /// Name of the one conduit.
    fn conduit(&self) -> Result<String> {
        let status = self.gateway.json("banchi status --json")?;
        let conduit = status["conduits"].as_array().and_then(|conduits| conduits.first());
        Ok(conduit.and_then(|conduit| conduit["name"].as_str()).context("a conduit")?.to_owned())
    }
}

#[test]
fn every_command_of_the_runbook_leads_from_nothing_to_enforce_and_back() -> Result<()> {
    let packages = packages()?;
    let lab = lab()?;
    let mut newcomer = Newcomer::new(&lab)?;
    install(&mut newcomer)?;
    newcomer.record()?;
    learn(&mut newcomer)?;
    alert(&mut newcomer)?;
    enforce(&mut newcomer)?;
    panic_and_recover(&mut newcomer)?;
    maintain(&mut newcomer)?;

    // Upgraded, by hand for a while, detached and attached again, removed and purged.
    fs::remove_file(newcomer.gateway.file("/root").join(packages.this.file_name().unwrap()))?;
    newcomer.gateway.bring(&packages.next)?;
    newcomer.run("sudo apt install ./banchi_*.deb")?;
    newcomer.expect(Laptop::Stopped)?;
    take_off(&mut newcomer)?;
    newcomer.gateway.check("systemctl start banchi")?;
    newcomer.expect(Laptop::Stopped)?;
    let said = newcomer.answer("sudo apt remove banchi", "y")?;
    ensure!(said.contains("THE DATA PLANE STAYS ATTACHED"), "{said}");
    newcomer.expect(Laptop::Stopped)?;
    newcomer.answer("sudo apt purge banchi", "y")?;
    newcomer.expect(Laptop::Passes)?;
    newcomer.runbook.finish()
}

fn install(newcomer: &mut Newcomer<'_>) -> Result<()> {
    for command in ["cargo xtask setup --build-only", "cargo xtask build"] {
        newcomer.runbook.take(command)?;
        built::run(command)?;
    }
    newcomer.runbook.take(built::COMMAND)?;
    let build = newcomer.gateway.file("/root/target/release");
    fs::create_dir_all(&build)?;
    fs::copy(agent::binary()?, build.join("banchi"))?;
    newcomer.run("sudo install -m 755 target/release/banchi /usr/local/bin/")?;
    newcomer.gateway.check("banchi --version && rm -r target /usr/local/bin/banchi")?;

    newcomer.gateway.bring(&packages()?.this)?;
    newcomer.run("sudo apt install ./banchi_*.deb")?;
    Ok(())
}

fn learn(newcomer: &mut Newcomer<'_>) -> Result<()> {
    let said = newcomer.run("banchi learn plant.pcap -o draft.yaml")?;
    ensure!(said.contains("held against the captures"), "{said}");
    newcomer.run("sed -i 's/port1/eth1/; s/port2/eth2/' draft.yaml")?;
    newcomer.run("banchi check draft.yaml")?;
    newcomer.run("banchi compile draft.yaml")?;
    let said = newcomer.run("banchi explain -p draft.yaml \"tcp 10.10.1.5:40000 > 10.20.0.11:502\"")?;
    ensure!(said.contains("PASS\n"), "{said}");
    let policy = [("POLICY", "draft.yaml")];
    newcomer.run("sudo banchi doctor --policy draft.yaml")?;
    newcomer.run_for("sudo banchi doctor --policy POLICY", &policy)?;
    newcomer.run("sudo banchi doctor eth1 eth2")?;
    newcomer.run("sudo banchi doctor --json")?;
    newcomer.run("sudo banchi run --policy draft.yaml --dry-run")?;
    Ok(())
}

fn alert(newcomer: &mut Newcomer<'_>) -> Result<()> {
    newcomer.run("sudo install -m 644 draft.yaml /etc/banchi/policy.yaml")?;
    newcomer.run("sudo systemctl enable --now banchi")?;
    let status = newcomer.run("sudo banchi status")?;
    ensure!(!status.contains("enforce"), "a draft enforces nothing: {status}");
    newcomer.expect(Laptop::Passes)?;

    let events = newcomer.start("sudo banchi events --follow")?;
    let (laptop, plc) = (newcomer.lab.host("laptop"), newcomer.lab.host("plc-1").ipv4());
    let would_drop = |line: &str| line.contains("would-drop") && line.contains("10.10.1.99");
    let end = Instant::now() + DEADLINE;
    // Another port each time: what was reported once is only counted then.
    for port in 9000.. {
        ensure!(Instant::now() < end, "no event: {:?}", events.stdout());
        traffic::ask_udp(laptop, (laptop.ipv4(), 0), (plc, port), b"?", PROBE)?;
        if events.wait_stdout(would_drop, PROBE).is_ok() {
            break;
        }
    }
    Ok(())
}

fn enforce(newcomer: &mut Newcomer<'_>) -> Result<()> {
    let draft = fs::read_to_string(newcomer.gateway.file("/root/draft.yaml"))?;
    let new = draft.replacen("defaults: { mode: alert }", "defaults: { mode: enforce }", 1);
    ensure!(new != draft, "{draft}");
    fs::write(newcomer.gateway.file("/root/new.yaml"), new)?;
    newcomer.run("banchi check new.yaml")?;
    let difference = "sudo banchi diff new.yaml";
    newcomer.runbook.take(difference)?;
    let output = newcomer.gateway.run(difference, "")?;
    ensure!(output.status.code() == Some(1) && output.stdout.contains("alert > ENFORCE"), "{output}");
    newcomer.run("sudo banchi apply new.yaml --confirm-within 5m")?;
    ensure!(!newcomer.gateway.json("banchi status --json")?["confirm_until"].is_null());
    newcomer.run("sudo banchi confirm")?;
    newcomer.expect(Laptop::Stopped)?;
    let events = newcomer.gateway.check("banchi events --json")?;
    ensure!(events.contains(r#""verdict":"drop""#), "{events}");
    newcomer.run("sudo banchi rollback")?;
    newcomer.expect(Laptop::Passes)?;
    newcomer.run("sudo banchi rollback")?;
    newcomer.expect(Laptop::Stopped)?;
    // By hand: that stays, whatever a policy says later.
    let name = newcomer.conduit()?;
    let name = [("NAME", name.as_str())];
    newcomer.run_for("sudo banchi mode alert --conduit NAME", &name)?;
    newcomer.expect(Laptop::Passes)?;
    newcomer.run_for("sudo banchi mode enforce --conduit NAME", &name)?;
    newcomer.expect(Laptop::Stopped)?;
    newcomer.gateway.check("install -m 644 new.yaml /etc/banchi/policy.yaml")?;
    Ok(())
}

fn panic_and_recover(newcomer: &mut Newcomer<'_>) -> Result<()> {
    let name = newcomer.conduit()?;
    let name = [("NAME", name.as_str())];
    newcomer.run("sudo banchi mode alert --all")?;
    newcomer.expect(Laptop::Passes)?;
    newcomer.run_for("sudo banchi mode enforce --conduit NAME", &name)?;
    newcomer.expect(Laptop::Stopped)?;
    newcomer.run("sudo banchi bypass")?;
    newcomer.expect(Laptop::Passes)?;
    newcomer.run("sudo banchi bypass --off")?;
    newcomer.expect(Laptop::Stopped)?;
    newcomer.run("sudo banchi island")?;
    ensure!(!newcomer.works()?);
    newcomer.run_for("sudo banchi island --keep NAME", &name)?;
    ensure!(newcomer.works()?);
    newcomer.run("sudo banchi island --off")?;
    newcomer.expect(Laptop::Stopped)?;
    Ok(())
}

fn maintain(newcomer: &mut Newcomer<'_>) -> Result<()> {
    let grant = "banchi grant --client 10.10.9.99 --server plc-3 --service any --for 2h --reason 'firmware, ticket 4711'";
    newcomer.run_for(grant, &[("10.10.9.99", "10.10.1.99"), ("plc-3", "10.20.0.12")])?;
    ensure!(newcomer.laptop_passes()?);
    let grants = newcomer.run("banchi grants")?;
    ensure!(grants.contains("4711"), "{grants}");
    newcomer.run("banchi grants --suggest")?;
    newcomer.run("banchi revoke 1")?;
    newcomer.expect(Laptop::Stopped)?;

    review(newcomer)?;

    let log = newcomer.run("banchi audit")?;
    ensure!(log.contains("grant") && log.contains("bypass"), "{log}");
    newcomer.run("banchi audit --json --last 1000")?;
    newcomer.run("banchi audit --check")?;
    // Renamed twice, with a change before each that is followed by another in the new file.
    for (from, to) in [("audit.jsonl", "audit.jsonl.2"), ("audit.jsonl", "audit.jsonl.1")] {
        let log = newcomer.gateway.file("/var/log/banchi");
        fs::rename(log.join(from), log.join(to))?;
        let end = Instant::now() + DEADLINE;
        while !log.join("audit.jsonl").exists() {
            ensure!(Instant::now() < end, "the agent does not go on in a new file");
            newcomer.gateway.check("banchi mode enforce --all")?;
        }
    }
    newcomer.run_in("/var/log/banchi", "banchi audit --check audit.jsonl.2 audit.jsonl.1 audit.jsonl")?;
    Ok(())
}

fn review(newcomer: &mut Newcomer<'_>) -> Result<()> {
    let listed = newcomer.run("banchi review")?;
    ensure!(listed.contains("10.10.1.99"), "{listed}");
    newcomer.gateway.check("banchi events --json > events.jsonl")?;
    let files = "banchi review list --events /var/log/banchi/events.jsonl /var/log/banchi/events.jsonl.1";
    let place = "/var/log/banchi/events.jsonl";
    newcomer.run_for(files, &[(&format!("{place}.1"), "events.jsonl"), (place, "events.jsonl")])?;

    let all = newcomer.gateway.json("banchi review list --json")?;
    let of_laptop = |title: &str| title == "10.10.1.99 > host-10-20-0-12 tcp/502";
    let changes = all["changes"].as_array().context("changes")?;
    let change = changes.iter().find(|change| change["title"].as_str().is_some_and(of_laptop));
    let id = change.and_then(|change| change["id"].as_str()).with_context(|| format!("{all:#}"))?;
    let id = [("5aa0d552", id)];
    let shown = newcomer.run_for("banchi review show 5aa0d552", &id)?;
    ensure!(shown.contains("10.10.1.99"), "{shown}");
    newcomer.run_for("banchi review dismiss 5aa0d552 --reason 'gone on Friday'", &id)?;
    newcomer.run_for("banchi review malicious 5aa0d552 --reason 'nobody knows this laptop'", &id)?;
    newcomer.run_for("banchi review forget 5aa0d552 --reason 'it is the integrator'", &id)?;
    let accept = "banchi review accept 5aa0d552 --into new.yaml --reason 'web pages of the PLC, ticket 4711'";
    newcomer.run_for(accept, &id)?;
    let written = fs::read_to_string(newcomer.gateway.file("/root/new.yaml"))?;
    ensure!(written.contains("ticket 4711"), "{written}");
    newcomer.expect(Laptop::Stopped)?;
    newcomer.run_for("banchi review grant 5aa0d552 --for 2h --reason 'firmware'", &id)?;
    newcomer.expect(Laptop::Passes)?;
    newcomer.gateway.check("banchi revoke --all")?;
    newcomer.expect(Laptop::Stopped)?;

    newcomer.run("banchi audit policy")?;
    let captures = "banchi audit policy --unused 90 --captures week.pcapng --live";
    newcomer.run_for(captures, &[("week.pcapng", "plant.pcap")])?;
    newcomer.gateway.check("banchi status --json > january.json && cp january.json february.json")?;
    newcomer.run("banchi audit policy new.yaml --status january.json february.json")?;
    Ok(())
}

fn take_off(newcomer: &mut Newcomer<'_>) -> Result<()> {
    newcomer.run("sudo systemctl stop banchi")?;
    newcomer.gateway.check("groupadd soc && groupadd shift-leads && groupadd ot-engineers")?;
    let by_hand = newcomer.start("banchi run --readers soc --operators shift-leads,ot-engineers")?;
    by_hand.wait_stderr(|line| line.starts_with("banchi: ready"), 6 * DEADLINE)?;
    newcomer.gateway.check("kill -TERM $(pidof banchi)")?;
    by_hand.finish(DEADLINE)?;
    let said = newcomer.answer("sudo banchi detach", "detach")?;
    ensure!(said.contains("detached from 2 interface(s)"), "{said}");
    let link = newcomer.run("ip -details link show dev eth1")?;
    ensure!(!link.contains("xdp"), "{link}");
    newcomer.expect(Laptop::Passes)?;
    Ok(())
}
