//! Installed, upgraded, removed, installed again and purged, while what the plant needs goes on.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use banchi_tests::lab::Lab;
use banchi_tests::traffic::{self, Exchanges, Outcome, UdpEcho};
use serde_json::Value;

use super::built::packages;
use super::gateway::Gateway;
use super::lab;

/// Of every event in the journal, as documented.
const MESSAGE_ID: &str = "198b2052c35b46c590f7ac088ebf4630";

/// What `scada` and `plc-1` exchange may pass, and nothing else.
fn policy() -> String {
    let ((asks, asked), (reports, reported)) = (Exchanges::POLLING, Exchanges::REPORTS);
    format!(
        "version: 1
defaults: {{ mode: enforce }}
zones:
  control: {{ interfaces: [eth1], networks: [10.10.0.0/16] }}
  line-a:  {{ interfaces: [eth2], networks: [10.20.0.0/24] }}
assets:
  scada: {{ zone: control, address: 10.10.1.5 }}
  plc:   {{ zone: line-a, address: 10.20.0.11 }}
services:
  polling: {{ transport: udp, source_port: {asks}, port: {asked} }}
  reports: {{ transport: udp, source_port: {reports}, port: {reported} }}
conduits:
  - between: [control, line-a]
    allow:
      - {{ client: scada, server: plc, service: polling }}
      - {{ client: plc, server: scada, service: reports }}
"
    )
}

/// What is attached: the program of each interface, as the kernel numbers it.
fn attached(gateway: &Gateway) -> Result<Vec<u64>> {
    let links = gateway.json("ip -json -details link show")?;
    let links = links.as_array().context("a list of interfaces")?;
    Ok(links.iter().filter_map(|link| link["xdp"]["prog"]["id"].as_u64()).collect())
}

/// Whether somebody who is not listed gets through: to a server that answers.
fn passes(lab: &Lab, echo: &UdpEcho) -> Result<bool> {
    let (laptop, plc) = (lab.host("laptop"), lab.host("plc-2"));
    let before = echo.asked();
    let outcome = traffic::ask_udp(laptop, (laptop.ipv4(), 0), (plc.ipv4(), 9000), b"?", lab::SILENCE)?;
    ensure!((outcome == Outcome::Answered) == (echo.asked() > before), "an answer was dropped alone");
    Ok(outcome == Outcome::Answered)
}

/// What must not change where nothing was to happen to the data plane.
fn standing(gateway: &Gateway) -> Result<(Value, Vec<u64>)> {
    let status = gateway.json("banchi status --json")?;
    Ok((status["generation"].clone(), attached(gateway)?))
}

fn is_active(gateway: &Gateway) -> Result<bool> {
    Ok(gateway.run("systemctl is-active banchi", "")?.stdout.trim() == "active")
}

/// Events and the log are in the journal, with their fields.
fn journal(gateway: &Gateway) -> Result<()> {
    let entries = |matches: &str| -> Result<Vec<Value>> {
        let lines = gateway.check(&format!("journalctl --output=json --unit=banchi {matches}"))?;
        lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    };
    // What somebody tried who is not listed.
    let events = gateway.check("banchi events --json")?;
    let event = events.lines().find(|line| line.contains(r#""dst_port":9000"#)).context(events.clone())?;
    let event: Value = serde_json::from_str(event)?;
    let find = format!("MESSAGE_ID={MESSAGE_ID} BANCHI_TIME={}", event["time"].as_str().context("a time")?);
    let end = Instant::now() + lab::DEADLINE;
    let entry = loop {
        if let [entry] = entries(&find)?.as_slice() {
            break entry.clone();
        }
        let said = || {
            gateway.run("banchi status; journalctl --no-pager --unit banchi", "").map(|said| said.to_string())
        };
        ensure!(Instant::now() < end, "no entry: {}", said().unwrap_or_default());
    };
    for (key, value) in event.as_object().context("an object")? {
        let name =
            if key == "line" { "MESSAGE".to_owned() } else { format!("BANCHI_{}", key.to_uppercase()) };
        let wanted = match value {
            Value::Null => Value::Null,
            Value::String(_) => value.clone(),
            Value::Array(values) if values.is_empty() => Value::Null,
            other => Value::String(other.to_string()),
        };
        ensure!(entry[&name] == wanted, "{name}: {wanted} {entry:#}");
    }
    ensure!(
        entry["_SYSTEMD_UNIT"] == "banchi.service" && entry["SYSLOG_IDENTIFIER"] == "banchi",
        "{entry:#}"
    );
    ensure!(entry["PRIORITY"] == "4", "{entry:#}");
    let reason = event["reason"].as_str().context("a reason")?;
    ensure!(!entries(&format!("BANCHI_REASON={reason} BANCHI_VERDICT=drop"))?.is_empty());
    ensure!(entries("BANCHI_REASON=arp-spoof")?.is_empty());
    let explained = gateway.check(&format!("journalctl --no-pager --catalog {find}"))?;
    ensure!(explained.contains(&format!("deviates from the policy: {reason}")), "{explained}");
    // The agent's own log, and nothing else.
    let log = entries("BANCHI_KIND=log")?;
    let priorities = ["3", "4", "6"].map(Value::from);
    let is_log = |entry: &Value| {
        entry["SYSLOG_IDENTIFIER"] == "banchi"
            && entry["MESSAGE_ID"].is_null()
            && entry["TARGET"].is_string()
            && priorities.contains(&entry["PRIORITY"])
    };
    ensure!(!log.is_empty() && log.iter().all(is_log), "{log:#?}");
    Ok(())
}

/// journald drops nothing of the unit, and what the agent writes to standard error is found with its log.
fn everything_is_kept(gateway: &Gateway) -> Result<()> {
    // More at once than journald's own limit lets pass: 10,000, times up to four with the room on the disk.
    const LINES: usize = 60_000;
    let folder = gateway.file("/etc/systemd/system/banchi.service.d");
    fs::create_dir_all(&folder)?;
    let more = format!("[Service]\nExecStartPost=/usr/bin/seq --format='line %%.0f' {LINES}\n");
    fs::write(folder.join("lines.conf"), more)?;
    gateway.check("systemctl daemon-reload && systemctl restart banchi")?;
    // What the agent's own lines are found by where the journal's queue was full.
    let of_log =
        "journalctl --sync; journalctl --unit=banchi --output=cat BANCHI_KIND=log + _TRANSPORT=stdout";
    let end = Instant::now() + 4 * lab::DEADLINE;
    loop {
        let count = |line: &str| -> Result<usize> { Ok(gateway.run(line, "")?.stdout.trim().parse()?) };
        let lines = count(&format!("{of_log} | grep -c '^line '"))?;
        if lines == LINES {
            ensure!(count(&format!("{of_log} | grep -vc '^line '"))? > 0, "the log itself is found");
            break;
        }
        ensure!(Instant::now() < end, "{lines} of {LINES} lines are in the journal");
    }
    let with_ids = of_log.replace("=cat", "=json --output-fields=MESSAGE_ID");
    let events = gateway.run(&format!("{with_ids} | grep -c {MESSAGE_ID}"), "")?;
    ensure!(events.stdout.trim() == "0", "and no event: {events}");
    let dropped = gateway.run("journalctl --quiet MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e", "")?;
    ensure!(dropped.stdout.is_empty(), "journald has dropped some: {dropped}");
    fs::remove_dir_all(folder)?;
    gateway.check("systemctl daemon-reload && systemctl restart banchi")?;
    Ok(())
}

#[test]
fn the_data_plane_outlives_the_package_until_it_is_purged() -> Result<()> {
    let packages = packages()?;
    let lab = lab()?;
    let gateway = Gateway::boot(&lab)?;
    let echo = UdpEcho::new(lab.host("plc-2"), lab.host("plc-2").ipv4(), &[9000])?;
    gateway.bring(&packages.this)?;

    // Installed: nothing runs, nothing is attached, and nothing starts before somebody has written a policy.
    let said = gateway.check("apt-get install --yes ./banchi_*.deb")?;
    ensure!(said.contains("it does not start without /etc/banchi/policy.yaml"), "{said}");
    ensure!(gateway.run("systemctl is-enabled banchi", "")?.stdout.trim() == "disabled");
    ensure!(!is_active(&gateway)? && attached(&gateway)?.is_empty());
    let refused = gateway.run("systemctl start banchi", "")?;
    ensure!(!refused.status.success() && refused.stderr.contains("ssert"), "{refused}");
    ensure!(attached(&gateway)?.is_empty() && passes(&lab, &echo)?);
    gateway.check("apt-get install --yes --reinstall ./banchi_*.deb")?;
    ensure!(!is_active(&gateway)? && attached(&gateway)?.is_empty(), "installed again is no start either");

    // The policy that its operator wrote, by the unit as it is packed: as a user that is not root, confined.
    fs::write(gateway.file("/etc/banchi/policy.yaml"), policy())?;
    let own = fs::read_to_string(gateway.file("/etc/banchi/agent.yaml"))? + "  journal: { kind: journal }\n";
    fs::write(gateway.file("/etc/banchi/agent.yaml"), &own)?;
    gateway.check("systemctl enable --now banchi || { journalctl --no-pager --unit banchi; false; }")?;
    ensure!(!passes(&lab, &echo)?, "the policy says enforce");
    journal(&gateway)?;
    everything_is_kept(&gateway)?;
    let exchanges = Exchanges::start(&lab)?;
    exchanges.go_on(0)?;
    let before = standing(&gateway)?;
    ensure!(before.1.len() == 2, "{before:?}");
    let pid = gateway.json("banchi status --json")?["pid"].clone();
    let user = format!("test $(id -u banchi) = $(awk '/^Uid:/ {{ print $2 }}' /proc/{pid}/status)");
    gateway.check(&user).context("the agent is not the user banchi")?;

    // Upgraded: another process, the same data plane, and nobody who waits for an answer.
    fs::remove_file(gateway.file("/root").join(packages.this.file_name().unwrap()))?;
    gateway.bring(&packages.next)?;
    let at = exchanges.done();
    gateway.check("apt-get install --yes ./banchi_*.deb")?;
    ensure!(gateway.check("dpkg-query --show --showformat '${Version}' banchi")?.trim() == "0.1.0-2");
    ensure!(is_active(&gateway)?, "{}", gateway.check("journalctl --no-pager --unit banchi")?);
    ensure!(standing(&gateway)? == before, "{before:?} {:?}", standing(&gateway)?);
    ensure!(gateway.json("banchi status --json")?["pid"] != pid, "it is the agent of before");
    let journal = gateway.check("journalctl --no-pager --unit banchi")?;
    ensure!(journal.contains("the same policy"), "{journal}");
    ensure!(fs::read_to_string(gateway.file("/etc/banchi/agent.yaml"))? == own);
    exchanges.go_on(at)?;
    ensure!(!passes(&lab, &echo)?);

    // Removed: the agent is gone, what it attached is not, and that is said.
    let said = gateway.check("apt-get remove --yes banchi")?;
    ensure!(said.contains("THE DATA PLANE STAYS ATTACHED"), "{said}");
    ensure!(!gateway.file("/usr/bin/banchi").exists() && !is_active(&gateway)?);
    ensure!(attached(&gateway)? == before.1 && !passes(&lab, &echo)?);
    exchanges.go_on(exchanges.done())?;

    // Installed again: it does not start by itself, and takes up what it finds when it is started.
    gateway.check("apt-get install --yes ./banchi_*.deb")?;
    ensure!(!is_active(&gateway)?);
    gateway.check("systemctl start banchi")?;
    ensure!(standing(&gateway)? == before);
    exchanges.go_on(exchanges.done())?;

    // Purged: all of it is gone, and what an agent has made promiscuous, as it notes for the ends of a wire, is so no more.
    // A running agent would take it back at once.
    gateway.check("systemctl stop banchi")?;
    let index = gateway.check("cat /sys/class/net/eth1/ifindex")?;
    fs::write(gateway.file("/root/note"), format!("[{}]", index.trim()))?;
    gateway.check("cp note /run/banchi/promiscuous.json && ip link set dev eth1 promisc on")?;
    ensure!(gateway.check("ip link show dev eth1")?.contains("PROMISC"));
    let said = gateway.check("apt-get purge --yes banchi")?;
    ensure!(said.contains("banchi: detached"), "{said}");
    ensure!(!gateway.check("ip link show dev eth1")?.contains("PROMISC"));
    ensure!(attached(&gateway)?.is_empty() && passes(&lab, &echo)?);
    exchanges.go_on(exchanges.done())?;
    let places = "/etc /usr /var/lib /var/log /run /sys/fs/bpf";
    let left = gateway.check(&format!("find {places} -name '*banchi*' -not -path '/run/systemd/*'"))?;
    let left: Vec<_> = left.lines().filter(|path| !path.ends_with("banchi-clean-root")).collect();
    ensure!(left.is_empty(), "{left:?}");
    println!("{} exchanges, each answered", exchanges.finish()?);
    Ok(())
}
