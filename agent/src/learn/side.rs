//! What is counted of one side of a tuple. Fixed in size, whatever the side sends.

use banchi_common::direction::Class;
use serde::{Deserialize, Serialize};

/// TCP flags (RFC 9293, section 3.1).
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// What one side of a tuple sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Packets.
    pub packets: u64,
    /// Bytes that the transport carried.
    pub bytes: u64,
    /// Packets that carried something.
    pub payloads: u64,
    /// Of those, how many of each [`Class`] of the tuple's protocol.
    pub classes: [u32; 4],
    /// Openings (SYN without ACK), and answers to them (SYN with ACK).
    pub opened: u32,
    /// See there.
    pub accepted: u32,
    /// Times it spoke after the other had.
    pub turns: u32,
    /// Times it spoke again before the other did.
    pub repeats: u32,
    /// Sum of log2 of the microseconds that it waited before its turns.
    pub waits: f32,
    /// Longest time in nanoseconds between the other's last packet and one of this side.
    pub longest_wait: u64,
    /// Its rhythm.
    pub rhythm: Rhythm,
    /// When it spoke last, in nanoseconds since 1970; 0 is never.
    pub last: u64,
    /// What the last packet showed of its station: see `hosts`.
    pub station: u64,
}

impl Side {
    /// Mean of log2 of its waits in microseconds.
    pub fn mean_wait(&self) -> f32 {
        if self.turns == 0 { 0.0 } else { self.waits / self.turns as f32 }
    }

    /// How many of its packets are of a class.
    pub fn class(&self, class: Class) -> u32 {
        self.classes.get(class as usize).copied().unwrap_or(0)
    }

    /// Counts the class of a packet.
    pub(super) fn classified(&mut self, class: Class) {
        if let Some(count) = self.classes.get_mut(class as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts a packet at its time; `other` is when the other side spoke last.
    pub(super) fn sent(&mut self, at: u64, other: u64, flags: u8, carried: u64) {
        self.packets += 1;
        self.bytes = self.bytes.saturating_add(carried);
        self.payloads += u64::from(carried > 0);
        match flags & (SYN | ACK | RST) {
            SYN => self.opened = self.opened.saturating_add(1),
            both if both == SYN | ACK => self.accepted = self.accepted.saturating_add(1),
            _ => {}
        }
        if other != 0 {
            self.longest_wait = self.longest_wait.max(at.saturating_sub(other));
        }
        // Acknowledgements and openings are the transport's, and say nothing of who asks.
        if carried == 0 && flags != 0 {
            return;
        }
        if other > self.last && self.last != 0 || self.last == 0 && other != 0 {
            self.turns = self.turns.saturating_add(1);
            self.waits += ((at.saturating_sub(other) / 1_000 + 1) as f32).log2();
        } else if self.last != 0 {
            self.repeats = self.repeats.saturating_add(1);
        }
        self.rhythm.beat(at, self.last);
        self.last = at.max(1);
    }

    /// Takes in what another tuple's side counted.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.payloads += other.payloads;
        for (mine, more) in self.classes.iter_mut().zip(other.classes) {
            *mine = mine.saturating_add(more);
        }
        self.opened = self.opened.saturating_add(other.opened);
        self.accepted = self.accepted.saturating_add(other.accepted);
        self.turns = self.turns.saturating_add(other.turns);
        self.repeats = self.repeats.saturating_add(other.repeats);
        self.waits += other.waits;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        if other.rhythm.beats > self.rhythm.beats {
            self.rhythm = other.rhythm;
        }
        self.last = self.last.max(other.last);
    }
}

/// Whether something comes at even distances: a running estimate of the period, and how many beats kept it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rhythm {
    /// Seconds.
    period: f32,
    /// Distances seen.
    beats: u32,
    /// Of those, within a quarter of the estimate.
    kept: u32,
}

/// Packets that follow each other faster belong to one message or one burst.
const BURST: f32 = 0.000_5;
/// Fewest distances that make a rhythm.
const FEWEST_BEATS: u32 = 8;

impl Rhythm {
    fn beat(&mut self, at: u64, last: u64) {
        let distance = at.saturating_sub(last) as f32 / 1e9;
        if last == 0 || distance < BURST {
            return;
        }
        self.beats = self.beats.saturating_add(1);
        if self.beats == 1 {
            self.period = distance;
            return;
        }
        if (distance - self.period).abs() <= self.period / 4.0 {
            self.kept = self.kept.saturating_add(1);
            self.period += (distance - self.period) / 8.0;
        } else {
            self.period += (distance - self.period) / 16.0;
        }
    }

    /// The period in seconds, where nine of ten distances keep it.
    pub fn period(&self) -> Option<f32> {
        let steady = self.beats >= FEWEST_BEATS && u64::from(self.kept) * 10 >= u64::from(self.beats) * 9;
        steady.then_some(self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_has_a_rhythm_and_chance_has_none() {
        let mut poll = Side::default();
        let mut chance = Side::default();
        for n in 1..40_u64 {
            poll.sent(n * 100_000_000 + n % 3 * 1_000_000, 0, 0, 10);
            chance.sent(n * n * n % 17 * 1_000_000_000 + n * 20_000_000_000, 0, 0, 10);
        }
        assert!(poll.rhythm.period().is_some_and(|period| (period - 0.1).abs() < 0.01));
        assert_eq!(chance.rhythm.period(), None);
    }

    #[test]
    fn time_that_goes_back_does_no_harm() {
        let mut side = Side::default();
        for at in [5, 3, 9, 1, u64::MAX, 2] {
            side.sent(at, 7, 0x10, 4);
        }
        assert_eq!(side.packets, 6);
        assert!(side.waits.is_finite());
    }
}
