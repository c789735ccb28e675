//! `banchi top` with a mistake in it, for the test that a panic leaves the terminal as it was: it panics as soon as
//! there is a file of the name that it is given.

use std::path::PathBuf;

use banchi::top::{Inbox, Model, Theme, show};

fn main() -> std::io::Result<()> {
    let file = PathBuf::from(std::env::args_os().nth(1).unwrap_or_default());
    let alive = || {
        assert!(!file.exists(), "on purpose");
        true
    };
    show(&Inbox::default(), Model::new(1_000), &Theme::new(true), alive).map(|_| ())
}
