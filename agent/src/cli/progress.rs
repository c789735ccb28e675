//! What verbs that read long files say meanwhile, on a terminal only.

use std::io::Write as _;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::capture::Trouble;

/// A bar over so many bytes on standard error; hidden where that is no terminal.
pub(super) fn bar(what: &'static str, bytes: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr_with_hz(8));
    let style =
        ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.with_message(what)
}

/// Says on standard error what was not read of a file.
pub(super) fn tell(path: &Path, trouble: &Trouble) {
    let mut lines = Vec::new();
    if let Some(why) = &trouble.broken {
        lines.push(format!("reading stopped {why}; what came before counts"));
    }
    if trouble.unknown_link > 0 {
        lines.push(format!("{} frames are of a link that is not read", trouble.unknown_link));
    }
    if trouble.cut > 0 {
        lines.push(format!("{} frames were cut short when they were captured", trouble.cut));
    }
    if trouble.back_in_time > 0 {
        lines.push(format!("{} frames are older than the one before", trouble.back_in_time));
    }
    for line in lines {
        let _ = writeln!(std::io::stderr(), "banchi: {}: {line}", path.display());
    }
}
