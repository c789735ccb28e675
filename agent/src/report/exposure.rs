//! Fixed ports: what somebody who forges a packet has to guess, and what the policy does about it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use banchi_common::direction::Protocol;
use maud::{Markup, html};

use super::gather::Line;
use super::words::{count, ports, sign, some};
use super::{Report, Section};
use crate::learn::{Idiom, Ports};
use crate::policy::model::{Addresses, Reply, Service, SourcePort, Transport};

/// Services that are shown.
const SHOWN: usize = 40;
/// Ports that Linux draws from unless told otherwise: 32768 to 60999 (`ip_local_port_range`).
const DRAWN: u64 = 28_232;

/// Whether whoever forges an answer need not guess the client's port.
pub(super) fn is_guessable(line: &Line) -> bool {
    matches!(line.flow.client_port, Ports::Set(_)) && !matches!(line.flow.transport, Transport::Icmp)
}

/// A number in each message that an answer has to repeat: how many there are, and what it is called.
const fn message_number(protocol: Protocol) -> Option<(&'static str, &'static str)> {
    Some(match protocol {
        Protocol::Bacnet => ("256", "invoke ID of confirmed requests; unconfirmed ones have none"),
        Protocol::Fins => ("256", "service ID"),
        Protocol::Dnp3 => ("16", "application sequence"),
        Protocol::Modbus => ("65 536", "transaction identifier"),
        Protocol::HartIp => ("65 536", "sequence number"),
        Protocol::SBus => ("65 536", "sequence number"),
        Protocol::Ntp => ("2⁶⁴", "origin timestamp"),
        Protocol::Snmp | Protocol::Dhcp | Protocol::Ads => ("2³²", "request identifier"),
        Protocol::ProfinetCm => ("2¹²⁸", "activity UUID, and a sequence number"),
        Protocol::Slmp => ("65 536", "serial number of 4E frames; 3E frames have none"),
        Protocol::C37118 => ("1", "there is none"),
        _ => return None,
    })
}

/// Flows of one service with the same habit.
struct Group<'r> {
    lines: Vec<&'r Line>,
    client_ports: BTreeSet<u16>,
}

/// The section.
pub(super) fn section(report: &Report<'_>) -> Section {
    let mut groups: BTreeMap<(String, Transport, Idiom), Group<'_>> = BTreeMap::new();
    for line in report.gathered.lines.iter().filter(|line| is_guessable(line)) {
        let key = (report.service(line), line.flow.transport, line.flow.idiom);
        let group =
            groups.entry(key).or_insert_with(|| Group { lines: Vec::new(), client_ports: BTreeSet::new() });
        group.lines.push(line);
        if let Ports::Set(ports) = &line.flow.client_port {
            group.client_ports.extend(ports);
        }
    }
    let mut rows: Vec<_> = groups.into_iter().collect();
    rows.sort_by_key(|(_, group)| {
        std::cmp::Reverse(group.lines.iter().map(|line| line.flow.packets).sum::<u64>())
    });
    let all = rows.len();
    let drawn = report.gathered.lines.iter().filter(|line| line.flow.client_port == Ports::Any).count();
    let body = html! {
        @if rows.is_empty() {
            p.calm { "No client keeps its port: whoever forges an answer has to guess one of " (count(DRAWN)) " or so." }
        } @else {
            p.lead {
                "A client that keeps its port tells it to everybody. Whoever forges an answer over UDP then knows both addresses and both ports, where an ordinary client would leave about "
                (count(DRAWN)) " to guess (" (some(drawn, "flow")) " here " (if drawn == 1 { "does" } else { "do" }) " so)."
            }
            div.cards { @for ((name, transport, idiom), group) in rows.iter().take(SHOWN) { (card(report, name, *transport, *idiom, group)) } }
            @if all > SHOWN { p.more { (some(all - SHOWN, "more service")) " not shown." } }
            (attackers())
        }
    };
    Section { id: "exposure", title: "Fixed ports", body }
}

fn card(report: &Report<'_>, name: &str, transport: Transport, idiom: Idiom, group: &Group<'_>) -> Markup {
    let lines = &group.lines;
    let hosts: BTreeSet<IpAddr> =
        lines.iter().flat_map(|line| [line.flow.client, line.flow.server]).collect();
    let first = lines.first();
    let server = first.map(|line| ports(&line.flow.server_port)).unwrap_or_default();
    let server = if lines.iter().all(|line| ports(&line.flow.server_port) == server) {
        server
    } else {
        "by address".to_owned()
    };
    let protocol = first.and_then(|line| line.flow.protocol);
    html! {
        article.card.{ "i-" (idiom.name()) } {
            header { h3 { span.sign { (sign(idiom)) } " " (name) } span.mode { (transport.name()) ", " (idiom.name()) } }
            dl {
                dt { "Ports" } dd { (super::words::set(&group.client_ports)) " → " (server) ", " (some(lines.len(), "flow")) " of " (some(hosts.len(), "host")) }
                dt { "To guess" } dd {
                    "client's port: 1 of " b { (most_ports(lines)) } " instead of 1 of " (count(DRAWN))
                    @if transport == Transport::Tcp { "; TCP's sequence number is left, and a window of it is enough" }
                    @match protocol.and_then(message_number) {
                        Some((numbers, what)) => { "; message: 1 of " b { (numbers) } " (" (what) "), fewer where a device counts upwards" },
                        None => "; what the message itself repeats is not counted",
                    }
                }
                @if let Some(open) = open(report, lines) { dt { "When" } dd { (open) } }
                dt { "Policy" } dd { (measures(report, lines)) }
            }
        }
    }
}

/// How many ports one client has, at most.
fn most_ports(lines: &[&Line]) -> u64 {
    let widths = lines.iter().map(|line| match &line.flow.client_port {
        Ports::Set(ports) => ports.len() as u64,
        _ => 0,
    });
    widths.max().unwrap_or(1)
}

fn service_of<'r>(report: &'r Report<'_>, line: &Line) -> Option<&'r Service> {
    let rule = line.rule.filter(|_| line.passed > 0).and_then(|rule| report.policy.rules.get(rule))?;
    report.policy.services.get(rule.service)
}

/// For how much of the time an answer would pass.
fn open(report: &Report<'_>, lines: &[&Line]) -> Option<String> {
    let line = lines.iter().find(|line| line.flow.period.is_some())?;
    let period = f64::from(line.flow.period?);
    let window = match service_of(report, line)?.reply {
        Reply::Window(window) | Reply::Strict(window) => window.as_secs_f64(),
        Reply::Free | Reply::None => return None,
    };
    let share = (window / period.max(1e-6)).min(1.0) * 100.0;
    Some(format!(
        "asked every {}, and a question waits {window:.0} s for its answer: open {share:.0} % of the time",
        crate::learn::seconds(period as f32)
    ))
}

/// What the policy does about it, each with a sign.
fn measures(report: &Report<'_>, lines: &[&Line]) -> Markup {
    let services: Vec<&Service> = lines.iter().filter_map(|line| service_of(report, line)).collect();
    let all = |holds: &dyn Fn(&Service) -> bool| services.iter().all(|service| holds(service));
    let bound = |address: IpAddr| {
        let assets = report.policy.assets.iter();
        assets.into_iter().any(|asset| asset.mac.is_some() && asset.addresses == [Addresses::Host(address)])
    };
    let rows = [
        (
            all(&|service| !matches!(service.source_port, SourcePort::Any | SourcePort::Ephemeral)),
            "the client's port is pinned: another program on its host deviates",
            "the client's port is open: any program on its host may ask",
        ),
        (
            all(&|service| service.direction.is_some()),
            "payloads tell questions from answers: a forged question to the client deviates",
            "payloads are not read: nothing tells a question from an answer",
        ),
        (
            all(&|service| service.transport == Transport::Tcp || !matches!(service.reply, Reply::Free)),
            "answers need an open question or connection, or there are none",
            "answers pass at any time",
        ),
        (
            lines
                .iter()
                .all(|line| bound(line.flow.client) && (line.flow.to_group || bound(line.flow.server))),
            "hardware addresses are bound",
            "hardware addresses are not bound: another host of the same zone can take the address",
        ),
    ];
    html! {
        @if services.is_empty() { "No rule lets it pass." }
        @else if services.len() < lines.len() { p { "Some of it fits no rule. Of what does:" } }
        @if !services.is_empty() { ul.measures { @for (holds, yes, no) in rows {
            @if holds { li.good { span.sign { "✓" } " " (yes) } } @else { li.fair { span.sign { "◐" } " " (no) } }
        } } }
    }
}

/// Who could do what.
fn attackers() -> Markup {
    html! {
        h3 { "What somebody would need" }
        div.wide { table.stack {
            thead { tr { th { "Where" } th { "What is needed" } th { "What helps" } } }
            tbody {
                tr {
                    td data-h="Where" { b { "In another zone" } ", cannot see the traffic" }
                    td data-h="Needs" { "The addresses and ports, which a fixed port gives away, and a way to send from a foreign address." }
                    td data-h="Helps" { "The gateway knows from which interface and VLAN each zone comes: a forged address from elsewhere is " code { "wrong-zone" } ". This holds for every service, once it is enforced." }
                }
                tr {
                    td data-h="Where" { b { "In the same zone" } ", cannot see the traffic" }
                    td data-h="Needs" { "The same, and the right moment: an answer counts while a question is open. Where a device is asked every second, that is always." }
                    td data-h="Helps" { "Bound hardware addresses, short windows (" code { "reply" } "), " code { "strict" } ", and payloads that show their direction." }
                }
                tr {
                    td data-h="Where" { b { "On an allowed host" } ", as another program" }
                    td data-h="Needs" { "To send from the device's own port, which the device's program holds." }
                    td data-h="Helps" { "A pinned source port: whatever the program draws instead is a " code { "source-port-deviation" } "." }
                }
                tr {
                    td data-h="Where" { b { "On the path" } ", sees and changes the traffic" }
                    td data-h="Needs" { "Nothing more. Ports, numbers and hardware addresses can all be copied." }
                    td data-h="Helps" { "No pinning does. Only protocols that authenticate, or a wire that nobody reaches." }
                }
            }
        } }
        p.note { "Pinning a port does not make it harder to guess. It makes every use of another one a deviation, which is seen." }
    }
}
