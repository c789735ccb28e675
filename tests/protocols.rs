//! A policy that uses every protocol whose payloads are told apart, each on a port of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use banchi_common::direction::{PROTOCOLS, Protocol};

/// The port of each protocol over each transport: both sides use it.
pub fn ports() -> BTreeMap<(Protocol, u8), u16> {
    let pairs = PROTOCOLS
        .iter()
        .flat_map(|about| about.transports.iter().map(move |transport| (about.protocol, *transport as u8)));
    pairs.zip(5000..).collect()
}

/// Services and conduits, to stand behind zones and assets of which `client` asks `server`.
pub fn services_and_conduits(between: [&str; 2], client: &str, server: &str) -> String {
    let (mut services, mut rules) = (String::new(), String::new());
    for (number, ((protocol, transport), port)) in ports().into_iter().enumerate() {
        let about = protocol.about();
        let transport =
            about.transports.iter().find(|known| **known as u8 == transport).map_or("", |t| t.name());
        let _ = writeln!(
            services,
            "  s{number}: {{ transport: {transport}, port: {port}, source_port: same, direction: {} }}",
            about.name
        );
        let _ = writeln!(rules, "      - {{ client: {client}, server: {server}, service: s{number} }}");
    }
    let [a, b] = between;
    format!("services:\n{services}conduits:\n  - between: [{a}, {b}]\n    allow:\n{rules}")
}
