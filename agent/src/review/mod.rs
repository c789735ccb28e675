//! Review: from events to changes that a person accepts, dismisses or calls malicious.
//!
//! [`Heap`] takes events in and groups them, [`changes`] says what each group means under a policy, [`plan`] what it would
//! take to let it pass, and [`memory`] keeps what was decided. Nothing here changes what decides: that takes
//! `banchi apply`.

mod event;
mod group;
pub mod memory;
pub mod plan;
mod talk;
mod words;

use std::net::IpAddr;

use banchi_common::reason::{Field, Reason};
use serde::Serialize;

pub use event::{Event, Unread, read, read_file};
pub use group::Heap;
pub use talk::Why;

use crate::backtest::Ingress;
use crate::capture::Frame;
use crate::explain::{Question, explain};
use crate::image::{Image, compile};
use crate::learn::verify::decide;
use crate::plane::hash;
use crate::policy::model::{Policy, Transport};
use crate::report::gather::holds;
use group::{Group, Subject};
use plan::Plan;

/// Characters of an identity that are shown.
pub const SHOWN: usize = 8;
/// Characters of an identity.
const LENGTH: usize = 16;
/// A client's port where none is known.
const SOME_PORT: u16 = 40_000;

/// What kind of change it is; the order is that of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A host has another hardware address, source port or zone than the policy binds it to.
    ChangedDevice,
    /// Whoever should only answer asks.
    Reversed,
    /// One host asks many, and hardly anybody speaks with it.
    Scan,
    /// One of the two is no asset.
    NewHost,
    /// Two assets that no rule joins.
    NewPair,
    /// Two assets that may speak, but not like this.
    NewService,
    /// A grant let it pass, or did.
    Grant,
    /// Frames and protocols that no rule is about.
    Other,
    /// Broken or late packets.
    Noise,
}

impl Kind {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChangedDevice => "changed-device",
            Self::Reversed => "reversed",
            Self::Scan => "scan",
            Self::NewHost => "new-host",
            Self::NewPair => "new-pair",
            Self::NewService => "new-service",
            Self::Grant => "grant",
            Self::Other => "other",
            Self::Noise => "noise",
        }
    }
}

/// The rule that is nearest, and what misses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nearest {
    /// Its name.
    pub rule: String,
    /// Its line in the policy.
    pub line: usize,
    /// Fields that do not fit: what was seen, and what the rule has.
    pub misses: Vec<String>,
}

/// One change to decide about.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// Its identity: the same for the same hosts, ports and hardware addresses.
    pub id: String,
    /// What kind it is.
    pub kind: Kind,
    /// In a few words.
    pub title: String,
    /// In a sentence.
    pub text: String,
    /// Who began it.
    pub source: Option<IpAddr>,
    /// Packets from the one that asks; all packets, where nobody does.
    pub asked: u64,
    /// Packets from the one that is asked.
    pub answered: u64,
    /// Conversations.
    pub conversations: u64,
    /// It was one packet, and no more.
    pub once: bool,
    /// First and last time, RFC 3339.
    pub first: String,
    /// See there.
    pub last: String,
    /// Conduit, or none.
    pub conduit: Option<String>,
    /// Reasons of the data plane.
    pub reasons: Vec<&'static str>,
    /// The part of the packets that deviates.
    pub field: Field,
    /// What that means.
    pub deviates: &'static str,
    /// Who asks, and how that is known.
    pub who_asks: Option<Why>,
    /// The nearest rule.
    pub nearest: Option<Nearest>,
    /// What would let it pass.
    pub plan: Option<Plan>,
    /// What that would let pass beyond what was seen.
    pub admits: Vec<String>,
    /// Why nothing can be written into a policy for it.
    pub refuses: Option<String>,
    /// The policy lets pass what was seen.
    pub settled: bool,
    /// Changes that are a part of it.
    pub members: Vec<Change>,
    /// Packets of it.
    #[serde(skip)]
    samples: Vec<Event>,
}

/// What the groups of events mean under a policy, in the order of the list.
///
/// # Errors
/// Where the policy has no tables.
pub fn changes(heap: Heap, policy: &Policy) -> Result<Vec<Change>, crate::image::CompileError> {
    let image = compile(policy)?;
    let groups = heap.groups(policy);
    let mut look = Look { policy, image: &image };
    let mut changes: Vec<Change> = groups.into_iter().map(|group| look.change(group)).collect();
    changes.sort_by(|a, b| {
        let key =
            |change: &Change| (change.kind, std::cmp::Reverse(change.asked.saturating_add(change.answered)));
        key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
    });
    Ok(changes)
}

/// The change whose identity begins like this, among all and their members.
///
/// # Errors
/// Where there is none, or more than one.
pub fn find<'c>(changes: &'c [Change], id: &str) -> Result<&'c Change, String> {
    let all = changes.iter().flat_map(|change| std::iter::once(change).chain(&change.members));
    let mut fitting = all.filter(|change| !id.is_empty() && change.id.starts_with(id));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(format!("there is no change `{id}`: `banchi review list --all` shows all")),
        (Some(_), Some(_)) => Err(format!("more than one change begins with `{id}`: give more of it")),
    }
}

/// Whether a terminal does not show a character, but obeys it or hides it: a control, what turns the direction of words
/// (`Bidi_Control` of Unicode), what has no width, or a tag.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Why some packet of a change would not pass under a policy; `None` where each one would.
///
/// # Errors
/// Where the policy has no tables.
pub fn stops(change: &Change, policy: &Policy) -> Result<Option<Reason>, crate::image::CompileError> {
    Ok(stopped(policy, &compile(policy)?, &change.samples))
}

fn stopped(policy: &Policy, image: &Image, samples: &[Event]) -> Option<Reason> {
    let mut ingress = Ingress::new(policy, image);
    samples.iter().find_map(|event| {
        let bytes = event.frame();
        let missing = bytes.len() - event.data.len();
        let place = |name: &String| image.interfaces.iter().position(|known| known == name);
        let interface = event.interface.as_ref().and_then(place);
        let frame = Frame { interface, bytes, missing, ..Frame::default() };
        match decide(&mut ingress, image, &frame, &image.interfaces) {
            // Of a device counts only that it is one: what it sends is another change.
            Ok(decision) if is_of_device(event.reason) => {
                Some(decision.reason).filter(|reason| *reason == event.reason)
            }
            Ok(decision) => Some(decision.reason).filter(|reason| !reason.passes()),
            Err(_) => Some(event.reason),
        }
    })
}

const fn is_of_device(reason: Reason) -> bool {
    matches!(reason, Reason::MacMismatch | Reason::ArpSpoof | Reason::WrongZone)
}

struct Look<'p> {
    policy: &'p Policy,
    image: &'p Image,
}

impl Look<'_> {
    fn change(&mut self, group: Group) -> Change {
        let kind = self.kind(&group);
        let about = group.latest.reason.about();
        let plan = plan::of(self.policy, &group, kind);
        let (plan, refuses) = match plan {
            Ok(plan) => (Some(plan), None),
            Err(why) => (None, Some(why)),
        };
        let settled = !group.samples.is_empty() && stopped(self.policy, self.image, &group.samples).is_none();
        let (id, title, text) =
            (id(&group.subject), words::title(self.policy, &group), words::text(self.policy, &group, kind));
        let [asked, answered] = group.packets;
        Change {
            id,
            kind,
            title,
            text,
            source: source(&group),
            asked,
            answered,
            conversations: group.talks,
            once: asked.saturating_add(answered) == 1,
            first: group.first.clone(),
            last: group.last.clone(),
            conduit: group.latest.conduit.clone(),
            reasons: group.reasons.iter().map(|reason| reason.about().name).collect(),
            field: about.field,
            deviates: about.text,
            who_asks: group.why,
            nearest: self.nearest(&group),
            admits: plan.as_ref().map(|plan| plan.admits(&group)).unwrap_or_default(),
            plan,
            refuses,
            settled,
            samples: group.samples,
            members: group.members.into_iter().map(|member| self.change(member)).collect(),
        }
    }

    fn kind(&self, group: &Group) -> Kind {
        let (client, server) = match &group.subject {
            Subject::Station { .. } | Subject::Place { .. } => return Kind::ChangedDevice,
            Subject::Scan { .. } => return Kind::Scan,
            Subject::Other { reason, .. } => {
                return match reason {
                    Reason::UnlistedEthertype | Reason::UnlistedProtocol | Reason::UnlistedVlan => {
                        Kind::Other
                    }
                    _ => Kind::Noise,
                };
            }
            Subject::Flow { client, server, .. } => (*client, *server),
        };
        if matches!(group.latest.reason, Reason::Granted | Reason::GrantExpired) {
            return Kind::Grant;
        }
        if group.reasons.contains(&Reason::ReversedDirection) {
            return Kind::Reversed;
        }
        if group.reasons.contains(&Reason::SourcePortDeviation) {
            return Kind::ChangedDevice;
        }
        let is_asset = |address| self.policy.assets.iter().any(|asset| holds(&asset.addresses, address));
        let joined = self.policy.rules.iter().any(|rule| {
            let has = |assets: &[usize], address| {
                let mut known = assets.iter().filter_map(|id| self.policy.assets.get(*id));
                known.any(|asset| holds(&asset.addresses, address))
            };
            has(&rule.clients, client) && has(&rule.servers, server)
                || has(&rule.clients, server) && has(&rule.servers, client)
        });
        match (is_asset(client) && is_asset(server), joined) {
            (false, _) => Kind::NewHost,
            (true, false) => Kind::NewPair,
            (true, true) => Kind::NewService,
        }
    }

    /// The nearest rule, asked as `banchi explain` is; else the one that the data plane named.
    fn nearest(&self, group: &Group) -> Option<Nearest> {
        let named = || {
            let rule = group.latest.rule.as_ref()?;
            let known = self.policy.rules.iter().find(|known| known.name == *rule)?;
            Some(Nearest { rule: rule.clone(), line: known.line, misses: Vec::new() })
        };
        question(group)
            .and_then(|question| {
                let explained = explain(self.policy, self.image, &question, None).ok()?;
                let fit = explained.nearest.into_iter().next()?;
                let misses = fit.fields.iter().filter(|field| !field.fits);
                let misses =
                    misses.map(|one| format!("{} {}, the rule has {}", one.field, one.seen, one.expected));
                Some(Nearest { rule: fit.rule, line: fit.line, misses: misses.collect() })
            })
            .or_else(named)
    }
}

/// The first question of a flow.
fn question(group: &Group) -> Option<Question> {
    let Subject::Flow { transport, client, server, port, from, .. } = &group.subject else { return None };
    let port = port.unwrap_or(0);
    let other = |ports: &std::collections::BTreeSet<u16>| ports.first().copied().unwrap_or(SOME_PORT);
    let (source_port, destination_port) =
        if *from { (port, other(&group.server_ports)) } else { (other(&group.client_ports), port) };
    Some(Question {
        transport: transport_of(transport)?,
        source: *client,
        source_port,
        destination: *server,
        destination_port,
        opens: true,
        mac: None,
        payload: Vec::new(),
    })
}

fn transport_of(name: &str) -> Option<Transport> {
    match name {
        "tcp" => Some(Transport::Tcp),
        "udp" => Some(Transport::Udp),
        "sctp" => Some(Transport::Sctp),
        "icmp" | "icmpv6" => Some(Transport::Icmp),
        _ => None,
    }
}

fn source(group: &Group) -> Option<IpAddr> {
    match &group.subject {
        Subject::Flow { client: address, .. }
        | Subject::Station { address, .. }
        | Subject::Place { address, .. }
        | Subject::Scan { source: address } => Some(*address),
        Subject::Other { from, .. } => from.parse().ok(),
    }
}

/// A hash of what a change is about. What goes into it is never changed: decisions hang on it.
fn id(subject: &Subject) -> String {
    let text = match subject {
        // Who asks may be a guess there, and another one tomorrow.
        Subject::Flow { transport, client, server, port: Some(port), same: true, .. } => {
            format!("flow {transport} {} {} same {port}", client.min(server), client.max(server))
        }
        Subject::Flow { transport, client, server, port, from, .. } => {
            let port = port.map_or_else(String::new, |port| port.to_string());
            let way = if *from { "from" } else { "to" };
            format!("flow {transport} {client} {server} {way} {port}")
        }
        Subject::Station { address, mac } => format!("station {address} {}", words::mac(mac)),
        Subject::Place { address, zone } => {
            format!("place {address} {}", zone.as_deref().unwrap_or_default())
        }
        Subject::Scan { source } => format!("scan {source}"),
        Subject::Other { reason, from, to } => format!("other {} {from} {to}", reason.about().name),
    };
    hash(&text).chars().take(LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::is_hidden;

    #[test]
    fn what_turns_words_round_or_is_not_seen_is_hidden() {
        // Bidi_Control: PropList.txt of Unicode has these twelve.
        let bidi =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        assert_eq!(bidi.chars().count(), 12);
        let unseen = "\u{200b}\u{2028}\u{2029}\u{2060}\u{2064}\u{feff}\u{e0001}\u{e0020}\u{e007f}";
        for c in bidi.chars().chain(unseen.chars()).chain("\0\u{1b}\u{7f}\u{9b}".chars()) {
            assert!(is_hidden(c), "{c:?}");
        }
        for c in "a ~\u{a0}\u{e9}\u{628}\u{5d0}\u{2013}\u{201c}\u{20ac}\u{4e2d}\u{1f600}\u{e0100}".chars() {
            assert!(!is_hidden(c), "{c:?}");
        }
    }
}
