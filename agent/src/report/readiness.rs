//! Is it safe to enforce a conduit? A figure from 0 to 100 with the reasons for it.
//!
//! Four things count: how much time was looked at, whether new flows still turn up, what would be dropped, and rules
//! that nothing uses. The weights are judgement, set by hand; the figure orders conduits and is no probability.

use serde::{Deserialize, Serialize};

use super::gather::{Gathered, Line, State};
use super::words::{count, some};
use crate::control::Status;
use crate::policy::model::{ConduitId, Mode, Policy};

/// Points of each part.
const TIME: f64 = 40.0;
const NEWS: f64 = 25.0;
const DROPS: f64 = 25.0;
const RULES: f64 = 10.0;
/// Days after which time counts in full: a week has every day of it.
const WEEK: f64 = 7.0;
/// Share of flows that turned up in the second half at which no point is left.
const RESTLESS: f64 = 0.25;
/// Figures from which a conduit counts as ready, and as nearly so.
const READY: u32 = 85;
const NEARLY: u32 = 60;
/// Parts that the time is cut into, to show when flows were first seen.
const PARTS: usize = 10;
/// Nanoseconds of a day.
const DAY: f64 = 86_400e9;

/// What a figure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing speaks against it.
    Ready,
    /// Little does.
    Nearly,
    /// Much does.
    NotYet,
    /// Nothing of it was seen.
    Unseen,
}

impl Verdict {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Nearly => "nearly",
            Self::NotYet => "not yet",
            Self::Unseen => "nothing seen",
        }
    }

    /// As a word of a style sheet.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Ready => "good",
            Self::Nearly => "fair",
            Self::NotYet => "poor",
            Self::Unseen => "none",
        }
    }
}

/// A part of the figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// What is looked at.
    pub what: &'static str,
    /// Points, and how many there are.
    pub points: f64,
    /// See there.
    pub of: f64,
    /// Why so many.
    pub why: String,
}

/// How ready a conduit is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Readiness {
    /// From 0 to 100.
    pub figure: u32,
    /// What it means.
    pub verdict: Verdict,
    /// Its parts.
    pub parts: Vec<Part>,
    /// What forbids it whatever the figure says.
    pub stops: Vec<String>,
    /// Flows first seen in each tenth of the time.
    pub news: [usize; PARTS],
    /// Rules that nothing used.
    pub stale: Vec<usize>,
    /// The mode that it is in: that of the running agent, else of the policy.
    pub mode: Mode,
    /// Packets that would be dropped: in the captures, and by the running agent's count.
    pub drops: [u64; 2],
}

/// What a conduit is looked at with.
pub struct Look<'r> {
    /// The policy.
    pub policy: &'r Policy,
    /// What captures say of it.
    pub gathered: &'r Gathered,
    /// What the gateway says.
    pub status: Option<&'r Status>,
    /// First and last packet, in nanoseconds since 1970.
    pub span: (u64, u64),
    /// The policy was learnt from these captures.
    pub is_draft: bool,
}

impl Look<'_> {
    /// Readiness of each conduit.
    pub fn all(&self) -> Vec<Readiness> {
        (0..self.policy.conduits.len()).map(|conduit| self.of(conduit)).collect()
    }

    /// Readiness of a conduit.
    fn of(&self, conduit: ConduitId) -> Readiness {
        let flows: Vec<&Line> = self.lines(conduit);
        let (time, news) = (self.time(conduit), news(&flows, self.span));
        let live = self.status.and_then(|status| {
            let name = &self.policy.conduits.get(conduit)?.name;
            status.conduits.iter().find(|row| row.name == *name)
        });
        let passes = |name: &str| {
            use banchi_common::reason::REASONS;
            REASONS.iter().any(|about| about.name == name && about.reason.passes())
        };
        let live_drops = live.map_or(0, |live| {
            live.reasons.iter().filter(|row| !passes(&row.reason)).map(|row| row.packets).sum()
        });
        let facts = self.gathered.conduits.get(conduit);
        let drops = [facts.map_or(0, super::gather::ConduitFacts::dropped), live_drops];
        let passed = facts.map_or(0, |facts| facts.passed) + live.map_or(0, |live| live.allowed);
        let stale = self.stale(conduit);
        let rules = self.policy.rules.iter().filter(|rule| rule.conduit == conduit).count();
        let parts = vec![
            time,
            self.restless(&flows, &news),
            self.would_drop(drops, passed),
            Part {
                what: "Rules in use",
                points: if rules == 0 { 0.0 } else { RULES * (1.0 - stale.len() as f64 / rules as f64) },
                of: RULES,
                why: match (rules, stale.len()) {
                    (0, _) => "It has no rule.".to_owned(),
                    (_, 0) => format!("Each of its {} was used.", some(rules, "rule")),
                    (_, unused) => format!("{unused} of {} were never used.", some(rules, "rule")),
                },
            },
        ];
        let figure = parts.iter().map(|part| part.points).sum::<f64>().round().clamp(0.0, 100.0) as u32;
        let stops = self.stops(drops);
        let verdict = match figure {
            _ if passed + drops[0] + drops[1] == 0 => Verdict::Unseen,
            READY.. if stops.is_empty() => Verdict::Ready,
            NEARLY.. => Verdict::Nearly,
            _ => Verdict::NotYet,
        };
        let mode = live.map(|live| live.mode).or_else(|| Some(self.policy.conduits.get(conduit)?.mode));
        let mode = mode.unwrap_or(Mode::Alert);
        Readiness { figure, verdict, parts, stops, news, stale, mode, drops }
    }

    /// Its flows that the gateway sees.
    fn lines(&self, conduit: ConduitId) -> Vec<&Line> {
        let lines = self.gathered.lines.iter();
        lines.filter(|line| line.conduit == Some(conduit) && line.state() != State::Unseen).collect()
    }

    /// Days for which the running agent has counted.
    fn live_days(&self) -> f64 {
        let Some(status) = self.status else { return 0.0 };
        let at = |text: &str| text.parse::<jiff::Timestamp>().ok();
        let until = status.last_seen.as_deref().and_then(at);
        let (Some(from), Some(until)) = (at(&status.counts_since), until) else { return 0.0 };
        (until.duration_since(from).as_secs_f64() / 86_400.0).max(0.0)
    }

    fn time(&self, conduit: ConduitId) -> Part {
        let facts = self.gathered.conduits.get(conduit);
        let hours = facts.map_or(0, |facts| facts.hours.count_ones());
        let span = self.span.1.saturating_sub(self.span.0) as f64 / DAY;
        let seen = facts.map_or(0, |facts| facts.days.len());
        // A capture of minutes around midnight has two days, and is none.
        let days = span.min(seen as f64);
        let live = self.live_days();
        let share = |part: f64, whole: f64| (part / whole).min(1.0);
        let all_hours = share(f64::from(hours), 24.0).max(share(live, 1.0));
        let points = TIME * (0.6 * share(days.max(live), WEEK) + 0.4 * all_hours);
        let mut why = format!(
            "Seen on {} and in {hours} of the 24 hours of a day (UTC); the captures last {}.",
            some(seen, "day"),
            super::words::length(self.span.1.saturating_sub(self.span.0))
        );
        if live > 0.0 {
            why += &format!(" The running agent has counted for {live:.1} days.");
        }
        if days.max(live) < WEEK {
            why += " What happens once a week or more seldom may be missing.";
        }
        Part { what: "Time looked at", points, of: TIME, why }
    }

    fn restless(&self, flows: &[&Line], news: &[usize; PARTS]) -> Part {
        let late: usize = news.iter().skip(PARTS / 2).sum();
        let share = if flows.is_empty() { 1.0 } else { late as f64 / flows.len() as f64 };
        let half = self.span.1.saturating_sub(self.span.0) as f64 / DAY / 2.0;
        let rate = if half >= 0.5 { format!(", {:.1} a day", late as f64 / half) } else { String::new() };
        let why = match (flows.len(), late) {
            (0, _) => "No flow was seen.".to_owned(),
            (all, 0) => format!("No new flow in the second half of the time; {} in all.", some(all, "flow")),
            (all, late) => {
                format!("{late} of {} appeared in the second half of the time{rate}.", some(all, "flow"))
            }
        };
        Part { what: "New flows", points: NEWS * (1.0 - (share / RESTLESS).min(1.0)), of: NEWS, why }
    }

    fn would_drop(&self, drops: [u64; 2], passed: u64) -> Part {
        let all = drops[0] + drops[1];
        let share = all as f64 / (all + passed).max(1) as f64;
        let (points, why) = match all {
            0 if passed == 0 => (0.0, "No packet was seen.".to_owned()),
            0 if self.is_draft && self.status.is_none() => (
                0.0,
                "The policy was learnt from these captures, so they cannot try it: hold it against others."
                    .to_owned(),
            ),
            0 => (DROPS, format!("Nothing of {} packets would be dropped.", count(passed))),
            // One in ten thousand leaves 20 points, one in ten 5.
            _ => (
                (-share.log10() * 5.0).clamp(0.0, DROPS - 5.0),
                format!(
                    "{} packets would be dropped: {} in the captures, {} by the running agent's count.",
                    count(all),
                    count(drops[0]),
                    count(drops[1])
                ),
            ),
        };
        Part { what: "Would be dropped", points, of: DROPS, why }
    }

    fn stops(&self, drops: [u64; 2]) -> Vec<String> {
        let mut stops = Vec::new();
        if drops != [0, 0] {
            stops.push("Packets would be dropped: settle each of them first.".to_owned());
        }
        if self.is_draft {
            stops.push("The policy is a draft that nobody has approved.".to_owned());
        }
        if let Some(status) = self.status {
            if !status.enforced_unsafe.is_empty() {
                let findings: Vec<String> = status.enforced_unsafe.iter().map(ToString::to_string).collect();
                stops.push(format!("The gateway is unsafe to enforce: {}.", findings.join("; ")));
            }
            if status.xdp_mode == "none" || status.xdp_mode == "generic" {
                stops.push(format!("The program runs in {} XDP: `banchi doctor` says why.", status.xdp_mode));
            }
            if status.bypass {
                stops.push("The gateway lets everything pass: `banchi bypass` is on.".to_owned());
            }
        }
        stops
    }

    /// Rules of a conduit that nothing used, neither in the captures nor at the gateway.
    fn stale(&self, conduit: ConduitId) -> Vec<usize> {
        let rules = self.policy.rules.iter().enumerate().filter(|(_, rule)| rule.conduit == conduit);
        let unused = rules.filter(|(place, rule)| {
            let seen = self.gathered.rules.get(*place).is_some_and(|count| count.packets > 0);
            let live = self.status.into_iter().flat_map(|status| &status.rules);
            !seen && !live.into_iter().any(|row| row.name == rule.name && row.last.is_some())
        });
        unused.map(|(place, _)| place).collect()
    }
}

/// Flows first seen in each tenth of the time.
fn news(flows: &[&Line], span: (u64, u64)) -> [usize; PARTS] {
    let mut parts = [0; PARTS];
    let whole = u128::from(span.1.saturating_sub(span.0)) + 1;
    for line in flows {
        let at = u128::from(line.flow.first.saturating_sub(span.0)) * PARTS as u128 / whole;
        if let Some(part) = parts.get_mut((at as usize).min(PARTS - 1)) {
            *part += 1;
        }
    }
    parts
}
