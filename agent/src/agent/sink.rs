//! Where events go.

use std::sync::Arc;

use banchi_common::abi::Event;

use crate::control::History;
use crate::events::{Clock, Names, Report};
use crate::outputs::LineFile;

/// Where events go: to whoever follows them, and to a file where there is one.
pub(super) struct Sink {
    file: Option<LineFile>,
    history: History,
}

impl Sink {
    pub(super) fn new(file: Option<LineFile>, history: History) -> Self {
        Self { file, history }
    }

    pub(super) fn report(&mut self, event: &Event, names: &Names, clock: &Clock) -> Option<Arc<Report>> {
        let Some(report) = Report::of(event, names, clock) else {
            tracing::warn!("an event makes no sense: reason {}, verdict {}", event.reason, event.verdict);
            return None;
        };
        let line = report.json().ok()?;
        if let Some(file) = &mut self.file {
            file.push(&line);
        }
        self.history.publish(line.into());
        Some(Arc::new(report))
    }

    /// Hands lines over to the disk. Without lines it finds out whether the file was renamed.
    pub(super) fn flush(&mut self) {
        if let Some(file) = &mut self.file {
            file.flush();
        }
    }

    pub(super) fn end(self) {
        if let Some(file) = self.file {
            file.end();
        }
    }
}
