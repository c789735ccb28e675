//! Whether and where the program runs on an interface, and what else matters there.

use banchi_common::abi::INTERFACES;

use super::facts::{InterfaceFacts, Wanted};
use super::finding::{Finding, Level};
use crate::datapath::{Attached, Runs, XdpMode};

pub(super) fn examine(facts: &InterfaceFacts, wanted: &Wanted) -> Vec<Finding> {
    let mut findings = vec![xdp(facts, wanted), state(facts), index(facts)];
    findings.extend(kind(facts));
    findings.extend(queues(facts));
    findings
}

fn xdp(facts: &InterfaceFacts, wanted: &Wanted) -> Finding {
    match facts.link.xdp {
        Some(attached) if Some(attached.program) == wanted.own => runs(facts, attached, wanted),
        Some(attached) => other(facts, attached),
        None => possible(facts, wanted),
    }
}

/// The program of this data plane is there.
fn runs(facts: &InterfaceFacts, attached: Attached, wanted: &Wanted) -> Finding {
    let found = format!("banchi runs here, {} (program {}).", attached.runs.name(), attached.program);
    let say = |level, why| Finding::new(level, &facts.link.name, "xdp", &found, why);
    if attached.runs.is(wanted.mode) {
        return match attached.runs {
            Runs::Generic => {
                say(Level::Note, "It was allowed to: generic XDP is slow, and works everywhere.")
            }
            _ => say(Level::Ok, "This is what was asked for."),
        };
    }
    say(
        Level::Warning,
        "This is not what was asked for. It decides the same; generic XDP takes several times as long for a packet.",
    )
    .remedy("banchi detach && banchi run  # in a maintenance window")
}

fn other(facts: &InterfaceFacts, attached: Attached) -> Finding {
    let name = &facts.link.name;
    let program = facts.program.as_deref().unwrap_or("?");
    let found = format!(
        "Another XDP program holds it: `{program}` (id {}), {}.",
        attached.program,
        attached.runs.name()
    );
    let why = "An interface has room for one: banchi does not start, and nothing is enforced.";
    Finding::new(Level::Unsafe, name, "xdp", found, why).remedy(format!("ip link set dev {name} xdp off"))
}

fn possible(facts: &InterfaceFacts, wanted: &Wanted) -> Finding {
    let driver = &facts.driver;
    let say = |level, found: String, why| Finding::new(level, &facts.link.name, "xdp", found, why);
    match (facts.has_native_xdp, wanted.mode) {
        (_, XdpMode::Generic) => say(
            Level::Note,
            format!("Nothing is attached; driver {driver}, generic XDP."),
            "Generic XDP is slow, and works everywhere.",
        ),
        (Some(true), XdpMode::Native) => say(
            Level::Ok,
            format!("Nothing is attached; driver {driver} has native XDP."),
            "It may still refuse at a large MTU or with LRO, which banchi says then.",
        ),
        (Some(false), XdpMode::Native) => say(
            Level::Unsafe,
            format!("Driver {driver} has no native XDP."),
            "banchi does not start: it never falls back to generic XDP by itself, which is slow.",
        )
        .remedy("banchi run --xdp-mode generic"),
        (None, XdpMode::Native) => say(
            Level::Note,
            format!(
                "Nothing is attached; whether driver {driver} has native XDP, this kernel does not tell."
            ),
            "Kernels do from Linux 6.3 on. Where it has none, banchi does not start, and says so.",
        ),
    }
}

fn state(facts: &InterfaceFacts) -> Finding {
    let (name, link) = (&facts.link.name, &facts.link);
    let say = |level, found, why| Finding::new(level, name, "link", found, why);
    match (link.is_up, link.has_carrier) {
        (false, _) => say(Level::Warning, "It is down.", "Nothing comes in; once it is up, banchi decides.")
            .remedy(format!("ip link set dev {name} up")),
        (true, false) => {
            say(Level::Warning, "It has no carrier.", "Nothing comes in: cable, or the other end?")
                .remedy(format!("ip -statistics link show dev {name}"))
        }
        (true, true) => say(Level::Ok, "It is up.", "Packets come in."),
    }
}

fn index(facts: &InterfaceFacts) -> Finding {
    let index = facts.link.index;
    let found = format!("Index {index}, of up to {}.", INTERFACES - 1);
    let say = |level, why| Finding::new(level, &facts.link.name, "index", &found, why);
    if index < INTERFACES {
        say(Level::Ok, "The tables have room for it.")
    } else {
        say(
            Level::Unsafe,
            "The tables have no room for it, and banchi does not start. Indices begin anew at a restart.",
        )
        .remedy("systemctl reboot  # in a maintenance window")
    }
}

fn kind(facts: &InterfaceFacts) -> Option<Finding> {
    let say = |found: &str, why: &str, remedy: String| {
        Some(Finding::new(Level::Warning, &facts.link.name, "kind", found, why).remedy(remedy))
    };
    let name = &facts.link.name;
    match facts.link.kind.as_deref()? {
        "bridge" => say(
            "It is a bridge.",
            "XDP there sees what is for the gateway itself, and not what the bridge forwards. Name its members.",
            format!("ip -brief link show master {name}"),
        ),
        "vlan" => say(
            "It is a VLAN of another interface.",
            "Its frames have lost their tag, and banchi on it runs as generic XDP. Name the interface below it, with \
             `vlans:`.",
            format!("ip -details link show dev {name}"),
        ),
        _ => None,
    }
}

fn queues(facts: &InterfaceFacts) -> Option<Finding> {
    let queues = facts.queues?;
    let found =
        format!("{} receiving queue(s) of up to {}, {} CPU(s).", queues.receive, queues.most, facts.cpus);
    let say = |level, why| Finding::new(level, &facts.link.name, "queues", &found, why);
    if queues.receive <= 1 && queues.most > 1 && facts.cpus > 1 {
        return Some(
            say(Level::Note, "One CPU decides about all packets of this interface.")
                .remedy(format!("ethtool -l {}", facts.link.name)),
        );
    }
    Some(say(Level::Ok, "Packets are spread over CPUs as far as the card can."))
}
