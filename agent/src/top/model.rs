//! All that is known, and how a message changes it.

use std::collections::VecDeque;

use ratatui::crossterm::event::KeyEvent;

use super::anomaly::Anomaly;
use super::keys::press;
use super::pane::{Pane, Row};
use super::panes;
use super::rates::Rates;
use super::sight::Sight;

/// Events that are kept, and as many while somebody has stopped the tables.
pub const KEPT: usize = 1_000;

/// Rows of events that wait in the kernel are numbered from here.
const WAITING: u64 = 1 << 62;

/// Something happened.
#[derive(Debug, Clone)]
pub enum Message {
    /// What there is now.
    Sight(Box<Sight>),
    /// Nothing can be seen, and why.
    Blind(String),
    /// Events came.
    Events {
        /// As lines of the control socket, oldest first.
        lines: Vec<String>,
        /// How many were left out between them.
        more: u64,
        /// They are all that is known; those before are none of them.
        anew: bool,
    },
    /// Somebody pressed a key.
    Key(KeyEvent),
    /// It is so many milliseconds since the start.
    Tick(u64),
}

/// The tables, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    Conduits,
    Reasons,
    Rules,
    Anomalies,
}

/// What `banchi top` knows.
#[derive(Debug)]
pub struct Model {
    /// The last that was seen. It stays when nothing more is seen.
    pub(super) sight: Option<Sight>,
    /// Why nothing is seen any more.
    pub(super) blind: Option<String>,
    pub(super) seen_ms: u64,
    pub(super) now_ms: u64,
    pub(super) interval_ms: u64,
    pub(super) events: Events,
    pub(super) panes: [Pane; 4],
    pub(super) focus: Focus,
    /// One table has all the room.
    pub(super) is_zoomed: bool,
    /// The tables stand still; the head never does.
    pub(super) is_paused: bool,
    pub(super) shows_help: bool,
    /// Keys are letters of a filter.
    pub(super) is_typing: bool,
    pub(super) has_quit: bool,
    /// Something changed since it was drawn.
    pub(super) is_dirty: bool,
    rates: Rates,
}

/// Events of the agent.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Oldest first, with their numbers.
    kept: VecDeque<(u64, Anomaly)>,
    /// Those that came while the tables stand still.
    held: VecDeque<(u64, Anomaly)>,
    next: u64,
    /// Those that came faster than they could be looked at.
    pub(super) more: u64,
}

impl Focus {
    pub(super) const ALL: [Self; 4] = [Self::Conduits, Self::Reasons, Self::Rules, Self::Anomalies];
}

impl Model {
    /// Nothing is known yet. Somebody looks every `interval_ms`.
    pub fn new(interval_ms: u64) -> Self {
        Self {
            sight: None,
            blind: None,
            seen_ms: 0,
            now_ms: 0,
            interval_ms,
            events: Events::default(),
            panes: panes::panes(),
            focus: Focus::Anomalies,
            is_zoomed: false,
            is_paused: false,
            shows_help: false,
            is_typing: false,
            has_quit: false,
            is_dirty: true,
            rates: Rates::default(),
        }
    }

    /// Whether somebody wants to leave.
    pub fn has_quit(&self) -> bool {
        self.has_quit
    }

    /// It has to be drawn anew.
    pub fn mark(&mut self) {
        self.is_dirty = true;
    }

    /// Whether something changed since this was asked.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.is_dirty)
    }

    pub(super) fn pane(&self, focus: Focus) -> &Pane {
        let [conduits, reasons, rules, anomalies] = &self.panes;
        match focus {
            Focus::Conduits => conduits,
            Focus::Reasons => reasons,
            Focus::Rules => rules,
            Focus::Anomalies => anomalies,
        }
    }

    /// The table that keys are for.
    pub(super) fn focused(&mut self) -> &mut Pane {
        self.pane_mut(self.focus)
    }

    pub(super) fn pane_mut(&mut self, focus: Focus) -> &mut Pane {
        let [conduits, reasons, rules, anomalies] = &mut self.panes;
        match focus {
            Focus::Conduits => conduits,
            Focus::Reasons => reasons,
            Focus::Rules => rules,
            Focus::Anomalies => anomalies,
        }
    }

    /// The event that is explained.
    pub(super) fn selected(&self) -> Option<&Anomaly> {
        let id = self.pane(Focus::Anomalies).selected()?.id;
        if let Some(at) = id.checked_sub(WAITING) {
            let waiting = &self.sight.as_ref()?.absence.as_ref()?.waiting;
            return waiting.get(usize::try_from(at).ok()?);
        }
        // Numbers are in order and without a gap.
        let (first, _) = self.events.kept.front()?;
        self.events.kept.get(usize::try_from(id.checked_sub(*first)?).ok()?).map(|(_, anomaly)| anomaly)
    }

    /// Events that came since the tables stand still.
    pub(super) fn held(&self) -> usize {
        self.events.held.len()
    }

    /// Milliseconds since something was seen.
    pub(super) fn age(&self) -> u64 {
        self.now_ms.saturating_sub(self.seen_ms)
    }

    /// Lets the tables stand still, or go on with what came meanwhile.
    pub(super) fn pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
        if !is_paused {
            let held = std::mem::take(&mut self.events.held);
            held.into_iter().for_each(|one| self.events.keep(one));
            self.fill_tables();
            self.fill_anomalies();
        }
    }

    fn fill_tables(&mut self) {
        let (Some(sight), rates) = (&self.sight, &self.rates) else { return };
        let [conduits, reasons, rules, _] = &mut self.panes;
        conduits.fill(panes::conduits(sight, rates));
        reasons.fill(panes::reasons(sight, rates));
        rules.fill(panes::rules(sight, rates));
    }

    fn fill_anomalies(&mut self) {
        let waiting = self.sight.iter().filter_map(|sight| sight.absence.as_ref());
        let waiting = waiting.flat_map(|absence| (WAITING..).zip(&absence.waiting));
        let kept = self.events.kept.iter().map(|(id, one)| (*id, one));
        let mut rows: Vec<Row> = kept.chain(waiting).map(|(id, one)| panes::anomaly(id, one)).collect();
        // The newest first.
        rows.reverse();
        self.pane_mut(Focus::Anomalies).fill(rows);
    }
}

impl Events {
    fn keep(&mut self, event: (u64, Anomaly)) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event);
    }

    fn hold(&mut self, event: (u64, Anomaly)) {
        if self.held.len() == KEPT {
            self.held.pop_front();
            self.more = self.more.saturating_add(1);
        }
        self.held.push_back(event);
    }
}

/// Lets something that happened change what is known.
pub fn update(model: &mut Model, message: Message) {
    match message {
        Message::Sight(sight) => {
            model.rates.add(model.now_ms, &sight.status);
            model.seen_ms = model.now_ms;
            model.blind = None;
            let waits = |sight: &Sight| sight.absence.is_some();
            let waiting = waits(&sight) || model.sight.as_ref().is_some_and(waits);
            if model.is_paused {
                // What waits in the kernel is part of a table that stands still.
                let before = model.sight.take().and_then(|before| before.absence);
                let absence = sight.absence.clone().map(|now| super::Absence {
                    waiting: before.map(|before| before.waiting).unwrap_or_default(),
                    ..now
                });
                model.sight = Some(Sight { absence, ..*sight });
            } else {
                model.sight = Some(*sight);
                model.fill_tables();
                if waiting {
                    model.fill_anomalies();
                }
            }
        }
        Message::Blind(why) => model.blind = Some(why),
        Message::Events { lines, more, anew } => {
            if anew {
                let next = model.events.next;
                model.events = Events { next, ..Events::default() };
            }
            model.events.more = model.events.more.saturating_add(more);
            for anomaly in lines.iter().filter_map(|line| Anomaly::parse(line)) {
                let event = (model.events.next, anomaly);
                model.events.next += 1;
                if model.is_paused { model.events.hold(event) } else { model.events.keep(event) }
            }
            if !model.is_paused {
                model.fill_anomalies();
            }
        }
        Message::Key(key) => press(model, key),
        Message::Tick(now_ms) => {
            // The clock and deadlines go on by the second.
            model.is_dirty |= now_ms / 1_000 != model.now_ms / 1_000;
            model.now_ms = now_ms;
            return;
        }
    }
    model.is_dirty = true;
}
