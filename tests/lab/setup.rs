//! Building the namespaces of a lab with `ip` and `ethtool`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::namespace::Namespace;
use super::topology::{Gateway, HostPlan, Mac, Network, Zone};
use super::{DEADLINE, Host};

/// What a [`Lab`](super::Lab) holds.
pub(crate) struct Built {
    pub(crate) gateway: Namespace,
    pub(crate) switches: Vec<Namespace>,
    pub(crate) hosts: BTreeMap<String, Host>,
}

/// Nothing of the kernel's own should talk in a lab, and addresses should work at once.
const QUIET: &[(&str, &str)] = &[
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
    ("net/ipv4/icmp_ratelimit", "0"),
    ("net/ipv6/icmp/ratelimit", "0"),
    // A client with a pinned source port can connect again at once, and not a minute later.
    ("net/ipv4/tcp_max_tw_buckets", "0"),
];

/// Where br_netfilter is loaded, bridges treat frames as packets: they trim padding and drop what is malformed.
const PLAIN_BRIDGE: &[(&str, &str)] = &[
    ("net/bridge/bridge-nf-call-arptables", "0"),
    ("net/bridge/bridge-nf-call-iptables", "0"),
    ("net/bridge/bridge-nf-call-ip6tables", "0"),
];

/// A switch has no addresses, and so nothing to announce.
const SWITCH: &[(&str, &str)] =
    &[("net/ipv6/conf/all/disable_ipv6", "1"), ("net/ipv6/conf/default/disable_ipv6", "1")];

const FORWARD: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    // A spoofed source address must reach the agent and not be sorted out by the kernel.
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
];

/// Checksums are complete and tags are in the frame on every link, as on a wire, since XDP sees what is there; and
/// GRO, because a frame redirected into a veth is lost unless the other end has it (or an XDP program).
const AS_ON_A_WIRE: [&str; 12] = [
    "tx",
    "off",
    "rxvlan",
    "off",
    "txvlan",
    "off",
    "tx-vlan-stag-hw-insert",
    "off",
    "rx-vlan-stag-hw-parse",
    "off",
    "gro",
    "on",
];

/// Indexes of links begin here, above those that a namespace is born with.
const FIRST_INDEX: u32 = 100;

pub(crate) fn gateway_mac(zone: &str) -> Mac {
    // Any stable address that differs from zone to zone and from the hosts' addresses.
    let sum = zone.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = sum.to_be_bytes();
    Mac([0x02, 0x01, a, b, c, d])
}

pub(crate) fn build(prefix: &str, gateway: Gateway, zones: &[Zone]) -> Result<Built> {
    let router = format!("{prefix}gw");
    let switch = |zone: &Zone| format!("{prefix}sw-{}", zone.name);
    let host = |plan: &HostPlan| format!("{prefix}{}", plan.name);

    let mut names = vec![router.clone()];
    names.extend(zones.iter().map(switch));
    names.extend(zones.iter().flat_map(|z| &z.hosts).map(host));
    ip(None, &names.iter().map(|name| format!("netns add {name}\n")).collect::<String>())?;
    let opened: Vec<_> = names.into_iter().map(Namespace::open).collect::<Result<_>>()?;
    for namespace in &opened {
        namespace.sysctl(QUIET)?;
    }
    let mut opened = opened.into_iter();
    let mut next = || opened.next().context("a namespace for every name");
    let built = Built {
        gateway: next()?,
        switches: zones.iter().map(|_| next()).collect::<Result<_>>()?,
        hosts: zones
            .iter()
            .flat_map(|zone| zone.hosts.iter().map(move |plan| (zone, plan)))
            .map(|(zone, plan)| {
                let (zone, networks) = (zone.name.clone(), zone.networks.clone());
                let built = Host { plan: plan.clone(), zone, networks, namespace: next()? };
                Ok((plan.name.clone(), built))
            })
            .collect::<Result<_>>()?,
    };
    ensure!(
        built.hosts.len() == zones.iter().map(|z| z.hosts.len()).sum::<usize>(),
        "two hosts of the lab have the same name"
    );

    for switch in &built.switches {
        switch.sysctl(SWITCH)?;
    }
    if Path::new("/proc/sys/net/bridge").exists() {
        built.switches.iter().chain([&built.gateway]).try_for_each(|n| n.sysctl(PLAIN_BRIDGE))?;
    }
    if gateway == Gateway::Routes {
        built.gateway.sysctl(FORWARD)?;
    }
    ip(None, &links(&router, zones, switch, host)?)?;
    ip(Some(&router), &router_addresses(gateway, zones)?)?;
    for (zone, switch) in zones.iter().zip(&built.switches) {
        offloads(&built.gateway, &zone.name)?;
        ip(Some(switch.netns()), &bridge(zone)?)?;
        offloads(switch, "uplink")?;
        for plan in &zone.hosts {
            let host = &built.hosts[&plan.name];
            ip(Some(host.netns()), &host_addresses(gateway, zone, plan)?)?;
            offloads(host, "eth0")?;
            offloads(switch, &plan.name)?;
        }
    }
    for namespace in built.hosts.values().map(|h| &h.namespace).chain(&built.switches).chain([&built.gateway])
    {
        wait_up(namespace)?;
    }
    Ok(built)
}

fn links(
    router: &str,
    zones: &[Zone],
    switch: impl Fn(&Zone) -> String,
    host: impl Fn(&HostPlan) -> String,
) -> Result<String> {
    // The kernel takes up to a second to report a link up whose ends have the same index, so no two have.
    let mut indexes = FIRST_INDEX..;
    let mut lines = String::new();
    let mut pair = |(end, mac, namespace): (&str, Mac, &str), (port, switch): (&str, &str)| {
        let (Some(index), Some(peer)) = (indexes.next(), indexes.next()) else { bail!("no index left") };
        write!(lines, "link add name {end} index {index} netns {namespace} address {mac} type veth ")?;
        Ok(writeln!(lines, "peer name {port} index {peer} netns {switch}")?)
    };
    for zone in zones {
        let switch = switch(zone);
        pair((&zone.name, gateway_mac(&zone.name), router), ("uplink", &switch))?;
        for plan in &zone.hosts {
            pair(("eth0", plan.mac, &host(plan)), (&plan.name, &switch))?;
        }
    }
    Ok(lines)
}

fn router_addresses(gateway: Gateway, zones: &[Zone]) -> Result<String> {
    let mut lines = "link set dev lo up\n".to_owned();
    if gateway == Gateway::Bridges {
        lines += "link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n";
    }
    for zone in zones {
        match gateway {
            Gateway::Routes => {
                for Network { address, prefix } in &zone.networks {
                    writeln!(lines, "address add {address}/{prefix} dev {}", zone.name)?;
                }
            }
            Gateway::Bridges => writeln!(lines, "link set dev {} master br0", zone.name)?,
            Gateway::Isolates => {}
        }
        writeln!(lines, "link set dev {} up", zone.name)?;
    }
    if gateway == Gateway::Bridges {
        lines += "link set dev br0 up\n";
    }
    Ok(lines)
}

fn bridge(zone: &Zone) -> Result<String> {
    let mut lines = "link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0\n".to_owned();
    for port in zone.hosts.iter().map(|plan| plan.name.as_str()).chain(["uplink"]) {
        writeln!(lines, "link set dev {port} master br0\nlink set dev {port} up")?;
    }
    lines += "link set dev br0 up\n";
    Ok(lines)
}

fn host_addresses(gateway: Gateway, zone: &Zone, plan: &HostPlan) -> Result<String> {
    let mut lines = "link set dev lo up\nlink set dev eth0 up\n".to_owned();
    for &address in &plan.addresses {
        let Some(network) = zone.network_of(address) else {
            bail!("{} has {address}, but zone {} has no network for it", plan.name, zone.name);
        };
        let nodad = if address.is_ipv6() { " nodad" } else { "" };
        writeln!(lines, "address add {address}/{}{nodad} dev eth0", network.prefix)?;
    }
    if gateway == Gateway::Routes {
        for Network { address, .. } in zone.networks.iter().filter(|n| has_family(plan, n.address)) {
            let everything = if address.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
            writeln!(lines, "route add {everything} via {address}")?;
        }
    }
    if gateway == Gateway::Isolates {
        // Whoever is at the other end of a wire is a neighbour, whatever network that is.
        for Network { address, .. } in zone.networks.iter().filter(|n| has_family(plan, n.address)) {
            let everything = if address.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
            writeln!(lines, "route add {everything} dev eth0")?;
        }
    }
    Ok(lines)
}

fn has_family(plan: &HostPlan, of: IpAddr) -> bool {
    plan.addresses.iter().any(|a| a.is_ipv4() == of.is_ipv4())
}

fn offloads(namespace: &Namespace, interface: &str) -> Result<()> {
    let argv: Vec<_> = ["ethtool", "-K", interface].into_iter().chain(AS_ON_A_WIRE).collect();
    namespace.check(&argv).map(|_| ())
}

/// A link that is administratively up still loses packets until the kernel has noticed its carrier.
fn wait_up(namespace: &Namespace) -> Result<()> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let output = Command::new("ip").args(["-n", namespace.netns(), "-j", "link"]).output()?;
        let links: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).context("ip -j link")?;
        // Bridges forward as soon as their ports are up, whatever they report of themselves.
        let matters = |link: &serde_json::Value| link["ifname"] != "lo" && link["ifname"] != "br0";
        let waiting = links.iter().find(|link| matters(link) && link["operstate"] != "UP");
        let Some(link) = waiting else { return Ok(()) };
        ensure!(Instant::now() < deadline, "{} of {} does not come up", link["ifname"], namespace.netns());
        // The kernel announces it, but an `ip monitor` for each namespace costs more than asking again.
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Runs lines of `ip` commands, one process for all of them.
fn ip(namespace: Option<&str>, lines: &str) -> Result<()> {
    let mut command = Command::new("ip");
    if let Some(name) = namespace {
        command.args(["-n", name]);
    }
    command.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("starting ip (Debian: apt-get install iproute2)")?;
    child.stdin.take().context("the standard input of ip")?.write_all(lines.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "ip failed: {}in namespace {namespace:?}, in these lines:\n{lines}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
