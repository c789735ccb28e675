//! The compiler: a valid policy becomes the tables that the data plane reads.
//!
//! Pure: no I/O, no clock, and the same policy gives the same bytes. The structure of the tables is
//! explained in `docs/adr/0001-lookup.md`.

mod entries;
mod error;
mod exact;
pub(crate) mod expand;
mod families;
mod index;
mod nodes;
mod rules;
mod services;
mod summary;
mod tables;

use banchi_common::abi::{
    Bucket, Bucket6, ConduitRow, Feature, FlowRow, NodeRow, PREFIX_LENGTHS, PortRow, RelationRow, RuleRow,
    SETTINGS, SLOTS, ServerRow, ServiceRow, Setting, Tag, VERSION, VIDS,
};

use crate::policy::model::{Forwarding, Policy, Vlan};
use entries::Entries;
pub use error::CompileError;
pub use summary::{RulePath, RuleSummary, Summary, summarize};

/// Entries that an index may have before the compiler gives up: 8 million, about 160 MB.
pub const MAX_ENTRIES: usize = 8_000_000;

/// Everything that a generation is made of, but for the numbers of the interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Words that become constants of the program.
    pub settings: [u32; SETTINGS],
    /// The index.
    pub index: Vec<Bucket>,
    /// The index of IPv6 addresses.
    pub index6: Vec<Bucket6>,
    /// Classes of ports.
    pub ports: Vec<PortRow>,
    /// Classes of server ports; row 0 is none.
    pub servers: Vec<ServerRow>,
    /// Sets of services; row 0 is none.
    pub services: Vec<ServiceRow>,
    /// Relations; row 0 is none.
    pub relations: Vec<RelationRow>,
    /// Hosts and prefixes; row 0 is none.
    pub nodes: Vec<NodeRow>,
    /// Pairs of rules that exact tuples lead to; row 0 is none.
    pub flows: Vec<FlowRow>,
    /// Rules; row 0 is none.
    pub rules: Vec<RuleRow>,
    /// Conduits as the policy has them; row 0 is what belongs to none.
    pub conduits: Vec<ConduitRow>,
    /// Names of interfaces. Their position is their place in `zones`.
    pub interfaces: Vec<String>,
    /// Places of both ends of each wire, from 0.
    pub wires: Vec<(usize, usize)>,
    /// Zone of each place and VID, from 1; 0 is none. One entry a place where no zone is a VLAN.
    pub zones: Vec<u32>,
    /// Entries of the index, by tag.
    pub entries: Vec<(Tag, usize)>,
    /// Exact tuples of each rule.
    pub exact_tuples: Vec<u32>,
}

impl Image {
    /// A word of the settings.
    pub fn setting(&self, setting: Setting) -> u32 {
        self.settings.get(setting as usize).copied().unwrap_or(0)
    }

    /// Changes a word of the settings.
    pub fn set(&mut self, setting: Setting, value: u32) {
        if let Some(word) = self.settings.get_mut(setting as usize) {
            *word = value;
        }
    }

    /// Exact tuples that the time of the last question is kept for: one for each place of the index, or none.
    pub fn slots(&self) -> usize {
        let features = self.setting(Setting::Features);
        let wanted = Feature::Windows as u32 | Feature::Exact as u32;
        if features & wanted == wanted { self.index.len() * SLOTS } else { 1 }
    }

    fn enable(&mut self, feature: Feature, on: bool) {
        let features = self.setting(Setting::Features);
        let bit = feature as u32;
        self.set(Setting::Features, if on { features | bit } else { features & !bit });
    }
}

/// Compiles a policy.
///
/// # Errors
/// Where the policy does not fit the tables: too many prefix lengths, overlapping relations, or sets that
/// overlap so much that the index would not fit.
pub fn compile(written: &Policy) -> Result<Image, CompileError> {
    let expanded = expand::expand(written);
    let policy: &Policy = &expanded.policy;
    let nodes = nodes::Nodes::of(policy)?;
    let services = services::Services::of(policy, &|service| expanded.is_answers(service))?;
    let plan = exact::Plan::of(policy, &nodes);
    let mut entries = Entries::default();
    nodes.emit(&mut entries);
    services.emit(&mut entries);
    services.emit_tables(policy, &nodes, &mut entries);
    emit_conduits(policy, &mut entries);
    emit_ethertypes(policy, &mut entries);
    let service_rows = families::emit(policy, &nodes, &services, &plan, &mut entries)?;

    let (interfaces, zones, double) = zone_table(policy, &mut entries);
    let mut image = Image {
        settings: [0; SETTINGS],
        index: Vec::new(),
        index6: Vec::new(),
        ports: services.port_rows(),
        servers: services.server_rows(),
        services: service_rows,
        relations: services.relation_rows(),
        nodes: nodes.rows(),
        flows: vec![FlowRow { low_asks: 0, high_asks: 0 }],
        rules: rules::rows(&expanded, &nodes),
        conduits: conduit_rows(policy),
        wires: wires(policy, &interfaces),
        interfaces,
        zones,
        entries: Vec::new(),
        exact_tuples: tuples_as_written(written, &expanded, &plan),
    };
    image.set(Setting::Version, VERSION);
    image.set(Setting::Forwarding, policy.forwarding as u32);
    if policy.forwarding == Forwarding::Wire {
        let gateway = (1u32..).zip(&policy.zones).find(|(_, zone)| zone.is_gateway);
        image.set(Setting::GatewayZone, gateway.map_or(0, |(number, _)| number));
    }
    index::build6(&mut image, &nodes.entries6());
    image.set(Setting::EchoClass, services.echo_class);
    image.set(Setting::SuppressMs, 10_000);
    image.set(Setting::EventsPerSecond, 1_000);
    set_prefix_lengths(&mut image, Setting::Prefix4, &nodes.lengths4)?;
    set_prefix_lengths(&mut image, Setting::Prefix6, &nodes.lengths6)?;
    image.enable(Feature::Ipv6, nodes.any6());
    image.enable(
        Feature::Vlan,
        policy.zones.iter().any(|zone| zone.vlans.iter().any(|v| *v != Vlan::Untagged)),
    );
    image.enable(Feature::DoubleVlan, double);
    image.enable(Feature::Classes, plan.any_classes());
    image.enable(Feature::Relations, services.any_relations());
    image.enable(Feature::Mac, policy.assets.iter().any(|asset| asset.mac.is_some()));
    image.enable(Feature::Ethertypes, policy.conduits.iter().any(|conduit| !conduit.ethertypes.is_empty()));
    rules::settings(&mut image, &plan);
    exact::emit(policy, &nodes, &plan, &mut image, &mut entries)?;
    image.entries = entries.by_tag();
    if entries.len() > MAX_ENTRIES {
        return Err(CompileError::TooLarge { entries: entries.len(), limit: MAX_ENTRIES });
    }
    index::build(&mut image, &entries);
    Ok(image)
}

/// Exact tuples of each rule of the policy, without those of the rules that it implies.
fn tuples_as_written(written: &Policy, expanded: &expand::Expanded<'_>, plan: &exact::Plan) -> Vec<u32> {
    let mut tuples = vec![0; written.rules.len()];
    // Backwards: the first of a rule's rows is its own.
    for (own, of) in plan.tuples.iter().zip(&expanded.of).rev() {
        if let Some(slot) = tuples.get_mut(*of) {
            *slot = *own;
        }
    }
    tuples
}

fn set_prefix_lengths(image: &mut Image, first: Setting, lengths: &[u8]) -> Result<(), CompileError> {
    if lengths.len() > PREFIX_LENGTHS {
        return Err(CompileError::PrefixLengths { found: lengths.len(), limit: PREFIX_LENGTHS });
    }
    for (word, length) in image.settings.iter_mut().skip(first as usize).zip(lengths) {
        *word = u32::from(*length) + 1;
    }
    Ok(())
}

fn conduit_rows(policy: &Policy) -> Vec<ConduitRow> {
    std::iter::once((policy.default_mode, policy.default_agent_loss))
        .chain(policy.conduits.iter().map(|conduit| (conduit.mode, conduit.agent_loss)))
        .map(|(mode, loss)| ConduitRow {
            mode: mode as u8,
            by_hand: 0,
            on_agent_loss: loss.then as u8,
            kept: 0,
            agent_loss_ms: u32::try_from(loss.after.as_millis()).unwrap_or(u32::MAX),
        })
        .collect()
}

/// The conduit of each ordered pair of zones: the one that names it first, in either order.
fn emit_conduits(policy: &Policy, entries: &mut Entries) {
    let mut seen = std::collections::BTreeMap::new();
    for (number, conduit) in (1u32..).zip(&policy.conduits) {
        let (a, b) = conduit.zones;
        seen.entry((a, b)).or_insert(number);
    }
    for (number, conduit) in (1u32..).zip(&policy.conduits) {
        let (a, b) = conduit.zones;
        seen.entry((b, a)).or_insert(number);
    }
    for ((from, to), number) in seen {
        entries.push(Tag::Conduit, (from as u64 + 1) << 32 | (to as u64 + 1), 0, number);
    }
}

/// The conduit of each zone and protocol below IP: the first that lets it cross from there.
fn emit_ethertypes(policy: &Policy, entries: &mut Entries) {
    let mut seen = std::collections::BTreeMap::new();
    for (number, conduit) in (1u32..).zip(&policy.conduits) {
        let (a, b) = conduit.zones;
        let from = if conduit.ordered { vec![a] } else { vec![a, b] };
        for zone in from {
            for kind in &conduit.ethertypes {
                seen.entry((zone as u64 + 1) << 32 | u64::from(kind.0)).or_insert(number);
            }
        }
    }
    for (key, number) in seen {
        entries.push(Tag::Ethertype, key, 0, number);
    }
}

/// Places of both ends of each wire.
fn wires(policy: &Policy, interfaces: &[String]) -> Vec<(usize, usize)> {
    let place = |name: &String| interfaces.iter().position(|known| known == name);
    let wires = policy.wires.iter().filter(|_| policy.forwarding == Forwarding::Wire);
    wires.filter_map(|(one, other)| Some((place(one)?, place(other)?))).collect()
}

/// Interfaces by place, zone of each place and VID, and whether some zone is double-tagged.
fn zone_table(policy: &Policy, entries: &mut Entries) -> (Vec<String>, Vec<u32>, bool) {
    let mut interfaces: Vec<String> = Vec::new();
    let mut untagged: Vec<(usize, u32)> = Vec::new();
    let mut tagged: Vec<(usize, u16, u32)> = Vec::new();
    let mut double = false;
    for (number, zone) in (1u32..).zip(&policy.zones) {
        for name in &zone.interfaces {
            let place = interfaces.iter().position(|known| known == name).unwrap_or_else(|| {
                interfaces.push(name.clone());
                interfaces.len() - 1
            });
            if zone.vlans.is_empty() {
                untagged.push((place, number));
            }
            for vlan in &zone.vlans {
                match vlan {
                    Vlan::Untagged => untagged.push((place, number)),
                    Vlan::Tagged(vid) => tagged.push((place, *vid, number)),
                    Vlan::Double(outer, inner) => {
                        double = true;
                        let key = u64::from(*outer) << 32 | u64::from(*inner);
                        entries.push(Tag::DoubleVlan, key, place as u32 + 1, number);
                    }
                }
            }
        }
    }
    let vlans = double || !tagged.is_empty();
    let stride = if vlans { VIDS as usize } else { 1 };
    let mut zones = vec![0; interfaces.len().max(1) * stride];
    let untagged = untagged.into_iter().map(|(place, zone)| (place, 0, zone));
    for (place, vid, zone) in untagged.chain(tagged) {
        if let Some(slot) = zones.get_mut(place * stride + usize::from(vid)) {
            *slot = zone;
        }
    }
    (interfaces, zones, double)
}
