//! Several files as one, in the order of time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::file::{CaptureFile, Trouble};
use super::{CaptureError, Frame};

/// Files that are read as one.
pub struct Captures {
    files: Vec<Waiting>,
    interfaces: Vec<String>,
    bytes: u64,
    read: Arc<AtomicU64>,
}

/// A file, and its next frame.
struct Waiting {
    path: PathBuf,
    file: CaptureFile,
    next: Option<Frame>,
}

impl Captures {
    /// Opens files, and looks at how each begins.
    ///
    /// # Errors
    /// Where one cannot be read, or is no capture.
    pub fn open(paths: &[PathBuf]) -> Result<Self, CaptureError> {
        let read = Arc::new(AtomicU64::new(0));
        let bytes = paths.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.len()).sum();
        let mut captures = Self { files: Vec::new(), interfaces: Vec::new(), bytes, read };
        for path in paths {
            let file = CaptureFile::open(path, &captures.read)?;
            captures.files.push(Waiting { path: path.clone(), file, next: Some(Frame::default()) });
        }
        for place in 0..captures.files.len() {
            captures.advance(place);
        }
        Ok(captures)
    }

    /// Fills `frame` with the oldest of the next frames of all files; false at the end of all.
    pub fn next(&mut self, frame: &mut Frame) -> bool {
        let waiting = self.files.iter().enumerate();
        let next = waiting.filter_map(|(place, file)| Some((file.next.as_ref()?.at, place))).min();
        let Some((_, place)) = next else { return false };
        if let Some(next) = self.files.get_mut(place).and_then(|file| file.next.as_mut()) {
            std::mem::swap(frame, next);
        }
        self.advance(place);
        true
    }

    fn advance(&mut self, place: usize) {
        let Some(waiting) = self.files.get_mut(place) else { return };
        let Some(mut frame) = waiting.next.take() else { return };
        let Some(name) = waiting.file.next(&mut frame) else { return };
        frame.file = place;
        frame.interface = name.map(|name| {
            self.interfaces.iter().position(|known| known == name).unwrap_or_else(|| {
                self.interfaces.push(name.to_owned());
                self.interfaces.len() - 1
            })
        });
        waiting.next = Some(frame);
    }

    /// The files, in the order that [`Frame::file`] counts.
    pub fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter().map(|file| &file.path)
    }

    /// Names of the interfaces that frames came from, as far as they were read.
    pub fn interfaces(&self) -> &[String] {
        &self.interfaces
    }

    /// What went wrong in each file so far.
    pub fn troubles(&self) -> impl Iterator<Item = (&PathBuf, &Trouble)> {
        self.files.iter().map(|file| (&file.path, &file.file.trouble))
    }

    /// Bytes of all files, and of those, how many were read.
    pub fn progress(&self) -> (u64, u64) {
        (self.bytes, self.read.load(Ordering::Relaxed))
    }
}
