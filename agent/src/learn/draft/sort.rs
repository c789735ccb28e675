//! Which flows a policy should state, and what a person should look at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use banchi_common::abi::Transport;

use crate::learn::flow::{Flow, Idiom, Ports};
use crate::learn::ports;

/// Why a flow is in no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// A host that talks to itself.
    Itself,
    /// An address that is no host's: unspecified or loopback.
    NoHost,
    /// One host knocked at many ports or hosts, and hardly anybody answered.
    Scan,
    /// Hosts that look for others on their wire.
    Discovery,
    /// Nobody in another zone is known to listen to the group.
    NobodyListens,
    /// Both hosts are in one zone: the gateway does not see them.
    WithinZone,
    /// The group's address cannot be stated beside the zones.
    Unstatable,
}

impl LeftOut {
    /// What it means, for a comment.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Itself => "a host talks to itself",
            Self::NoHost => "an address that no host has",
            Self::Scan => "looks like a scan: many were asked, and hardly any answered",
            Self::Discovery => "hosts that look for others on their own wire",
            Self::NobodyListens => "a group of which nobody in another zone is known to listen",
            Self::WithinZone => "within one zone: the gateway does not see it",
            Self::Unstatable => "its broadcast address lies beside hosts of another zone",
        }
    }
}

/// What a person should look at before approving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Flag {
    Undecided,
    Unlinked,
    Unanswered,
    Single,
    Office,
    Engineering,
    Outside,
}

impl Flag {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Undecided => "who asks is not known; the rule may stand the wrong way round",
            Self::Unlinked => "a port that is off the relation of the other stations: swapped addresses?",
            Self::Unanswered => "never answered: is there such a server?",
            Self::Single => "one packet only",
            Self::Office => "an office service: does the line need it?",
            Self::Engineering => "engineering access in clear text: for how long, and from which station?",
            Self::Outside => "an address of the internet",
        }
    }
}

/// Flows for the policy, with their flags, and those that are left out.
pub(super) struct Sorted {
    pub(super) kept: Vec<(Flow, BTreeSet<Flag>)>,
    pub(super) left_out: Vec<(Flow, LeftOut)>,
}

/// Services by which hosts look for others.
const DISCOVERY: &[&str] =
    &["ssdp", "ws-discovery", "mdns", "llmnr", "netbios-name", "netbios-datagram", "sap"];
/// Services by which controllers are programmed, as well as read.
const ENGINEERING: &[&str] =
    &["s7-programming", "melsoft-tcp", "melsoft-udp", "codesys-v3", "telnet", "ftp", "vnc", "tftp"];
/// Unanswered flows of one host that make a scan.
const SCAN: usize = 8;

pub(super) fn sort(flows: &[Flow]) -> Sorted {
    let scanners = scanners(flows);
    let mut sorted = Sorted { kept: Vec::new(), left_out: Vec::new() };
    for flow in flows {
        match reason(flow, &scanners) {
            Some(why) => sorted.left_out.push((flow.clone(), why)),
            None => sorted.kept.push((flow.clone(), flags(flow))),
        }
    }
    sorted
}

/// Hosts of whose questions over ten and most stay without an answer.
fn scanners(flows: &[Flow]) -> BTreeSet<IpAddr> {
    let mut asked: BTreeMap<IpAddr, [usize; 2]> = BTreeMap::new();
    for flow in flows.iter().filter(|flow| !flow.to_group && flow.idiom != Idiom::OneWay || flow.packets <= 3)
    {
        let row = asked.entry(flow.client).or_default();
        let nobody = knocks(flow);
        if let Some(count) = row.get_mut(usize::from(nobody)) {
            *count += ports_of(flow);
        }
    }
    asked
        .into_iter()
        .filter(|(_, [heard, nobody])| *nobody >= SCAN && nobody > heard)
        .map(|(host, _)| host)
        .collect()
}

fn knocks(flow: &Flow) -> bool {
    !flow.to_group && flow.unanswered && flow.packets <= 3 * ports_of(flow) as u64 || flow.refused
}

fn ports_of(flow: &Flow) -> usize {
    match &flow.server_port {
        Ports::Set(ports) => ports.len(),
        _ => 1,
    }
}

fn reason(flow: &Flow, scanners: &BTreeSet<IpAddr>) -> Option<LeftOut> {
    let nobody = |address: IpAddr| address.is_unspecified() || address.is_loopback();
    if flow.client == flow.server {
        Some(LeftOut::Itself)
    } else if nobody(flow.client) || nobody(flow.server) {
        Some(LeftOut::NoHost)
    } else if scanners.contains(&flow.client) && knocks(flow) {
        Some(LeftOut::Scan)
    } else if flow.to_group && flow.service.as_deref().is_some_and(|name| DISCOVERY.contains(&name)) {
        Some(LeftOut::Discovery)
    } else {
        None
    }
}

fn flags(flow: &Flow) -> BTreeSet<Flag> {
    let mut flags = BTreeSet::new();
    let mut flag = |on: bool, flag: Flag| {
        if on {
            flags.insert(flag);
        }
    };
    let named = |names: &[&str]| flow.service.as_deref().is_some_and(|name| names.contains(&name));
    flag(flow.idiom == Idiom::Undecided, Flag::Undecided);
    flag(flow.exception, Flag::Unlinked);
    flag(flow.unanswered && flow.transport != Transport::Udp, Flag::Unanswered);
    flag(flow.packets == 1 && !flow.to_group, Flag::Single);
    let it = |port: &u16| ports::it(*port).is_some();
    flag(matches!(&flow.server_port, Ports::Set(ports) if ports.iter().any(it)), Flag::Office);
    flag(named(ENGINEERING), Flag::Engineering);
    let outside = |address: IpAddr| match address {
        IpAddr::V4(v4) => !(v4.is_private() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast()),
        IpAddr::V6(v6) => v6.segments().first().is_some_and(|first| first & 0xe000 == 0x2000),
    };
    flag(outside(flow.server) != outside(flow.client), Flag::Outside);
    flags
}
