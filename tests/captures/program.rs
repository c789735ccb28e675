//! The loaded program, with a policy for the hosts of a capture.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use banchi::datapath::{Datapath, Interface, Options, Outcome, XdpMode};
use banchi_common::abi::Transport;
use banchi_common::direction::{Class, Payload, Protocol, classify};
use banchi_common::reason::Orientation;
use banchi_common::wire::Bytes;

use crate::packet::{Carrier, Packet, is_group};

/// A zone and an interface for those who ask, those who answer, and the addresses that nobody has.
const ZONES: [&str; 3] = ["askers", "answerers", "groups"];
const FIRST_INDEX: u32 = 101;

/// Moves the thread into a network namespace of its own, with an interface for each zone.
pub(crate) fn interfaces() {
    // SAFETY: the thread is one of the test's own, and nothing of it depends on a network.
    let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    assert_eq!(done, 0, "a network namespace needs root: {}", std::io::Error::last_os_error());
    for (zone, index) in ZONES.iter().zip(FIRST_INDEX..) {
        let command = format!("link add name {zone} index {index} type veth peer name {zone}-peer");
        let output = Command::new("ip").args(command.split(' ')).output().expect("ip starts");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Asks,
    Answers,
}

impl Role {
    fn zone(self) -> usize {
        match self {
            Self::Asks => 0,
            Self::Answers => 1,
        }
    }
}

/// Who asks whom in one policy: a host has one role in it, so a capture may need several.
#[derive(Default)]
struct Site {
    roles: BTreeMap<IpAddr, Role>,
    pairs: BTreeSet<(IpAddr, IpAddr)>,
    to_groups: BTreeSet<(IpAddr, IpAddr)>,
    program: Option<Datapath>,
}

/// All policies that a capture needs, and their programs.
pub(crate) struct Programs {
    protocol: String,
    carrier: Carrier,
    ports: Vec<u16>,
    vlans: BTreeSet<[u16; 2]>,
    sites: Vec<Site>,
}

impl Programs {
    /// Policies under which a rule with this direction matches each packet; `asks` says whether its sender does.
    pub(crate) fn new<'p>(
        protocol: &str,
        carrier: Carrier,
        ports: &[u16],
        packets: impl Iterator<Item = (&'p Packet, bool)>,
    ) -> Self {
        let mut sites: Vec<Site> = Vec::new();
        let mut vlans = BTreeSet::new();
        for (packet, asks) in packets {
            vlans.insert(packet.vlans);
            let (from, to) = (packet.source.0, packet.destination.0);
            if sites.iter().any(|site| site.zone(from, to).is_some()) {
                continue;
            }
            if !sites.iter_mut().any(|site| site.admit(from, to, asks)) {
                let mut site = Site::default();
                assert!(site.admit(from, to, asks), "{from} talks to itself");
                sites.push(site);
            }
        }
        Self { protocol: protocol.to_owned(), carrier, ports: ports.to_vec(), vlans, sites }
    }

    /// What the program in the kernel says of a packet at its time.
    pub(crate) fn run(&mut self, frame: &[u8], packet: &Packet, at: Duration) -> Outcome {
        let (from, to) = (packet.source.0, packet.destination.0);
        let (place, zone) = (self.sites.iter().enumerate())
            .find_map(|(place, site)| Some((place, site.zone(from, to)?)))
            .expect("each pair of hosts has a policy");
        if self.sites[place].program.is_none() {
            let program = load(&self.policy(&self.sites[place]), place);
            self.sites[place].program = Some(program);
        }
        let program = self.sites[place].program.as_mut().unwrap();
        program.set_time(at.as_nanos() as u64).expect("the kernel sets the clock");
        let outcome =
            program.test_run(frame, FIRST_INDEX + zone as u32).expect("the kernel runs the program");
        assert!(
            outcome.rule.is_some() && outcome.orientation != Orientation::None,
            "a rule matches {packet:?}: {outcome:?}\n{}",
            self.policy(&self.sites[place])
        );
        let on_host = on_host(&self.protocol, frame, packet);
        assert_eq!(outcome.class, on_host, "the same code decides otherwise on the host: {packet:?}");
        outcome
    }

    fn policy(&self, site: &Site) -> String {
        let members = |role| {
            let of = move |(host, is): (&IpAddr, &Role)| (*is == role).then_some(*host);
            site.roles.iter().filter_map(of).collect::<BTreeSet<_>>()
        };
        let groups: BTreeSet<IpAddr> = site.to_groups.iter().map(|(_, group)| *group).collect();
        let assets = [members(Role::Asks), members(Role::Answers), groups];
        let tags = self.vlans.iter().map(|tags| match tags {
            [0, 0] => "untagged".to_owned(),
            [one, 0] => one.to_string(),
            [outer, inner] => format!("{outer}.{inner}"),
        });
        let vlans = tags.collect::<Vec<_>>().join(", ");
        let mut text = "version: 1\nzones:\n".to_owned();
        for (zone, hosts) in ZONES.iter().zip(&assets) {
            // Multicast and 255.255.255.255 belong to no network; an empty zone has one all the same.
            let own = hosts.iter().filter(|host| !nowhere(**host)).map(|host| prefix(*host));
            let networks = own.chain([placeholder(zone)]).collect::<Vec<_>>().join(", ");
            text +=
                &format!("  {zone}: {{ interfaces: [{zone}], vlans: [{vlans}], networks: [{networks}] }}\n");
        }
        text += "assets:\n";
        for (zone, hosts) in ZONES.iter().zip(&assets).filter(|(_, hosts)| !hosts.is_empty()) {
            let hosts = hosts.iter().map(|host| format!("\"{host}\"")).collect::<Vec<_>>().join(", ");
            text += &format!("  {zone}: {{ zone: {zone}, addresses: [{hosts}] }}\n");
        }
        let ports = self.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        // What answerers send to everybody, they announce.
        let (carrier, protocol) = (self.carrier.word(), &self.protocol);
        let announce =
            if self.carrier == Carrier::Udp { ", client_may: [response, notify], reply: free" } else { "" };
        text += &format!(
            "services:\n  \
               talk: {{ transport: {carrier}, port: [{ports}], source_port: any, direction: {protocol} }}\n  \
               announce: {{ transport: {carrier}, port: any, source_port: [{ports}], direction: {protocol}{announce} }}\n\
             conduits:\n"
        );
        let mut conduit = |client: usize, server: usize, service: &str| {
            let (from, to) = (ZONES[client], ZONES[server]);
            if !assets[client].is_empty() && !assets[server].is_empty() {
                let rule = format!("{{ client: {from}, server: {to}, service: {service} }}");
                text += &format!("  - {{ from: {from}, to: {to}, allow: [{rule}] }}\n");
            }
        };
        conduit(0, 1, "talk");
        conduit(0, 2, "talk");
        conduit(1, 2, "announce");
        text
    }
}

impl Site {
    /// The zone that a packet comes from, if this policy is about its two hosts.
    fn zone(&self, from: IpAddr, to: IpAddr) -> Option<usize> {
        let known = if is_group(to) {
            self.to_groups.contains(&(from, to))
        } else {
            self.pairs.contains(&(from, to)) || self.pairs.contains(&(to, from))
        };
        known.then(|| self.roles[&from].zone())
    }

    /// Takes two hosts in, unless one of them has the other role already.
    fn admit(&mut self, from: IpAddr, to: IpAddr, asks: bool) -> bool {
        let (mine, other) = if asks { (Role::Asks, Role::Answers) } else { (Role::Answers, Role::Asks) };
        let fits = |host: IpAddr, role: Role| self.roles.get(&host).is_none_or(|is| *is == role);
        if is_group(to) {
            self.roles.entry(from).or_insert(mine);
            self.to_groups.insert((from, to));
            return true;
        }
        if from == to || !fits(from, mine) || !fits(to, other) {
            return false;
        }
        self.roles.extend([(from, mine), (to, other)]);
        self.pairs.insert(if asks { (from, to) } else { (to, from) });
        true
    }
}

/// Class of a packet, as the same code decides it outside of the kernel.
fn on_host(protocol: &str, frame: &[u8], packet: &Packet) -> Class {
    let protocol = Protocol::from_name(protocol).unwrap_or_else(|| panic!("no protocol {protocol}"));
    let transport = match packet.carrier {
        Carrier::Tcp => Transport::Tcp,
        Carrier::Udp => Transport::Udp,
    };
    let bytes = Bytes(frame);
    let payload = Payload::new(&bytes, packet.start, packet.end);
    classify(&payload, transport as u8, protocol as u8, u32::MAX)
}

fn load(yaml: &str, place: usize) -> Datapath {
    let loaded = banchi::policy::load("capture.yaml", yaml);
    let policy = loaded.policy.unwrap_or_else(|| panic!("{:?}\n{yaml}", loaded.diagnostics));
    let image = banchi::image::compile(&policy).expect("the policy compiles");
    let index = |name: &str| FIRST_INDEX + ZONES.iter().position(|zone| *zone == name).unwrap() as u32;
    let indices: Vec<u32> = image.interfaces.iter().map(|name| index(name)).collect();
    let options =
        Options { trace: true, test_clock: true, suppress_ms: 0, events_per_second: 0, ..Options::default() };
    let mut program = Datapath::load(&image, &indices, &options).expect("the kernel takes the program");
    // Nothing comes in there. But each test-run of a program that is attached nowhere makes the kernel patch its own
    // code before and after, and that takes 2 ms.
    if let Some(name) = ZONES.get(place) {
        let interface = Interface { name: (*name).to_owned(), index: index(name), driver: "veth".to_owned() };
        program.attach(&interface, XdpMode::Generic).expect("the kernel attaches the program");
    }
    program
}

fn nowhere(address: IpAddr) -> bool {
    address.is_multicast() || matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}

fn prefix(host: IpAddr) -> String {
    format!("\"{host}/{}\"", if host.is_ipv4() { 32 } else { 128 })
}

/// A network of documentation, of which no capture has a host.
fn placeholder(zone: &str) -> String {
    let at = ZONES.iter().position(|name| *name == zone).unwrap_or_default();
    format!("198.51.100.{}/32", 10 + at)
}
