//! New rules in an approved policy: lines are put where they belong, and no other byte changes.
//!
//! What is new comes as a draft in the zones of the policy. Its rules go to the end of the `allow:` list of their conduit,
//! its assets and services to the end of theirs. A name that the policy has for something else gets a number.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::policy::describe::definition;
use crate::policy::insert::{Block, PlaceError, allow, free, indent, insert};
use crate::policy::model::{Conduit, Policy, Zone};
use crate::policy::{self, render};

/// A policy with what is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Its text.
    pub text: String,
    /// Lines of rules that were added.
    pub rules: usize,
    /// Lines of rules between zones that the policy does not have.
    pub left_out: usize,
}

/// Why a policy stays as it is.
#[derive(Debug, Error)]
pub enum MergeError {
    /// Nothing can be added to it line by line.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// What came out is no policy.
    #[error("with the new rules the policy has errors:\n{0}")]
    Broken(String),
}

/// Puts the rules of a draft into a policy.
///
/// # Errors
/// Where the policy is written so that nothing can be added line by line, or where the result would have errors.
pub fn merge(name: &str, text: &str, policy: &Policy, draft: &str) -> Result<Merged, MergeError> {
    let lines: Vec<&str> = text.lines().collect();
    let loaded = policy::load("draft", draft);
    let Some(new) = &loaded.policy else {
        return Err(MergeError::Broken(loaded.render(draft, render::Style::Plain)));
    };
    let drafted = Drafted::read(draft, new);
    let mut places: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let (assets, services) = (new_assets(policy, new), new_services(policy, new, &lines));
    let mut used: BTreeSet<(bool, String)> = BTreeSet::new();
    let mut fresh: BTreeMap<(String, String, bool), Vec<&Rule>> = BTreeMap::new();
    let (mut rules, mut left_out) = (0, 0);
    for rule in &drafted.rules {
        let zones =
            [&rule.client, &rule.server].map(|zone| policy.zones.iter().any(|known| known.name == **zone));
        if zones != [true, true] {
            left_out += 1;
            continue;
        }
        rules += 1;
        used.extend(rule.names());
        match policy.conduits.iter().position(|conduit| fits(policy, conduit, rule)) {
            Some(place) => {
                let (after, indent) = allow(&lines, place)?;
                let added = places.entry(after.line).or_default();
                if after.opens {
                    added.push(format!("{}allow:", " ".repeat(indent - 2)));
                }
                added.extend(rule.lines(indent, &assets, &services));
            }
            None => {
                let turned = policy.conduits.iter().any(|conduit| {
                    let names = zone_names(policy, conduit);
                    conduit.ordered && names == (rule.server.as_str(), rule.client.as_str())
                });
                let (mut a, mut b) = (rule.client.clone(), rule.server.clone());
                if !turned && a > b {
                    (a, b) = (b, a);
                }
                fresh.entry((a, b, turned)).or_default().push(rule);
            }
        }
    }
    for ((a, b, ordered), rules) in &fresh {
        let block = Block::find(&lines, "conduits")?;
        let margin = " ".repeat(block.indent);
        let head =
            if *ordered { format!("from: {a}\n{margin}  to: {b}") } else { format!("between: [{a}, {b}]") };
        let added = places.entry(block.last).or_default();
        added.extend(format!("{margin}- {head}\n{margin}  allow:").lines().map(str::to_owned));
        added.extend(rules.iter().flat_map(|rule| rule.lines(block.indent + 4, &assets, &services)));
    }
    for (key, names, entries) in
        [("assets", &assets, &drafted.assets), ("services", &services, &drafted.services)]
    {
        let wanted = |name: &String| used.contains(&(key == "assets", name.clone()));
        let add = names.iter().filter(|(name, now)| now.is_new && wanted(name));
        let add: Vec<(String, &Name, Option<&Vec<String>>)> =
            add.map(|(name, now)| (name.clone(), now, entries.get(name))).collect();
        if add.is_empty() {
            continue;
        }
        let (after, indent) = match Block::find(&lines, key) {
            Ok(block) => (block.last, block.indent),
            // Services may be missing; they go before the conduits.
            Err(PlaceError::Missing("services")) => {
                let conduits = lines.iter().position(|line| line.starts_with("conduits:"));
                let before = conduits.ok_or(PlaceError::Missing("conduits"))?.saturating_sub(1);
                places.entry(before).or_default().push("services:".to_owned());
                (before, 2)
            }
            Err(error) => return Err(error.into()),
        };
        let margin = " ".repeat(indent);
        for (name, now, entry) in add {
            let Some(entry) = entry else {
                // One of the catalogue whose name the policy has for its own.
                places.entry(after).or_default().push(format!("{margin}{}: {{ like: {name} }}", now.name));
                continue;
            };
            let named = entry.iter().map(|line| {
                let line = line.strip_prefix("  ").unwrap_or(line);
                let renamed = line.strip_prefix(name.as_str()).filter(|rest| rest.starts_with(':'));
                renamed
                    .map_or_else(|| format!("{margin}{line}"), |rest| format!("{margin}{}{rest}", now.name))
            });
            places.entry(after).or_default().extend(named);
        }
    }
    let merged = insert(text, &places);
    let checked = policy::load(name, &merged);
    if checked.policy.is_none() {
        return Err(MergeError::Broken(checked.render(&merged, render::Style::Plain)));
    }
    Ok(Merged { text: merged, rules, left_out })
}

/// What a name of the draft is called in the policy.
struct Name {
    name: String,
    /// It has to be added.
    is_new: bool,
}

type Names = BTreeMap<String, Name>;

fn new_assets(policy: &Policy, new: &Policy) -> Names {
    let zone = |zones: &[Zone], at: usize| zones.get(at).map(|zone| zone.name.clone());
    let taken: BTreeSet<&str> = policy.assets.iter().map(|asset| asset.name.as_str()).collect();
    let names = new.assets.iter().map(|asset| {
        let same = policy.assets.iter().find(|known| {
            known.addresses == asset.addresses
                && zone(&policy.zones, known.zone) == zone(&new.zones, asset.zone)
        });
        let name = match same {
            Some(known) => Name { name: known.name.clone(), is_new: false },
            None => Name { name: free(&asset.name, &taken), is_new: true },
        };
        (asset.name.clone(), name)
    });
    names.collect()
}

fn new_services(policy: &Policy, new: &Policy, lines: &[&str]) -> Names {
    // What the text itself defines; the rest is the catalogue's.
    let block = Block::find(lines, "services").ok();
    let own = |name: &str| {
        let entry = |block: &Block| format!("{}{name}:", " ".repeat(block.indent));
        let known = |block: &Block| {
            lines.iter().take(block.last + 1).skip(block.first).any(|line| line.starts_with(&entry(block)))
        };
        block.as_ref().is_some_and(known)
    };
    let taken: BTreeSet<&str> = policy.services.iter().map(|service| service.name.as_str()).collect();
    let names = new.services.iter().map(|service| {
        let known = policy.services.iter().find(|known| known.name == service.name);
        let listed = policy::catalogue::find(&service.name)
            .is_some_and(|entry| definition(&entry.service) == definition(service));
        let name = match known {
            Some(known) if definition(known) == definition(service) => {
                Name { name: service.name.clone(), is_new: false }
            }
            Some(_) => Name { name: free(&service.name, &taken), is_new: true },
            None => Name { name: service.name.clone(), is_new: !listed && !own(&service.name) },
        };
        (service.name.clone(), name)
    });
    names.collect()
}

fn zone_names<'p>(policy: &'p Policy, conduit: &Conduit) -> (&'p str, &'p str) {
    let name = |zone: usize| policy.zones.get(zone).map_or("", |zone| zone.name.as_str());
    (name(conduit.zones.0), name(conduit.zones.1))
}

fn fits(policy: &Policy, conduit: &Conduit, rule: &Rule) -> bool {
    let names = zone_names(policy, conduit);
    let (client, server) = (rule.client.as_str(), rule.server.as_str());
    names == (client, server) || !conduit.ordered && names == (server, client)
}

/// A rule of the draft as it is written.
struct Rule {
    client: String,
    server: String,
    comments: Vec<String>,
    line: String,
}

impl Rule {
    /// Pieces of its line, each with the key that it stands under; punctuation has none.
    fn pieces(&self) -> Vec<(String, String)> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let (mut pieces, mut key, mut rest) = (Vec::new(), String::new(), self.line.as_str());
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c: char| is_name(c) != is_name(first)).unwrap_or(rest.len());
            let (piece, after) = rest.split_at(end);
            let under = if is_name(first) && !after.starts_with(':') { key.clone() } else { String::new() };
            if is_name(first) && after.starts_with(':') {
                piece.clone_into(&mut key);
            }
            pieces.push((under, piece.to_owned()));
            rest = after;
        }
        pieces
    }

    /// Assets (true) and services (false) that it names.
    fn names(&self) -> Vec<(bool, String)> {
        let named = self.pieces().into_iter().filter(|(key, piece)| !key.is_empty() && piece != "-");
        named.map(|(key, piece)| (key != "service", piece)).collect()
    }

    /// Its lines, with names as the policy has them.
    fn lines(&self, indent: usize, assets: &Names, services: &Names) -> Vec<String> {
        let margin = " ".repeat(indent);
        let line: String = self
            .pieces()
            .into_iter()
            .map(|(key, piece)| match key.as_str() {
                "" => piece,
                "service" => services.get(&piece).map_or(piece, |now| now.name.clone()),
                _ => assets.get(&piece).map_or(piece, |now| now.name.clone()),
            })
            .collect();
        let comments = self.comments.iter().map(|comment| format!("{margin}{comment}"));
        comments.chain([format!("{margin}{line}")]).collect()
    }
}

/// A draft, taken apart.
struct Drafted {
    rules: Vec<Rule>,
    assets: BTreeMap<String, Vec<String>>,
    services: BTreeMap<String, Vec<String>>,
}

impl Drafted {
    /// Reads what [`super::draft`] wrote: it sets entries in by two blanks, and rules by six.
    fn read(draft: &str, new: &Policy) -> Self {
        let mut drafted = Self { rules: Vec::new(), assets: BTreeMap::new(), services: BTreeMap::new() };
        let (mut section, mut comments, mut entry) = ("", Vec::new(), String::new());
        for (number, line) in (1..).zip(draft.lines()) {
            if indent(line) == 0 {
                section = line.split(':').next().unwrap_or_default();
                comments.clear();
                continue;
            }
            let words = line.trim_start();
            match section {
                "conduits" if words.starts_with("# ---") => {}
                "conduits" if words.starts_with('#') && indent(line) >= 6 => comments.push(words.to_owned()),
                "conduits" if line.starts_with("      - ") => {
                    let zone = |at: usize| new.zones.get(at).map_or(String::new(), |zone| zone.name.clone());
                    let Some(rule) = new.rules.iter().find(|rule| rule.line == number) else { continue };
                    drafted.rules.push(Rule {
                        client: zone(rule.client_zone),
                        server: zone(rule.server_zone),
                        comments: std::mem::take(&mut comments),
                        line: words.to_owned(),
                    });
                }
                "assets" | "services" if words.starts_with('#') => comments.push(line.to_owned()),
                "assets" | "services" => {
                    let entries =
                        if section == "assets" { &mut drafted.assets } else { &mut drafted.services };
                    if indent(line) == 2 {
                        words.split(':').next().unwrap_or_default().clone_into(&mut entry);
                    }
                    let written = entries.entry(entry.clone()).or_default();
                    written.append(&mut comments);
                    written.push(line.to_owned());
                }
                _ => {}
            }
        }
        drafted
    }
}
