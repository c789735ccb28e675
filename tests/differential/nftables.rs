//! The ruleset of `banchi export nftables` against the program in the kernel: the same frames through a gateway with the
//! ruleset and through the loaded program. They differ where the ruleset says so, and nowhere else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use banchi::nftables::{Effect, Export, Loss, export};
use banchi::policy::model::{Mode, Policy, Reply, Rule};
use banchi_common::reason::Reason;
use banchi_tests::lab::{DEADLINE, Gateway, Lab, Mac, RawSocket, Zone};
use banchi_tests::oracle::{Body, Fragment, Judgement, TestPacket};
use banchi_tests::packet::Packet;

use super::packets::{Packets, span};
use super::policies::INTERFACES;
use super::subjects::{self, Kernel, Subject as _};
use super::{SEED, policy_of, show};

/// What every frame is sent to.
const TO: Mac = Mac([2, 0, 0, 0, 0, 0xfe]);
/// LLDP, which passes everywhere.
const PASSES: u16 = 0x88cc;
/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// A gateway whose interfaces are joined by a bridge with one more, to which everything goes that passes.
struct Bench {
    lab: Lab,
    ways_in: BTreeMap<&'static str, RawSocket>,
    out: RawSocket,
    sent: u32,
}

impl Bench {
    fn new() -> Result<Self> {
        let zones: Vec<Zone> = INTERFACES.iter().copied().chain(["out"]).map(Zone::new).collect();
        let lab = Lab::new(Gateway::Bridges, &zones)?;
        let gateway = lab.gateway();
        for name in INTERFACES.iter().chain(&["out"]) {
            // Frames in the order in which they were sent, and none of two; what was a source stays no destination.
            gateway.check(&["ethtool", "-K", name, "gro", "off"])?;
            gateway.check(&["bridge", "link", "set", "dev", name, "learning", "off"])?;
        }
        gateway.check(&["bridge", "fdb", "replace", &TO.to_string(), "dev", "out", "master", "static"])?;
        let socket = |zone: &str| lab.switch(zone).raw("uplink");
        let ways_in = INTERFACES.iter().map(|name| Ok((*name, socket(name)?))).collect::<Result<_>>()?;
        let out = socket("out")?;
        Ok(Self { lab, ways_in, out, sent: 0 })
    }

    fn load(&self, name: &str, ruleset: &str) -> Result<()> {
        load(&self.lab, name, ruleset)
    }

    /// Whether a frame passes: whether it comes out before the one that is sent behind it.
    fn passes(&mut self, interface: &str, frame: &[u8]) -> Result<bool> {
        let way_in = self.ways_in.get(interface).with_context(|| format!("no interface {interface}"))?;
        self.sent += 1;
        let behind = Packet::ethernet(PASSES, &self.sent.to_be_bytes().repeat(12)).to_mac(TO).build();
        way_in.send(frame)?;
        way_in.send(&behind)?;
        let frames = self.out.receive_until(|frame| frame == behind, DEADLINE)?;
        // The gateway says things of its own.
        let through = frames.iter().filter(|frame| frame.starts_with(&TO.0)).count();
        ensure!(through <= 2, "{frames:02x?}");
        Ok(through == 2)
    }
}

/// Loads a ruleset in the gateway, and looks at it.
fn load(lab: &Lab, name: &str, ruleset: &str) -> Result<()> {
    let path = lab.directory().join("ruleset.nft");
    std::fs::write(&path, ruleset)?;
    let nft = |arguments: &[&str]| {
        let argv: Vec<&str> = ["nft"].iter().chain(arguments).copied().collect();
        let output = lab.gateway().output(&argv, 6 * DEADLINE)?;
        ensure!(output.status.success(), "{name}: nft {}: {output}\n{ruleset}", arguments.join(" "));
        Ok(output.stdout)
    };
    let path = path.to_str().context("a path of the lab")?;
    nft(&["-c", "-f", path])?;
    nft(&["-f", path])?;
    // Who looks at it sees it.
    ensure!(nft(&["list", "table", "netdev", "banchi"])?.contains("hook ingress"), "{name}");
    Ok(())
}

/// What was seen of losses.
#[derive(Default)]
struct Seen {
    packets: usize,
    losses: BTreeMap<&'static str, usize>,
}

/// Whether a loss says that a packet may be judged otherwise.
fn covers(policy: &Policy, loss: &Loss, packet: &TestPacket, banchi: &Judgement, passes: bool) -> bool {
    let way = match loss.effect {
        Effect::PassesMore => passes,
        Effect::Either => true,
        Effect::Operation => false,
    };
    let about = match loss.code {
        "later-fragments" => matches!(packet.fragment, Fragment::Later { .. }),
        "icmp-errors" => matches!(packet.body, Body::IcmpError { .. }),
        "two-tags" => packet.vids.len() == 2,
        _ => true,
    };
    let named = || loss.rules.iter().filter_map(|name| policy.rules.iter().find(|rule| rule.name == *name));
    let rules = match loss.code {
        // Whatever the packet is nearest to, it is between hosts of such a rule.
        "port-relation" => named().any(|rule| is_between(policy, rule, packet)),
        _ => named().any(|rule| banchi.rule.is_some_and(|number| policy.rules[number].name == rule.name)),
    };
    way && about
        && (loss.reasons.is_empty() || loss.reasons.contains(&banchi.reason))
        && (loss.rules.is_empty() || rules)
}

/// Whether the ends of a packet are hosts of a rule, whichever of them asks.
fn is_between(policy: &Policy, rule: &Rule, packet: &TestPacket) -> bool {
    let holds = |assets: &[usize], address: IpAddr| {
        let held = |addresses| {
            let (first, last) = span(addresses);
            first.is_ipv4() == address.is_ipv4() && first <= address && address <= last
        };
        assets.iter().any(|asset| policy.assets[*asset].addresses.iter().any(held))
    };
    let (a, b) = (packet.source, packet.destination);
    let clients = [rule.clients.as_slice(), &rule.reply_to].concat();
    holds(&clients, a) && holds(&rule.servers, b) || holds(&clients, b) && holds(&rule.servers, a)
}

/// Sends packets both ways, and holds the differences against what is said of them.
fn compare(bench: &mut Bench, name: &str, policy: &Policy, count: usize, seen: &mut Seen) -> Result<()> {
    let Some(mut program) = Kernel::new(policy)? else { return Ok(()) };
    let Export { ruleset, losses } = export(policy, name);
    bench.load(name, &ruleset)?;
    let mut packets = Packets::new(policy, fastrand::Rng::with_seed(SEED));
    let interfaces: Vec<&str> =
        policy.zones.iter().flat_map(|zone| &zone.interfaces).map(String::as_str).collect();
    let (mut sent, mut unsaid) = (0, Vec::new());
    while sent < count {
        for timed in packets.case().packets {
            let packet = timed.packet;
            // Elsewhere neither of them is.
            if !interfaces.contains(&packet.interface) {
                continue;
            }
            if let Some(before) = packet.frame_before() {
                bench.passes(packet.interface, &before)?;
            }
            // All at one time: windows are open as long as the test runs.
            let banchi = program.judge(&packet, 1_000_000_000)?;
            let passes = bench.passes(packet.interface, &packet.frame())?;
            sent += 1;
            seen.packets += 1;
            if passes != banchi.dropped {
                continue;
            }
            let covering: Vec<&Loss> =
                losses.iter().filter(|loss| covers(policy, loss, &packet, &banchi, passes)).collect();
            let [loss, others @ ..] = covering.as_slice() else {
                let so = if passes { "passes" } else { "is dropped" };
                unsaid.push(format!("{so}, and banchi says {banchi:?}: {packet:?}"));
                continue;
            };
            if others.is_empty() {
                *seen.losses.entry(loss.code).or_default() += 1;
            }
        }
    }
    if let [first, ..] = unsaid.as_slice() {
        let mut text = format!("{name}: nothing is said of {} of {sent} packets\n", unsaid.len());
        unsaid.iter().take(12).try_for_each(|one| writeln!(text, "- {one}"))?;
        anyhow::bail!("{text}first: {first}\n{}\n{ruleset}", show::yaml(policy));
    }
    Ok(())
}

/// No window closes while the test runs.
fn patient(mut policy: Policy) -> Policy {
    for service in &mut policy.services {
        service.reply = match service.reply {
            Reply::Window(_) => Reply::Window(LONG),
            Reply::Strict(_) => Reply::Strict(LONG),
            other => other,
        };
    }
    policy.rules.retain(|rule| rule.expires_s.is_none());
    policy
}

/// Nothing that deviates passes because of a mode.
fn enforced(mut policy: Policy) -> Policy {
    policy.default_mode = Mode::Enforce;
    policy.conduits.iter_mut().for_each(|conduit| conduit.mode = Mode::Enforce);
    policy.rules.iter_mut().for_each(|rule| rule.mode = None);
    policy
}

#[test]
fn a_ruleset_says_what_banchi_says_but_for_its_losses() -> Result<()> {
    let mut bench = Bench::new()?;
    subjects::interfaces()?;
    let mut seen = Seen::default();
    for (name, policy) in examples()? {
        compare(&mut bench, &name, &patient(policy.clone()), 600, &mut seen)?;
        compare(&mut bench, &name, &enforced(patient(policy)), 1200, &mut seen)?;
    }
    for number in 0..40 {
        let policy = patient(policy_of(SEED, number).0);
        let policy = if number % 4 == 0 { policy } else { enforced(policy) };
        compare(&mut bench, &format!("policy {number}"), &policy, 400, &mut seen)?;
    }
    println!("{} packets; differences by the only loss that says so: {:?}", seen.packets, seen.losses);
    // What is said to be lost is lost.
    for code in ["payload", "mixed-modes", "malformed", "later-fragments", "icmp-errors", "two-tags"] {
        ensure!(seen.losses.contains_key(code), "nothing was lost by {code}: {:?}", seen.losses);
    }
    Ok(())
}

/// The policies of `examples/`, on the interfaces of the tests.
fn examples() -> Result<Vec<(String, Policy)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    ensure!(paths.len() >= 7, "{paths:?}");
    let read = |path: &std::path::PathBuf| {
        let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
        let loaded = banchi::policy::load(&name, &std::fs::read_to_string(path)?);
        let mut policy = loaded.policy.with_context(|| name.clone())?;
        for interface in policy.zones.iter_mut().flat_map(|zone| &mut zone.interfaces) {
            *interface = interface.replace("eth", "p");
        }
        // Here a bridge forwards; wires have a test of their own.
        policy.forwarding = banchi::policy::model::Forwarding::Stack;
        policy.wires.clear();
        Ok((name, policy))
    };
    paths.iter().map(read).collect()
}

/// A reason that no test names is no reason to differ.
#[test]
fn a_loss_covers_only_what_it_says() {
    let (policy, rng) = policy_of(SEED, 1);
    let packet = Packets::new(&policy, rng).next().0;
    let mut judged = super::Oracle::new(&policy).judge(&packet, 1);
    judged.reason = Reason::UnlistedPair;
    judged.rule = None;
    for loss in export(&policy, "policy").losses {
        let covered = covers(&policy, &loss, &packet, &judged, true);
        assert!(!covered || packet.vids.len() == 2, "{loss:?}");
    }
}

/// Two wires; the gateway forwards nothing by itself.
const WIRES: &str = r#"
version: 1
gateway: { forwarding: wire, wires: [[p0, p1]], addresses: [10.10.0.250] }
defaults: { mode: enforce }
zones:
  control:  { interfaces: [p0], vlans: [untagged, 20], networks: [10.10.0.0/25] }
  machines: { interfaces: [p1], vlans: [untagged, 20], networks: [10.10.0.128/26] }
assets:
  scada: { zone: control, address: 10.10.0.5 }
  plc:   { zone: machines, address: 10.10.0.131 }
services:
  poll: { transport: udp, port: 9600, source_port: 9601, reply: { window: 200ms } }
conduits:
  - between: [control, machines]
    allow: [{ client: scada, server: plc, service: poll }]
  - between: [control, gateway]
    allow: [{ client: scada, server: gateway, service: poll }]
"#;

#[test]
fn a_ruleset_joins_wires_and_forgets_questions() -> Result<()> {
    let lab = Lab::new(Gateway::Isolates, &["p0", "p1"].map(Zone::new))?;
    for name in ["p0", "p1"] {
        lab.gateway().check(&["ethtool", "-K", name, "gro", "off"])?;
    }
    let loaded = banchi::policy::load("wires.yaml", WIRES);
    let policy = loaded.policy.with_context(|| format!("{:?}", loaded.diagnostics))?;
    load(&lab, "wires.yaml", &export(&policy, "wires.yaml").ruleset)?;
    let (left, right) = (lab.switch("p0").raw("uplink")?, lab.switch("p1").raw("uplink")?);
    let mut sent = 0_u32;
    let mut crosses = |from: &RawSocket, to: &RawSocket, packet: Packet| -> Result<bool> {
        let frame = packet.to_mac(TO).build();
        sent += 1;
        let behind = Packet::ethernet(PASSES, &sent.to_be_bytes().repeat(12)).to_mac(TO).build();
        from.send(&frame)?;
        from.send(&behind)?;
        let frames = to.receive_until(|frame| *frame == behind, DEADLINE)?;
        Ok(frames.contains(&frame))
    };
    let (scada, plc): (IpAddr, IpAddr) = ([10, 10, 0, 5].into(), [10, 10, 0, 131].into());
    let gateway = IpAddr::from([10, 10, 0, 250]);
    let question = || Packet::udp((scada, 9601), (plc, 9600));
    let answer = || Packet::udp((plc, 9600), (scada, 9601));
    ensure!(!crosses(&right, &left, answer())?, "nobody has asked");
    ensure!(crosses(&left, &right, question())?, "a question crosses");
    ensure!(crosses(&left, &right, question().vlan(20))?, "and with its tag");
    ensure!(!crosses(&left, &right, question().vlan(21))?, "but for a VLAN of no zone");
    ensure!(!crosses(&left, &right, Packet::udp((scada, 9602), (plc, 9600)))?, "from another port");
    let own = Packet::udp((scada, 9601), (gateway, 9600));
    ensure!(!crosses(&left, &right, own)?, "what is for the gateway stays");
    let asks = Packet::arp_request([10, 10, 0, 5].into(), [10, 10, 0, 250].into());
    ensure!(!crosses(&left, &right, asks)?, "and so does who asks for it");
    ensure!(crosses(&left, &right, Packet::arp_request([10, 10, 0, 5].into(), [10, 10, 0, 131].into()))?);
    ensure!(!crosses(&right, &left, Packet::arp_request([10, 10, 0, 5].into(), [10, 10, 0, 131].into()))?);
    // The kernel says when it has forgotten.
    let deadline = std::time::Instant::now() + DEADLINE;
    let remembers = || lab.gateway().check(&["nft", "list", "set", "netdev", "banchi", "asked4"]);
    while remembers()?.contains("10.10.0.131") {
        ensure!(std::time::Instant::now() < deadline, "a question of 200 ms is remembered");
    }
    ensure!(!crosses(&right, &left, answer())?, "too late");
    // An answer that is under way in time crosses: as often as needed on a machine that was stopped between the two.
    while !(crosses(&left, &right, question())? && crosses(&right, &left, answer())?) {
        ensure!(std::time::Instant::now() < deadline + DEADLINE, "no answer crosses");
    }
    Ok(())
}
