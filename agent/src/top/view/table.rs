//! One table: a line with its title and columns, and the rows around the selected one.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::Line;

use super::{cut, put, theme::Theme};
use crate::top::model::{Focus, Model};
use crate::top::pane::{Cell, Column, Pane, Row, Width};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, focus: Focus, theme: &Theme) {
    let pane = model.pane(focus);
    let is_focused = model.focus == focus;
    let columns: Vec<(usize, &Column)> =
        pane.columns.iter().enumerate().filter(|(_, column)| column.from <= area.width).collect();
    let widths = widths(&columns, area.width);
    let title = titles(pane, &columns, &widths, name(model, focus));
    let style = if is_focused { theme.focused } else { theme.title };
    put(frame, area, 0, Line::styled(format!("{title:<width$}", width = usize::from(area.width)), style));
    let room = usize::from(area.height.saturating_sub(1));
    if pane.len() == 0 {
        put(frame, area, 1, Line::raw(nothing(model, focus)));
        return;
    }
    // The selected row stands in the middle, but at both ends.
    let first = pane.position().saturating_sub(room / 2).min(pane.len().saturating_sub(room));
    for (row, at) in pane.window(first, room).zip(0u16..) {
        let is_selected = first + usize::from(at) == pane.position();
        let marks = is_selected && (is_focused || focus == Focus::Anomalies);
        let style = if marks { theme.selected } else { Style::new() };
        let line = Line::styled(cells(row, &columns, &widths), theme.tone(row.tone).patch(style));
        put(frame, area, at + 1, line);
    }
}

/// Title of the table: how much of it is shown, and by what.
fn name(model: &Model, focus: Focus) -> String {
    let pane = model.pane(focus);
    let mut name = pane.title.to_owned();
    if !pane.filter().is_empty() {
        name.push_str(&format!(" {}/{} \"{}\"", pane.len(), pane.total(), pane.filter()));
    } else if pane.total() > 0 {
        name.push_str(&format!(" {}", pane.total()));
    }
    if focus == Focus::Anomalies {
        if model.is_paused && model.held() > 0 {
            name.push_str(&format!(", {} wait", model.held()));
        }
        if model.events.more > 0 {
            name.push_str(&format!(", {} more", model.events.more));
        }
    }
    name
}

fn nothing(model: &Model, focus: Focus) -> &'static str {
    match (model.pane(focus).total(), focus) {
        (1.., _) => "nothing like that",
        (0, Focus::Anomalies) => "none yet",
        (0, _) => "none",
    }
}

/// Widths of the columns that are shown, with a blank between them.
fn widths(columns: &[(usize, &Column)], width: u16) -> Vec<usize> {
    let constraints = columns.iter().map(|(_, column)| match column.width {
        Width::Fixed(width) => Constraint::Length(width),
        Width::Rest(least) => Constraint::Min(least),
    });
    let cells = Layout::horizontal(constraints).spacing(1).split(Rect::new(0, 0, width, 1));
    cells.iter().map(|cell| usize::from(cell.width)).collect()
}

/// The titles; that of the table takes the room of the first column, and of the next ones where it is longer.
fn titles(pane: &Pane, columns: &[(usize, &Column)], widths: &[usize], name: String) -> String {
    let (sorted, is_reversed) = pane.sorted();
    let title = |(place, column): (usize, &Column)| {
        let mark = if sorted == Some(place) { "▾" } else { "" };
        let mark = if is_reversed { "▴" } else { mark };
        let marked = sorted == Some(place) || (is_reversed && sorted.is_none() && place == 0);
        format!("{}{}", column.title, if marked { mark } else { "" })
    };
    let mut line = String::new();
    let mut start = 0;
    for ((place, column), width) in columns.iter().zip(widths) {
        let title = title((*place, column));
        // The first one that is shown is that of the table.
        let title = if start == 0 && column.title.is_empty() {
            format!("{name}{title}")
        } else if start == 0 {
            format!("{name} {title}")
        } else {
            title
        };
        let at = if column.right { start + width.saturating_sub(title.chars().count()) } else { start };
        let used = line.chars().count();
        // A title that another one has taken the place of is left out.
        if used == 0 || at > used {
            line.push_str(&" ".repeat(at.saturating_sub(used)));
            line.push_str(&title);
        }
        start += width + 1;
    }
    line
}

fn cells(row: &Row, columns: &[(usize, &Column)], widths: &[usize]) -> String {
    let empty = Cell::default();
    let cell = |((place, column), width): (&(usize, &Column), &usize)| {
        let text = cut(&row.cells.get(*place).unwrap_or(&empty).text, *width);
        if column.right { format!("{text:>width$}") } else { format!("{text:<width$}") }
    };
    columns.iter().zip(widths).map(cell).collect::<Vec<_>>().join(" ")
}
