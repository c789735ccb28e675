//! What other threads have for the one that draws: never more than there is room for.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::model::{KEPT, Message};
use super::sight::Sight;

/// The newest sight, and events that were not looked at yet. Where more come than there is room for, the newest stay
/// and the others are counted: whoever draws slowly holds up nobody.
#[derive(Debug, Default)]
pub struct Inbox(Mutex<Letters>);

#[derive(Debug, Default)]
struct Letters {
    sight: Option<Result<Box<Sight>, String>>,
    lines: VecDeque<String>,
    more: u64,
    anew: bool,
}

impl Inbox {
    /// What is there now. The one before is not missed.
    pub fn see(&self, sight: Sight) {
        self.lock().sight = Some(Ok(Box::new(sight)));
    }

    /// Why nothing can be seen.
    pub fn be_blind(&self, why: String) {
        self.lock().sight = Some(Err(why));
    }

    /// Events come from the beginning: those before are known to somebody else, or come again.
    pub fn begin(&self) {
        let mut letters = self.lock();
        letters.lines.clear();
        letters.more = 0;
        letters.anew = true;
    }

    /// One line of the events of the control socket.
    pub fn push(&self, line: &str) {
        let mut letters = self.lock();
        if let Some(missed) = missed(line) {
            letters.more = letters.more.saturating_add(missed);
            return;
        }
        if letters.lines.len() == KEPT {
            letters.lines.pop_front();
            letters.more = letters.more.saturating_add(1);
        }
        letters.lines.push_back(line.to_owned());
    }

    /// Everything that came since the last time.
    pub fn take(&self) -> Vec<Message> {
        let Letters { sight, lines, more, anew } = std::mem::take(&mut *self.lock());
        let mut messages = Vec::new();
        match sight {
            Some(Ok(sight)) => messages.push(Message::Sight(sight)),
            Some(Err(why)) => messages.push(Message::Blind(why)),
            None => {}
        }
        if anew || more > 0 || !lines.is_empty() {
            messages.push(Message::Events { lines: lines.into(), more, anew });
        }
        messages
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The agent says how many it left out for a reader that was too slow.
fn missed(line: &str) -> Option<u64> {
    line.strip_prefix("{\"missed\":")?.strip_suffix('}')?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]
    use super::*;

    #[test]
    fn a_flood_leaves_the_newest_and_an_exact_count_of_the_others() {
        let inbox = Inbox::default();
        inbox.push("{\"missed\":7}");
        for number in 0..1_000_000 {
            inbox.push(&number.to_string());
        }
        match inbox.take().as_slice() {
            [Message::Events { lines, more, anew: false }] => {
                assert_eq!(lines.len(), KEPT);
                assert_eq!(*more, 1_000_000 - KEPT as u64 + 7);
                assert_eq!(lines.last().map(String::as_str), Some("999999"));
            }
            other => panic!("{other:?}"),
        }
        assert!(inbox.take().is_empty());
    }

    #[test]
    fn who_begins_anew_forgets_what_was_not_looked_at() {
        let inbox = Inbox::default();
        inbox.push("old");
        inbox.begin();
        inbox.push("new");
        match inbox.take().as_slice() {
            [Message::Events { lines, more: 0, anew: true }] => assert_eq!(lines, &["new"]),
            other => panic!("{other:?}"),
        }
    }
}
