//! The four tables: their columns, and rows of what is seen.

use banchi_common::abi::{Mode, OnAgentLoss};
use banchi_common::reason::{REASONS, Verdict};

use super::anomaly::Anomaly;
use super::pane::{Cell, Column, Pane, Row, Tone, Width};
use super::rates::{Counter, Rates};
use super::sight::Sight;
use crate::control::ConduitStatus;

const fn column(title: &'static str, width: Width) -> Column {
    Column { title, width, right: false, from: 0 }
}

const fn number(title: &'static str, width: u16) -> Column {
    Column { title, width: Width::Fixed(width), right: true, from: 0 }
}

/// The same in wide tables only.
const fn wide(column: Column, from: u16) -> Column {
    Column { from, ..column }
}

const CONDUITS: &[Column] = &[
    column("", Width::Rest(14)),
    column("mode", Width::Fixed(8)),
    number("ok/s", 6),
    wide(number("dev", 6), 46),
    number("dev/s", 6),
    wide(number("allowed", 10), 57),
    wide(column("no agent", Width::Fixed(8)), 66),
];

const RULES: &[Column] = &[
    column("", Width::Rest(16)),
    wide(column("conduit", Width::Fixed(24)), 90),
    wide(number("line", 5), 50),
    number("asked", 10),
    wide(number("answered", 10), 50),
    number("/s", 6),
    wide(column("last", Width::Fixed(10)), 60),
];

const REASONS_OF: &[Column] = &[
    column("", Width::Rest(21)),
    wide(column("conduit", Width::Fixed(20)), 72),
    number("packets", 9),
    number("/s", 6),
    wide(column("last", Width::Fixed(10)), 50),
];

const ANOMALIES: &[Column] = &[
    wide(column("", Width::Fixed(8)), 44),
    wide(column("verdict", Width::Fixed(10)), 66),
    column("reason", Width::Fixed(21)),
    column("packet", Width::Rest(8)),
    wide(column("rule", Width::Fixed(22)), 112),
    wide(column("", Width::Fixed(16)), 140),
    wide(column("conduit", Width::Fixed(20)), 166),
];

/// The four, in the order of their places.
pub(super) fn panes() -> [Pane; 4] {
    [
        Pane::new("Conduits", CONDUITS, None),
        Pane::new("Reasons", REASONS_OF, Some(2)),
        Pane::new("Rules", RULES, None),
        Pane::new("Anomalies", ANOMALIES, None),
    ]
}

/// Number of a reason by its name; that after the last one where this version does not know it.
pub(super) fn number_of(reason: &str) -> usize {
    REASONS.iter().position(|about| about.name == reason).unwrap_or(REASONS.len())
}

fn passes(reason: &str) -> bool {
    REASONS.iter().any(|about| about.name == reason && about.reason.passes())
}

pub(super) fn conduits(sight: &Sight, rates: &Rates) -> Vec<Row> {
    let rows = sight.status.conduits.iter().enumerate().map(|(at, conduit)| {
        let deviating = conduit.reasons.iter().filter(|one| !passes(&one.reason));
        let rate = |one| rates.of(Counter::Reason(number_of(one), at));
        let rate = deviating.clone().filter_map(|one| rate(&one.reason)).reduce(|one, other| one + other);
        // No reason yet, and counts to compare: none a second.
        let rate = rate.or_else(|| rates.of(Counter::Allowed(at)).map(|_| 0.0));
        let count = deviating.map(|one| one.packets).sum();
        let (mode, tone) = mode(sight, conduit);
        let agent_loss = match conduit.on_agent_loss {
            OnAgentLoss::Keep => "keep",
            OnAgentLoss::Open => "open",
            OnAgentLoss::Closed => "closed",
        };
        let cells = vec![
            Cell::text(&conduit.name),
            Cell::text(mode),
            Cell::rate(rates.of(Counter::Allowed(at))),
            Cell::count(count),
            Cell::rate(rate),
            Cell::count(conduit.allowed),
            Cell::text(agent_loss),
        ];
        Row { id: at as u64, cells, tone }
    });
    rows.collect()
}

/// What a conduit does at this moment; `*` stands behind a mode that was set by hand.
fn mode(sight: &Sight, conduit: &ConduitStatus) -> (String, Tone) {
    match sight.loss(conduit) {
        Some(OnAgentLoss::Open) => return ("OPEN".to_owned(), Tone::Alarm),
        Some(OnAgentLoss::Closed) => return ("CLOSED".to_owned(), Tone::Alarm),
        Some(OnAgentLoss::Keep) | None => {}
    }
    let word = if conduit.mode == Mode::Enforce { "ENFORCE" } else { "alert" };
    let (mark, tone) = if conduit.by_hand { ("*", Tone::Warning) } else { ("", Tone::Plain) };
    (format!("{word}{mark}"), tone)
}

pub(super) fn reasons(sight: &Sight, rates: &Rates) -> Vec<Row> {
    let of = |(at, conduit): (usize, &ConduitStatus)| {
        let name = conduit.name.clone();
        let row = move |one: &crate::control::ReasonStatus| {
            let number = number_of(&one.reason);
            let cells = vec![
                Cell::text(&one.reason),
                Cell::text(&name),
                Cell::count(one.packets),
                Cell::rate(rates.of(Counter::Reason(number, at))),
                Cell::text(when(&one.last, &sight.now)),
            ];
            let tone = if passes(&one.reason) { Tone::Plain } else { Tone::Warning };
            // Places are small; a conduit has a reason once.
            Row { id: (number as u64) << 32 | at as u64, cells, tone }
        };
        conduit.reasons.iter().map(row).collect::<Vec<Row>>()
    };
    sight.status.conduits.iter().enumerate().flat_map(of).collect()
}

pub(super) fn rules(sight: &Sight, rates: &Rates) -> Vec<Row> {
    let rows = sight.status.rules.iter().enumerate().map(|(at, rule)| {
        let last = rule.last.as_deref().map_or_else(|| "never".to_owned(), |last| when(last, &sight.now));
        let cells = vec![
            Cell::text(&rule.name),
            Cell::text(&rule.conduit),
            Cell::ranked(rule.line.to_string(), rule.line as u64),
            Cell::count(rule.forward_packets),
            Cell::count(rule.return_packets),
            Cell::rate(rates.of(Counter::Rule(at))),
            Cell::text(last),
        ];
        Row { id: at as u64, cells, tone: Tone::Plain }
    });
    rows.collect()
}

pub(super) fn anomaly(id: u64, anomaly: &Anomaly) -> Row {
    let (verdict, tone) = match anomaly.verdict {
        Verdict::Drop => ("DROP", Tone::Alarm),
        Verdict::WouldDrop => ("would-drop", Tone::Warning),
        Verdict::Pass if anomaly.deviates() => ("pass", Tone::Warning),
        Verdict::Pass => ("pass", Tone::Plain),
    };
    let cells = vec![
        Cell::ranked(anomaly.clock(), id),
        Cell::text(verdict),
        Cell::text(&anomaly.reason),
        Cell::text(anomaly.packet()),
        Cell::text(anomaly.rule.as_deref().unwrap_or_default()),
        Cell::text(anomaly.more()),
        Cell::text(anomaly.conduit.as_deref().unwrap_or(crate::agent::ELSEWHERE)),
    ];
    Row { id, cells, tone }
}

/// A time of today by the clock, and another one by its day.
fn when(time: &str, now: &str) -> String {
    match (time.get(..10), now.get(..10)) {
        (Some(day), Some(today)) if day == today => time.get(11..19).unwrap_or(time).to_owned(),
        (Some(day), _) => day.to_owned(),
        (None, _) => time.to_owned(),
    }
}
