//! What the selected event means.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{cut, put, theme::Theme};
use crate::explain::wrapped;
use crate::top::model::Model;

/// Room for labels.
const LABEL: usize = 10;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: &Theme) {
    let width = usize::from(area.width);
    let selected = model.selected();
    let title = match selected {
        Some(anomaly) => format!("Selected  {}", anomaly.packet()),
        None => "Selected".to_owned(),
    };
    put(frame, area, 0, Line::styled(format!("{:<width$}", cut(&title, width)), theme.title));
    let Some(anomaly) = selected else {
        return put(frame, area, 1, Line::raw("no event is selected"));
    };
    let policy = model.sight.as_ref().and_then(|sight| sight.policy.as_deref());
    let mut at = 1;
    for (label, text) in anomaly.explanation(policy) {
        let indent = if label.is_empty() { 0 } else { LABEL };
        for (number, part) in wrapped(&text, width.saturating_sub(indent).max(1)).into_iter().enumerate() {
            let label = if number == 0 { label } else { "" };
            let line =
                Line::from(vec![Span::styled(format!("{label:<indent$}"), theme.label), Span::raw(part)]);
            put(frame, area, at, line);
            at += 1;
        }
    }
}
