//! What the demo shows and the tests of both modes repeat, as data: who asks whom, and what banchi has to say to it.
//!
//! The policy is `demo/policy.yaml`, the hosts are those of [`plant`](crate::plant).

use crate::traffic::DIVERGING;

/// The policy that the scenarios are about.
pub const POLICY: &str = include_str!("demo/policy.yaml");

/// The same with another way of forwarding: `stack`, `route` or `wire`.
///
/// # Errors
/// Where there is no such way.
pub fn policy(forwarding: &str) -> anyhow::Result<String> {
    let words = match forwarding {
        "stack" | "route" => format!("forwarding: {forwarding}"),
        "wire" => "forwarding: wire, wires: [[control, line-a]]".to_owned(),
        other => anyhow::bail!("no way of forwarding: {other}"),
    };
    Ok(POLICY.replace("forwarding: stack", &words))
}

/// Something that happens in the plant.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// A short name.
    pub name: &'static str,
    /// What happens, for people.
    pub story: &'static str,
    /// The host that asks.
    pub client: &'static str,
    /// Its source port; 0 is whatever the kernel chooses.
    pub source_port: u16,
    /// The hosts and ports that are asked.
    pub servers: &'static [(&'static str, u16)],
    /// How.
    pub means: Means,
    /// The reason that banchi has to give; without one, the policy allows it.
    pub reason: Option<&'static str>,
}

/// What speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// pymodbus, at both ends.
    Modbus,
    /// bacpypes3, at both ends.
    Bacnet,
    /// A UDP socket and a server that echoes.
    Udp,
    /// FINS commands, made by hand, and a server that answers them.
    Fins,
    /// A TCP socket and a server that echoes.
    Tcp,
}

/// All scenarios; those that are allowed come first.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "modbus",
        story: "SCADA polls a PLC: Modbus/TCP, with pymodbus",
        client: "scada",
        source_port: 0,
        servers: &[("plc-1", 502)],
        means: Means::Modbus,
        reason: None,
    },
    Scenario {
        name: "bacnet",
        story: "SCADA reads the climate controller: BACnet/IP from 47808 to 47808, with bacpypes3",
        client: "scada",
        source_port: 47808,
        servers: &[("controller", 47808)],
        means: Means::Bacnet,
        reason: None,
    },
    Scenario {
        name: "melsec",
        story: "the workstation asks all modules of a PLC from one pinned source port",
        client: "workstation",
        source_port: 5010,
        servers: &diverging("plc-2"),
        means: Means::Udp,
        reason: None,
    },
    Scenario {
        name: "ring",
        story: "SCADA asks each PLC on the port that belongs to its address",
        client: "scada",
        source_port: 6000,
        servers: &[("plc-1", 6011), ("plc-2", 6012), ("plc-3", 6013)],
        means: Means::Udp,
        reason: None,
    },
    Scenario {
        name: "fins",
        story: "the workstation commands a PLC: FINS from 9600 to 9600, with messages made by hand",
        client: "workstation",
        source_port: 9600,
        servers: &[("plc-1", 9600)],
        means: Means::Fins,
        reason: None,
    },
    Scenario {
        name: "wrong source port",
        story: "something on the workstation asks a module from 5009 instead of 5010",
        client: "workstation",
        source_port: 5009,
        servers: &[("plc-2", 5011)],
        means: Means::Udp,
        reason: Some("source-port-deviation"),
    },
    Scenario {
        name: "bacnet scanner",
        story: "a program on SCADA asks the controller from a port that no BACnet device has",
        client: "scada",
        source_port: 40808,
        servers: &[("controller", 47808)],
        means: Means::Bacnet,
        reason: Some("source-port-deviation"),
    },
    Scenario {
        name: "neighbour's port",
        story: "PLC 1 is asked on 6012, the port of PLC 2",
        client: "scada",
        source_port: 6000,
        servers: &[("plc-1", 6012)],
        means: Means::Udp,
        reason: Some("address-port-mismatch"),
    },
    Scenario {
        name: "slave asks master",
        story: "a PLC opens a Modbus connection to SCADA",
        client: "plc-2",
        source_port: 0,
        servers: &[("scada", 502)],
        means: Means::Tcp,
        reason: Some("reversed-direction"),
    },
    Scenario {
        name: "slave opens from 502",
        story: "a PLC opens a connection to SCADA from the port that it should only answer from",
        client: "plc-2",
        source_port: 502,
        servers: &[("scada", 40502)],
        means: Means::Tcp,
        reason: Some("reversed-direction"),
    },
    Scenario {
        name: "plc commands",
        story: "a PLC commands SCADA over FINS: the ports are those of an answer, the message is none",
        client: "plc-2",
        source_port: 9600,
        servers: &[("scada", 9600)],
        means: Means::Fins,
        reason: Some("reversed-direction"),
    },
    Scenario {
        name: "unknown host",
        story: "a laptop that nobody listed opens a Modbus connection to a PLC",
        client: "laptop",
        source_port: 0,
        servers: &[("plc-3", 502)],
        means: Means::Tcp,
        reason: Some("unknown-source"),
    },
    Scenario {
        name: "unlisted service",
        story: "SCADA opens SSH to a PLC",
        client: "scada",
        source_port: 0,
        servers: &[("plc-3", 22)],
        means: Means::Tcp,
        reason: Some("unlisted-service"),
    },
    Scenario {
        name: "unlisted pair",
        story: "the workstation speaks BACnet with the climate controller, which only SCADA may",
        client: "workstation",
        source_port: 47808,
        servers: &[("controller", 47808)],
        means: Means::Bacnet,
        reason: Some("unlisted-pair"),
    },
];

const fn diverging(host: &'static str) -> [(&'static str, u16); DIVERGING.len()] {
    let mut servers = [(host, 0); DIVERGING.len()];
    let mut n = 0;
    while n < servers.len() {
        servers[n].1 = DIVERGING[n];
        n += 1;
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_valid() {
        let loaded = banchi::policy::load("demo/policy.yaml", POLICY);
        let found = (loaded.errors(), loaded.warnings());
        assert_eq!(found, (0, 0), "{}", loaded.render(POLICY, banchi::policy::render::Style::Plain));
    }

    #[test]
    fn no_scenario_hides_behind_another() {
        // The agent reports a repeated deviation once: two with the same ends would be one event.
        for (n, one) in SCENARIOS.iter().enumerate() {
            for other in &SCENARIOS[n + 1..] {
                let same = one.client == other.client && one.servers == other.servers;
                assert!(!same || one.source_port != other.source_port, "{} and {}", one.name, other.name);
            }
        }
    }
}
