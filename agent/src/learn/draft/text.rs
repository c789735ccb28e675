//! The draft as text: a policy whose comments say where each line is from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use banchi_common::wire::OT_ETHERTYPES;

use super::Options;
use super::rules::Rule;
use super::services::Services;
use super::site::{Basis, Site, dashed};
use super::sort::LeftOut;
use crate::learn::flow::{Flow, Ports, time};
use crate::learn::say::seconds;
use crate::learn::{Idiom, Traffic};
use crate::policy::describe::definition;

/// Longest line.
const WIDTH: usize = 112;
/// Flows that are listed of each reason to leave them out.
const LISTED: usize = 12;

pub(super) fn render(
    traffic: &Traffic,
    options: &Options,
    site: &Site,
    services: &Services,
    rules: &[Rule<'_>],
    left_out: &[(Flow, LeftOut)],
) -> String {
    let below = below(traffic, site);
    let mut text = head(traffic, options, site, rules);
    leave(&mut text, left_out);
    beside(&mut text, traffic, &below);
    text.push_str("\nversion: 1\n\ndefaults: { mode: alert }\n\n");
    let names = Names::of(site, rules);
    zones(&mut text, site, rules);
    names.write(&mut text, site);
    let own: Vec<_> = services.rows.iter().filter(|row| !row.is_listed).collect();
    if !own.is_empty() {
        text.push_str("\nservices:\n");
        for row in own {
            if let Some(title) = &row.title {
                comment(&mut text, 2, &format!("{title}, with the ports that were seen"));
            }
            text.push_str(&definition(&row.service));
        }
    }
    text.push_str("\nconduits:\n");
    let mut conduits: BTreeMap<[usize; 2], Vec<&Rule<'_>>> = BTreeMap::new();
    for rule in rules {
        let [a, b] = rule.zones;
        conduits.entry([a.min(b), a.max(b)]).or_default().push(rule);
    }
    for (zones, rules) in &conduits {
        let [a, b] = zones.map(|zone| zone_name(site, zone));
        let _ = writeln!(text, "  - between: [{a}, {b}]");
        if let Some(kinds) = below.crossing.get(zones) {
            let kinds: Vec<String> = kinds.iter().map(|kind| ethertype(*kind)).collect();
            let _ = writeln!(text, "    ethertypes: [{}]", kinds.join(", "));
        }
        text.push_str("    allow:\n");
        let mut flagged = false;
        for rule in rules {
            if !rule.flags.is_empty() && !flagged {
                flagged = true;
                text.push_str("      # --- To review before this policy is approved:\n");
            }
            rule_text(&mut text, rule, services, &names);
        }
    }
    text
}

fn zone_name(site: &Site, zone: usize) -> &str {
    site.zones.get(zone).map_or("", |zone| zone.name.as_str())
}

/// A comment, broken between words.
fn comment(text: &mut String, indent: usize, words: &str) {
    let margin = " ".repeat(indent);
    let mut line = format!("{margin}#");
    for word in words.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line.trim_end() != format!("{margin}#")
        {
            let _ = writeln!(text, "{line}");
            line = format!("{margin}#  ");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

fn head(traffic: &Traffic, options: &Options, site: &Site, rules: &[Rule<'_>]) -> String {
    let mut text = String::new();
    let (first, last) = traffic.span;
    comment(&mut text, 0, &format!("Draft, learnt from {}.", options.sources.join(", ")));
    comment(
        &mut text,
        0,
        &format!(
            "{} packets, from {} to {} ({}). What happens more seldom than that is not in it: shift changes, \
             month ends, restarts, failovers.",
            traffic.packets,
            time(first),
            time(last),
            span(last.saturating_sub(first))
        ),
    );
    if !options.zones.is_empty() {
        comment(&mut text, 0, "Only what the approved policy does not let pass: add these rules to it.");
    }
    let basis = match site.basis {
        Basis::File if !options.zones.is_empty() => "Zones are those of the approved policy.",
        Basis::File => "Zones are those of the assets file.",
        Basis::Vlans => "Zones are the VLANs that the hosts were seen in.",
        Basis::Interfaces => "Zones are what lies behind each interface.",
        Basis::Networks => "Zones are the networks that the traffic crosses.",
        Basis::Roles => {
            "Most traffic stays within its network, so zones are a proposal: those who ask apart from those who answer. \
             Put the gateway between them, or name your own zones with --assets."
        }
    };
    comment(&mut text, 0, basis);
    if site.zones.iter().any(|zone| !zone.is_known) {
        comment(&mut text, 0, "Interfaces are placeholders: name those of the gateway.");
    }
    let flagged = rules.iter().filter(|rule| !rule.flags.is_empty()).count();
    if flagged > 0 {
        comment(&mut text, 0, &format!("{flagged} of {} rules want a look: search for REVIEW.", rules.len()));
    }
    if traffic.left_out > 0 {
        comment(
            &mut text,
            0,
            &format!(
                "{} packets belong to flows that found no place in the table, and are not in it.",
                traffic.left_out
            ),
        );
    }
    text
}

/// A length of time in its unit.
pub(crate) fn span(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn leave(text: &mut String, left_out: &[(Flow, LeftOut)]) {
    if left_out.is_empty() {
        return;
    }
    let _ = writeln!(text, "#\n# Left out:");
    let mut reasons: BTreeMap<LeftOut, Vec<&Flow>> = BTreeMap::new();
    for (flow, why) in left_out {
        reasons.entry(*why).or_default().push(flow);
    }
    for (why, flows) in reasons {
        let packets: u64 = flows.iter().map(|flow| flow.packets).sum();
        comment(text, 0, &format!("- {}: {} flows, {packets} packets", why.text(), flows.len()));
        for flow in flows.iter().take(LISTED) {
            let _ = writeln!(text, "#     {}", short(flow));
        }
        if flows.len() > LISTED {
            let _ = writeln!(text, "#     and {} more", flows.len() - LISTED);
        }
    }
}

fn short(flow: &Flow) -> String {
    let service = flow.service.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let port = list(&flow.server_port);
    format!("{} {} > {} {port}{service}", flow.transport.name(), flow.client, flow.server)
}

fn list(ports: &Ports) -> String {
    match ports {
        Ports::Any => "any".to_owned(),
        Ports::Linked(port) => port.to_string(),
        Ports::Set(ports) => {
            let mut words: Vec<String> = ports.iter().take(8).map(u16::to_string).collect();
            if ports.len() > 8 {
                words.push(format!("and {} more", ports.len() - 8));
            }
            words.join(", ")
        }
    }
}

/// Protocols below IP: those that cross from zone to zone, and the others.
struct BelowIp {
    crossing: BTreeMap<[usize; 2], BTreeSet<u16>>,
    others: BTreeMap<u16, u64>,
}

fn below(traffic: &Traffic, site: &Site) -> BelowIp {
    let mut zones: BTreeMap<[u8; 6], BTreeSet<usize>> = BTreeMap::new();
    for (address, host) in traffic.hosts.senders() {
        let Some(home) = site.homes.get(&address) else { continue };
        for mac in host.stations.iter().filter_map(|station| station.mac) {
            zones.entry(mac).or_default().insert(*home);
        }
    }
    let zone = |mac: &[u8; 6]| {
        zones.get(mac).filter(|zones| zones.len() == 1).and_then(|zones| zones.first().copied())
    };
    let mut found = BelowIp { crossing: BTreeMap::new(), others: BTreeMap::new() };
    for (kind, row) in &traffic.others.below {
        let mut crosses = false;
        for (from, to) in &row.stations {
            if let (Some(a), Some(b)) = (zone(from), zone(to))
                && a != b
            {
                crosses = true;
                found.crossing.entry([a.min(b), a.max(b)]).or_default().insert(*kind);
            }
        }
        if !crosses {
            found.others.insert(*kind, row.frames);
        }
    }
    found
}

fn ethertype(kind: u16) -> String {
    let known = OT_ETHERTYPES.iter().find(|known| known.value == kind);
    known.map_or_else(
        || if kind < 0x100 { format!("llc-{kind:#04x}") } else { format!("{kind:#06x}") },
        |known| known.word.to_owned(),
    )
}

fn beside(text: &mut String, traffic: &Traffic, below: &BelowIp) {
    let mut rows = Vec::new();
    for (kind, frames) in &below.others {
        rows.push(format!("{} ({frames} frames)", ethertype(*kind)));
    }
    for (protocol, packets) in &traffic.others.protocols {
        rows.push(format!("IP protocol {protocol} ({packets} packets)"));
    }
    for (packets, what) in [
        (traffic.others.malformed, "packets that are broken or cut short"),
        (traffic.others.icmp_errors, "ICMP errors"),
        (traffic.others.fragments, "later fragments"),
    ] {
        if packets > 0 {
            rows.push(format!("{packets} {what}"));
        }
    }
    if !rows.is_empty() {
        let _ = writeln!(text, "#");
        comment(
            text,
            0,
            &format!(
                "Besides flows: {}. Where protocols below IP should cross, add `ethertypes` to a conduit.",
                rows.join(", ")
            ),
        );
    }
}

fn zones(text: &mut String, site: &Site, rules: &[Rule<'_>]) {
    let used: BTreeSet<usize> = rules.iter().flat_map(|rule| rule.zones).collect();
    text.push_str("zones:\n");
    for (_, zone) in site.zones.iter().enumerate().filter(|(place, _)| used.contains(place)) {
        let tags: Vec<String> = zone
            .vlans
            .iter()
            .map(|tags| match tags {
                [0, 0] => "untagged".to_owned(),
                [one, 0] => one.to_string(),
                [outer, inner] => format!("{outer}.{inner}"),
            })
            .collect();
        let vlans = match tags.as_slice() {
            [one] if one == "untagged" => String::new(),
            [] => String::new(),
            tags => format!(" vlans: [{}],", tags.join(", ")),
        };
        let networks: Vec<String> =
            zone.networks.iter().map(|network| quoted(&network.to_string())).collect();
        let networks = networks.join(", ");
        let _ = writeln!(
            text,
            "  {}: {{ interfaces: [{}],{vlans} networks: [{networks}] }}",
            zone.name, zone.interface
        );
    }
}

fn quoted(text: &str) -> String {
    if text.contains(':') { format!("\"{text}\"") } else { text.to_owned() }
}

/// Names of sets of addresses.
struct Names {
    sets: BTreeMap<(usize, BTreeSet<IpAddr>), Vec<String>>,
    assets: Vec<(String, usize, BTreeSet<IpAddr>)>,
}

impl Names {
    fn of(site: &Site, rules: &[Rule<'_>]) -> Self {
        let mut names = Self { sets: BTreeMap::new(), assets: Vec::new() };
        for rule in rules {
            let service = rule.pairs.first().and_then(|pair| pair.flow.service.clone());
            let service = service.unwrap_or_else(|| "unnamed".to_owned());
            let [client, server] = rule.zones;
            names.add(site, client, &rule.clients, &format!("{service}-clients"));
            names.add(site, server, &rule.servers, &format!("{service}-servers"));
            names.add(site, client, &rule.reply_to, &service);
        }
        names
    }

    /// Names a set: hosts and groups apart, and each host by itself where it has a hardware address.
    fn add(&mut self, site: &Site, zone: usize, set: &BTreeSet<IpAddr>, wish: &str) {
        if set.is_empty() || self.sets.contains_key(&(zone, set.clone())) {
            return;
        }
        let (groups, hosts): (BTreeSet<IpAddr>, BTreeSet<IpAddr>) =
            set.iter().partition(|address| site.is_group(**address));
        let mut found = Vec::new();
        let bound = hosts.iter().any(|host| site.macs.contains_key(host));
        if hosts.len() == 1 || bound {
            for host in &hosts {
                found.push(self.asset(site.name(*host), zone, BTreeSet::from([*host]), site));
            }
        } else if !hosts.is_empty() {
            found.push(self.asset(wish.to_owned(), zone, hosts, site));
        }
        for group in groups {
            let name = format!("group-{}", dashed(group));
            found.push(self.asset(name, zone, BTreeSet::from([group]), site));
        }
        self.sets.insert((zone, set.clone()), found);
    }

    fn asset(&mut self, wish: String, zone: usize, set: BTreeSet<IpAddr>, site: &Site) -> String {
        if let Some((name, ..)) = self.assets.iter().find(|(_, home, known)| *home == zone && *known == set) {
            return name.clone();
        }
        let free = |name: &String| !self.assets.iter().any(|(known, ..)| known == name);
        let wish: String = wish.chars().take(50).collect();
        let in_zone = format!("{wish}-{}", zone_name(site, zone)).chars().take(60).collect::<String>();
        let numbered = (2..).map(|number| format!("{wish}-{number}"));
        let name = [wish.clone(), in_zone].into_iter().chain(numbered).find(free).unwrap_or_default();
        self.assets.push((name.clone(), zone, set));
        name
    }

    fn write(&self, text: &mut String, site: &Site) {
        text.push_str("\nassets:\n");
        for (name, zone, set) in &self.assets {
            let mut words: Vec<String> = compressed(set).iter().map(|word| quoted(word)).collect();
            let zone = zone_name(site, *zone);
            let mac = set.first().and_then(|host| site.macs.get(host)).map(|mac| {
                let bytes: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
                format!(", mac: \"{}\"", bytes.join(":"))
            });
            let addresses = match words.as_mut_slice() {
                [one] => format!("address: {one}"),
                words => format!("addresses: [{}]", words.join(", ")),
            };
            let _ = writeln!(text, "  {name}: {{ zone: {zone}, {addresses}{} }}", mac.unwrap_or_default());
        }
    }

    fn list(&self, zone: usize, set: &BTreeSet<IpAddr>) -> String {
        let names = self.sets.get(&(zone, set.clone())).map_or(&[][..], Vec::as_slice);
        one_or_list(names)
    }
}

fn one_or_list(names: &[String]) -> String {
    match names {
        [one] => one.clone(),
        names => format!("[{}]", names.join(", ")),
    }
}

/// Addresses, with neighbours as ranges.
fn compressed(set: &BTreeSet<IpAddr>) -> Vec<String> {
    let mut ranges: Vec<(IpAddr, IpAddr)> = Vec::new();
    for address in set {
        let next = |last: IpAddr| match last {
            IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits))),
            IpAddr::V6(_) => None,
        };
        match ranges.last_mut() {
            Some((_, last)) if next(*last) == Some(*address) => *last = *address,
            _ => ranges.push((*address, *address)),
        }
    }
    let word = |(first, last): (IpAddr, IpAddr)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.into_iter().map(word).collect()
}

fn rule_text(text: &mut String, rule: &Rule<'_>, services: &Services, names: &Names) {
    let flows: Vec<&Flow> = rule.pairs.iter().map(|pair| &pair.flow).collect();
    for flag in &rule.flags {
        comment(text, 6, &format!("REVIEW: {}", flag.text()));
    }
    comment(text, 6, &seen(&flows));
    if let Some(strongest) = flows.iter().max_by_key(|flow| (!flow.to_group, flow.packets)) {
        let confidence = flows.iter().map(|flow| flow.confidence).fold(1.0, f64::min);
        let why: Vec<&str> = strongest.evidence.iter().take(2).map(String::as_str).collect();
        comment(text, 6, &format!("why: {} (confidence {confidence:.2})", why.join("; ")));
    }
    for line in admits(&flows) {
        comment(text, 6, &line);
    }
    let [client, server] = rule.zones;
    let service: Vec<String> = rule
        .services
        .iter()
        .filter_map(|place| services.rows.get(*place))
        .map(|row| row.service.name.clone())
        .collect();
    let reply_to = if rule.reply_to.is_empty() {
        String::new()
    } else {
        format!(", reply_to: {}", names.list(client, &rule.reply_to))
    };
    let _ = writeln!(
        text,
        "      - {{ client: {}, server: {}, service: {}{reply_to} }}",
        names.list(client, &rule.clients),
        names.list(server, &rule.servers),
        one_or_list(&service)
    );
}

/// How much was seen, and when.
fn seen(flows: &[&Flow]) -> String {
    let packets: u64 = flows.iter().map(|flow| flow.packets).sum();
    let first = flows.iter().map(|flow| flow.first).min().unwrap_or(0);
    let last = flows.iter().map(|flow| flow.last).max().unwrap_or(0);
    let hours = flows.iter().fold(0, |hours, flow| hours | flow.hours).count_ones();
    let days = flows.iter().map(|flow| flow.days).max().unwrap_or(0);
    let idioms: BTreeSet<&str> = flows.iter().map(|flow| flow.idiom.name()).collect();
    let periods = flows
        .iter()
        .filter_map(|flow| flow.period)
        .fold(None, |best: Option<f32>, period| Some(best.map_or(period, |best| best.min(period))));
    let every = periods.map_or_else(String::new, |period| format!(", every {}", seconds(period)));
    format!(
        "{packets} packets in {} flows, {}{every}; {} to {}, {days} day{}, {hours} of 24 hours",
        flows.len(),
        idioms.into_iter().collect::<Vec<_>>().join(" and "),
        time(first),
        time(last),
        if days == 1 { "" } else { "s" }
    )
}

/// What a rule allows that was not seen.
fn admits(flows: &[&Flow]) -> Vec<String> {
    let mut lines = Vec::new();
    let any: Vec<&&Flow> = flows
        .iter()
        .filter(|flow| flow.client_port == Ports::Any && flow.transport.name() != "icmp")
        .collect();
    if !any.is_empty() {
        let ports: usize = any.iter().map(|flow| flow.client_ports).sum();
        lines.push(format!("admits any port of the client; seen: {ports}"));
    }
    for flow in flows.iter().filter(|flow| flow.allotted) {
        if let Ports::Set(ports) = &flow.server_port
            && let (Some(first), Some(last)) = (ports.first(), ports.last())
        {
            let wide = usize::from(last - first) + 1;
            lines.push(format!(
                "admits {} ports of the range {first}-{last} that were not seen",
                wide - ports.len()
            ));
        }
    }
    if flows.iter().any(|flow| matches!(flow.idiom, Idiom::Peer | Idiom::Undecided)) {
        lines.push("admits questions both ways".to_owned());
    }
    lines
}
