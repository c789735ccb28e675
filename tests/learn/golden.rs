//! Every flow of the captures: true client, server, ports and idiom.
//!
//! `golden.tsv` has a line for each. Wireshark's dissectors confirm it, frame by frame: who opens a connection, and which
//! frames they call requests and responses, have to come from the side that the line says; and the ports have to be those
//! of its idiom. So a line that is wrong fails here, whatever banchi learns.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use banchi::capture::{Captures, Frame};
use banchi::learn::{Flow, Ports, Table, flows};
use banchi_common::direction::Class;

use crate::dissector;

const GOLDEN: &str = include_str!("golden.tsv");

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    client: String,
    client_port: String,
    server: String,
    server_port: String,
    transport: String,
    idiom: String,
}

impl Row {
    fn of(flow: &Flow) -> Self {
        Self {
            client: flow.client.to_string(),
            client_port: words(&flow.client_port),
            server: flow.server.to_string(),
            server_port: words(&flow.server_port),
            transport: flow.transport.name().to_owned(),
            idiom: flow.idiom.name().to_owned(),
        }
    }
}

fn words(ports: &Ports) -> String {
    match ports {
        Ports::Any => "any".to_owned(),
        Ports::Linked(port) => format!("linked:{port}"),
        Ports::Set(ports) => ports.iter().map(u16::to_string).collect::<Vec<_>>().join(","),
    }
}

fn golden() -> BTreeMap<String, BTreeSet<Row>> {
    let mut files: BTreeMap<String, BTreeSet<Row>> = BTreeMap::new();
    for line in GOLDEN.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let [file, client, client_port, server, server_port, transport, idiom] =
            cells.try_into().expect(line);
        files.entry(file).or_default().insert(Row {
            client,
            client_port,
            server,
            server_port,
            transport,
            idiom,
        });
    }
    files
}

fn learn(path: &Path) -> BTreeSet<Row> {
    let mut captures = Captures::open(&[path.to_owned()]).unwrap();
    let (mut table, mut frame) = (Table::new(100_000), Frame::default());
    while captures.next(&mut frame) {
        table.packet(&frame);
    }
    flows(&table.finish()).iter().map(Row::of).collect()
}

#[test]
fn every_flow_is_learnt_as_it_is() {
    let Some(folder) = crate::captures() else { return };
    let mut wrong = String::new();
    let mut rows = 0;
    for (file, truth) in golden() {
        let learnt = learn(&folder.join(&file));
        rows += truth.len();
        for row in truth.difference(&learnt) {
            wrong += &format!("{file}: missing {row:?}\n");
        }
        for row in learnt.difference(&truth) {
            wrong += &format!("{file}: should not be {row:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(rows > 250, "{rows}");
}

/// What Wireshark says of one frame: addresses, ports, and whether its sender asks.
struct Seen {
    from: (String, u16),
    to: (String, u16),
    transport: &'static str,
    asks: Option<bool>,
}

/// Frames of TCP and UDP, with the openings.
fn frames(path: &Path) -> Vec<Option<Seen>> {
    const FIELDS: [&str; 10] = [
        "ip.src",
        "ipv6.src",
        "ip.dst",
        "ipv6.dst",
        "tcp.srcport",
        "udp.srcport",
        "tcp.dstport",
        "udp.dstport",
        "tcp.flags.syn",
        "tcp.flags.ack",
    ];
    let mut tshark = Command::new("tshark");
    tshark.arg("-n").arg("-r").arg(path).args(["-T", "fields", "-o", "ip.defragment:FALSE"]);
    tshark.args(FIELDS.iter().flat_map(|field| ["-e", field]));
    let output = tshark.output().expect("tshark starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.lines().map(|line| {
        // The packet that an ICMP error quotes comes behind a comma.
        let cells: Vec<&str> =
            line.split('\t').map(|cell| cell.split(',').next().unwrap_or_default()).collect();
        let either = |a: usize, b: usize| if cells[a].is_empty() { cells[b] } else { cells[a] };
        let transport = if !cells[4].is_empty() {
            "tcp"
        } else if !cells[5].is_empty() {
            "udp"
        } else {
            return None;
        };
        let on = |cell: &str| matches!(cell, "1" | "True");
        let asks = match (transport, on(cells[8]), on(cells[9])) {
            ("tcp", true, false) => Some(true),
            ("tcp", true, true) => Some(false),
            _ => None,
        };
        Some(Seen {
            from: (either(0, 1).to_owned(), either(4, 5).parse().unwrap()),
            to: (either(2, 3).to_owned(), either(6, 7).parse().unwrap()),
            transport,
            asks,
        })
    });
    rows.collect()
}

/// Protocols whose words Wireshark has, by the ports of servers.
const PROTOCOLS: &[(&str, &str, &[u16])] = &[
    ("udp", "bacnet", &[47808]),
    ("udp", "fins", &[9600]),
    ("tcp", "fins", &[9600]),
    ("tcp", "modbus", &[502]),
    ("tcp", "dnp3", &[20000]),
    ("udp", "dnp3", &[20000]),
    ("tcp", "enip", &[44818]),
    ("tcp", "s7", &[102]),
    ("tcp", "iec104", &[2404]),
    ("udp", "hart-ip", &[5094, 5095]),
    ("tcp", "hart-ip", &[5094]),
    ("udp", "profinet-cm", &[34964, 1952, 26991, 49152, 49153, 49154, 49155, 49156, 49161, 49344, 65151]),
    ("tcp", "ads", &[48898]),
    ("udp", "s-bus", &[5050]),
    ("tcp", "opc-ua", &[4840]),
    ("udp", "c37-118", &[4713]),
    ("udp", "ntp", &[123]),
    ("udp", "dhcp", &[67, 68]),
];

#[test]
fn tshark_says_the_same_of_every_flow() {
    let Some(folder) = crate::captures() else { return };
    if dissector::version().is_none() {
        return crate::skipped("the comparison with tshark, which is not installed");
    }
    let mut wrong = String::new();
    let (mut opened, mut confirmed, mut alone, mut silent) = (0, 0, 0, 0);
    for (file, truth) in golden() {
        let path = folder.join(&file);
        let cut = file == "melsoft_129_clean.pcap";
        let decode: &[&str] = if file == "hart_ip.pcap" { &["udp.port==5095,hart_ip"] } else { &[] };
        let dissected = dissector::dissect(&path, decode, cut);
        let frames = frames(&path);
        assert_eq!(frames.len(), dissected.len(), "{file}");
        for row in &truth {
            let (mut votes, mut sent, mut opens) = ([0_u64; 2], [0_u64; 2], false);
            for (seen, fields) in frames.iter().zip(&dissected) {
                let Some(seen) = seen else { continue };
                let Some(from_client) = side(row, seen) else { continue };
                sent[usize::from(from_client)] += 1;
                let protocol = PROTOCOLS.iter().find(|(transport, _, ports)| {
                    *transport == seen.transport
                        && (ports.contains(&seen.from.1) || ports.contains(&seen.to.1))
                });
                let asks = seen.asks.or_else(|| match fields.class(protocol?.1)? {
                    Class::Request => Some(true),
                    Class::Response | Class::Notification => Some(false),
                    Class::Undecidable => None,
                });
                if let Some(asks) = asks {
                    opens |= seen.asks.is_some();
                    votes[usize::from(asks == from_client)] += 1;
                }
            }
            // Whoever sends to a group is all that is to know of it.
            let group = row.server.ends_with(".255") || row.idiom == "one-way" || row.idiom == "peer";
            match votes {
                _ if group && sent[0] == 0 && sent[1] > 0 => alone += 1,
                _ if group => silent += 1,
                [0, 0] => silent += 1,
                [against, with] if against * 10 <= with && opens => opened += 1,
                [against, with] if against * 10 <= with => confirmed += 1,
                votes => wrong += &format!("{file}: {row:?}: against and with it {votes:?}\n"),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let said = format!(
        "{} of them are confirmed by it: {opened} by who opened the connection, {confirmed} by requests and \
         responses, {alone} because nobody else sends;",
        opened + confirmed + alone
    );
    let text = document();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(&said), "docs/learning.md should say {said:?}, and of {silent} others why not");
    assert!(text.contains(&format!("{silent} rest on reading")), "docs/learning.md: {silent}");
}

/// Whether a frame of a row's flow is from its client; `None` for frames of others.
fn side(row: &Row, seen: &Seen) -> Option<bool> {
    if row.transport != seen.transport {
        return None;
    }
    let port = |text: &str, port: u16| {
        text == "any" || text.split(',').any(|known| known.trim_start_matches("linked:") == port.to_string())
    };
    let is = |address: &str, ports: &str, end: &(String, u16)| address == end.0 && port(ports, end.1);
    if is(&row.server, &row.server_port, &seen.to) && is(&row.client, &row.client_port, &seen.from) {
        // A host that talks to itself: the port tells.
        return Some(true);
    }
    (is(&row.server, &row.server_port, &seen.from) && is(&row.client, &row.client_port, &seen.to))
        .then_some(false)
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/learning.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_document_has_the_table() {
    let mut table =
        "| capture | client | port | server | port | over | idiom |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    for (file, rows) in golden() {
        for Row { client, client_port, server, server_port, transport, idiom } in rows {
            table += &format!(
                "| {file} | {client} | {} | {server} | {} | {transport} | {idiom} |\n",
                client_port.replace(',', ", "),
                server_port.replace(',', ", ")
            );
        }
    }
    let (start, end) = ("<!-- golden: written by tests/learn -->\n", "<!-- end of golden -->\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/learning.md");
    let text = document();
    let (head, rest) = text.split_once(start).unwrap();
    let (found, tail) = rest.split_once(end).unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, format!("{head}{start}{table}{end}{tail}")).unwrap();
    } else {
        assert_eq!(
            found, table,
            "docs/learning.md is stale: BLESS=1 cargo test -p banchi-tests --test learn"
        );
    }
}
