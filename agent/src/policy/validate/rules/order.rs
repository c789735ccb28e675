//! Rules against those before them: what never takes effect, and what says otherwise.
//!
//! Never all pairs: a rule is compared with earlier ones that share an overlapping service and, on the
//! side where fewer do, an overlapping asset.

use std::collections::HashMap;

use banchi_common::abi::Mode;

use crate::policy::codes;
use crate::policy::diagnostic::{Diagnostic, Diagnostics};
use crate::policy::intervals::{AddressSet, Interval, overlapping_pairs};
use crate::policy::model::{Policy, Rule, Service};
use crate::policy::resolve::Resolved;

use super::cover::Shape;

pub(crate) fn check(resolved: &Resolved, diagnostics: &mut Diagnostics) {
    let policy = &resolved.policy;
    let shapes: Vec<Shape<'_>> = policy.services.iter().map(Shape::new).collect();
    let services = overlapping_services(&shapes);
    let assets = overlapping_assets(policy);
    let sets: Vec<Ends> = policy.rules.iter().map(|rule| Ends::new(policy, rule)).collect();
    let mut earlier = Index::default();
    for (id, rule) in policy.rules.iter().enumerate() {
        let later = Side { policy, shapes: &shapes, sets: &sets, id };
        let candidates = earlier.candidates(rule, &services, &assets);
        // What one earlier rule covers never decides, and cannot cover what that rule does not.
        if !report(&later, &candidates, resolved, diagnostics) {
            earlier.insert(id, rule);
        }
    }
}

/// For each service, itself and those that share packets with it.
fn overlapping_services(shapes: &[Shape<'_>]) -> Vec<Vec<usize>> {
    let mut found: Vec<Vec<usize>> = (0..shapes.len()).map(|id| vec![id]).collect();
    let mut sorted: Vec<usize> = (0..shapes.len()).collect();
    let key = |id: &usize| shapes.get(*id).map(|shape| (shape.transport(), shape.bounds()));
    sorted.sort_by_key(key);
    let mut open: Vec<usize> = Vec::new();
    for id in sorted {
        let Some(shape) = shapes.get(id) else { continue };
        open.retain(|other| {
            shapes.get(*other).is_some_and(|other| {
                other.transport() == shape.transport() && other.bounds().last >= shape.bounds().first
            })
        });
        for other in &open {
            if shapes.get(*other).is_some_and(|other| other.overlaps(shape)) {
                link(&mut found, id, *other);
            }
        }
        open.push(id);
    }
    found
}

/// For each asset, itself and those that share addresses with it.
fn overlapping_assets(policy: &Policy) -> Vec<Vec<usize>> {
    let mut found: Vec<Vec<usize>> = (0..policy.assets.len()).map(|id| vec![id]).collect();
    let items: Vec<(Interval, usize)> = policy
        .assets
        .iter()
        .enumerate()
        .flat_map(|(id, asset)| asset.addresses.iter().map(move |addresses| (Interval::of(addresses), id)))
        .collect();
    overlapping_pairs(&items, |a, b| {
        if a != b {
            link(&mut found, a, b);
        }
    });
    for list in &mut found {
        list.sort_unstable();
        list.dedup();
    }
    found
}

fn link(found: &mut [Vec<usize>], a: usize, b: usize) {
    for (from, to) in [(a, b), (b, a)] {
        if let Some(list) = found.get_mut(from) {
            list.push(to);
        }
    }
}

/// Clients and servers of a rule as addresses.
struct Ends {
    clients: AddressSet,
    servers: AddressSet,
}

impl Ends {
    fn new(policy: &Policy, rule: &Rule) -> Self {
        let set = |members: &[usize]| {
            let assets = members.iter().filter_map(|id| policy.assets.get(*id));
            assets.flat_map(|asset| asset.addresses.iter().map(Interval::of)).collect()
        };
        Self { clients: set(&rule.clients), servers: set(&rule.servers) }
    }
}

/// Earlier rules by service and asset.
#[derive(Default)]
struct Index {
    by_client: HashMap<(usize, usize), Vec<usize>>,
    by_server: HashMap<(usize, usize), Vec<usize>>,
}

impl Index {
    fn insert(&mut self, id: usize, rule: &Rule) {
        for client in &rule.clients {
            self.by_client.entry((rule.service, *client)).or_default().push(id);
        }
        for server in &rule.servers {
            self.by_server.entry((rule.service, *server)).or_default().push(id);
        }
    }

    /// Earlier rules that may have packets in common with `rule`, in file order.
    fn candidates(&self, rule: &Rule, services: &[Vec<usize>], assets: &[Vec<usize>]) -> Vec<usize> {
        let services = services.get(rule.service).map_or([].as_slice(), Vec::as_slice);
        let lists = |side: &HashMap<(usize, usize), Vec<usize>>, members: &[usize]| {
            let members = members.iter().filter_map(|id| assets.get(*id)).flatten();
            let mut total = 0;
            let mut keys: Vec<(usize, usize)> = Vec::new();
            for asset in members {
                for service in services {
                    if let Some(list) = side.get(&(*service, *asset)) {
                        total += list.len();
                        keys.push((*service, *asset));
                    }
                }
            }
            (total, keys)
        };
        let (clients, client_keys) = lists(&self.by_client, &rule.clients);
        if clients == 0 {
            return Vec::new();
        }
        let (servers, server_keys) = lists(&self.by_server, &rule.servers);
        let (side, keys) =
            if clients <= servers { (&self.by_client, client_keys) } else { (&self.by_server, server_keys) };
        let mut found: Vec<usize> = keys.iter().filter_map(|key| side.get(key)).flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// One rule with everything that its comparison needs.
#[derive(Clone, Copy)]
struct Side<'p> {
    policy: &'p Policy,
    shapes: &'p [Shape<'p>],
    sets: &'p [Ends],
    id: usize,
}

impl<'p> Side<'p> {
    fn rule(&self) -> Option<&'p Rule> {
        self.policy.rules.get(self.id)
    }

    fn service(&self) -> Option<&'p Service> {
        self.rule().and_then(|rule| self.policy.services.get(rule.service))
    }

    fn parts(&self) -> Option<(&'p Shape<'p>, &'p Ends)> {
        self.rule().and_then(|rule| self.shapes.get(rule.service)).zip(self.sets.get(self.id))
    }

    fn covers(&self, other: &Self) -> bool {
        let (Some((shape, ends)), Some((other_shape, other_ends))) = (self.parts(), other.parts()) else {
            return false;
        };
        shape.covers(other_shape)
            && ends.clients.contains_all(&other_ends.clients)
            && ends.servers.contains_all(&other_ends.servers)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let (Some((shape, ends)), Some((other_shape, other_ends))) = (self.parts(), other.parts()) else {
            return false;
        };
        shape.overlaps(other_shape)
            && ends.clients.overlaps_any(&other_ends.clients)
            && ends.servers.overlaps_any(&other_ends.servers)
    }

    fn mode(&self) -> Option<Mode> {
        let rule = self.rule()?;
        rule.mode.or_else(|| self.policy.conduits.get(rule.conduit).map(|conduit| conduit.mode))
    }

    /// In what the two differ, if they do.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        if self.mode() != other.mode() {
            return Some("mode");
        }
        let (own, theirs) = (self.service()?, other.service()?);
        if own.direction != theirs.direction {
            Some("direction")
        } else if (own.client_may, own.server_may) != (theirs.client_may, theirs.server_may) {
            Some("classes that each side may send")
        } else if (own.reply, &own.reply_from) != (theirs.reply, &theirs.reply_from) {
            Some("reply")
        } else {
            None
        }
    }
}

/// Reports what the candidates do to a rule. Says whether one of them alone covers all of it.
fn report(
    later: &Side<'_>,
    candidates: &[usize],
    resolved: &Resolved,
    diagnostics: &mut Diagnostics,
) -> bool {
    let Some(site) = resolved.sites.rules.get(later.id) else { return false };
    let mut alike = Vec::new();
    for id in candidates {
        let earlier = Side { id: *id, ..*later };
        let (Some(rule), Some(earlier_site)) = (earlier.rule(), resolved.sites.rules.get(*id)) else {
            continue;
        };
        let Some(difference) = earlier.difference(later) else {
            alike.push(earlier);
            continue;
        };
        let (name, line) = (&rule.name, rule.line);
        let diagnostic = if earlier.covers(later) {
            Diagnostic::new(
                &codes::CONTRADICTION,
                format!("this rule contradicts rule `{name}` in line {line}: another {difference} for the same packets"),
            )
            .help(
                "the first rule in the file decides, so this one never would; remove one of them, or put the \
                 narrower one first",
            )
        } else if earlier.overlaps(later) && !later.covers(&earlier) {
            Diagnostic::new(
                &codes::PARTIAL_CONTRADICTION,
                format!("rule `{name}` in line {line} has another {difference} for a part of these packets"),
            )
            .help(
                "the first rule in the file decides for that part; make the two apart, or the first one an \
                 exception that lies wholly within this one",
            )
        } else {
            continue;
        };
        diagnostics.push(diagnostic.label(site.whole, "").label(earlier_site.whole, "the earlier rule"));
        if diagnostics.last_is_error() {
            return true;
        }
    }
    shadowed(later, &alike, resolved, diagnostics)
}

/// One earlier rule that covers all, or several that do together, asset by asset.
fn shadowed(
    later: &Side<'_>,
    alike: &[Side<'_>],
    resolved: &Resolved,
    diagnostics: &mut Diagnostics,
) -> bool {
    let Some(by) = covering(later, alike) else { return false };
    let Some(site) = resolved.sites.rules.get(later.id) else { return false };
    let Some(((first, first_site), count)) = by
        .first()
        .and_then(|id| resolved.policy.rules.get(*id).zip(resolved.sites.rules.get(*id)))
        .map(|first| (first, by.len()))
    else {
        return false;
    };
    let message = match count {
        1 => format!("rule `{}` in line {} covers all of this one already", first.name, first.line),
        _ => format!(
            "{count} earlier rules together cover all of this one already, the first is `{}` in line {}",
            first.name, first.line
        ),
    };
    diagnostics.push(
        Diagnostic::new(&codes::SHADOWED_RULE, message)
            .label(site.whole, "never decides")
            .label(first_site.whole, "decides first")
            .help("remove this rule, or make the earlier one narrower"),
    );
    count == 1
}

/// Pairs of a client and a server that are looked at one by one at most.
const MOST_PAIRS: usize = 4096;

fn covering(later: &Side<'_>, alike: &[Side<'_>]) -> Option<Vec<usize>> {
    if let Some(one) = alike.iter().find(|earlier| earlier.covers(later)) {
        return Some(vec![one.id]);
    }
    let (shape, ends) = later.parts()?;
    let usable: Vec<_> = alike
        .iter()
        .filter_map(|earlier| earlier.parts().map(|parts| (earlier.id, parts)))
        .filter(|(_, (earlier, _))| earlier.covers(shape))
        .collect();
    let pairs = ends.clients.intervals().len().saturating_mul(ends.servers.intervals().len());
    if usable.len() < 2 || pairs > MOST_PAIRS {
        return None;
    }
    let mut by = Vec::new();
    for client in ends.clients.intervals() {
        for server in ends.servers.intervals() {
            let (id, _) = usable.iter().find(|(_, (_, earlier))| {
                earlier.clients.contains(client) && earlier.servers.contains(server)
            })?;
            by.push(*id);
        }
    }
    by.sort_unstable();
    by.dedup();
    Some(by)
}
