//! What compiling costs: large policies within their time.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Result, ensure};
use banchi::image::compile;
use banchi::policy::model::{
    Addresses, AgentLoss, Asset, Conduit, Forwarding, Mode, Policy, PortRange, Rule, ServerPort, Service,
    SourcePort, Transport, Zone,
};

/// The CPU time that a policy may take. Builds for debugging are far slower, and only show that nothing explodes.
const LIMIT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 2 });

#[test]
fn compile_budget() -> Result<()> {
    let cases = [
        ("10,000 rules, host to host", plain(10_000)),
        ("10,000 rules of 10 x 10 hosts", grid(100, 10, 100, 10)),
        ("10,000 rules of 1 x 100 hosts", grid(1000, 1, 10, 100)),
        ("10,000 rules of 10 x 10 hosts, and a general one", with_general_rule(grid(100, 10, 100, 10))),
        ("10,000 rules of 10 x 10 hosts, any client port", with_any_client_port(grid(100, 10, 100, 10))),
        ("1 rule of 1,000 x 1,000 hosts", grid(1, 1000, 1, 1000)),
    ];
    for (name, policy) in cases {
        let start = thread_time();
        let image = compile(&policy)?;
        let took = thread_time() - start;
        let (rules, tuples) =
            (policy.rules.len(), image.exact_tuples.iter().map(|n| *n as usize).sum::<usize>());
        let entries: usize = image.entries.iter().map(|(_, count)| count).sum();
        println!(
            "{name}: {rules} rules, {tuples} exact tuples, {entries} entries in {:.3} s",
            took.as_secs_f64()
        );
        ensure!(took < LIMIT, "{name} took {took:?}, and {LIMIT:?} are allowed");
    }
    Ok(())
}

/// CPU time of this thread: what else the machine does is not the compiler's fault.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes the one structure that it is given.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(done, 0, "every Linux has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn host(zone: u8, n: usize) -> IpAddr {
    Ipv4Addr::new(10, zone, (n >> 8) as u8, n as u8).into()
}

/// Two zones, with groups of hosts in each and no rule.
fn empty(clients: Vec<Vec<IpAddr>>, servers: Vec<Vec<IpAddr>>, services: usize) -> Policy {
    let zone = |id: usize| Zone {
        name: format!("zone-{id}"),
        interfaces: vec![format!("p{id}")],
        vlans: Vec::new(),
        networks: vec![format!("10.{id}.0.0/16").parse().expect("a network")],
        is_gateway: false,
    };
    let sides = [(0, clients), (1, servers)];
    let assets =
        sides.into_iter().flat_map(|(zone, groups)| groups.into_iter().map(move |hosts| (zone, hosts)));
    let asset = |(id, (zone, hosts)): (usize, (usize, Vec<IpAddr>))| Asset {
        name: format!("asset-{id}"),
        zone,
        addresses: hosts.into_iter().map(Addresses::Host).collect(),
        mac: None,
    };
    let service = |id: usize| {
        let port = ServerPort::Set(vec![PortRange { first: 5000 + id as u16, last: 5000 + id as u16 }]);
        Service::of_ports(format!("service-{id}"), Transport::Udp, port, SourcePort::Same)
    };
    Policy {
        forwarding: Forwarding::Stack,
        wires: Vec::new(),
        default_mode: Mode::Alert,
        default_agent_loss: AgentLoss::default(),
        zones: vec![zone(0), zone(1)],
        assets: assets.enumerate().map(asset).collect(),
        services: (0..services).map(service).collect(),
        conduits: vec![Conduit {
            name: "conduit".to_owned(),
            zones: (0, 1),
            ordered: false,
            mode: Mode::Enforce,
            agent_loss: AgentLoss::default(),
            ethertypes: Vec::new(),
        }],
        rules: Vec::new(),
    }
}

fn add(policy: &mut Policy, client: usize, server: usize, service: usize) {
    let number = policy.rules.len();
    policy.rules.push(Rule {
        name: format!("rule-{number}"),
        conduit: 0,
        client_zone: 0,
        server_zone: 1,
        clients: vec![client],
        servers: vec![server],
        service,
        reply_to: Vec::new(),
        mode: None,
        line: number + 1,
        expires_s: None,
    });
}

/// Rules between single hosts, over twenty services.
fn plain(rules: usize) -> Policy {
    let side = |zone| (0..1000).map(|n| vec![host(zone, n + 1)]).collect();
    let mut policy = empty(side(0), side(1), 20);
    for n in 0..rules {
        add(&mut policy, n % 1000, 1000 + (n / 1000 * 7 + n) % 1000, n % 20);
    }
    policy
}

/// Every group of clients with every group of servers.
fn grid(clients: usize, each_client: usize, servers: usize, each_server: usize) -> Policy {
    let groups = |zone, count: usize, each: usize| {
        (0..count).map(|group| (0..each).map(|n| host(zone, group * each + n + 1)).collect()).collect()
    };
    let mut policy = empty(groups(0, clients, each_client), groups(1, servers, each_server), 1);
    for client in 0..clients {
        for server in 0..servers {
            add(&mut policy, client, clients + server, 0);
        }
    }
    policy
}

/// A last rule that is too wide for exact tuples: every tuple must be looked up in it.
fn with_general_rule(mut policy: Policy) -> Policy {
    let (client, server) = (policy.assets.len(), policy.assets.len() + 1);
    for zone in 0..2 {
        policy.assets.push(Asset {
            name: format!("all-{zone}"),
            zone,
            addresses: vec![Addresses::Prefix(policy.zones[zone].networks[0])],
            mac: None,
        });
    }
    let service = policy.services.len();
    policy.services.push(Service {
        name: "general".to_owned(),
        port: ServerPort::Any,
        source_port: SourcePort::Any,
        ..policy.services[0].clone()
    });
    add(&mut policy, client, server, service);
    policy
}

/// Pairs of hosts instead of tuples.
fn with_any_client_port(mut policy: Policy) -> Policy {
    policy.services[0].source_port = SourcePort::Ephemeral;
    policy
}
