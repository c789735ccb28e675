//! Rules: which is which, what became of each, and whether their order still says the same.

use std::collections::{BTreeMap, BTreeSet};

use super::ground::{Span, joined};
use super::ports::{deltas, may_match_the_same};
use super::surroundings::{modes, pair_conduits};
use super::{Both, Change, Delta, Effect, Kind, Side, What, by_name, in_short};
use crate::policy::model::{AssetId, Mode, Rule, Service};

/// Pairs of rules that are looked at for which may be which, at most.
const GUESSES: usize = 4_000_000;
/// Names that a list shows before it says how many more there are.
const SHOWN: usize = 6;

/// A rule as it counts.
struct Meaning<'p> {
    rule: &'p Rule,
    service: &'p Service,
    clients: Vec<usize>,
    servers: Vec<usize>,
    reply_to: Vec<usize>,
    zones: (usize, usize),
    mode: Mode,
    /// A group is among the clients; among the servers, where they may ask; some rule asks the service of a group.
    groups: [bool; 3],
}

/// Says what is different about rules.
pub(super) fn compare(both: &Both<'_>, changes: &mut Vec<Change>, notes: &mut Vec<Change>) {
    let (old, new) = (meanings(&both.old), meanings(&both.new));
    let conduits = pair_conduits(both);
    let pairs = pair(both, &old, &new);
    for (number, rule) in new.iter().enumerate() {
        let Some(known) = pairs.get(&number).and_then(|at| old.get(*at)) else {
            changes.push(
                Change::new(Kind::Added, What::Rule, &rule.rule.name).detail(whole(both, &both.new, rule)),
            );
            continue;
        };
        let found = differences(both, known, rule);
        let changed = !found.is_empty();
        if changed {
            let mut change = Change::new(kind(&found), What::Rule, &rule.rule.name).was(&known.rule.name);
            change.details = found.into_iter().map(|delta| delta.text).collect();
            changes.push(change);
        }
        let is_kept = conduits.get(&rule.rule.conduit) == Some(&known.rule.conduit);
        if known.mode != rule.mode && !(is_kept && known.rule.mode.is_none() && rule.rule.mode.is_none()) {
            let change = Change::new(Kind::Mode, What::Rule, &rule.rule.name).was(&known.rule.name);
            changes.push(change.detail(modes(known.mode, rule.mode)));
        }
        if known.rule.name != rule.rule.name && !changed {
            notes.push(Change::new(Kind::Renamed, What::Rule, &rule.rule.name).was(&known.rule.name));
        }
    }
    let kept: BTreeSet<usize> = pairs.values().copied().collect();
    for (_, rule) in old.iter().enumerate().filter(|(at, _)| !kept.contains(at)) {
        changes.push(
            Change::new(Kind::Removed, What::Rule, &rule.rule.name).detail(whole(both, &both.old, rule)),
        );
    }
    order(&old, &new, &pairs, changes);
}

fn meanings<'p>(side: &Side<'p>) -> Vec<Meaning<'p>> {
    let mut of_asset: Vec<Vec<usize>> = vec![Vec::new(); side.policy.assets.len()];
    for (piece, said) in side.said.iter().enumerate() {
        for asset in &said.assets {
            if let Some(pieces) = of_asset.get_mut(*asset) {
                pieces.push(piece);
            }
        }
    }
    let pieces = |assets: &[AssetId]| {
        let mut all: Vec<usize> =
            assets.iter().filter_map(|asset| of_asset.get(*asset)).flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let named = |assets: &[AssetId]| assets.iter().any(|asset| side.names_group.get(*asset) == Some(&true));
    let rules = side.policy.rules.iter().filter_map(|rule| {
        let service = side.policy.services.get(rule.service)?;
        let of_conduit = side.policy.conduits.get(rule.conduit).map(|conduit| conduit.mode);
        Some(Meaning {
            rule,
            service,
            clients: pieces(&rule.clients),
            servers: pieces(&rule.servers),
            reply_to: pieces(&rule.reply_to),
            zones: (side.zone(rule.client_zone), side.zone(rule.server_zone)),
            mode: rule.mode.or(of_conduit).unwrap_or(side.policy.default_mode),
            groups: [
                named(&rule.clients) || named(&rule.reply_to),
                service.peer && named(&rule.servers),
                side.asks_groups.get(rule.service) == Some(&true),
            ],
        })
    });
    rules.collect()
}

/// Numbers in the old policy of the new one's rules: by name, then by what they say, then by what is most alike.
fn pair(both: &Both<'_>, old: &[Meaning<'_>], new: &[Meaning<'_>]) -> BTreeMap<usize, usize> {
    let name = |meaning: &Meaning<'_>| meaning.rule.name.clone();
    let (was, is): (Vec<String>, Vec<String>) =
        (old.iter().map(name).collect(), new.iter().map(name).collect());
    let mut pairs = by_name(was.iter().map(String::as_str), is.iter().map(String::as_str));
    let taken: BTreeSet<usize> = pairs.values().copied().collect();
    let mut free: Vec<usize> = (0..old.len()).filter(|at| !taken.contains(at)).collect();
    let mut open: Vec<usize> = (0..new.len()).filter(|at| !pairs.contains_key(at)).collect();
    let mut by_hosts: BTreeMap<(&[usize], &[usize]), Vec<usize>> = BTreeMap::new();
    for at in &free {
        if let Some(rule) = old.get(*at) {
            by_hosts.entry((&rule.clients, &rule.servers)).or_default().push(*at);
        }
    }
    open.retain(|number| {
        let Some(rule) = new.get(*number) else { return false };
        let alike = by_hosts.get(&(rule.clients.as_slice(), rule.servers.as_slice())).into_iter().flatten();
        let same = alike.copied().find(|at| {
            free.contains(at) && old.get(*at).is_some_and(|known| differences(both, known, rule).is_empty())
        });
        if let Some(at) = same {
            pairs.insert(*number, at);
            free.retain(|known| *known != at);
        }
        same.is_none()
    });
    if open.len().saturating_mul(free.len()) > GUESSES {
        return pairs;
    }
    let mut guesses: Vec<(u32, usize, usize)> = Vec::new();
    for number in &open {
        for at in &free {
            if let (Some(known), Some(rule)) = (old.get(*at), new.get(*number)) {
                guesses.extend(likeness(known, rule).map(|likeness| (likeness, *number, *at)));
            }
        }
    }
    guesses.sort_by_key(|(likeness, number, at)| (std::cmp::Reverse(*likeness), *number, *at));
    for (_, number, at) in guesses {
        if !pairs.contains_key(&number) && free.contains(&at) {
            pairs.insert(number, at);
            free.retain(|known| *known != at);
        }
    }
    pairs
}

/// How much two rules of other names have in common; `None` where that is too little to call them one.
fn likeness(old: &Meaning<'_>, new: &Meaning<'_>) -> Option<u32> {
    if old.zones != new.zones {
        return None;
    }
    let sets = |old: &[usize], new: &[usize]| if old == new { 2 } else { u32::from(meet(old, new)) };
    let service = if old.service.name == new.service.name {
        2
    } else {
        u32::from(deltas(old.service, new.service, &[]).is_empty()) * 2
    };
    let (clients, servers) = (sets(&old.clients, &new.clients), sets(&old.servers, &new.servers));
    (clients > 0 && servers > 0 && clients + servers + service >= 4).then_some(clients + servers + service)
}

/// Whether two ascending lists have something in common.
fn meet(one: &[usize], other: &[usize]) -> bool {
    let (few, many) = if one.len() < other.len() { (one, other) } else { (other, one) };
    few.iter().any(|item| many.binary_search(item).is_ok())
}

fn kind(deltas: &[Delta]) -> Kind {
    if deltas.iter().all(|delta| delta.effect == Effect::Wider) {
        Kind::Widened
    } else if deltas.iter().all(|delta| delta.effect == Effect::Narrower) {
        Kind::Narrowed
    } else {
        Kind::Changed
    }
}

fn differences(both: &Both<'_>, old: &Meaning<'_>, new: &Meaning<'_>) -> Vec<Delta> {
    let mut found = Vec::new();
    let sets = [
        ("client", &old.clients, &new.clients, &old.rule.clients, &new.rule.clients),
        ("server", &old.servers, &new.servers, &old.rule.servers, &new.rule.servers),
        ("answers to", &old.reply_to, &new.reply_to, &old.rule.reply_to, &new.rule.reply_to),
    ];
    for (what, was, is, was_assets, is_assets) in sets {
        let come: Vec<usize> = is.iter().filter(|piece| was.binary_search(piece).is_err()).copied().collect();
        let gone: Vec<usize> = was.iter().filter(|piece| is.binary_search(piece).is_err()).copied().collect();
        for (side, assets, pieces, effect, word) in [
            (&both.new, is_assets, come, Effect::Wider, "added"),
            (&both.old, was_assets, gone, Effect::Narrower, "removed"),
        ] {
            let names = named(both, side, assets, &pieces);
            found.extend(
                names.into_iter().map(|name| Delta { effect, text: format!("{what} {name} {word}") }),
            );
        }
    }
    if old.zones != new.zones {
        let side = |side: &Side<'_>, rule: &Rule| {
            let (a, b) = (side.zone_name(Some(rule.client_zone)), side.zone_name(Some(rule.server_zone)));
            format!("from {a} to {b}")
        };
        let text = format!("{} instead of {}", side(&both.new, new.rule), side(&both.old, old.rule));
        found.push(Delta { effect: Effect::Other, text });
    }
    let servers: Vec<usize> =
        old.servers.iter().filter(|at| new.servers.binary_search(at).is_ok()).copied().collect();
    let mut hosts = spans(both, &servers);
    if old.service.peer || new.service.peer {
        hosts.extend(spans(both, &old.clients));
    }
    found.extend(deltas(old.service, new.service, &hosts));
    let texts = [
        "a group is (or is no longer) named among its clients, which says whose question an answer needs",
        "a group is (or is no longer) named among its servers, which may ask",
        "what it asks is (or is no longer) asked of a group, so that each of it may answer",
    ];
    for (text, _) in
        texts.into_iter().zip(old.groups.iter().zip(new.groups)).filter(|(_, (was, is))| **was != *is)
    {
        found.push(Delta { effect: Effect::Other, text: text.to_owned() });
    }
    found
}

fn spans(both: &Both<'_>, pieces: &[usize]) -> Vec<Span> {
    joined(pieces.iter().filter_map(|piece| both.pieces.get(*piece)).copied())
}

/// Pieces by the names of the assets that take them in.
fn named(both: &Both<'_>, side: &Side<'_>, assets: &[AssetId], pieces: &[usize]) -> Vec<String> {
    let mut left: Vec<usize> = pieces.to_vec();
    let mut names = Vec::new();
    for asset in assets {
        let (own, others): (Vec<usize>, Vec<usize>) = left
            .into_iter()
            .partition(|piece| side.said.get(*piece).is_some_and(|said| said.assets.contains(asset)));
        left = others;
        if own.is_empty() {
            continue;
        }
        let name = side.policy.assets.get(*asset).map_or("?", |asset| asset.name.as_str());
        names.push(format!("{name} ({})", shown(spans(both, &own).iter().map(Span::to_string).collect())));
    }
    names
}

fn shown(mut items: Vec<String>) -> String {
    let more = items.len().saturating_sub(SHOWN);
    items.truncate(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", items.join(", "))
}

/// All of a rule in one line.
fn whole(both: &Both<'_>, side: &Side<'_>, meaning: &Meaning<'_>) -> String {
    let clients = shown(named(both, side, &meaning.rule.clients, &meaning.clients));
    let servers = shown(named(both, side, &meaning.rule.servers, &meaning.servers));
    let mode = if meaning.mode == Mode::Enforce { "ENFORCE" } else { "alert" };
    format!(
        "{clients} may ask {servers} for {} ({}), {mode}",
        meaning.service.name,
        in_short(meaning.service)
    )
}

/// Says which rules have changed places with others that decide differently about the same packets.
fn order(
    old: &[Meaning<'_>],
    new: &[Meaning<'_>],
    pairs: &BTreeMap<usize, usize>,
    changes: &mut Vec<Change>,
) {
    // Ascending in the new policy.
    let all: Vec<(usize, usize)> = pairs.iter().map(|(number, at)| (*number, *at)).collect();
    let kept = ascending(&all.iter().map(|(_, at)| *at).collect::<Vec<_>>());
    for (place, (number, at)) in all.iter().enumerate().filter(|(place, _)| !kept.contains(place)) {
        let passed = all.iter().enumerate().find(|(other, (number_of, at_of))| {
            let flipped = (other < &place) != (at_of < at);
            let rules = (old.get(*at), old.get(*at_of), new.get(*number), new.get(*number_of));
            let (Some(was), Some(was_other), Some(is), Some(is_other)) = rules else { return false };
            other != &place && flipped && (collide(was, was_other) || collide(is, is_other))
        });
        let Some((other, (number_of, _))) = passed else { continue };
        let (Some(rule), Some(than)) = (new.get(*number), new.get(*number_of)) else { continue };
        let word = if other < place { "behind" } else { "before" };
        let text = format!(
            "now {word} `{}`, which decides otherwise about some of the same packets",
            than.rule.name
        );
        let was = old.get(*at).map_or("", |known| known.rule.name.as_str());
        changes.push(Change::new(Kind::Moved, What::Rule, &rule.rule.name).was(was).detail(text));
    }
}

/// Whether it matters which of two rules stands first.
fn collide(one: &Meaning<'_>, other: &Meaning<'_>) -> bool {
    let clients = |rule: &Meaning<'_>, of: &Meaning<'_>| {
        meet(&rule.clients, &of.clients)
            || meet(&rule.clients, &of.reply_to)
            || meet(&rule.reply_to, &of.reply_to)
    };
    let hosts = meet(&one.servers, &other.servers) && (clients(one, other) || clients(other, one));
    // Sides that may both ask are asked the other way round, in the same order.
    let both = one.service.peer && other.service.peer;
    let hosts = hosts || both && meet(&one.clients, &other.clients) && meet(&one.servers, &other.servers);
    if !hosts {
        return false;
    }
    let says_the_same = one.zones == other.zones
        && one.mode == other.mode
        && one.groups == other.groups
        && deltas(one.service, other.service, &[]).is_empty()
        && one.service.port == other.service.port;
    !says_the_same && (one.mode != other.mode || may_match_the_same(one.service, other.service))
}

/// Places of a longest ascending part of a list.
fn ascending(list: &[usize]) -> BTreeSet<usize> {
    // Place of the smallest end of a part of each length, and the place before each.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(list.len());
    for (place, value) in list.iter().enumerate() {
        let length = ends.partition_point(|end| list.get(*end).is_some_and(|known| known < value));
        before.push(length.checked_sub(1).and_then(|at| ends.get(at)).copied());
        match ends.get_mut(length) {
            Some(end) => *end = place,
            None => ends.push(place),
        }
    }
    let mut kept = BTreeSet::new();
    let mut next = ends.last().copied();
    while let Some(place) = next {
        kept.insert(place);
        next = before.get(place).copied().flatten();
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_ascending_part() {
        let kept = |list: &[usize]| ascending(list).into_iter().collect::<Vec<_>>();
        assert_eq!(kept(&[]), [0; 0]);
        assert_eq!(kept(&[0, 1, 2]), [0, 1, 2]);
        assert_eq!(kept(&[2, 0, 1]), [1, 2]);
        assert_eq!(kept(&[0, 3, 1, 2, 4]), [0, 2, 3, 4]);
    }
}
