//! The ruleset: from an interface to a zone, from a zone to its questions and answers, and from there to what deviates.

use std::fmt::Write as _;

use banchi_common::wire::SURVIVAL_ETHERTYPES;

use super::chains::{Chains, Kind, ip, version, window};
use super::loss::Losses;
use super::tuples::{Layers, Tuple, address, ports};
use super::{Ground, quoted, rules};
use crate::diff::ground::Span;
use crate::image::expand::Expanded;
use crate::policy::model::{Forwarding, Policy, Transport, Vlan, ZoneId};

/// Frames with a tag whose content is a second one.
const TWO_TAGS: &str = "meta protocol { 0x8100, 0x88a8 }";
/// The VLAN of the tag that the kernel has taken off already.
const OUTER: &str = "@ll,116,12";
const TAGGED: &str = "ether type { 0x8100, 0x88a8 }";

struct Writer<'w> {
    policy: &'w Policy,
    expanded: &'w Expanded<'w>,
    ground: &'w Ground,
    chains: Chains,
    /// Declarations of sets and maps.
    sets: String,
}

/// Writes it, and notes what is lost on the way.
pub(super) fn write(
    name: &str,
    policy: &Policy,
    expanded: &Expanded<'_>,
    ground: &Ground,
    losses: &mut Losses,
) -> String {
    let versions: Vec<bool> = [false, true].into_iter().filter(|v6| ground.has_assets(*v6)).collect();
    let chains = Chains::of(versions, [false, true].map(|v6| !ground.groups(v6).is_empty()));
    let mut writer = Writer { policy, expanded, ground, chains, sets: String::new() };
    for v6 in [false, true] {
        writer.shared_sets(v6);
    }
    for (zone, _) in policy.zones.iter().enumerate().filter(|(_, row)| !row.is_gateway) {
        writer.zone(zone, losses);
    }
    let entry = writer.entry();
    let Writer { sets, chains, .. } = writer;
    let questions = chains.sets();
    format!(
        "# Takes the place of what was loaded before, as one.\n\
         table netdev banchi {{}}\ndelete table netdev banchi\n\
         table netdev banchi {{\n\tcomment {}\n{sets}{questions}{}{entry}}}\n",
        quoted(name),
        chains.write()
    )
}

/// A list of addresses in braces.
fn list(spans: &[Span]) -> String {
    let spans: Vec<String> = spans.iter().map(|span| address(*span)).collect();
    format!("{{ {} }}", spans.join(", "))
}

fn mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

impl Writer<'_> {
    fn set(&mut self, name: &str, kind: &str, elements: &str) {
        let _ = writeln!(self.sets, "\tset {name} {{\n\t\ttype {kind}");
        let _ = writeln!(self.sets, "\t\tflags interval\n\t\telements = {elements}\n\t}}");
    }

    /// Hardware addresses and groups.
    fn shared_sets(&mut self, v6: bool) {
        let (number, kind) = (version(v6), if v6 { "ipv6_addr" } else { "ipv4_addr" });
        let groups = self.ground.groups(v6);
        if !groups.is_empty() {
            self.set(&format!("groups{number}"), kind, &list(&groups));
        }
        let bound = self.ground.bound(v6);
        if bound.is_empty() {
            return;
        }
        let hosts: Vec<Span> = bound.iter().map(|(span, _)| *span).collect();
        self.set(&format!("bound{number}"), kind, &list(&hosts));
        let pairs: Vec<String> =
            bound.iter().map(|(host, bound)| format!("{} . {}", address(*host), mac(*bound))).collect();
        let elements = format!("{{ {} }}", pairs.join(", "));
        let _ = writeln!(
            self.sets,
            "\tset macs{number} {{\n\t\ttype {kind} . ether_addr\n\t\telements = {elements}\n\t}}"
        );
    }

    /// What becomes of packets from a zone.
    fn zone(&mut self, zone: ZoneId, losses: &mut Losses) {
        let Some(row) = self.policy.zones.get(zone) else { return };
        let name = row.name.clone();
        let deviates = self.chains.deviates_from_none(self.policy);
        let mut body = format!("\t\tmeta protocol arp goto arp-{name}\n");
        body += &self.below_ip(zone);
        let _ = writeln!(body, "\t\tmeta protocol != {{ ip, ip6 }} goto {deviates}");
        body += "\t\tip protocol { 2, 112 } accept comment \"IGMP and VRRP\"\n";
        body += "\t\tmeta l4proto 112 accept comment \"VRRP\"\n";
        body += "\t\ticmpv6 type { 130, 131, 132, 143 } accept comment \"listener discovery\"\n";
        let _ = writeln!(
            body,
            "\t\ticmpv6 type {{ 133, 134, 135, 136 }} ip6 hoplimit 255 goto neighbours-{name}"
        );
        self.neighbours(zone, &name, &deviates);
        self.destinations(zone, &name, &deviates);
        for v6 in [false, true] {
            if !self.ground.bound(v6).is_empty() {
                let (ip, number) = (ip(v6), version(v6));
                let _ = writeln!(
                    body,
                    "\t\t{ip} saddr @bound{number} {ip} saddr . ether saddr != @macs{number} goto to-{name} comment \"mac-mismatch\""
                );
            }
        }
        for asks in [true, false] {
            for v6 in [false, true] {
                for echo in [false, true] {
                    body += &self.flows(zone, &name, asks, v6, echo, losses);
                }
            }
        }
        let _ = writeln!(body, "\t\tgoto to-{name}");
        self.chains.add(format!("zone-{name}"), body);
    }

    /// Protocols below IP that conduits of the zone list.
    fn below_ip(&self, zone: ZoneId) -> String {
        let mut text = String::new();
        for conduit in &self.policy.conduits {
            let (a, b) = conduit.zones;
            if a != zone && (b != zone || conduit.ordered) {
                continue;
            }
            for kind in &conduit.ethertypes {
                let protocol = match kind.0 {
                    // The destination SAP of LLC.
                    sap @ 0..0x100 => format!("meta protocol 4 @nh,0,8 {sap:#04x}"),
                    kind => format!("meta protocol {kind:#06x}"),
                };
                let _ = writeln!(text, "\t\t{protocol} accept comment {}", quoted(&conduit.name));
            }
        }
        text
    }

    /// Who claims which address.
    fn neighbours(&mut self, zone: ZoneId, name: &str, deviates: &str) {
        let elsewhere = |v6: bool| {
            self.ground.spans(v6, |span, said| {
                // A link-local address is of each zone its own; the unspecified one claims nothing.
                let link_local = v6 && span.first >> 118 == 0xfe80 >> 6 && said.assets.is_empty();
                said.home.is_some_and(|home| home != zone) && !link_local
            })
        };
        let mut arp = "\t\tarp saddr ip 0.0.0.0 accept\n".to_owned();
        let others = elsewhere(false);
        if !others.is_empty() {
            let _ = writeln!(arp, "\t\tarp saddr ip {} goto {deviates}", list(&others));
        }
        if !self.ground.bound(false).is_empty() {
            for field in ["arp saddr ether", "ether saddr"] {
                let _ = writeln!(
                    arp,
                    "\t\tarp saddr ip @bound4 arp saddr ip . {field} != @macs4 goto {deviates} comment \"arp-spoof\""
                );
            }
        }
        arp += "\t\taccept\n";
        let mut nd = String::new();
        let others = elsewhere(true);
        let target = |spans: &[Span]| {
            let spans: Vec<String> =
                spans.iter().map(|span| format!("{:#034x}-{:#034x}", span.first, span.last)).collect();
            format!("icmpv6 type 136 @th,64,128 {{ {} }}", spans.join(", "))
        };
        nd += "\t\tip6 saddr :: icmpv6 type != 136 accept\n";
        if !others.is_empty() {
            let _ = writeln!(nd, "\t\ticmpv6 type 136 @th,64,128 0x0 accept");
            let _ = writeln!(nd, "\t\t{} goto {deviates}", target(&others));
            let _ = writeln!(nd, "\t\ticmpv6 type != 136 ip6 saddr {} goto {deviates}", list(&others));
        }
        for (host, bound) in self.ground.bound(true) {
            let bound = mac(bound);
            let _ = writeln!(nd, "\t\t{} ether saddr != {bound} goto {deviates}", target(&[host]));
        }
        if !self.ground.bound(true).is_empty() {
            let _ = writeln!(
                nd,
                "\t\ticmpv6 type != 136 ip6 saddr @bound6 ip6 saddr . ether saddr != @macs6 goto {deviates}"
            );
        }
        nd += "\t\taccept\n";
        self.chains.add(format!("arp-{name}"), arp);
        self.chains.add(format!("neighbours-{name}"), nd);
    }

    /// What is about other packets passes. Of the rest, where it wants to go says which conduit it deviates from.
    fn destinations(&mut self, zone: ZoneId, name: &str, deviates: &str) {
        let mut body = String::new();
        let mut rules = self.policy.rules.iter();
        if rules.any(|rule| rule.client_zone == zone || rule.server_zone == zone) {
            body += "\t\ticmp type { 3, 5, 11, 12 } accept comment \"errors\"\n\
                     \t\ticmpv6 type { 1, 2, 3, 4 } accept comment \"errors\"\n\
                     \t\tip frag-off & 0x1fff != 0 accept comment \"later fragments\"\n\
                     \t\tfrag frag-off != 0 accept comment \"later fragments\"\n";
        }
        for v6 in [false, true] {
            let mut elements: Vec<String> = Vec::new();
            for other in 0..self.policy.zones.len() {
                let Some(conduit) = self.conduit_between(zone, other) else { continue };
                let chain = self.chains.deviates(self.policy, conduit, None);
                let homes = self.ground.spans(v6, |_, said| said.home == Some(other));
                elements.extend(homes.iter().map(|span| format!("{} : goto {chain}", address(*span))));
            }
            if elements.is_empty() {
                continue;
            }
            let _ =
                writeln!(body, "\t\t{} daddr vmap {{\n\t\t\t{}\n\t\t}}", ip(v6), elements.join(",\n\t\t\t"));
        }
        let _ = writeln!(body, "\t\tgoto {deviates}");
        self.chains.add(format!("to-{name}"), body);
    }

    fn conduit_between(&self, from: ZoneId, to: ZoneId) -> Option<usize> {
        let named = |zones| self.policy.conduits.iter().position(|conduit| conduit.zones == zones);
        named((from, to)).or_else(|| named((to, from)))
    }

    /// Asks the rules of one role and version.
    fn flows(
        &mut self,
        zone: ZoneId,
        name: &str,
        asks: bool,
        v6: bool,
        echo: bool,
        losses: &mut Losses,
    ) -> String {
        let tuples = self.tuples(zone, asks, v6, echo, losses);
        let layers = Layers::of(tuples);
        if layers.is_empty() {
            return String::new();
        }
        let (ip, number) = (ip(v6), version(v6));
        let role = if asks { "asks" } else { "answers" };
        let map = format!("{role}{number}{}-{name}", if echo { "-ping" } else { "" });
        self.sets += &layers.declare(&map, v6, echo);
        let (client, server) = if asks { ("s", "d") } else { ("d", "s") };
        let hosts = format!("{ip} {client}addr . {ip} {server}addr");
        let key = if echo {
            let icmp = if v6 { "icmpv6" } else { "icmp" };
            format!("{icmp} type echo-{} {hosts}", if asks { "request" } else { "reply" })
        } else {
            format!("{hosts} . meta l4proto . th {client}port . th {server}port")
        };
        layers.ask(&map, &key)
    }

    fn tuples(&mut self, zone: ZoneId, asks: bool, v6: bool, echo: bool, losses: &mut Losses) -> Vec<Tuple> {
        let (expanded, ground) = (self.expanded, self.ground);
        let policy: &Policy = &expanded.policy;
        // What stands for more than it says comes last, so that it hides nothing.
        let (mut tuples, mut too_wide) = (Vec::new(), Vec::new());
        for (rule, of) in rules(expanded) {
            let side = if asks { rule.client_zone } else { rule.server_zone };
            let Some(service) = policy.services.get(rule.service) else { continue };
            let only_answers = expanded.is_answers(rule.service);
            let is_echo = service.transport == Transport::Icmp;
            if side != zone || asks && only_answers || is_echo != echo || rule.expires_s.is_some() {
                continue;
            }
            let written = self.policy.rules.get(of).map_or_else(String::new, |rule| rule.name.clone());
            let clients =
                if asks { ground.of_hosts(v6, &rule.clients) } else { ground.of_assets(v6, &rule.clients) };
            let servers = ground.of_assets(v6, &rule.servers);
            if clients.is_empty() || servers.is_empty() {
                continue;
            }
            if service.direction.is_some() {
                losses.payload(&written);
            }
            let kind = Kind {
                any_client: rule.clients.iter().any(|asset| ground.names_group(policy, *asset)),
                any_port: !service.reply_from.is_empty(),
                groups: self.asks_groups(rule.service),
            };
            // Who asks with two tags is not heard, and must be answered all the same.
            let waits = service.transport == Transport::Udp && window(service).is_some();
            let unheard = waits && self.has_two_tags(rule.client_zone);
            if unheard {
                losses.unheard(&written);
            }
            let verdict = if asks {
                self.chains.question(service, kind)
            } else if unheard {
                "accept".to_owned()
            } else {
                self.chains.answer(self.policy, rule, service, kind)
            };
            let (ports, lost) = ports(service, &servers);
            if lost {
                losses.relation(&written);
            }
            for client in &clients {
                let list = if lost { &mut too_wide } else { &mut tuples };
                list.extend(ports.iter().map(|ports| Tuple {
                    client: *client,
                    server: ports.server,
                    transport: service.transport,
                    client_port: ports.client_port,
                    server_port: ports.server_port,
                    verdict: verdict.clone(),
                    rule: written.clone(),
                }));
            }
        }
        tuples.append(&mut too_wide);
        tuples
    }

    fn has_two_tags(&self, zone: ZoneId) -> bool {
        let row = self.policy.zones.get(zone);
        row.is_some_and(|row| row.vlans.iter().any(|vlan| matches!(vlan, Vlan::Double(..))))
    }

    /// Whether some rule asks a group for a service.
    fn asks_groups(&self, service: usize) -> bool {
        let mut of_service = rules(self.expanded).filter(|(rule, _)| rule.service == service);
        of_service.any(|(rule, _)| self.ground.have_group(&rule.servers))
    }

    /// From interfaces and tags to zones, and over wires.
    fn entry(&mut self) -> String {
        let deviates = self.chains.deviates_from_none(self.policy);
        let mut interfaces: Vec<&str> =
            self.policy.zones.iter().flat_map(|zone| &zone.interfaces).map(String::as_str).collect();
        interfaces.sort_unstable();
        interfaces.dedup();
        for interface in &interfaces {
            let body = self.tags(interface, &deviates);
            self.chains.add(format!("in-{interface}"), body);
        }
        let names: Vec<String> = interfaces.iter().map(|name| quoted(name)).collect();
        let ways: Vec<String> =
            interfaces.iter().map(|name| format!("{} : goto in-{name}", quoted(name))).collect();
        let alive: Vec<String> =
            SURVIVAL_ETHERTYPES.iter().map(|kind| format!("{:#06x}", kind.value)).collect();
        let alive = alive.join(", ");
        let mut text = format!(
            "\tchain ingress {{\n\t\ttype filter hook ingress devices = {{ {} }} priority 0; policy accept\n\
             \t\tmeta protocol {{ {alive} }} accept comment \"keeps the network alive\"\n\
             \t\tmeta protocol 4 @nh,0,16 0x4242 accept comment \"spanning tree\"\n\
             \t\tmeta protocol 4 @nh,0,16 0xaaaa @nh,32,32 0x000c2000 accept comment \"Cisco discovery\"\n\
             \t\tmeta protocol 4 @nh,0,16 0xaaaa @nh,32,32 0x000c010b accept comment \"Cisco spanning tree\"\n\
             \t\t{TWO_TAGS} @nh,16,16 {{ {alive} }} accept\n\
             \t\t{TWO_TAGS} @nh,16,16 < 0x600 @nh,32,16 0x4242 accept\n\
             \t\tiifname vmap {{ {} }}\n\t}}\n",
            names.join(", "),
            ways.join(", ")
        );
        if self.policy.forwarding == Forwarding::Wire {
            text += &self.wires();
        }
        text
    }

    /// The zone of an interface by its tags.
    fn tags(&self, interface: &str, deviates: &str) -> String {
        let (mut two, mut one, mut none) = (String::new(), Vec::new(), None);
        for zone in
            self.policy.zones.iter().filter(|zone| zone.interfaces.iter().any(|name| name == interface))
        {
            let untagged = [Vlan::Untagged];
            let vlans = if zone.vlans.is_empty() { untagged.as_slice() } else { zone.vlans.as_slice() };
            let name = &zone.name;
            let mut pass = |outer: u16, inner: u16| {
                let _ = writeln!(
                    two,
                    "\t\t{TWO_TAGS} {OUTER} {outer} @nh,4,12 {inner} accept comment {}",
                    quoted(name)
                );
            };
            for vlan in vlans {
                // A tag with VLAN 0 gives a priority only.
                match vlan {
                    Vlan::Untagged => {
                        pass(0, 0);
                        one.push(format!("0 : goto zone-{name}"));
                        none = Some(name);
                    }
                    Vlan::Tagged(vid) => {
                        pass(0, *vid);
                        pass(*vid, 0);
                        one.push(format!("{vid} : goto zone-{name}"));
                    }
                    Vlan::Double(outer, inner) => pass(*outer, *inner),
                }
            }
        }
        let mut body = two;
        let _ = writeln!(body, "\t\t{TWO_TAGS} goto {deviates}");
        if !one.is_empty() {
            let _ = writeln!(body, "\t\t{TAGGED} {OUTER} vmap {{ {} }}", one.join(", "));
        }
        let _ = writeln!(body, "\t\t{TAGGED} goto {deviates}");
        let untagged = none.map_or_else(|| deviates.to_owned(), |name| format!("zone-{name}"));
        let _ = writeln!(body, "\t\tgoto {untagged}");
        body
    }

    /// What passes crosses to the other end.
    fn wires(&self) -> String {
        let own = |v6: bool| {
            let gateway = self.policy.zones.iter().position(|zone| zone.is_gateway);
            self.ground.spans(v6, |_, said| said.home.is_some() && said.home == gateway)
        };
        let mut to_gateway = String::new();
        if !own(false).is_empty() {
            let own = list(&own(false));
            let _ = write!(to_gateway, "\t\tip daddr {own} accept\n\t\tarp daddr ip {own} accept\n");
        }
        if !own(true).is_empty() {
            let targets: Vec<String> =
                own(true).iter().map(|span| format!("{:#034x}-{:#034x}", span.first, span.last)).collect();
            let _ = write!(
                to_gateway,
                "\t\tip6 daddr {} accept\n\t\ticmpv6 type 135 @th,64,128 {{ {} }} accept\n",
                list(&own(true)),
                targets.join(", ")
            );
        }
        let ends = self.policy.wires.iter().flat_map(|(a, b)| [(a, b), (b, a)]);
        ends.map(|(from, to)| {
            format!(
                "\tchain wire-{from} {{\n\t\ttype filter hook ingress device {} priority 1; policy accept\n\
                 {to_gateway}\t\tfwd to {}\n\t}}\n",
                quoted(from),
                quoted(to)
            )
        })
        .collect()
    }
}
