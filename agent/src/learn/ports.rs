//! What is known of ports: services of the catalogue, IT services, and the ranges that operating systems draw from.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use banchi_common::abi::Transport;

use super::key::Key;
use crate::policy::catalogue::{self, Entry};
use crate::policy::model::{ServerPort, SourcePort};

/// Services of offices and operating systems, which a line does without: port and name (IANA's registry).
pub const IT: &[(u16, &str)] = &[
    (20, "ftp-data"),
    (21, "ftp"),
    (22, "ssh"),
    (23, "telnet"),
    (25, "smtp"),
    (53, "dns"),
    (69, "tftp"),
    (80, "http"),
    (110, "pop3"),
    (111, "rpc"),
    (135, "dcom"),
    (137, "netbios-name"),
    (138, "netbios-datagram"),
    (139, "netbios-session"),
    (143, "imap"),
    (389, "ldap"),
    (443, "https"),
    (445, "smb"),
    (515, "printer"),
    (631, "ipp"),
    (1433, "sql"),
    (1900, "ssdp"),
    (3306, "mysql"),
    (3389, "rdp"),
    (3702, "ws-discovery"),
    (5353, "mdns"),
    (5355, "llmnr"),
    (5900, "vnc"),
    (8080, "http-alt"),
    (9875, "sap"),
];

/// Widest range of the catalogue that says something of a port.
const WIDEST: u16 = 100;

/// Name of the IT service of a port.
pub fn it(port: u16) -> Option<&'static str> {
    IT.iter().find(|(known, _)| *known == port).map(|(_, name)| *name)
}

/// The entries of the catalogue that have a port among their servers' (without ranges of more than 100 ports).
pub fn entries(transport: Transport, port: u16) -> &'static [&'static Entry] {
    static ENTRIES: LazyLock<BTreeMap<(Transport, u16), Vec<&'static Entry>>> = LazyLock::new(|| {
        let mut found: BTreeMap<(Transport, u16), Vec<&'static Entry>> = BTreeMap::new();
        for entry in catalogue::entries() {
            let ServerPort::Set(ranges) = &entry.service.port else { continue };
            for range in ranges.iter().filter(|range| range.last - range.first < WIDEST) {
                for port in range.first..=range.last {
                    found.entry((entry.service.transport, port)).or_default().push(entry);
                }
            }
        }
        found
    });
    ENTRIES.get(&(transport, port)).map_or(&[], Vec::as_slice)
}

/// Whether a client's port is set by somebody, and not drawn by an operating system: it is below 1024, or in none of the
/// ranges that systems have drawn from (1024 to 4999 in older ones, 32768 to 65535 today).
pub const fn is_set(port: u16) -> bool {
    port < 1024 || port >= 5000 && port < 32768
}

/// Whether the catalogue knows a port, as one that clients have or as one of a service: nobody draws such a port.
pub fn is_clients(transport: Transport, port: u16) -> bool {
    let known = [Transport::Tcp, Transport::Udp].iter().any(|carrier| !entries(*carrier, port).is_empty());
    let fixed = catalogue::entries().iter().filter(|entry| entry.service.transport == transport);
    known
        || fixed.into_iter().any(|entry| match &entry.service.source_port {
            SourcePort::Set(ranges) => ranges.iter().any(|range| (range.first..=range.last).contains(&port)),
            _ => false,
        })
}

/// The weakest evidence: one of the two ports is known as a server's. Positive where it is that of side 1.
pub fn hint(key: &Key) -> f32 {
    let known = |side: usize| {
        let port = key.port(side);
        if port == 0 {
            0.0
        } else if !entries(key.transport(), port).is_empty() || it(port).is_some() {
            0.6
        } else if port < 1024 {
            0.5
        } else {
            0.0
        }
    };
    known(1) - known(0)
}
