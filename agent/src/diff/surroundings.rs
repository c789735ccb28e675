//! What stands around the rules: defaults, zones, conduits, and whose an address is; and the names that rules use.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::ground::{Said, Span, joined};
use super::{Both, Change, Kind, Side, What, by_name, in_short};
use crate::policy::describe;
use crate::policy::model::{AgentLoss, Conduit, Mode, OnAgentLoss, Policy, Vlan, Zone};

/// Numbers for the zones of both policies: the same for two that have one name, or that stand at the same place.
pub(super) fn pair_zones(old: &Policy, new: &Policy) -> (Vec<usize>, Vec<usize>) {
    let mut pairs = by_name(names(&old.zones), names(&new.zones));
    let place = |zone: &Zone| {
        let (mut faces, mut vlans) = (zone.interfaces.clone(), zone.vlans.clone());
        faces.sort_unstable();
        vlans.sort_unstable();
        (faces, vlans, zone.is_gateway)
    };
    for (number, zone) in new.zones.iter().enumerate() {
        if pairs.contains_key(&number) {
            continue;
        }
        let free = |at: &usize| !pairs.values().any(|taken| taken == at);
        let same = old.zones.iter().enumerate().filter(|(at, _)| free(at));
        let same = same.map(|(at, known)| (at, place(known))).find(|(_, known)| *known == place(zone));
        if let Some((at, _)) = same {
            pairs.insert(number, at);
        }
    }
    let fresh = old.zones.len();
    let new_zones = (0..new.zones.len()).map(|at| pairs.get(&at).copied().unwrap_or(fresh + at)).collect();
    ((0..fresh).collect(), new_zones)
}

fn names(zones: &[Zone]) -> impl Iterator<Item = &str> {
    zones.iter().map(|zone| zone.name.as_str())
}

/// Numbers in the old policy of the new one's conduits.
pub(super) fn pair_conduits(both: &Both<'_>) -> BTreeMap<usize, usize> {
    let (old, new) = (&both.old, &both.new);
    let name = |conduit: &'_ Conduit| conduit.name.clone();
    let (was, is): (Vec<String>, Vec<String>) =
        (old.policy.conduits.iter().map(name).collect(), new.policy.conduits.iter().map(name).collect());
    let mut pairs = by_name(was.iter().map(String::as_str), is.iter().map(String::as_str));
    for (number, conduit) in new.policy.conduits.iter().enumerate() {
        if pairs.contains_key(&number) {
            continue;
        }
        let ends = ends(new, conduit);
        let free = |at: &usize| !pairs.values().any(|taken| taken == at);
        let same = old.policy.conduits.iter().enumerate().filter(|(at, _)| free(at));
        let same = same.map(|(at, known)| (at, self::ends(old, known))).find(|(_, known)| *known == ends);
        if let Some((at, _)) = same {
            pairs.insert(number, at);
        }
    }
    pairs
}

/// Zones of a conduit, and whether clients are in the first only.
fn ends(side: &Side<'_>, conduit: &Conduit) -> (usize, usize, bool) {
    let (a, b) = (side.zone(conduit.zones.0), side.zone(conduit.zones.1));
    if conduit.ordered { (a, b, true) } else { (a.min(b), a.max(b), false) }
}

/// Says what is different around the rules.
pub(super) fn compare(both: &Both<'_>, changes: &mut Vec<Change>, notes: &mut Vec<Change>) {
    let (old, new) = (both.old.policy, both.new.policy);
    forwarding(old, new, changes);
    if old.default_mode != new.default_mode {
        let text = format!("what belongs to no conduit: {}", modes(old.default_mode, new.default_mode));
        changes.push(Change::new(Kind::Mode, What::Defaults, "defaults").detail(text));
    }
    zones(both, changes, notes);
    conduits(both, changes, notes);
    addresses(both, changes);
    assets(both, notes);
    services(both, notes);
}

fn forwarding(old: &Policy, new: &Policy, changes: &mut Vec<Change>) {
    let mut change = Change::new(Kind::Changed, What::Forwarding, "forwarding");
    if old.forwarding != new.forwarding {
        change.details.push(format!("{} instead of {}", new.forwarding.name(), old.forwarding.name()));
    }
    let wires = |policy: &Policy| -> Vec<String> {
        let ends = policy.wires.iter().map(|(one, other)| (one.min(other), one.max(other)));
        ends.map(|(one, other)| format!("{one} - {other}")).collect()
    };
    lists(&mut change, "wire", &wires(old), &wires(new));
    if !change.details.is_empty() {
        changes.push(change);
    }
}

/// A change of mode in words.
pub(super) fn modes(old: Mode, new: Mode) -> String {
    let word = |mode| if mode == Mode::Enforce { "ENFORCE" } else { "alert" };
    format!("{} > {}", word(old), word(new))
}

fn lists<T: PartialEq + Display>(change: &mut Change, what: &str, old: &[T], new: &[T]) {
    let gone = old.iter().filter(|item| !new.contains(item)).map(|item| format!("{what} {item} removed"));
    let come = new.iter().filter(|item| !old.contains(item)).map(|item| format!("{what} {item} added"));
    change.details.extend(come.chain(gone));
}

fn zones(both: &Both<'_>, changes: &mut Vec<Change>, notes: &mut Vec<Change>) {
    let (old, new) = (both.old.policy, both.new.policy);
    let vlans = |zone: &Zone| -> Vec<String> {
        let word = |vlan: &Vlan| match vlan {
            Vlan::Untagged => "untagged".to_owned(),
            Vlan::Tagged(vid) => vid.to_string(),
            Vlan::Double(outer, inner) => format!("{outer}.{inner}"),
        };
        let all = if zone.vlans.is_empty() { &[Vlan::Untagged] } else { zone.vlans.as_slice() };
        all.iter().map(word).collect()
    };
    for (zone, number) in new.zones.iter().zip(&both.new.zones) {
        let Some(known) = old.zones.get(*number) else {
            changes.push(Change::new(Kind::Added, What::Zone, &zone.name));
            continue;
        };
        if known.name != zone.name {
            notes.push(Change::new(Kind::Renamed, What::Zone, &zone.name).was(&known.name));
        }
        let mut change = Change::new(Kind::Changed, What::Zone, &zone.name).was(&known.name);
        lists(&mut change, "interface", &known.interfaces, &zone.interfaces);
        lists(&mut change, "VLAN", &vlans(known), &vlans(zone));
        lists(&mut change, "network", &known.networks, &zone.networks);
        if known.is_gateway != zone.is_gateway {
            change.details.push("it is (no longer) the gateway itself".to_owned());
        }
        if !change.details.is_empty() {
            changes.push(change);
        }
    }
    let gone = old.zones.iter().enumerate().filter(|(at, _)| !both.new.zones.contains(at));
    changes.extend(gone.map(|(_, zone)| Change::new(Kind::Removed, What::Zone, &zone.name)));
}

fn conduits(both: &Both<'_>, changes: &mut Vec<Change>, notes: &mut Vec<Change>) {
    let (old, new) = (both.old.policy, both.new.policy);
    let pairs = pair_conduits(both);
    let is = |mode| if mode == Mode::Enforce { "in mode ENFORCE" } else { "in mode alert" };
    for (number, conduit) in new.conduits.iter().enumerate() {
        let Some(known) = pairs.get(&number).and_then(|at| old.conduits.get(*at)) else {
            let mut change = Change::new(Kind::Added, What::Conduit, &conduit.name).detail(is(conduit.mode));
            lists(&mut change, "protocol", &[], &ethertypes(conduit));
            changes.push(change);
            continue;
        };
        if known.name != conduit.name {
            notes.push(Change::new(Kind::Renamed, What::Conduit, &conduit.name).was(&known.name));
        }
        if known.mode != conduit.mode {
            let text = modes(known.mode, conduit.mode);
            let change = Change::new(Kind::Mode, What::Conduit, &conduit.name).was(&known.name);
            changes.push(change.detail(text));
        }
        let mut change = Change::new(Kind::Changed, What::Conduit, &conduit.name).was(&known.name);
        if ends(&both.old, known) != ends(&both.new, conduit) {
            change.details.push(format!(
                "{} instead of {}",
                between(&both.new, conduit),
                between(&both.old, known)
            ));
        }
        lists(&mut change, "protocol", &ethertypes(known), &ethertypes(conduit));
        if known.agent_loss != conduit.agent_loss {
            change.details.push(format!(
                "{} (before: {})",
                without_an_agent(conduit.agent_loss),
                without_an_agent(known.agent_loss)
            ));
        }
        if !change.details.is_empty() {
            changes.push(change);
        }
    }
    let gone = old.conduits.iter().enumerate().filter(|(at, _)| !pairs.values().any(|known| known == at));
    changes.extend(gone.map(|(_, conduit)| Change::new(Kind::Removed, What::Conduit, &conduit.name)));
}

fn without_an_agent(loss: AgentLoss) -> String {
    let what = match loss.then {
        OnAgentLoss::Keep => return "without an agent it goes on as before".to_owned(),
        OnAgentLoss::Open => "lets everything pass",
        OnAgentLoss::Closed => "lets nothing pass",
    };
    format!("without an agent for {:?} it {what}", loss.after)
}

fn ethertypes(conduit: &Conduit) -> Vec<String> {
    conduit.ethertypes.iter().map(|kind| format!("{:#06x}", kind.0)).collect()
}

fn between(side: &Side<'_>, conduit: &Conduit) -> String {
    let (a, b) = (side.zone_name(Some(conduit.zones.0)), side.zone_name(Some(conduit.zones.1)));
    if conduit.ordered { format!("from {a} to {b}") } else { format!("between {a} and {b}") }
}

/// Whose an address is, and what it is bound to: what no rule says, but every packet is held against.
fn addresses(both: &Both<'_>, changes: &mut Vec<Change>) {
    let mut found: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for (piece, (was, is)) in both.pieces.iter().zip(both.old.said.iter().zip(&both.new.said)) {
        for text in differences(both, was, is) {
            found.entry(text).or_default().push(*piece);
        }
    }
    for (text, pieces) in found {
        let spans = joined(pieces);
        let shown: Vec<String> = spans.iter().take(4).map(Span::to_string).collect();
        let more = spans.len().saturating_sub(shown.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let mut change =
            Change::new(Kind::Changed, What::Addresses, format!("{}{more}", shown.join(", "))).detail(text);
        change.spans = spans;
        changes.push(change);
    }
}

fn differences(both: &Both<'_>, was: &Said, is: &Said) -> Vec<String> {
    let mut texts = Vec::new();
    if was.home.map(|zone| both.old.zone(zone)) != is.home.map(|zone| both.new.zone(zone)) {
        let (was, is) = (both.old.zone_name(was.home), both.new.zone_name(is.home));
        texts.push(format!("at home in {is} instead of {was}"));
    }
    if was.mac != is.mac {
        let mac = |mac: Option<[u8; 6]>| match mac {
            Some(mac) => {
                let bytes: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("bound to {}", bytes.join(":"))
            }
            None => "bound to no hardware address".to_owned(),
        };
        texts.push(format!("{} instead of {}", mac(is.mac), mac(was.mac)));
    }
    if (was.group, was.named_group) != (is.group, is.named_group) {
        texts.push(
            match (is.group, is.named_group) {
                (true, true) => "a group that the policy names, now",
                (true, false) => "a group that the policy does not name, now",
                (false, _) => "one host and no group, now",
            }
            .to_owned(),
        );
    }
    texts
}

fn assets(both: &Both<'_>, notes: &mut Vec<Change>) {
    let (old, new) = (both.old.policy, both.new.policy);
    let pairs = by_name(
        old.assets.iter().map(|asset| asset.name.as_str()),
        new.assets.iter().map(|asset| asset.name.as_str()),
    );
    let spans = |side: &Side<'_>, id: usize| -> Vec<Span> {
        let asset = side.policy.assets.get(id);
        let mut spans: Vec<Span> =
            asset.into_iter().flat_map(|asset| &asset.addresses).map(Span::of).collect();
        spans.sort_unstable();
        joined(spans)
    };
    let mut gone: Vec<usize> = (0..old.assets.len()).filter(|at| !pairs.values().any(|k| k == at)).collect();
    for (number, asset) in new.assets.iter().enumerate() {
        let is = spans(&both.new, number);
        let Some(at) = pairs.get(&number).copied() else {
            let same = gone.iter().position(|at| {
                let zone = old.assets.get(*at).map(|known| both.old.zone(known.zone));
                spans(&both.old, *at) == is && zone == Some(both.new.zone(asset.zone))
            });
            let known = same.map(|place| gone.remove(place)).and_then(|at| old.assets.get(at));
            notes.push(match known {
                Some(known) => Change::new(Kind::Renamed, What::Asset, &asset.name).was(&known.name),
                None => Change::new(Kind::Added, What::Asset, &asset.name)
                    .detail(is.iter().map(Span::to_string).collect::<Vec<_>>().join(", ")),
            });
            continue;
        };
        let Some(known) = old.assets.get(at) else { continue };
        let mut change = Change::new(Kind::Changed, What::Asset, &asset.name);
        lists(&mut change, "address", &spans(&both.old, at), &is);
        if both.old.zone(known.zone) != both.new.zone(asset.zone) {
            let (was, is) = (both.old.zone_name(Some(known.zone)), both.new.zone_name(Some(asset.zone)));
            change.details.push(format!("in {is} instead of {was}"));
        }
        if known.mac != asset.mac {
            change.details.push("another hardware address".to_owned());
        }
        if !change.details.is_empty() {
            notes.push(change);
        }
    }
    let name = |at: usize| old.assets.get(at).map(|asset| asset.name.clone());
    notes.extend(gone.into_iter().filter_map(name).map(|name| Change::new(Kind::Removed, What::Asset, name)));
}

fn services(both: &Both<'_>, notes: &mut Vec<Change>) {
    let (old, new) = (both.old.policy, both.new.policy);
    let pairs = by_name(
        old.services.iter().map(|service| service.name.as_str()),
        new.services.iter().map(|service| service.name.as_str()),
    );
    for (number, service) in new.services.iter().enumerate() {
        let Some(known) = pairs.get(&number).and_then(|at| old.services.get(*at)) else {
            notes.push(Change::new(Kind::Added, What::Service, &service.name).detail(in_short(service)));
            continue;
        };
        let (was, is) = (describe::definition(known), describe::definition(service));
        if was != is {
            let text = |definition: String| {
                definition.split_once(':').map_or_else(String::new, |(_, rest)| {
                    rest.split_whitespace().collect::<Vec<_>>().join(" ")
                })
            };
            let change = Change::new(Kind::Changed, What::Service, &service.name);
            notes.push(change.detail(format!("was {}", text(was))).detail(format!("is {}", text(is))));
        }
    }
    let gone = old.services.iter().enumerate().filter(|(at, _)| !pairs.values().any(|known| known == at));
    notes.extend(gone.map(|(_, service)| Change::new(Kind::Removed, What::Service, &service.name)));
}
