//! Hosts: where they are, what they do, and with whom.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use maud::html;

use super::words::{count, minute, some};
use super::{ROWS, Report, Section, more};

/// Services of a host that are written out.
const SERVICES: usize = 5;

#[derive(Default)]
struct Host<'r> {
    name: &'r str,
    zone: Option<usize>,
    asks: BTreeSet<IpAddr>,
    answers: BTreeSet<IpAddr>,
    services: BTreeMap<String, u64>,
    packets: u64,
    first: u64,
    last: u64,
}

/// The section.
pub(super) fn section(report: &Report<'_>) -> Section {
    let mut hosts: BTreeMap<IpAddr, Host<'_>> = BTreeMap::new();
    for line in &report.gathered.lines {
        let flow = &line.flow;
        for (end, address, other) in [(0, flow.client, flow.server), (1, flow.server, flow.client)] {
            if end == 1 && flow.to_group {
                continue;
            }
            let host = hosts.entry(address).or_insert_with(|| Host { first: u64::MAX, ..Host::default() });
            host.name = line.names.get(end).map_or("", String::as_str);
            host.zone = line.zones.get(end).copied().flatten();
            if end == 0 { &mut host.asks } else { &mut host.answers }.insert(other);
            *host.services.entry(report.service(line)).or_default() += flow.packets;
            host.packets += flow.packets;
            host.first = host.first.min(flow.first);
            host.last = host.last.max(flow.last);
        }
    }
    let all = hosts.len();
    let mut rows: Vec<(IpAddr, Host<'_>)> = hosts.into_iter().collect();
    rows.sort_by_key(|(_, host)| std::cmp::Reverse(host.packets));
    rows.truncate(ROWS);
    rows.sort_by_key(|(address, host)| (host.zone.unwrap_or(usize::MAX), *address));
    let body = html! {
        p.lead { (some(all, "host")) " that took part in a flow." }
        div.wide { table.stack {
            thead { tr { th { "Host" } th { "Zone" } th { "Hardware address" } th.n { "Asks" } th.n { "Answers" } th { "Services" } th.n { "Packets" } th { "Seen" } } }
            tbody {
                @for (address, host) in &rows {
                    tr {
                        td data-h="Host" { (host.name) @if host.name != address.to_string() { " " small { (address) } } }
                        td data-h="Zone" { (report.zone(host.zone)) }
                        td data-h="Hardware" { @match report.macs.get(address).map(Vec::as_slice) {
                            None | Some([]) => "–",
                            Some([one]) => code { (hardware(one)) },
                            Some(several) => { code { (several.first().map(hardware).unwrap_or_default()) } " and " (several.len() - 1) " more" },
                        } }
                        td.n data-h="Asks" { (some(host.asks.len(), "host")) }
                        td.n data-h="Answers" { (some(host.answers.len(), "host")) }
                        td data-h="Services" { (services(&host.services)) }
                        td.n data-h="Packets" { (count(host.packets)) }
                        td data-h="Seen" { span.nowrap { (minute(host.first)) } " – " span.nowrap { (minute(host.last)) } }
                    }
                }
            }
        } }
        (more(all, ROWS, "hosts"))
    };
    Section { id: "assets", title: "Assets", body }
}

fn hardware(mac: &[u8; 6]) -> String {
    mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn services(services: &BTreeMap<String, u64>) -> String {
    let mut rows: Vec<(&String, &u64)> = services.iter().collect();
    rows.sort_by_key(|(_, packets)| std::cmp::Reverse(**packets));
    let mut words: Vec<String> = rows.iter().take(SERVICES).map(|(name, _)| (*name).clone()).collect();
    if rows.len() > SERVICES {
        words.push(format!("{} more", rows.len() - SERVICES));
    }
    words.join(", ")
}
