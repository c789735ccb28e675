//! From MUD files to a draft policy: the two halves of a conversation become one rule, with the one that asks as client.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use ipnet::IpNet;

use super::read::MudFile;
use super::site::{Site, addresses, one_line};
use super::{Ace, Kind, Lost, Peer};
use crate::learn::draft::AssetFile;
use crate::policy::describe::definition;
use crate::policy::model::{PortRange, Reply, ServerPort, Service, SourcePort, Transport};

/// What only the plant knows: which hosts a name of a file stands for.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// Hosts by the word of `--map`.
    pub hosts: BTreeMap<String, String>,
    /// Names and zones of hosts.
    pub known: AssetFile,
}

/// A draft.
#[derive(Debug)]
pub struct Draft {
    /// The policy, with comments.
    pub text: String,
    /// How many rules it has; without any it is no policy.
    pub rules: usize,
    /// What is lost.
    pub lost: Vec<Lost>,
}

/// A conversation between a device and somebody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    device_asks: bool,
    peer: Peer,
    transport: Kind,
    device_port: Option<(u16, u16)>,
    peer_port: Option<(u16, u16)>,
}

#[derive(Debug, Default)]
struct Halves {
    asked: bool,
    answered: bool,
    /// The file does not say who asks.
    guessed: bool,
    aces: Vec<String>,
}

/// Drafts a policy.
///
/// # Errors
/// Where the mapping makes no sense, or does not say which hosts a device is.
pub fn import(files: &[MudFile], mapping: &Mapping) -> Result<Draft, String> {
    let mut site = Site::default();
    let mut lost: Vec<Lost> = files.iter().flat_map(|file| file.lost.clone()).collect();
    let mut rules: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    let (mut used, mut count) = (BTreeSet::new(), 0);
    for file in files {
        let of_device = mapping.hosts.get(&file.url).or_else(|| mapping.hosts.get("device"));
        let Some(of_device) = of_device else {
            return Err(format!("which hosts are this device? Say --map '{}=ADDRESS'", file.url));
        };
        let device =
            site.place(&file.about, &addresses(of_device, &mapping.known)?, "devices", &mapping.known);
        for (key, halves) in conversations(&file.aces) {
            let about = halves.aces.join(", ");
            let Some(networks) = hosts_of(&key.peer, mapping)? else {
                lost.push(Lost {
                    code: "unmapped",
                    about,
                    text: format!("which hosts are `{0}`? Say --map '{0}=ADDRESS'", key.peer.key()),
                });
                continue;
            };
            let peer = site.place(&key.peer.key(), &networks, "others", &mapping.known);
            let zone_of = |at: usize| site.assets.get(at).map(|asset| asset.zone.clone()).unwrap_or_default();
            let (client, server) = if key.device_asks { (device, peer) } else { (peer, device) };
            if zone_of(client) == zone_of(server) {
                lost.push(Lost {
                    code: "within-zone",
                    about,
                    text: format!("both ends are in zone {}: it does not cross the gateway", zone_of(client)),
                });
                continue;
            }
            let service = service(&key, &halves);
            lost.extend(remarks(&key, &halves, &about));
            used.extend([client, server]);
            let name_of = |at: usize| site.assets.get(at).map(|asset| asset.name.clone()).unwrap_or_default();
            let mut lines = format!("      # {}\n", one_line(&about));
            let _ = writeln!(
                lines,
                "      - {{ client: {}, server: {}, service: {} }}",
                name_of(client),
                name_of(server),
                service.name
            );
            let mut zones = [zone_of(client), zone_of(server)];
            zones.sort();
            let [a, b] = zones;
            let of_pair = rules.entry((a, b)).or_default();
            if !of_pair.contains(&lines) {
                of_pair.push(lines);
                count += 1;
            }
            services.insert(service.name.clone(), service);
        }
    }
    lost.sort();
    lost.dedup();
    let mut text = head(files, &lost);
    text += "version: 1\n\ndefaults: { mode: alert }\n\n";
    text += &site.write(&used.into_iter().collect::<Vec<_>>());
    text += "\nservices:\n";
    services.values().for_each(|service| text += &definition(service));
    text += "\nconduits:\n";
    for ((a, b), rules) in &rules {
        let _ = writeln!(text, "  - between: [{a}, {b}]\n    allow:");
        rules.iter().for_each(|rule| text += rule);
    }
    Ok(Draft { text, rules: count, lost })
}

fn head(files: &[MudFile], lost: &[Lost]) -> String {
    let mut text =
        "# Drafted from descriptions of manufacturers (MUD, RFC 8520). Read it before you approve it:\n"
            .to_owned();
    for file in files {
        let _ = writeln!(text, "#   {} ({})", one_line(&file.about), one_line(&file.url));
    }
    if !lost.is_empty() {
        text += "#\n# What was left out, or is not the same:\n";
        lost.iter().for_each(|lost| {
            let _ = writeln!(text, "#   {} ({}): {}", lost.code, one_line(&lost.about), one_line(&lost.text));
        });
    }
    text + "\n"
}

fn hosts_of(peer: &Peer, mapping: &Mapping) -> Result<Option<Vec<IpNet>>, String> {
    match (mapping.hosts.get(&peer.key()), peer) {
        (Some(text), _) => addresses(text, &mapping.known).map(Some),
        (None, Peer::Network(net)) => Ok(Some(vec![*net])),
        (None, Peer::Named(_)) => Ok(None),
    }
}

/// Entries, put together to conversations, in the order in which they stand.
fn conversations(aces: &[Ace]) -> Vec<(Key, Halves)> {
    let mut found: Vec<(Key, Halves)> = Vec::new();
    let pair = |range: Option<PortRange>| range.map(|range| (range.first, range.last));
    let key = |ace: &Ace, device_asks: bool| Key {
        device_asks,
        peer: ace.peer.clone(),
        transport: match ace.transport {
            Kind::Echo(_) => Kind::Echo(true),
            other => other,
        },
        device_port: pair(ace.device_port),
        peer_port: pair(ace.peer_port),
    };
    for ace in aces {
        let device_asks = match (ace.device_opens, ace.transport, ace.device_port, ace.peer_port) {
            (Some(device), ..) => device,
            (None, Kind::Echo(request), ..) => ace.from_device == request,
            // Where one port is said, that is the server's.
            (None, _, None, Some(_)) => true,
            (None, _, Some(_), None) => false,
            // Both, or none: who sends asks, unless it is the other half of what is there already.
            (None, ..) => match found.iter().find(|(known, _)| *known == key(ace, !ace.from_device)) {
                Some(_) => !ace.from_device,
                None => ace.from_device,
            },
        };
        let key = key(ace, device_asks);
        let asks = match ace.transport {
            Kind::Echo(request) => request,
            _ => ace.from_device == device_asks,
        };
        let at = found.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            found.push((key, Halves::default()));
            found.len() - 1
        });
        if let Some((_, halves)) = found.get_mut(at) {
            halves.asked |= asks;
            halves.answered |= !asks;
            halves.guessed |= ace.device_opens.is_none()
                && ace.device_port.is_some() == ace.peer_port.is_some()
                && !matches!(ace.transport, Kind::Echo(_));
            halves.aces.push(ace.name.clone());
        }
    }
    for (key, halves) in &mut found {
        // Nobody asks over UDP: then who sends is the one that begins.
        if !halves.asked && key.transport == Kind::Udp {
            key.device_asks = !key.device_asks;
            (halves.asked, halves.answered) = (true, false);
        }
    }
    found
}

fn service(key: &Key, halves: &Halves) -> Service {
    let range = |port: Option<(u16, u16)>| {
        port.map(|(first, last)| PortRange { first: first.max(1), last: last.max(1) })
    };
    let (client, server) = if key.device_asks {
        (range(key.device_port), range(key.peer_port))
    } else {
        (range(key.peer_port), range(key.device_port))
    };
    let transport = match key.transport {
        Kind::Tcp => Transport::Tcp,
        Kind::Udp => Transport::Udp,
        Kind::Echo(_) => {
            return Service::of_ports(
                "mud-echo".to_owned(),
                Transport::Icmp,
                ServerPort::Any,
                SourcePort::Any,
            );
        }
    };
    let word = |range: Option<PortRange>| match range {
        None => "any".to_owned(),
        Some(PortRange { first, last }) if first == last => first.to_string(),
        Some(PortRange { first, last }) => format!("{first}-{last}"),
    };
    let one_way = transport == Transport::Udp && !halves.answered;
    let mut name = format!("{}-{}", transport.name(), word(server));
    if client.is_some() {
        name += &format!("-from-{}", word(client));
    }
    if one_way {
        name += "-one-way";
    }
    let port = server.map_or(ServerPort::Any, |range| ServerPort::Set(vec![range]));
    let source_port = client.map_or(SourcePort::Any, |range| SourcePort::Set(vec![range]));
    let mut service = Service::of_ports(name, transport, port, source_port);
    if transport == Transport::Udp {
        service.reply = if one_way { Reply::None } else { Reply::Window(crate::policy::DEFAULT_WINDOW) };
    }
    service
}

/// What a rule says otherwise than its entries.
fn remarks(key: &Key, halves: &Halves, about: &str) -> Vec<Lost> {
    let mut lost = Vec::new();
    let mut push =
        |code, text: &str| lost.push(Lost { code, about: about.to_owned(), text: text.to_owned() });
    let both = halves.asked && halves.answered;
    match key.transport {
        Kind::Udp if both => push("window", "narrower: an answer needs a question within 30 s"),
        Kind::Tcp | Kind::Echo(_) if !both => {
            push("half", "wider: the file has one direction only, and a rule lets the answers pass");
        }
        _ => {}
    }
    if both && halves.guessed {
        push("who-asks", "the file does not say who asks: the device is taken for the server");
    }
    let server_port = if key.device_asks { key.peer_port } else { key.device_port };
    if server_port.is_none() && !matches!(key.transport, Kind::Echo(_)) {
        push("any-port", "the file names no port of the server: narrow it");
    }
    lost
}
