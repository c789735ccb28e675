//! The loop around the model: keys, messages, drawing; and a terminal that is left as it was found.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::inbox::Inbox;
use super::model::{Message, Model, update};
use super::view::{Theme, view};

/// How long to wait for a key before messages are looked at: the most often that anything is drawn without one.
const TURN: Duration = Duration::from_millis(100);

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Somebody pressed a key.
    Quit,
    /// A signal came; its number.
    Signal(usize),
}

/// Shows what comes by the inbox until somebody has seen enough. `alive` says whether somebody still fills it.
///
/// The terminal is as before afterwards, however this ends: by a key, a signal, an error or a panic.
///
/// # Errors
/// Where the terminal cannot be used, or nobody fills the inbox any more.
pub fn show(inbox: &Inbox, model: Model, theme: &Theme, alive: impl Fn() -> bool) -> io::Result<End> {
    let signal = Arc::new(AtomicUsize::new(0));
    for number in [SIGHUP, SIGINT, SIGTERM] {
        // The second one ends at once, should a terminal that takes nothing hold up the first.
        let armed = Arc::new(std::sync::atomic::AtomicBool::new(false));
        flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&armed))?;
        flag::register(number, armed)?;
        flag::register_usize(number, Arc::clone(&signal), number as usize)?;
    }
    // From here on a panic restores the terminal before it speaks.
    let mut terminal = ratatui::try_init()?;
    let end = turn(&mut terminal, inbox, model, theme, &alive, &signal);
    let shown = terminal.show_cursor();
    ratatui::try_restore()?;
    shown?;
    end
}

fn turn(
    terminal: &mut DefaultTerminal,
    inbox: &Inbox,
    mut model: Model,
    theme: &Theme,
    alive: &impl Fn() -> bool,
    signal: &AtomicUsize,
) -> io::Result<End> {
    let start = Instant::now();
    loop {
        let elapsed = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        update(&mut model, Message::Tick(elapsed));
        inbox.take().into_iter().for_each(|message| update(&mut model, message));
        if model.take_dirty() {
            terminal.draw(|frame| view(frame, &model, theme))?;
        }
        let mut wait = TURN;
        while event::poll(wait)? {
            match event::read()? {
                Event::Key(key) => update(&mut model, Message::Key(key)),
                // Draws all of it anew.
                Event::Resize(..) => terminal.clear()?,
                _ => {}
            }
            model.mark();
            wait = Duration::ZERO;
        }
        if model.has_quit() {
            return Ok(End::Quit);
        }
        match signal.load(Ordering::Relaxed) {
            0 => {}
            number => return Ok(End::Signal(number)),
        }
        if !alive() {
            return Err(io::Error::other("what looks at the gateway has ended by itself"));
        }
    }
}
