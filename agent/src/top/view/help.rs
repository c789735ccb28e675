//! The help.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{put, theme::Theme};
use crate::explain::wrapped;
use crate::top::keys::KEYS;

/// Room for keys.
const LABEL: usize = 21;

const WORDS: &[&str] = &[
    "Nothing is changed here: this is for looking only.",
    "Rates are packets a second over the last five seconds. ok/s: allowed by rules; dev: deviating. A * stands behind \
     a mode that was set by hand. \"n more\": events that came faster than they could be shown; `banchi status` counts \
     every packet.",
];

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
    let width = usize::from(area.width);
    put(frame, area, 0, Line::styled(format!("{:<width$}", "Help (any key ends it)"), theme.title));
    let mut at = 1;
    for (keys, does) in KEYS {
        for (number, part) in wrapped(does, width.saturating_sub(LABEL).max(10)).into_iter().enumerate() {
            let keys = if number == 0 { *keys } else { "" };
            let line = Line::from(vec![Span::styled(format!("{keys:<LABEL$}"), theme.key), Span::raw(part)]);
            put(frame, area, at, line);
            at += 1;
        }
    }
    for words in WORDS {
        for part in wrapped(words, width.max(1)) {
            put(frame, area, at, Line::raw(part));
            at += 1;
        }
    }
}
