//! Services: entries of the catalogue where they fit, definitions where they do not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::rules::Pair;
use crate::learn::flow::{Flow, Idiom, Ports};
use crate::learn::linked::Link;
use crate::policy::catalogue;
use crate::policy::model::{
    CLASSES, Class, Classes, Direction, PortRange, Reply, ServerPort, Service, SourcePort, Transport,
};

/// Ports that an entry of the catalogue may have beyond those that were seen.
const SPARE: usize = 4;
/// Windows for answers, in seconds; the first is the default.
const WINDOWS: [u64; 6] = [30, 60, 300, 900, 3600, 86_400];

/// What makes two flows one service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Signature {
    transport: Transport,
    source: Option<Ports>,
    same: bool,
    port: Port,
    protocol: Option<u8>,
    open: bool,
    exception: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Port {
    Set(BTreeSet<u16>),
    Range(u16, u16),
    Linear(u16, u8, u16),
    /// The table of these stations; of one client if it has a port of its own.
    Table(Option<IpAddr>),
}

/// A service of the draft.
#[derive(Debug)]
pub(super) struct Drafted {
    pub(super) service: Service,
    /// It is in the catalogue as it is.
    pub(super) is_listed: bool,
    /// What people call it.
    pub(super) title: Option<String>,
}

/// All services, in order.
#[derive(Debug)]
pub(super) struct Services {
    places: BTreeMap<Signature, usize>,
    pub(super) rows: Vec<Drafted>,
}

impl Services {
    pub(super) fn of(pairs: &[Pair]) -> Self {
        let mut flows: BTreeMap<Signature, Vec<&Flow>> = BTreeMap::new();
        for pair in pairs {
            flows.entry(signature(&pair.flow)).or_default().push(&pair.flow);
        }
        let mut services = Self { places: BTreeMap::new(), rows: Vec::new() };
        let mut names = BTreeSet::new();
        for (signature, flows) in flows {
            let mut drafted = drafted(&signature, &flows);
            let same = |row: &Drafted| text(&row.service) == text(&drafted.service);
            let place = services.rows.iter().position(same).unwrap_or_else(|| {
                if !drafted.is_listed {
                    drafted.service.name = free(&drafted.service.name, &names);
                }
                names.insert(drafted.service.name.clone());
                services.rows.push(drafted);
                services.rows.len() - 1
            });
            services.places.insert(signature, place);
        }
        services
    }

    pub(super) fn place(&self, pair: &Pair) -> usize {
        self.places.get(&signature(&pair.flow)).copied().unwrap_or(0)
    }
}

/// A definition without its name.
fn text(service: &Service) -> String {
    crate::policy::describe::definition(&Service { name: "s".to_owned(), ..service.clone() })
}

/// A name that is neither in use nor in the catalogue.
fn free(wish: &str, names: &BTreeSet<String>) -> String {
    let free = |name: &String| !names.contains(name) && catalogue::find(name).is_none();
    let numbered = (2..).map(|number| format!("{wish}-{number}"));
    std::iter::once(wish.to_owned()).chain(numbered).find(free).unwrap_or_default()
}

fn signature(flow: &Flow) -> Signature {
    let source = match &flow.client_port {
        Ports::Any => None,
        ports => Some(ports.clone()),
    };
    let port = match (&flow.server_port, &flow.link) {
        (Ports::Linked(port), Some(link)) => match link {
            Link::Linear { base, octet, step, exceptions } if !exceptions.contains_key(&flow.server) => {
                Port::Linear(*base, *octet, *step)
            }
            Link::Linear { .. } => Port::Set(BTreeSet::from([*port])),
            Link::Table => Port::Table(Some(flow.client)),
        },
        (Ports::Set(ports), _) if flow.allotted => {
            Port::Range(ports.first().copied().unwrap_or(1), ports.last().copied().unwrap_or(1))
        }
        (Ports::Set(ports), _) => Port::Set(ports.clone()),
        (Ports::Linked(port), None) => Port::Set(BTreeSet::from([*port])),
        (Ports::Any, _) => Port::Range(1, u16::MAX),
    };
    let same = source.is_some()
        && flow.client_port == flow.server_port
        && flow.transport != Transport::Icmp
        && matches!(&flow.server_port, Ports::Set(ports) if ports.len() == 1);
    Signature {
        transport: flow.transport,
        source: source.filter(|_| !same),
        same,
        port,
        protocol: flow.protocol.map(|protocol| protocol as u8),
        open: flow.idiom == Idiom::Peer || flow.idiom == Idiom::Undecided && flow.transport == Transport::Udp,
        exception: flow.exception,
    }
}

/// The service of flows with one signature.
fn drafted(signature: &Signature, flows: &[&Flow]) -> Drafted {
    let wanted = service(signature, flows);
    let fitting = catalogue::entries().iter().filter(|entry| fits(&entry.service, &wanted, flows));
    let best = fitting.min_by_key(|entry| (width(&entry.service.port), entry.service.name.len()));
    if let Some(entry) = best {
        let title = Some(entry.title.clone());
        return Drafted { service: entry.service.clone(), is_listed: true, title };
    }
    let named = flows.iter().find_map(|flow| flow.service.as_deref());
    let title = named.and_then(catalogue::find).map(|entry| entry.title.clone());
    Drafted { service: wanted, is_listed: false, title }
}

fn service(signature: &Signature, flows: &[&Flow]) -> Service {
    let port = match &signature.port {
        Port::Set(ports) => ServerPort::Set(ranges(ports.iter().copied())),
        Port::Range(first, last) => ServerPort::Set(vec![PortRange { first: *first, last: *last }]),
        Port::Linear(base, octet, step) => ServerPort::Linked { base: *base, octet: *octet, step: *step },
        Port::Table(_) => ServerPort::ByAddress(
            flows
                .iter()
                .filter_map(|flow| match flow.server_port {
                    Ports::Linked(port) => Some((flow.server, port)),
                    _ => None,
                })
                .collect(),
        ),
    };
    let source_port = match &signature.source {
        _ if signature.same => SourcePort::Same,
        Some(Ports::Set(ports)) => SourcePort::Set(ranges(ports.iter().copied())),
        _ => SourcePort::Any,
    };
    let name = name(signature, flows);
    if signature.transport == Transport::Icmp {
        return Service::of_ports("ping".to_owned(), Transport::Icmp, ServerPort::Any, SourcePort::Any);
    }
    let mut service = Service::of_ports(name, signature.transport, port, source_port);
    let [client, server] = [0, 1].map(|side| seen(flows, side));
    if let Some(protocol) =
        flows.iter().find_map(|flow| flow.protocol).filter(|_| !both_silent(client, server))
    {
        let about = protocol.about();
        service.direction = Some(Direction::Named(protocol));
        service.client_may = add(about.client.with(Classes::REQUEST), client);
        service.server_may = add(about.server.with(Classes::RESPONSE), server);
    }
    if signature.transport == Transport::Udp {
        service.reply = reply(flows, service.direction.is_some());
        let from = flows.iter().flat_map(|flow| flow.reply_from.iter().copied());
        service.reply_from = ranges(from.collect::<BTreeSet<_>>().into_iter());
    }
    service.peer = signature.open;
    if service.peer && matches!(service.reply, Reply::None) {
        service.reply = Reply::Window(Duration::from_secs(30));
    }
    service
}

fn name(signature: &Signature, flows: &[&Flow]) -> String {
    let base = flows.iter().find_map(|flow| flow.service.clone());
    let base = base.unwrap_or_else(|| signature.transport.name().to_owned());
    let port = match &signature.port {
        Port::Set(ports) => ports.first().map_or_else(String::new, u16::to_string),
        Port::Range(first, last) => format!("{first}-{last}"),
        Port::Linear(..) => "linked".to_owned(),
        Port::Table(_) => "by-address".to_owned(),
    };
    let known = flows.iter().any(|flow| flow.service.is_some());
    match (signature.exception, known, &signature.port) {
        (true, ..) => format!("{base}-{port}-unlike-others"),
        (_, true, Port::Set(_)) => base,
        _ => format!("{base}-{port}"),
    }
}

/// Classes that a side showed.
fn seen(flows: &[&Flow], side: usize) -> [u32; 4] {
    let rows = flows.iter().filter_map(|flow| flow.classes.get(side));
    rows.fold([0; 4], |mut all, row| {
        for (count, more) in all.iter_mut().zip(row) {
            *count = count.saturating_add(*more);
        }
        all
    })
}

fn both_silent(client: [u32; 4], server: [u32; 4]) -> bool {
    client.iter().chain(&server).skip(1).all(|count| *count == 0)
        || [client, server].iter().all(|row| row.iter().skip(1).all(|count| *count == 0))
}

fn add(classes: Classes, seen: [u32; 4]) -> Classes {
    let shown = CLASSES.into_iter().filter(|class| seen.get(*class as usize).is_some_and(|count| *count > 0));
    shown.fold(classes, |classes, class| match class {
        Class::Request => classes.with(Classes::REQUEST),
        Class::Response => classes.with(Classes::RESPONSE),
        Class::Notification => classes.with(Classes::NOTIFY),
        Class::Undecidable => classes,
    })
}

fn reply(flows: &[&Flow], shows: bool) -> Reply {
    if flows.iter().all(|flow| flow.idiom == Idiom::OneWay && flow.answers == 0) && !shows {
        return Reply::None;
    }
    let server_first = flows.iter().any(|flow| flow.server_first && flow.reply_to.is_empty());
    if !shows && server_first {
        return Reply::Free;
    }
    let wait = flows.iter().map(|flow| flow.longest_wait).max().unwrap_or(0) / 1_000_000_000 + 1;
    // Twice what was seen, because the longest wait was hardly seen.
    let window = WINDOWS.into_iter().find(|window| *window >= wait * 2);
    if shows {
        return Reply::Window(Duration::from_secs(WINDOWS[0]));
    }
    window.map_or(Reply::Free, |window| Reply::Window(Duration::from_secs(window)))
}

/// Whether an entry of the catalogue allows what is wanted and hardly more.
fn fits(entry: &Service, wanted: &Service, flows: &[&Flow]) -> bool {
    if entry.transport == Transport::Icmp {
        return wanted.transport == Transport::Icmp;
    }
    let ports = match (&entry.port, &wanted.port) {
        (ServerPort::Set(has), ServerPort::Set(wants)) => {
            covers(has, wants) && count(has) <= count(wants) + SPARE
        }
        (has, wants) => has == wants,
    };
    let source = match (&entry.source_port, &wanted.source_port) {
        (SourcePort::Set(has), SourcePort::Set(wants)) => {
            covers(has, wants) && count(has) <= count(wants) + SPARE
        }
        (SourcePort::Set(has), SourcePort::Same) | (SourcePort::Same, SourcePort::Set(has)) => {
            matches!((&entry.port, &wanted.port), (ServerPort::Set(a), ServerPort::Set(b)) if a == has && b == has && count(has) == 1)
        }
        (has, wants) => has == wants,
    };
    let holds = |has: Classes, wants: Classes| has.0 & wants.0 == wants.0;
    let classes = entry.direction == wanted.direction
        && holds(entry.client_may, wanted.client_may)
        && holds(entry.server_may, wanted.server_may)
        // No wider than the protocol itself.
        && (entry.server_may == wanted.server_may && entry.client_may == wanted.client_may);
    let answers = match (entry.reply, wanted.reply) {
        (Reply::Free, Reply::Free) | (Reply::None, Reply::None) => true,
        (Reply::Window(has) | Reply::Strict(has), Reply::None) => has > Duration::ZERO,
        (Reply::Window(has), Reply::Window(wants)) => has >= wants,
        (Reply::Strict(has), Reply::Window(wants)) => {
            has >= wants && !flows.iter().any(|flow| flow.server_first)
        }
        (Reply::Free, Reply::Window(_)) => wanted.peer,
        _ => false,
    };
    let from = covers(&entry.reply_from, &wanted.reply_from)
        && count(&entry.reply_from) <= count(&wanted.reply_from) + SPARE;
    let peers = entry.peer == wanted.peer
        || wanted.peer && entry.reply == Reply::Free && entry.source_port == SourcePort::Same;
    ports && source && classes && answers && from && peers && entry.transport == wanted.transport
}

fn covers(has: &[PortRange], wants: &[PortRange]) -> bool {
    wants.iter().all(|want| has.iter().any(|range| range.first <= want.first && want.last <= range.last))
}

fn count(ranges: &[PortRange]) -> usize {
    ranges.iter().map(|range| usize::from(range.last - range.first) + 1).sum()
}

fn width(port: &ServerPort) -> usize {
    match port {
        ServerPort::Set(ranges) => count(ranges),
        _ => 0,
    }
}

/// Ascending ports as ranges.
fn ranges(ports: impl Iterator<Item = u16>) -> Vec<PortRange> {
    let mut found: Vec<PortRange> = Vec::new();
    for port in ports {
        match found.last_mut() {
            Some(range) if u32::from(range.last) + 1 == u32::from(port) => range.last = port,
            _ => found.push(PortRange { first: port, last: port }),
        }
    }
    found
}
