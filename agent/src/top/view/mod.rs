//! How the model is drawn: where everything has its place.

mod explanation;
mod head;
mod help;
mod table;
mod theme;

pub use theme::Theme;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::model::{Focus, Model};

/// The least room in which all tables are shown at once; in less there is one.
const OVERVIEW: (u16, u16) = (72, 20);
/// From this width on, tables stand beside each other.
const WIDE: u16 = 160;
/// The least height in which an event has its explanation below.
const EXPLAINED: u16 = 12;

/// Draws everything that is known.
pub fn view(frame: &mut Frame<'_>, model: &Model, theme: &Theme) {
    let all = frame.area();
    let head = head::lines(model, theme, all.width, most_head(all.height));
    let height = u16::try_from(head.len()).unwrap_or(u16::MAX).min(all.height);
    let foot = u16::from(all.height > height + 3);
    let [top, body, bottom] =
        Layout::vertical([Constraint::Length(height), Constraint::Fill(1), Constraint::Length(foot)])
            .areas(all);
    for (line, at) in head.into_iter().zip(0..) {
        put(frame, top, at, line);
    }
    put(frame, bottom, 0, keys(model, theme, all.width));
    if model.shows_help {
        help::draw(frame, body, theme);
    } else if model.is_zoomed || all.width < OVERVIEW.0 || all.height < OVERVIEW.1 {
        one(frame, body, model, theme);
    } else {
        overview(frame, body, model, theme);
    }
}

/// Lines that the head may have: what is loud has room in any terminal, and leaves some to the rest.
fn most_head(height: u16) -> usize {
    usize::from(match height {
        0..=6 => 1,
        7..=12 => 2,
        13..=19 => 3,
        20..=23 => 4,
        _ => 2 + height / 8,
    })
}

/// The table in focus; below events, what the selected one means.
fn one(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    if model.focus != Focus::Anomalies || area.height < EXPLAINED - 3 {
        return table::draw(frame, area, model, model.focus, theme);
    }
    let below = (area.height / 2).min(13);
    let [above, below] = Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas(area);
    table::draw(frame, above, model, model.focus, theme);
    explanation::draw(frame, below, model, theme);
}

/// All tables.
fn overview(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    if area.width >= WIDE {
        return beside(frame, area, model, theme);
    }
    // Of what is left after the least that each needs, events get the most. A long head takes from all of them.
    let spare = area.height.saturating_sub(20);
    let short = u16::from(area.height < 20);
    let rows = |least: u16, share: u16| Constraint::Length(least + spare * share / 10);
    let [top, rules, events, explained] =
        Layout::vertical([rows(4, 2), rows(4 - short, 2), Constraint::Fill(1), rows(7 - short, 1)])
            .areas(area);
    let [left, _, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(2), Constraint::Fill(1)]).areas(top);
    table::draw(frame, left, model, Focus::Conduits, theme);
    table::draw(frame, right, model, Focus::Reasons, theme);
    table::draw(frame, rules, model, Focus::Rules, theme);
    table::draw(frame, events, model, Focus::Anomalies, theme);
    explanation::draw(frame, explained, model, theme);
}

/// All tables, with events beside the others.
fn beside(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    let [left, _, right] =
        Layout::horizontal([Constraint::Fill(2), Constraint::Length(2), Constraint::Fill(3)]).areas(area);
    let [conduits, reasons, rules] =
        Layout::vertical([Constraint::Fill(1), Constraint::Fill(1), Constraint::Fill(2)]).areas(left);
    let [events, explained] = Layout::vertical([Constraint::Fill(1), Constraint::Length(12)]).areas(right);
    table::draw(frame, conduits, model, Focus::Conduits, theme);
    table::draw(frame, reasons, model, Focus::Reasons, theme);
    table::draw(frame, rules, model, Focus::Rules, theme);
    table::draw(frame, events, model, Focus::Anomalies, theme);
    explanation::draw(frame, explained, model, theme);
}

/// The bottom line: what keys do now.
fn keys(model: &Model, theme: &Theme, width: u16) -> Line<'static> {
    if model.is_typing {
        let filter = model.pane(model.focus).filter();
        return Line::styled(format!("filter: {filter}_  Enter keeps it, Esc takes it off"), theme.bar);
    }
    let keys = [
        ("q", "quit"),
        ("?", "help"),
        ("Tab", "table"),
        ("↑↓", "select"),
        ("/", "filter"),
        ("s", "sort"),
        ("p", if model.is_paused { "go on" } else { "pause" }),
        ("z", if model.is_zoomed { "all tables" } else { "zoom" }),
        ("Enter", "its events"),
    ];
    let mut line = Line::default();
    for (key, does) in keys {
        let shown = format!(" {does}  ");
        if line.width() + key.chars().count() + shown.chars().count() > usize::from(width) + 2 {
            break;
        }
        line.spans.push(Span::styled(key, theme.key));
        line.spans.push(Span::raw(shown));
    }
    line
}

/// One line of an area; nothing where it has not so many.
fn put(frame: &mut Frame<'_>, area: Rect, at: u16, line: Line<'_>) {
    if at < area.height {
        frame.render_widget(line, Rect { y: area.y + at, height: 1, ..area });
    }
}

/// A text that fits, with a sign where it does not.
fn cut(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width.saturating_sub(1)).chain(['…']).take(width).collect(),
        false => text.to_owned(),
    }
}
