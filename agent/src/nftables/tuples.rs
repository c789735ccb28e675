//! From rules to tuples of two addresses and two ports, in layers: what an earlier rule decides, no later one does.

use std::fmt::Write as _;

use crate::diff::ground::Span;
use crate::policy::model::{EPHEMERAL, PortRange, ServerPort, Service, SourcePort, Transport};

/// Most tuples of a rule that are written one by one.
const MOST: u128 = 4096;
const ANY: PortRange = PortRange { first: 0, last: u16::MAX };

/// Two ends and what becomes of packets between them.
#[derive(Debug, Clone)]
pub(super) struct Tuple {
    pub(super) client: Span,
    pub(super) server: Span,
    pub(super) transport: Transport,
    pub(super) client_port: PortRange,
    pub(super) server_port: PortRange,
    pub(super) verdict: String,
    /// The rule that says so.
    pub(super) rule: String,
}

/// Servers with the ports of both sides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) server: Span,
    pub(crate) client_port: PortRange,
    pub(crate) server_port: PortRange,
}

/// The ports of a service for each server, and whether a relation between them had to be given up.
pub(crate) fn ports(service: &Service, servers: &[Span]) -> (Vec<Ports>, bool) {
    let mut lost = false;
    let mut found = Vec::new();
    let mut push = |server: Span, server_port: PortRange| {
        let count = u128::from(server_port.last - server_port.first) + 1;
        match &service.source_port {
            SourcePort::Any => found.push(Ports { server, client_port: ANY, server_port }),
            SourcePort::Ephemeral => found.push(Ports { server, client_port: EPHEMERAL, server_port }),
            SourcePort::Set(ranges) => {
                found.extend(ranges.iter().map(|&client_port| Ports { server, client_port, server_port }));
            }
            SourcePort::Same if count > MOST => {
                lost = true;
                found.push(Ports { server, client_port: server_port, server_port });
            }
            SourcePort::Same => {
                let ports = (server_port.first..=server_port.last).map(one);
                found.extend(ports.map(|port| Ports { server, client_port: port, server_port: port }));
            }
        }
    };
    let mut too_many = false;
    match &service.port {
        ServerPort::Any => servers.iter().for_each(|server| push(*server, ANY)),
        ServerPort::Set(ranges) => {
            servers.iter().for_each(|server| ranges.iter().for_each(|range| push(*server, *range)));
        }
        ServerPort::ByAddress(table) => {
            for (host, port) in table {
                if servers.iter().any(|server| server.holds(*host)) {
                    push(Span::host(*host), one(*port));
                }
            }
        }
        ServerPort::Linked { base, octet, step } => {
            for server in servers {
                // Addresses that differ behind the byte that counts have one port.
                let bytes = if server.v6 { 16 } else { 4_u8 };
                let shift = u32::from(bytes.saturating_sub(*octet)) * 8;
                let (first, last) = (server.first >> shift, server.last >> shift);
                if last - first >= MOST {
                    too_many = true;
                    let last = u32::from(*base) + 255 * u32::from(*step);
                    push(*server, PortRange { first: *base, last: u16::try_from(last).unwrap_or(u16::MAX) });
                    continue;
                }
                for part in first..=last {
                    let below = part << shift;
                    let above = below | ((1 << shift) - 1);
                    let (low, high) = (below.max(server.first), above.min(server.last));
                    let port = u128::from(*base) + u128::from(*step) * (part & 0xff);
                    if let Ok(port) = u16::try_from(port) {
                        push(Span { first: low, last: high, ..*server }, one(port));
                    }
                }
            }
        }
    }
    (found, lost || too_many)
}

fn one(port: u16) -> PortRange {
    PortRange { first: port, last: port }
}

/// Maps of nftables, asked one after the other.
#[derive(Debug, Default)]
pub(super) struct Layers(Vec<Vec<Tuple>>);

impl Layers {
    /// Takes tuples in the order of their rules.
    pub(super) fn of(tuples: impl IntoIterator<Item = Tuple>) -> Self {
        let mut layers = Self::default();
        for tuple in tuples {
            layers.push(tuple);
        }
        layers
    }

    fn push(&mut self, tuple: Tuple) {
        if self.0.iter().flatten().any(|earlier| earlier.contains(&tuple)) {
            return;
        }
        // Behind the last one that has something in common with it.
        let behind = self.0.iter().rposition(|layer| layer.iter().any(|earlier| earlier.overlaps(&tuple)));
        let place = behind.map_or(0, |last| last + 1);
        if place == self.0.len() {
            self.0.push(Vec::new());
        }
        if let Some(layer) = self.0.get_mut(place) {
            layer.push(tuple);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Declares the maps.
    pub(super) fn declare(&self, name: &str, v6: bool, echo: bool) -> String {
        let address = if v6 { "ipv6_addr" } else { "ipv4_addr" };
        let key = if echo {
            format!("{address} . {address}")
        } else {
            format!("{address} . {address} . inet_proto . inet_service . inet_service")
        };
        let mut text = String::new();
        for (layer, tuples) in self.0.iter().enumerate() {
            let _ = writeln!(text, "\tmap {} {{", layer_name(name, layer));
            let _ = writeln!(text, "\t\ttype {key} : verdict");
            let _ = writeln!(text, "\t\tflags interval");
            text += "\t\telements = {\n";
            for tuple in tuples {
                let rule = super::quoted(&tuple.rule);
                let _ = writeln!(text, "\t\t\t{} comment {rule} : {},", tuple.key(echo), tuple.verdict);
            }
            text += "\t\t}\n\t}\n";
        }
        text
    }

    /// Asks the maps with a key.
    pub(super) fn ask(&self, name: &str, key: &str) -> String {
        let lines = (0..self.0.len()).map(|layer| format!("\t\t{key} vmap @{}\n", layer_name(name, layer)));
        lines.collect()
    }
}

fn layer_name(name: &str, layer: usize) -> String {
    if layer == 0 { name.to_owned() } else { format!("{name}-{}", layer + 1) }
}

impl Tuple {
    fn key(&self, echo: bool) -> String {
        let (client, server) = (address(self.client), address(self.server));
        if echo {
            return format!("{client} . {server}");
        }
        let transport = self.transport.name();
        format!("{client} . {server} . {transport} . {} . {}", port(self.client_port), port(self.server_port))
    }

    fn contains(&self, other: &Self) -> bool {
        let span = |a: Span, b: Span| a.v6 == b.v6 && a.first <= b.first && b.last <= a.last;
        let range = |a: PortRange, b: PortRange| a.first <= b.first && b.last <= a.last;
        self.transport == other.transport
            && span(self.client, other.client)
            && span(self.server, other.server)
            && range(self.client_port, other.client_port)
            && range(self.server_port, other.server_port)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let span = |a: Span, b: Span| a.v6 == b.v6 && a.first <= b.last && b.first <= a.last;
        let range = |a: PortRange, b: PortRange| a.first <= b.last && b.first <= a.last;
        self.transport == other.transport
            && span(self.client, other.client)
            && span(self.server, other.server)
            && range(self.client_port, other.client_port)
            && range(self.server_port, other.server_port)
    }
}

/// Addresses as nftables reads them; it has no name for all of them in a concatenation.
pub(super) fn address(span: Span) -> String {
    let text = span.to_string();
    if text.ends_with("/0") {
        let (first, last) = if span.v6 {
            ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
        } else {
            ("0.0.0.0", "255.255.255.255")
        };
        return format!("{first}-{last}");
    }
    text
}

fn port(range: PortRange) -> String {
    if range.first == range.last {
        range.first.to_string()
    } else {
        format!("{}-{}", range.first, range.last)
    }
}
