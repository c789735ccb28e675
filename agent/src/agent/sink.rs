//! Where events go.

use std::fs::File;
use std::io::{BufWriter, Write as _};

use banchi_common::abi::Event;

use crate::control::History;
use crate::events::{Clock, Names, Report};

/// Where events go. A file that cannot be written costs its own lines only, and is said once.
pub(super) struct Sink {
    file: Option<BufWriter<File>>,
    broken: bool,
    history: History,
}

impl Sink {
    pub(super) fn new(file: Option<File>, history: History) -> Self {
        Self { file: file.map(BufWriter::new), broken: false, history }
    }

    pub(super) fn report(&mut self, event: &Event, names: &Names, clock: &Clock) {
        let Some(report) = Report::of(event, names, clock) else {
            log::warn!("an event makes no sense: reason {}, verdict {}", event.reason, event.verdict);
            return;
        };
        let Ok(line) = report.json() else { return };
        if let Some(file) = &mut self.file {
            let written = file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n"));
            self.note(written);
        }
        self.history.publish(line);
    }

    pub(super) fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            let flushed = file.flush();
            self.note(flushed);
        }
    }

    fn note(&mut self, result: std::io::Result<()>) {
        match result {
            Ok(()) => self.broken = false,
            Err(error) if !self.broken => {
                self.broken = true;
                log::error!("cannot write events to their file: {error}");
            }
            Err(_) => {}
        }
    }
}
