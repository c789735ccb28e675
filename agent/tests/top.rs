//! What `banchi top` draws: states that were made up, on terminals of any size.
//!
//! The screens are in `top/*.txt`. After an intended change: `BLESS=1 cargo test -p banchi --test top`, and read the
//! difference.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;

use banchi::control::{ClientError, Status};
use banchi::top::{Absence, Anomaly, KEPT, Message, Model, Sight, Theme, update, view};
use banchi_common::abi::{Mode, OnAgentLoss};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};

const STATUS: &str = include_str!("top/status.json");
const EVENTS: &str = include_str!("top/events.jsonl");
const POLICY: &str = include_str!("../../tests/demo/policy.yaml");
const NOW: &str = "2026-11-28T16:30:00.500000Z";

fn status() -> Status {
    serde_json::from_str(STATUS).unwrap()
}

fn sight(status: Status) -> Sight {
    let policy = banchi::policy::load("policy.yaml", POLICY).policy.map(Arc::new);
    assert!(policy.is_some());
    Sight { status, policy, absence: None, now: NOW.to_owned() }
}

fn lines() -> Vec<String> {
    EVENTS.lines().map(str::to_owned).collect()
}

fn events(lines: Vec<String>) -> Message {
    Message::Events { lines, more: 0, anew: false }
}

fn see(model: &mut Model, sight: Sight) {
    update(model, Message::Sight(Box::new(sight)));
}

/// A gateway that is as it should be, seen twice: a second later some packets more.
fn calm() -> Model {
    let mut model = Model::new(1_000);
    see(&mut model, sight(status()));
    update(&mut model, events(lines()));
    update(&mut model, Message::Tick(1_000));
    let mut later = status();
    later.rules[0].forward_packets += 12;
    later.conduits[0].allowed += 12;
    later.conduits[0].reasons[0].packets += 3;
    see(&mut model, sight(later));
    model
}

/// The same, and nobody could say more of it.
fn amiss() -> Sight {
    let mut status = status();
    status.running = false;
    status.pid = None;
    status.last_seen_ms_ago = Some(95_000);
    status.bypass = true;
    status.bypassed = 1_234;
    status.island = true;
    status.losses = 2;
    status.confirm_until = Some("2026-11-28T16:34:12.900000Z".to_owned());
    let conduit = &mut status.conduits[0];
    conduit.mode = Mode::Enforce;
    conduit.by_hand = true;
    conduit.on_agent_loss = OnAgentLoss::Closed;
    status.reports[0].lost = 17;
    let error = ClientError::Silent { path: "/run/banchi/control.sock".into() };
    let waiting: Vec<Anomaly> = lines().iter().filter_map(|line| Anomaly::parse(line)).collect();
    let absence = Absence::new(&status, &error, waiting, 3);
    Sight { absence: Some(absence), ..sight(status) }
}

fn press(model: &mut Model, code: KeyCode) {
    update(model, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)));
}

fn write(model: &mut Model, letters: &str) {
    letters.chars().for_each(|letter| press(model, KeyCode::Char(letter)));
}

fn drawn(model: &Model, theme: &Theme, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view(frame, model, theme)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let rows = buffer.content().chunks(usize::from(buffer.area.width.max(1)));
    let row = |cells: &[ratatui::buffer::Cell]| {
        let row: String = cells.iter().map(|cell| cell.symbol()).collect();
        format!("{}\n", row.trim_end())
    };
    rows.map(row).collect()
}

fn screen(model: &Model, width: u16, height: u16) -> String {
    text(&drawn(model, &Theme::new(true), width, height))
}

/// Compares a screen with its golden text.
fn golden(name: &str, model: &Model, width: u16, height: u16) {
    let found = screen(model, width, height);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/top").join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).unwrap();
    } else {
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(expected == found, "{name}\n--- expected\n{expected}--- found\n{found}");
    }
}

#[test]
fn a_calm_gateway() {
    let model = calm();
    golden("calm-80x24", &model, 80, 24);
    golden("calm-120x40", &model, 120, 40);
    golden("calm-200x50", &model, 200, 50);
    golden("calm-60x16", &model, 60, 16);
    golden("calm-30x8", &model, 30, 8);
    golden("calm-12x3", &model, 12, 3);
}

#[test]
fn all_that_can_be_amiss_at_once() {
    let mut model = calm();
    see(&mut model, amiss());
    golden("amiss-80x24", &model, 80, 24);
    golden("amiss-120x40", &model, 120, 40);
    golden("amiss-30x8", &model, 30, 8);
    update(&mut model, Message::Tick(61_000));
    assert!(screen(&model, 80, 24).contains("TRIAL 3:12"), "a deadline goes on by itself");
    assert!(screen(&model, 80, 24).contains("SEEN 60 s AGO"));
    update(&mut model, Message::Blind("no banchi runs".to_owned()));
    golden("blind-80x24", &model, 80, 24);
}

#[test]
fn what_is_amiss_stays_in_sight() {
    let mut model = calm();
    press(&mut model, KeyCode::Char('p'));
    for key in ['?', 'x', 'z', 'z', 's', 'r'] {
        press(&mut model, KeyCode::Char(key));
        see(&mut model, amiss());
        for (width, height) in [(80, 24), (120, 40), (50, 12), (30, 8), (20, 6)] {
            let shown = screen(&model, width, height);
            assert!(shown.contains("BYPASS"), "{width} x {height} after {key}:\n{shown}");
        }
    }
}

#[test]
fn keys_do_what_the_help_says() {
    let mut model = calm();
    press(&mut model, KeyCode::Char('?'));
    golden("help-80x24", &model, 80, 24);
    press(&mut model, KeyCode::Esc);

    // A filter of what is known, letter by letter.
    press(&mut model, KeyCode::Char('/'));
    write(&mut model, "source q");
    assert!(!model.has_quit(), "letters of a filter are no commands");
    press(&mut model, KeyCode::Backspace);
    golden("filter-80x24", &model, 80, 24);
    press(&mut model, KeyCode::Esc);
    assert!(!screen(&model, 80, 24).contains('"'));

    // Another table, sorted, in all the room.
    press(&mut model, KeyCode::Char('3'));
    for key in ['s', 's', 's', 's', 'z'] {
        press(&mut model, KeyCode::Char(key));
    }
    press(&mut model, KeyCode::Down);
    golden("rules-80x24", &model, 80, 24);
    press(&mut model, KeyCode::Enter);
    assert!(screen(&model, 80, 24).contains("Anomalies"), "the events of that rule");
    press(&mut model, KeyCode::Char('q'));
    assert!(model.has_quit());

    let mut model = calm();
    update(&mut model, Message::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    assert!(model.has_quit());
}

#[test]
fn a_selected_event_stays_while_others_come() {
    let mut model = calm();
    press(&mut model, KeyCode::Down);
    let selected = |model: &Model| {
        let shown = screen(model, 80, 24);
        shown.lines().find(|line| line.starts_with("Selected")).unwrap().to_owned()
    };
    let before = selected(&model);
    update(&mut model, events(lines()));
    assert_eq!(selected(&model), before);
    press(&mut model, KeyCode::Home);
    assert_ne!(selected(&model), before);
}

#[test]
fn tables_stand_still_and_nothing_is_lost_meanwhile() {
    let mut model = calm();
    press(&mut model, KeyCode::Char('p'));
    let count = lines().len();
    update(&mut model, events(lines()));
    see(&mut model, sight(status()));
    golden("paused-80x24", &model, 80, 24);
    assert!(screen(&model, 80, 24).contains(&format!("Anomalies {count}, {count} wait")));
    press(&mut model, KeyCode::Char('p'));
    assert!(screen(&model, 80, 24).contains(&format!("Anomalies {}", 2 * count)));
}

#[test]
fn a_flood_is_bounded_and_counted() {
    let mut model = calm();
    let one = lines().remove(0);
    let flood = Message::Events { lines: vec![one; KEPT], more: 98_765, anew: false };
    update(&mut model, flood.clone());
    assert!(screen(&model, 80, 24).contains(&format!("Anomalies {KEPT}, 98765 more")));
    press(&mut model, KeyCode::Char('p'));
    update(&mut model, flood.clone());
    update(&mut model, flood);
    let more = 3 * 98_765 + KEPT;
    assert!(screen(&model, 120, 40).contains(&format!("Anomalies {KEPT}, {KEPT} wait, {more} more")));
}

#[test]
fn without_colours_what_is_loud_is_reversed() {
    let mut model = calm();
    see(&mut model, amiss());
    let buffer = drawn(&model, &Theme::new(false), 80, 24);
    assert!(buffer.content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let text = text(&buffer);
    let (row, line) = (0..).zip(text.lines()).find(|(_, line)| line.contains("BYPASS")).unwrap();
    let column = line[..line.find("BYPASS").unwrap()].chars().count();
    let cell = &buffer[(u16::try_from(column).unwrap(), row)];
    assert!(cell.modifier.contains(Modifier::REVERSED));
    let coloured = drawn(&model, &Theme::new(true), 80, 24);
    assert_eq!(coloured[(u16::try_from(column).unwrap(), row)].bg, Color::Red);
    assert_eq!(screen(&model, 80, 24), text, "the same words");
}

/// Any keys on any terminal: nothing panics, and only two keys leave.
#[test]
fn no_key_and_no_size_is_in_the_way() {
    let mut state = 0x2545_f491_u32;
    let mut random = move |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let codes = [
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Backspace,
        KeyCode::Char('/'),
        KeyCode::Char('é'),
        KeyCode::Char('s'),
        KeyCode::Char('r'),
        KeyCode::Char('p'),
        KeyCode::Char('z'),
        KeyCode::Char('?'),
        KeyCode::Char('1'),
        KeyCode::Char('4'),
        KeyCode::Char(' '),
    ];
    let mut model = Model::new(1_000);
    for step in 0..3_000_u64 {
        match random(8) {
            0 => see(&mut model, sight(status())),
            1 => see(&mut model, amiss()),
            2 => update(&mut model, events(lines())),
            3 => update(&mut model, Message::Tick(step * 100)),
            _ => press(&mut model, codes[random(codes.len() as u32) as usize]),
        }
        let (width, height) = (random(140) as u16 + 1, random(50) as u16 + 1);
        screen(&model, width, height);
        assert!(!model.has_quit());
    }
}
