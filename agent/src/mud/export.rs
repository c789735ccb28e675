//! From what a policy says of one asset to a MUD file: two lists, of what it sends and of what it hears.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::{Lost, networks};
use crate::diff::ground::Span;
use crate::image::expand::expand;
use crate::nftables::tuples::ports;
use crate::policy::model::{AssetId, Policy, PortRange, Reply, Rule, Transport};

/// What a MUD file needs besides the policy.
#[derive(Debug, Clone)]
pub struct Description {
    /// Its URL.
    pub url: String,
    /// When it was written, RFC 3339.
    pub last_update: String,
    /// URIs of classes of controllers, by asset.
    pub controllers: BTreeMap<String, String>,
}

/// One condition of an entry, from the device's side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    v6: bool,
    from_device: bool,
    peer: String,
    transport: Transport,
    device_port: (u16, u16),
    peer_port: (u16, u16),
    device_opens: bool,
}

/// Writes the file of an asset. `None` where the policy has none of that name.
pub fn export(policy: &Policy, asset: &str, description: &Description) -> Option<(Value, Vec<Lost>)> {
    let device = policy.assets.iter().position(|row| row.name == asset)?;
    let row = policy.assets.get(device)?;
    let expanded = expand(policy);
    let (lines, lost) = (BTreeSet::new(), Vec::new());
    let mut writer = Writer { policy: &expanded.policy, device, description, lines, lost };
    for rule in expanded.policy.rules.iter().filter(|rule| rule.expires_s.is_none()) {
        for (own, device_asks) in [(&rule.clients, true), (&rule.servers, false)] {
            if own.contains(&device) {
                writer.add(rule, device_asks, expanded.is_answers(rule.service));
            }
        }
    }
    if row.mac.is_some() {
        writer.lose("mac", asset, "the hardware address of the asset is not in the file");
    }
    let crosses = |zones: (usize, usize)| zones.0 == row.zone || zones.1 == row.zone;
    if policy.conduits.iter().any(|conduit| !conduit.ethertypes.is_empty() && crosses(conduit.zones)) {
        writer.lose("below-ip", asset, "protocols below IP are not in the file");
    }
    writer.lose("modes", asset, "a file has no modes: everything else is not accepted");
    let Writer { lines, mut lost, .. } = writer;
    lost.sort();
    lost.dedup();
    Some((document(asset, &lines, description), lost))
}

struct Writer<'w> {
    /// With the rules that it implies.
    policy: &'w Policy,
    device: AssetId,
    description: &'w Description,
    lines: BTreeSet<Line>,
    lost: Vec<Lost>,
}

impl Writer<'_> {
    fn lose(&mut self, code: &'static str, about: &str, text: &str) {
        self.lost.push(Lost { code, about: about.to_owned(), text: text.to_owned() });
    }

    fn spans(&self, assets: &[AssetId]) -> Vec<Span> {
        let rows = assets.iter().filter_map(|id| self.policy.assets.get(*id));
        rows.flat_map(|row| row.addresses.iter().map(Span::of)).collect()
    }

    /// Both halves of what a rule says of the device.
    fn add(&mut self, rule: &Rule, device_asks: bool, only_answers: bool) {
        let Some(service) = self.policy.services.get(rule.service) else { return };
        if service.transport == Transport::Sctp {
            return self.lose("sctp", &rule.name, "left out: a file has no ports of SCTP");
        }
        if service.direction.is_some() {
            self.lose("payload", &rule.name, "wider: who may command is not told by the payload");
        }
        if matches!(service.reply, Reply::Window(_) | Reply::Strict(_)) {
            self.lose("window", &rule.name, "wider: an answer needs no question");
        }
        let own = self.spans(&[self.device]);
        let (clients, servers) =
            if device_asks { (own, self.spans(&rule.servers)) } else { (self.spans(&rule.clients), own) };
        let (ports, gave_up) = ports(service, &servers);
        if gave_up {
            self.lose("port-relation", &rule.name, "wider: any of the ports for any of the hosts");
        }
        let peers = if device_asks { &rule.servers } else { &rule.clients };
        let pair = |range: PortRange| (range.first, range.last);
        for row in &ports {
            let (client_port, server_port) = (pair(row.client_port), pair(row.server_port));
            let (device_port, peer_port) =
                if device_asks { (client_port, server_port) } else { (server_port, client_port) };
            for client in clients.iter().filter(|client| client.v6 == row.server.v6) {
                let far = if device_asks { row.server } else { *client };
                for peer in names(self.policy, peers, far, self.description) {
                    let line = |from_device| Line {
                        v6: far.v6,
                        from_device,
                        peer: peer.clone(),
                        transport: service.transport,
                        device_port,
                        peer_port,
                        device_opens: device_asks,
                    };
                    if !only_answers {
                        self.lines.insert(line(device_asks));
                    }
                    if service.reply != Reply::None {
                        self.lines.insert(line(!device_asks));
                    }
                }
            }
        }
    }
}

/// What the file calls a peer: the class of its controller, or its networks.
fn names(policy: &Policy, peers: &[AssetId], far: Span, description: &Description) -> Vec<String> {
    let holding = peers.iter().filter_map(|id| policy.assets.get(*id)).filter(|asset| {
        let held = |span: Span| span.v6 == far.v6 && span.first <= far.first && far.last <= span.last;
        asset.addresses.iter().map(Span::of).any(held)
    });
    let classes: Vec<String> =
        holding.filter_map(|asset| description.controllers.get(&asset.name).cloned()).take(1).collect();
    if !classes.is_empty() {
        return classes;
    }
    let ends = (
        Span { last: far.first, ..far }.addresses().next(),
        Span { first: far.last, ..far }.addresses().next(),
    );
    let (Some(first), Some(last)) = ends else { return Vec::new() };
    networks(first, last).iter().map(IpNet::to_string).collect()
}

fn document(asset: &str, lines: &BTreeSet<Line>, description: &Description) -> Value {
    let (mut lists, mut named) = (Vec::new(), BTreeMap::new());
    for from_device in [true, false] {
        for v6 in [false, true] {
            let version = if v6 { "ipv6" } else { "ipv4" };
            let way = if from_device { "from" } else { "to" };
            let name = format!("{way}-{version}-{asset}");
            let own = lines.iter().filter(|line| line.v6 == v6 && line.from_device == from_device);
            let aces: Vec<Value> = own
                .enumerate()
                .map(|(number, line)| {
                    json!({
                        "name": format!("{way}-{number}"),
                        "matches": matches(line, version),
                        "actions": { "forwarding": "accept" },
                    })
                })
                .collect();
            if aces.is_empty() {
                continue;
            }
            named.entry(from_device).or_insert_with(Vec::new).push(json!({ "name": name }));
            lists.push(
                json!({ "name": name, "type": format!("{version}-acl-type"), "aces": { "ace": aces } }),
            );
        }
    }
    let policy = |from_device| json!({ "access-lists": { "access-list": named.get(&from_device).cloned().unwrap_or_default() } });
    json!({
        "ietf-mud:mud": {
            "mud-version": 1,
            "mud-url": description.url,
            "last-update": description.last_update,
            "cache-validity": 48,
            "is-supported": true,
            "systeminfo": asset,
            "from-device-policy": policy(true),
            "to-device-policy": policy(false),
        },
        "ietf-access-control-list:acls": { "acl": lists },
    })
}

fn matches(line: &Line, version: &str) -> Value {
    let mut found = Map::new();
    let far = if line.from_device { "destination" } else { "source" };
    let number = match line.transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
        Transport::Icmp if line.v6 => 58,
        Transport::Icmp => 1,
        Transport::Sctp => 132,
    };
    let mut ip = Map::from_iter([("protocol".to_owned(), json!(number))]);
    if line.peer.parse::<IpNet>().is_ok() {
        ip.insert(format!("{far}-{version}-network"), json!(line.peer));
    } else {
        found.insert("ietf-mud:mud".to_owned(), json!({ "controller": line.peer }));
    }
    found.insert(version.to_owned(), Value::Object(ip));
    if line.transport == Transport::Icmp {
        let request = line.from_device == line.device_opens;
        let kind = match (line.v6, request) {
            (false, true) => 8,
            (false, false) => 0,
            (true, true) => 128,
            (true, false) => 129,
        };
        found.insert("icmp".to_owned(), json!({ "type": kind, "code": 0 }));
        return Value::Object(found);
    }
    let (source, destination) = if line.from_device {
        (line.device_port, line.peer_port)
    } else {
        (line.peer_port, line.device_port)
    };
    let mut transport = Map::new();
    if line.transport == Transport::Tcp {
        let side = if line.device_opens { "from-device" } else { "to-device" };
        transport.insert("ietf-mud:direction-initiated".to_owned(), json!(side));
    }
    for (key, (first, last)) in [("source-port", source), ("destination-port", destination)] {
        if (first, last) == (0, u16::MAX) {
            continue;
        }
        let value = if first == last {
            json!({ "operator": "eq", "port": first })
        } else {
            json!({ "lower-port": first, "upper-port": last })
        };
        transport.insert(key.to_owned(), value);
    }
    found.insert(
        if line.transport == Transport::Tcp { "tcp" } else { "udp" }.to_owned(),
        Value::Object(transport),
    );
    Value::Object(found)
}
