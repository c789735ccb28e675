//! Who may talk to whom in the benchmark: policies of any size, and the packets for them.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// How banchi forwards what passes, and the action of XDP that it shows as. A policy of this version may refuse some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forwarding {
    pub(crate) name: &'static str,
    pub(crate) action: u32,
    /// What a policy says below `gateway`.
    words: &'static str,
}

/// `XDP_DROP`.
pub(crate) const DROP: u32 = 1;
/// `XDP_PASS`.
pub(crate) const PASS: u32 = 2;
/// `XDP_REDIRECT`.
const REDIRECT: u32 = 4;

/// What every version has.
pub(crate) const STACK: Forwarding = Forwarding { name: "stack", action: PASS, words: "forwarding: stack" };
/// By the kernel's tables, which changes the packet.
pub(crate) const ROUTE: Forwarding =
    Forwarding { name: "route", action: REDIRECT, words: "forwarding: route" };
/// From one interface to the other, as it is.
pub(crate) const WIRE: Forwarding =
    Forwarding { name: "wire", action: REDIRECT, words: "forwarding: wire, wires: [[control, line-a]]" };

/// Every way of forwarding that there is or will be.
const FORWARDINGS: [Forwarding; 3] = [STACK, ROUTE, WIRE];

/// Those that a policy may name in this version. The others are said to be left out.
pub(crate) fn forwardings() -> Vec<Forwarding> {
    let mut known = Vec::new();
    for forwarding in FORWARDINGS {
        let text = policy(Service::SamePort, Tuples::new(1, 1), forwarding, "enforce");
        let loaded = banchi::policy::load("bench.yaml", &text);
        match (&loaded.policy, loaded.diagnostics.first()) {
            (None, Some(why)) => eprintln!("    NOT RUN: {}", why.message),
            _ => known.push(forwarding),
        }
    }
    known
}

/// Clients times servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tuples {
    pub(crate) clients: u32,
    pub(crate) servers: u32,
}

impl Tuples {
    pub(crate) const fn new(clients: u32, servers: u32) -> Self {
        Self { clients, servers }
    }

    /// How many there are.
    pub(crate) const fn count(self) -> u32 {
        self.clients * self.servers
    }

    /// Every one of them, as clients and servers count from 0.
    pub(crate) fn all(self) -> impl Iterator<Item = (Ipv4Addr, Ipv4Addr)> {
        (0..self.count()).map(move |number| (client(number % self.clients), server(number / self.clients)))
    }
}

/// The first client; the others follow.
pub(crate) const CLIENT: u32 = 0x0a0a_0001;
/// The first server.
pub(crate) const SERVER: u32 = 0x0a14_0001;

/// A client by number from 0.
pub(crate) fn client(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(CLIENT + number)
}

/// A server by number from 0.
pub(crate) fn server(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(SERVER + number)
}

/// The port of what is listed.
pub(crate) const PORT: u16 = 47_808;
/// That of Modbus, which clients ask from any port.
pub(crate) const MODBUS: u16 = 502;

/// What the tuples of a policy have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// UDP from and to one port.
    SamePort,
    /// The same with a direction that the payload shows.
    Bacnet,
    /// Modbus over TCP, from ports that the system gives.
    Modbus,
    /// UDP from such ports.
    Ephemeral,
    /// UDP from and to one port, with tagged zones.
    Vlan,
    /// The same over IPv6.
    Ipv6,
    /// One rule of each kind, for what deviates from them.
    Each,
}

/// Hosts of [`Service::Each`] beside the clients and servers.
pub(crate) mod host {
    use std::net::Ipv4Addr;

    /// In zone `control`, without a rule.
    pub(crate) const IDLE: Ipv4Addr = Ipv4Addr::new(10, 10, 200, 1);
    /// In zone `control`, bound to another hardware address than that of its packets here.
    pub(crate) const BOUND: Ipv4Addr = Ipv4Addr::new(10, 10, 200, 2);
    /// In zone `line-a`, allowed to answer, and never asked.
    pub(crate) const SILENT: Ipv4Addr = Ipv4Addr::new(10, 20, 200, 1);
    /// In zone `line-a`, asked on ports that its address says.
    pub(crate) const LINKED: Ipv4Addr = Ipv4Addr::new(10, 20, 200, 7);
    /// In no asset, in the network of `control`.
    pub(crate) const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 10, 250, 1);
    /// In no asset, in the network of `line-a`.
    pub(crate) const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 20, 250, 1);
}

/// A policy that allows the tuples, one rule for each server.
pub(crate) fn policy(service: Service, tuples: Tuples, forwarding: Forwarding, mode: &str) -> String {
    let address = |prefix: &str, base: u32, number: u32| match service {
        // The low words are those of IPv4.
        Service::Ipv6 => {
            let low = base + number;
            format!("'{prefix}::{:x}:{:x}'", low >> 16, low & 0xffff)
        }
        _ => Ipv4Addr::from_bits(base + number).to_string(),
    };
    let networks = match service {
        Service::Ipv6 => ("'fd00:10::/64'", "'fd00:20::/64'"),
        _ => ("10.10.0.0/16", "10.20.0.0/16"),
    };
    let vlans = if service == Service::Vlan { (", vlans: [10]", ", vlans: [20]") } else { ("", "") };
    let mut text = format!(
        "version: 1
gateway: {{ {} }}
defaults: {{ mode: {mode} }}
zones:
  control: {{ interfaces: [control]{}, networks: [{}] }}
  line-a: {{ interfaces: [line-a]{}, networks: [{}] }}
services:
  listed: {{ {} }}
",
        forwarding.words,
        vlans.0,
        networks.0,
        vlans.1,
        networks.1,
        match service {
            Service::Bacnet => "transport: udp, port: 47808, source_port: same, direction: bacnet",
            Service::Modbus => "transport: tcp, port: 502",
            Service::Ephemeral => "transport: udp, port: 47808, source_port: ephemeral",
            _ => "transport: udp, port: 47808, source_port: same",
        }
    );
    if service == Service::Each {
        text += "  modbus: { transport: tcp, port: 502 }\n";
        text += "  ring: { transport: udp, source_port: 6000, port: { linked: { base: 6000, octet: 4 } } }\n";
    }
    text += "assets:\n";
    let all = (0..tuples.clients).map(|number| address("fd00:10", CLIENT, number));
    let _ =
        writeln!(text, "  clients: {{ zone: control, addresses: [{}] }}", all.collect::<Vec<_>>().join(", "));
    for number in 0..tuples.servers {
        let address = address("fd00:20", SERVER, number);
        let _ = writeln!(text, "  s{number}: {{ zone: line-a, address: {address} }}");
    }
    if service == Service::Each {
        let _ = writeln!(text, "  idle: {{ zone: control, address: {} }}", host::IDLE);
        let _ = writeln!(
            text,
            "  bound: {{ zone: control, address: {}, mac: '00:80:f4:0a:0b:0c' }}",
            host::BOUND
        );
        let _ = writeln!(text, "  silent: {{ zone: line-a, address: {} }}", host::SILENT);
        let _ = writeln!(text, "  linked: {{ zone: line-a, address: {} }}", host::LINKED);
    }
    text += "conduits:\n  - between: [control, line-a]\n    allow:\n";
    for number in 0..tuples.servers {
        let _ = writeln!(text, "      - {{ client: clients, server: s{number}, service: listed }}");
    }
    if service == Service::Each {
        text += "      - { client: clients, server: s0, service: modbus }\n";
        text += "      - { client: clients, server: silent, service: listed }\n";
        text += "      - { client: clients, server: linked, service: ring }\n";
        text += "      - { client: bound, server: s0, service: listed }\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_have_as_many_tuples_as_they_say() {
        let stack = forwardings().into_iter().next();
        assert_eq!(stack, Some(STACK));
        for service in [Service::SamePort, Service::Bacnet, Service::Vlan, Service::Ipv6] {
            let tuples = Tuples::new(10, 7);
            let text = policy(service, tuples, STACK, "alert");
            let loaded = banchi::policy::load("bench.yaml", &text);
            let image = loaded.policy.as_ref().and_then(|policy| banchi::image::compile(policy).ok());
            let exact: Option<u32> = image.map(|image| image.exact_tuples.iter().sum());
            assert_eq!(exact, Some(70), "{service:?}: {:?}", loaded.diagnostics);
        }
        assert_eq!(Tuples::new(2, 3).all().count(), 6);
    }
}
