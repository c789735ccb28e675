//! Before a generation decides: its tables are read back, and packets of its rules run through the loaded program.
//!
//! What is expected comes from the engine over the image in memory, which the tests hold against an oracle. So the
//! proof is about what is in the kernel: this program, with these maps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::maps::{PerCpuArray, PerCpuValues};
use banchi_common::abi::{Counter, Transport, WAYS};
use banchi_common::engine::{ScratchBytes, judge};
use banchi_common::reason::{REASON_ROWS, REASONS, Reason};
use banchi_common::wire::{Bytes, Headers};
use bytemuck::Zeroable as _;

use super::error::DatapathError;
use super::generation::Datapath;
use super::load::{Row, writing};
use crate::explain::{Question, frame};
use crate::image::Image;
use crate::policy::model::{Addresses, Policy, PortRange, Rule, ServerPort, SourcePort, Vlan, ZoneId};

/// Rules that are proved one by one; of more, this many are taken at even distances.
const RULES: usize = 10_000;
/// An ordinary client's port.
const SOME_PORT: u16 = 40_000;

impl Datapath {
    /// Reads the tables back, and runs packets of each rule and near misses of them.
    ///
    /// # Errors
    /// Names the table, or the rule and the packet, that is not as it should be.
    pub fn prove(&mut self, policy: &Policy, image: &Image, indices: &[u32]) -> Result<usize, DatapathError> {
        if let Some(map) = self.first_difference(image)? {
            return Err(DatapathError::Unproven { what: format!("the map {map} differs from the policy") });
        }
        self.quiet(true)?;
        let proved = on_one_cpu(|cpu| self.prove_rules(policy, image, indices, cpu));
        self.forget_proof()?;
        self.quiet(false)?;
        proved
    }

    fn prove_rules(
        &self,
        policy: &Policy,
        image: &Image,
        indices: &[u32],
        cpu: usize,
    ) -> Result<usize, DatapathError> {
        let scratch: PerCpuArray<_, Row<ScratchBytes>> =
            PerCpuArray::try_from(self.map("SCRATCH")?).map_err(|e| writing("SCRATCH", &e))?;
        let mut packets = 0;
        let step = policy.rules.len().div_ceil(RULES).max(1);
        for rule in policy.rules.iter().step_by(step) {
            for (what, question, zone) in packets_of(policy, rule) {
                let Some(place) = place(policy, image, zone) else { continue };
                let index = indices.get(place).copied().unwrap_or(0);
                let bytes = frame(policy, &question, vlan(policy, zone));
                let mut headers = Headers::default();
                let wanted = judge(&Bytes(&bytes), image, place as u32 + 1, &mut headers);
                self.test_drop(&bytes, index)?;
                let values = scratch.get(&0, 0).map_err(|e| writing("SCRATCH", &e))?;
                let Some(Row(found)) = values.get(cpu) else {
                    return Err(DatapathError::other("read the scratch", format!("there is no CPU {cpu}")));
                };
                packets += 1;
                // A grant may end between the two.
                let timeless = |reason| {
                    if reason == Reason::GrantExpired as u8 { Reason::Granted as u8 } else { reason }
                };
                if (timeless(found.reason), found.rule, found.conduit)
                    != (timeless(wanted.reason as u8), wanted.rule, wanted.conduit)
                {
                    let name = |reason: u8| REASONS.get(usize::from(reason)).map_or("?", |about| about.name);
                    return Err(DatapathError::Unproven {
                        what: format!(
                            "rule `{}` (line {}), {what}: {question} is `{}` in the kernel and should be `{}`",
                            rule.name,
                            rule.line,
                            name(found.reason),
                            name(wanted.reason as u8)
                        ),
                    });
                }
            }
        }
        Ok(packets)
    }

    /// The packets of a proof were not real: nothing counts them, and nobody answers them.
    fn forget_proof(&mut self) -> Result<(), DatapathError> {
        let (rules, reasons) = (self.rows * 2, self.conduits * REASON_ROWS as u32);
        for (name, rows) in [("RULE_COUNTERS", rules), ("REASON_COUNTERS", reasons)] {
            let map = self.map_mut(name)?;
            let mut counters: PerCpuArray<_, Row<Counter>> =
                PerCpuArray::try_from(map).map_err(|e| writing(name, &e))?;
            for at in 0..rows {
                let values = counters.get(&at, 0).map_err(|e| writing(name, &e))?;
                if values.iter().any(|Row(counter)| *counter != Counter::zeroed()) {
                    let none = values.iter().map(|_| Row(Counter::zeroed())).collect::<Vec<_>>();
                    let none = PerCpuValues::try_from(none).map_err(|e| DatapathError::other("clear", e))?;
                    counters.set(at, none, 0).map_err(|e| writing(name, &e))?;
                }
            }
        }
        clear::<[u64; 2]>(self, "ASKED")?;
        clear::<[[u64; WAYS]; 2]>(self, "CONVERSATIONS")
    }
}

fn clear<T: bytemuck::Pod + PartialEq>(datapath: &mut Datapath, name: &str) -> Result<(), DatapathError> {
    let mut rows = datapath.array::<T>(name)?;
    for at in 0..rows.len() {
        let Row(row) = rows.get(&at, 0).map_err(|e| writing(name, &e))?;
        if row != T::zeroed() {
            rows.set(at, Row(T::zeroed()), 0).map_err(|e| writing(name, &e))?;
        }
    }
    Ok(())
}

/// Keeps this thread on the CPU where it is, and gives the number of that one.
fn on_one_cpu<T>(f: impl FnOnce(usize) -> Result<T, DatapathError>) -> Result<T, DatapathError> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
    let failed = |e: rustix::io::Errno| DatapathError::other("stay on one CPU", e);
    let before = sched_getaffinity(None).map_err(failed)?;
    let cpu = sched_getcpu();
    let mut one = CpuSet::new();
    one.set(cpu);
    sched_setaffinity(None, &one).map_err(failed)?;
    let result = f(cpu);
    sched_setaffinity(None, &before).map_err(failed)?;
    result
}

/// Place of the first interface of a zone in the image.
fn place(policy: &Policy, image: &Image, zone: ZoneId) -> Option<usize> {
    let name = policy.zones.get(zone)?.interfaces.first()?;
    image.interfaces.iter().position(|known| known == name)
}

fn vlan(policy: &Policy, zone: ZoneId) -> Vlan {
    policy.zones.get(zone).and_then(|zone| zone.vlans.first()).copied().unwrap_or(Vlan::Untagged)
}

/// A packet of a rule and near misses of it: what it is, the packet, and the zone that it comes from.
fn packets_of(policy: &Policy, rule: &Rule) -> Vec<(&'static str, Question, ZoneId)> {
    let Some(service) = policy.services.get(rule.service) else { return Vec::new() };
    let mut packets = Vec::new();
    for v4 in [true, false] {
        let (Some(client), Some(server)) =
            (address(policy, &rule.clients, v4), address(policy, &rule.servers, v4))
        else {
            continue;
        };
        let port = match &service.port {
            ServerPort::Any => 502,
            ServerPort::Set(ranges) => first(ranges),
            ServerPort::Linked { base, octet, step } => linked(*base, *octet, *step, server),
            ServerPort::ByAddress(table) => table.get(&server).copied().unwrap_or(0),
        };
        let source_port = match &service.source_port {
            SourcePort::Any | SourcePort::Ephemeral => SOME_PORT,
            SourcePort::Same => port,
            SourcePort::Set(ranges) => first(ranges),
        };
        let question = |source, source_port, destination, destination_port, opens| Question {
            transport: service.transport,
            source,
            source_port,
            destination,
            destination_port,
            opens,
            mac: None,
            payload: Vec::new(),
        };
        let asks = question(client, source_port, server, port, true);
        packets.push(("asked", asks.clone(), rule.client_zone));
        packets.push(("asked from the wrong zone", asks, rule.server_zone));
        if service.transport == Transport::Icmp {
            continue;
        }
        let off = |port: u16| if port == u16::MAX { port - 1 } else { port + 1 };
        packets.push((
            "asked from the next port",
            question(client, off(source_port), server, port, true),
            rule.client_zone,
        ));
        packets.push((
            "asked at the next port",
            question(client, source_port, server, off(port), true),
            rule.client_zone,
        ));
        if service.transport == Transport::Tcp {
            packets.push((
                "opened by the server",
                question(server, port, client, source_port, true),
                rule.server_zone,
            ));
            packets.push(("answered", question(server, port, client, source_port, false), rule.server_zone));
        }
    }
    packets
}

fn first(ranges: &[PortRange]) -> u16 {
    ranges.first().map_or(0, |range| range.first)
}

fn linked(base: u16, octet: u8, step: u16, server: IpAddr) -> u16 {
    let at = usize::from(octet).saturating_sub(1);
    let byte = match server {
        IpAddr::V4(v4) => v4.octets().get(at).copied(),
        IpAddr::V6(v6) => v6.octets().get(at).copied(),
    };
    base.wrapping_add(step.wrapping_mul(u16::from(byte.unwrap_or(0))))
}

/// Some address of some assets, in one family.
fn address(policy: &Policy, assets: &[usize], v4: bool) -> Option<IpAddr> {
    let all = assets.iter().filter_map(|id| policy.assets.get(*id)).flat_map(|asset| &asset.addresses);
    let some = all.map(|addresses| match addresses {
        Addresses::Host(host) => *host,
        Addresses::Range(_, last) => *last,
        Addresses::Prefix(net) => match net.network() {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_add(1)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().wrapping_add(1)).into(),
        },
    });
    some.into_iter().find(|address| address.is_ipv4() == v4)
}
