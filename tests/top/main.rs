//! `banchi top` in a real terminal: tmux holds it, types, and says what stands on it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

mod ends;
mod flood;
mod live;
