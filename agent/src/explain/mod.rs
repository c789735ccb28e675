//! `banchi explain`: what would happen to a packet, and why.
//!
//! The verdict comes from the engine that the kernel runs, over the compiled image. The words come from the
//! policy as written: which rule is nearest, and which of its fields the packet misses.

mod nearest;
mod packet;
mod question;

pub use nearest::{FieldFit, Fit, fit_of};
pub(crate) use packet::build as frame;
pub use question::{Question, QuestionError};

use banchi_common::abi::Mode;
use banchi_common::direction::Class;
use banchi_common::engine::{Decision, judge, verdict};
use banchi_common::reason::{Field, Orientation, Reason, Verdict};
use banchi_common::wire::{Bytes, Headers};
use serde::Serialize;
use thiserror::Error;

use crate::image::Image;
use crate::policy::model::{Policy, Reply, Service, Vlan, ZoneId};

/// Widest line of the text for a person, where words allow it.
const WIDTH: usize = 80;

/// Rules that are shown as nearest.
const SHOWN: usize = 3;

/// Why there is no explanation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExplainError {
    /// The zone is not in the policy.
    #[error("the policy has no zone `{zone}`; it has {known}")]
    NoZone {
        /// Name asked for.
        zone: String,
        /// Names there are.
        known: String,
    },
    /// No zone was given, and the source address tells none.
    #[error("{address} is in no zone's networks: say with --in where the packet comes from ({known})")]
    Homeless {
        /// Source address.
        address: std::net::IpAddr,
        /// Names there are.
        known: String,
    },
    /// The zone has no interface: packets come from it only inside the gateway.
    #[error("no packet comes in from the zone `{zone}`: it is the gateway itself")]
    NoInterface {
        /// Name of the zone.
        zone: String,
    },
}

/// What would happen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The packet, as understood.
    pub packet: String,
    /// Zone that it comes from.
    pub zone: String,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Why, by its stable name.
    pub reason: &'static str,
    /// The part that deviates.
    pub field: Field,
    /// Which way it goes through its rule.
    pub orientation: Orientation,
    /// The mode that decides, for packets that no rule allows.
    pub mode: Option<Mode>,
    /// Conduit, or null.
    pub conduit: Option<String>,
    /// The rule that decides, or that the data plane names as nearest.
    pub rule: Option<String>,
    /// Its line in the policy.
    pub rule_line: Option<usize>,
    /// What happened, in one sentence.
    pub text: &'static str,
    /// What to look at first.
    pub advice: &'static str,
    /// What the payload shows itself as, where the rule's service looks at it.
    pub class: Option<Class>,
    /// What the verdict hangs on besides the packet, or null.
    pub condition: Option<String>,
    /// Nearest rules, best first, with each field that fits or misses.
    pub nearest: Vec<Fit>,
}

/// Explains a packet that comes in from a zone; from the zone of its source address where none is given.
///
/// # Errors
/// Where it cannot be told which zone the packet comes from.
pub fn explain(
    policy: &Policy,
    image: &Image,
    question: &Question,
    zone: Option<&str>,
) -> Result<Explanation, ExplainError> {
    let zone = zone_of(policy, question, zone)?;
    let row = policy.zones.get(zone);
    let name = row.map(|zone| zone.name.clone()).unwrap_or_default();
    let Some(interface) = row.and_then(|zone| zone.interfaces.first()) else {
        return Err(ExplainError::NoInterface { zone: name });
    };
    let place = image.interfaces.iter().position(|known| known == interface).map_or(0, |at| at as u32 + 1);
    let vlan = row.and_then(|zone| zone.vlans.first()).copied().unwrap_or(Vlan::Untagged);
    let bytes = packet::build(policy, question, vlan);
    let mut headers = Headers::default();
    let decision = judge(&Bytes(&bytes), image, place, &mut headers);
    let (verdict, mode) = verdict(image, &decision);
    let about = decision.reason.about();
    let rule = (decision.rule as usize).checked_sub(1).and_then(|rule| policy.rules.get(rule));
    let conduit = usize::from(decision.conduit).checked_sub(1).and_then(|at| policy.conduits.get(at));
    let passes = decision.reason.passes();
    let matched = rule.filter(|_| decision.orientation != Orientation::None);
    let service = matched.and_then(|rule| policy.services.get(rule.service));
    let mut nearest = if decision.reason == Reason::Allowed {
        Vec::new()
    } else {
        nearest::nearest(policy, question, SHOWN)
    };
    // What the data plane names comes first.
    if let Some(rule) = rule {
        nearest.sort_by_key(|fit| fit.rule != rule.name);
    }
    Ok(Explanation {
        packet: question.to_string(),
        zone: name,
        verdict,
        reason: about.name,
        field: about.field,
        orientation: decision.orientation,
        mode: (!passes).then_some(mode),
        conduit: conduit.map(|conduit| conduit.name.clone()),
        rule: rule.map(|rule| rule.name.clone()),
        rule_line: rule.map(|rule| rule.line),
        text: about.text,
        advice: about.advice,
        class: service.is_some_and(|service| service.direction.is_some()).then_some(decision.class),
        condition: service.and_then(|service| condition(service, &decision)),
        nearest,
    })
}

/// What an allowed packet's verdict hangs on besides the packet itself.
fn condition(service: &Service, decision: &Decision) -> Option<String> {
    if decision.reason != Reason::Allowed || decision.orientation != Orientation::Return {
        return None;
    }
    let (window, strict) = match service.reply {
        Reply::Window(window) => (window, false),
        Reply::Strict(window) => (window, true),
        Reply::Free | Reply::None => return None,
    };
    let needs = match decision.class {
        Class::Undecidable => true,
        Class::Response => strict,
        Class::Request | Class::Notification => false,
    };
    needs.then(|| format!("only within {window:?} of the client's question; unsolicited-reply otherwise"))
}

fn zone_of(policy: &Policy, question: &Question, name: Option<&str>) -> Result<ZoneId, ExplainError> {
    let known = || {
        let names =
            policy.zones.iter().filter(|zone| !zone.is_gateway).map(|zone| format!("`{}`", zone.name));
        names.collect::<Vec<_>>().join(", ")
    };
    if let Some(name) = name {
        return policy
            .zones
            .iter()
            .position(|zone| zone.name == name)
            .ok_or_else(|| ExplainError::NoZone { zone: name.to_owned(), known: known() });
    }
    let address = question.source;
    policy
        .zones
        .iter()
        .enumerate()
        .flat_map(|(at, zone)| zone.networks.iter().map(move |network| (at, network)))
        .filter(|(_, network)| network.contains(&address))
        .max_by_key(|(_, network)| network.prefix_len())
        .map(|(at, _)| at)
        .ok_or_else(|| ExplainError::Homeless { address, known: known() })
}

/// What becomes of a packet.
pub fn in_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::WouldDrop => "PASS, and reported (alert mode; enforce would drop it)",
        Verdict::Drop => "DROP",
    }
}

/// A text in lines of at most so many characters, broken between words.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

impl Explanation {
    /// Lines for a person.
    pub fn lines(&self) -> String {
        let mut text = format!("{}\nfrom zone {}\n\n{}\n", self.packet, self.zone, in_words(self.verdict));
        let mut say = |label: &str, value: &str| {
            for (number, line) in wrapped(value, WIDTH - 10).iter().enumerate() {
                text.push_str(&format!("{:<9} {line}\n", if number == 0 { label } else { "" }));
            }
        };
        say("reason", &format!("{}: {}", self.reason, self.text));
        if let Some(conduit) = &self.conduit {
            say("conduit", conduit);
        }
        if let (Some(rule), Some(line)) = (&self.rule, self.rule_line) {
            let way = match self.orientation {
                Orientation::Forward => ", from client to server",
                Orientation::Return => ", from server to client",
                Orientation::None => "",
            };
            say("rule", &format!("{rule} (line {line}){way}"));
        }
        if let Some(class) = self.class {
            say("payload", class.name());
        }
        if let Some(condition) = &self.condition {
            say("if", condition);
        }
        if !self.advice.is_empty() {
            say("look at", self.advice);
        }
        if !self.nearest.is_empty() {
            text.push_str("\nnearest rules\n");
            for fit in &self.nearest {
                text.push_str(&format!("  {} (line {})", fit.rule, fit.line));
                text.push_str(if fit.returns { ", taken as an answer\n" } else { "\n" });
                for field in &fit.fields {
                    let mark = if field.fits { "fits  " } else { "MISSES" };
                    text.push_str(&format!("    {mark} {:<11} {}\n", field.field, field.words()));
                }
            }
        }
        text
    }
}
