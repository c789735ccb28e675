//! What keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::model::{Focus, Model};

/// Rows of a page.
const PAGE: isize = 10;
/// Longest filter.
const LONGEST: usize = 60;

/// Keys, for the help. Those at the bottom are written there.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("q, Ctrl-C", "leave"),
    ("Tab, Shift-Tab, 1-4", "another table"),
    ("up, down, PgUp, PgDn", "select a row; a selected event stays selected while others come"),
    ("Home or g, End or G", "the first row (the newest event, whichever that will be), the last"),
    ("Enter", "events of the selected conduit, rule or reason"),
    ("/", "filter: rows with all the words; Enter keeps it, Esc takes it off"),
    ("s, r", "sort by the next column, the other way round"),
    ("p or Space", "tables stand still, or go on; the head goes on always"),
    ("z", "one table has all the room, or all of them"),
    ("?", "this help"),
];

/// Changes the model as a key says.
pub(super) fn press(model: &mut Model, key: KeyEvent) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    if control && matches!(key.code, KeyCode::Char('c')) {
        model.has_quit = true;
    } else if model.is_typing {
        type_filter(model, key.code, control);
    } else if model.shows_help {
        // Whoever has read it presses anything.
        model.shows_help = false;
        model.has_quit = key.code == KeyCode::Char('q');
    } else if !control {
        command(model, key.code);
    }
}

fn type_filter(model: &mut Model, code: KeyCode, control: bool) {
    let mut filter = model.focused().filter().to_owned();
    match code {
        KeyCode::Enter => model.is_typing = false,
        KeyCode::Esc => {
            model.is_typing = false;
            filter.clear();
        }
        KeyCode::Backspace => {
            filter.pop();
        }
        KeyCode::Char('u') if control => filter.clear(),
        KeyCode::Char(letter) if !control && filter.chars().count() < LONGEST => filter.push(letter),
        _ => {}
    }
    model.focused().set_filter(filter);
}

fn command(model: &mut Model, code: KeyCode) {
    let places = Focus::ALL.len();
    let place = Focus::ALL.iter().position(|one| *one == model.focus).unwrap_or(0);
    let mut focus = |place: usize| {
        if let Some(focus) = Focus::ALL.get(place % places) {
            model.focus = *focus;
        }
    };
    match code {
        KeyCode::Char('q') => model.has_quit = true,
        KeyCode::Tab | KeyCode::Right => focus(place + 1),
        KeyCode::BackTab | KeyCode::Left => focus(place + places - 1),
        KeyCode::Char(digit @ '1'..='4') => focus(digit as usize - '1' as usize),
        KeyCode::Up | KeyCode::Char('k') => model.focused().move_by(-1),
        KeyCode::Down | KeyCode::Char('j') => model.focused().move_by(1),
        KeyCode::PageUp => model.focused().move_by(-PAGE),
        KeyCode::PageDown => model.focused().move_by(PAGE),
        KeyCode::Home | KeyCode::Char('g') => model.focused().let_go(),
        KeyCode::End | KeyCode::Char('G') => model.focused().move_to(usize::MAX),
        KeyCode::Char('s') => model.focused().sort_by_next(),
        KeyCode::Char('r') => model.focused().reverse(),
        KeyCode::Char('p' | ' ') => model.pause(!model.is_paused),
        KeyCode::Char('z') => model.is_zoomed = !model.is_zoomed,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => model.shows_help = true,
        KeyCode::Char('/') => model.is_typing = true,
        KeyCode::Esc => model.focused().set_filter(String::new()),
        KeyCode::Enter => show_events_of_selected(model),
        _ => {}
    }
}

/// The name of what is selected becomes the filter of events.
fn show_events_of_selected(model: &mut Model) {
    if model.focus == Focus::Anomalies {
        return;
    }
    let name = model.focused().selected().and_then(|row| row.cells.first()).map(|cell| cell.text.clone());
    if let Some(name) = name {
        model.focus = Focus::Anomalies;
        model.focused().set_filter(name);
    }
}
