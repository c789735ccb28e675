//! What is drawn: hosts, or sets of them where there are too many, and the lines between them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::learn::Idiom;
use crate::policy::model::ZoneId;
use crate::report::Report;
use crate::report::gather::{Line, State, holds};
use crate::report::words;

/// Lines and boxes that a map has at most before it puts hosts together.
const LINES: usize = 48;
const BOXES: usize = 40;
/// Characters of a label.
const LABEL: usize = 33;

/// What a box stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// One host.
    Hosts,
    /// An asset of the policy.
    Assets,
    /// A zone.
    Zones,
}

/// A box.
pub(super) struct Node {
    pub(super) zone: ZoneId,
    pub(super) name: String,
    /// The line below the name.
    pub(super) below: String,
    hosts: BTreeSet<IpAddr>,
}

/// A line from client to server.
pub(super) struct Edge {
    pub(super) client: usize,
    pub(super) server: usize,
    pub(super) idiom: Idiom,
    pub(super) service: String,
    pub(super) ports: String,
    pub(super) conduit: Option<usize>,
    pub(super) state: State,
    pub(super) packets: u64,
    pub(super) flows: usize,
    /// What a search looks at.
    pub(super) words: String,
}

impl Edge {
    /// Sign, service and ports, as they stand on the line.
    pub(super) fn label(&self) -> String {
        cut(&format!("{} {} {}", words::sign(self.idiom), self.service, self.ports), LABEL)
    }
}

/// So many characters, and a sign where something is cut.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.trim_end().to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Boxes and lines.
pub(super) struct Graph {
    pub(super) level: Level,
    pub(super) nodes: Vec<Node>,
    pub(super) edges: Vec<Edge>,
    /// Lines that are left out.
    pub(super) hidden: usize,
}

impl Graph {
    /// That of a report, as fine as there is room.
    pub(super) fn of(report: &Report<'_>) -> Self {
        let crossing: Vec<&Line> = report
            .gathered
            .lines
            .iter()
            .filter(|line| line.state() != State::Unseen)
            .filter(|line| matches!(line.zones, [Some(client), Some(server)] if client != server))
            .collect();
        let mut graph = Self::at(report, &crossing, Level::Hosts);
        for level in [Level::Assets, Level::Zones] {
            if graph.edges.len() > LINES || graph.nodes.len() > BOXES {
                graph = Self::at(report, &crossing, level);
            }
        }
        graph.edges.sort_by_key(|edge| std::cmp::Reverse(edge.packets));
        graph.hidden = graph.edges.len().saturating_sub(LINES);
        graph.edges.truncate(LINES);
        graph.drop_lonely();
        graph
    }

    fn at(report: &Report<'_>, lines: &[&Line], level: Level) -> Self {
        let mut graph = Self { level, nodes: Vec::new(), edges: Vec::new(), hidden: 0 };
        let mut places: BTreeMap<(ZoneId, String), usize> = BTreeMap::new();
        let mut homes: BTreeMap<(ZoneId, IpAddr), Option<String>> = BTreeMap::new();
        let mut edges: BTreeMap<_, Edge> = BTreeMap::new();
        for line in lines {
            let [Some(from), Some(to)] = line.zones else { continue };
            let mut ends = [0, 0];
            for (end, (zone, address, name)) in ends
                .iter_mut()
                .zip([(from, line.flow.client, &line.names[0]), (to, line.flow.server, &line.names[1])])
            {
                let known = match level {
                    Level::Hosts => Some(name.clone()),
                    Level::Assets => {
                        homes.entry((zone, address)).or_insert_with(|| set_of(report, zone, address)).clone()
                    }
                    Level::Zones => None,
                };
                let label = known.unwrap_or_else(|| match level {
                    Level::Zones => format!("all of {}", report.zone(Some(zone))),
                    _ => "others".to_owned(),
                });
                *end = *places.entry((zone, label.clone())).or_insert_with(|| {
                    graph.nodes.push(Node {
                        zone,
                        name: label,
                        below: String::new(),
                        hosts: BTreeSet::new(),
                    });
                    graph.nodes.len() - 1
                });
                if let Some(node) = graph.nodes.get_mut(*end) {
                    node.hosts.insert(address);
                }
            }
            let [client, server] = ends;
            let (mut service, mut ports) = (report.service(line), words::brief(&line.flow));
            if service == crate::report::UNKNOWN {
                service = line.flow.transport.name().to_owned();
            }
            if level != Level::Hosts {
                ports = String::new();
            }
            let key = (ends, service.clone(), line.flow.idiom, ports.clone(), line.conduit, line.state());
            let edge = edges.entry(key).or_insert_with(|| Edge {
                client,
                server,
                idiom: line.flow.idiom,
                service,
                ports,
                conduit: line.conduit,
                state: line.state(),
                packets: 0,
                flows: 0,
                words: String::new(),
            });
            edge.packets += line.flow.packets;
            edge.flows += 1;
            // A long line of words would make the file long, and a search no better.
            if edge.words.len() < 2_000 {
                edge.words += &crate::report::flows::searched(report, line);
            }
        }
        graph.edges = edges.into_values().collect();
        graph.label(report);
        graph
    }

    fn label(&mut self, report: &Report<'_>) {
        for node in &mut self.nodes {
            node.below = match (node.hosts.len(), node.hosts.first()) {
                (1, Some(host)) if host.to_string() == node.name => {
                    set_of(report, node.zone, *host).unwrap_or_default()
                }
                (1, Some(host)) => host.to_string(),
                (hosts, _) => words::some(hosts, "host"),
            };
        }
    }

    /// Boxes without a line go.
    fn drop_lonely(&mut self) {
        let used: BTreeSet<usize> = self.edges.iter().flat_map(|edge| [edge.client, edge.server]).collect();
        let moved: BTreeMap<usize, usize> =
            used.iter().enumerate().map(|(now, before)| (*before, now)).collect();
        let mut place = 0;
        self.nodes.retain(|_| {
            place += 1;
            used.contains(&(place - 1))
        });
        for edge in &mut self.edges {
            edge.client = moved.get(&edge.client).copied().unwrap_or(0);
            edge.server = moved.get(&edge.server).copied().unwrap_or(0);
        }
    }
}

/// The asset of the zone that a host is in; the widest where it is in several.
fn set_of(report: &Report<'_>, zone: ZoneId, address: IpAddr) -> Option<String> {
    let assets = report.policy.assets.iter().filter(|asset| asset.zone == zone);
    let holding = assets.filter(|asset| holds(&asset.addresses, address));
    let wide = |asset: &&crate::policy::model::Asset| {
        asset.addresses.iter().map(crate::report::gather::width).fold(0_u128, u128::saturating_add)
    };
    holding.max_by_key(wide).map(|asset| asset.name.clone())
}
