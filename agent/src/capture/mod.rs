//! Captures: pcap and pcapng, plain or compressed, one file or several as one, whatever the link.
//!
//! Every frame comes out as Ethernet, as the data plane would see it: [`Captures::next`] fills a [`Frame`] that is used
//! again, so memory does not grow with the file. Nothing that a file says is believed: a length beyond the longest
//! frame ends the file with a [`Trouble`], and what was read before counts.

mod file;
mod link;
mod merge;
mod open;
mod write;

pub use file::Trouble;
pub use merge::Captures;
pub(crate) use open::unpacked;
pub use write::{PcapngWriter, whole_blocks};

use std::path::PathBuf;

use thiserror::Error;

/// One frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Nanoseconds since 1970.
    pub at: u64,
    /// Which of the files it is from, from 0.
    pub file: usize,
    /// Number in its file, from 1, as other tools count.
    pub number: u64,
    /// Place of its interface in [`Captures::interfaces`]; `None` where the file names none.
    pub interface: Option<usize>,
    /// Its bytes, from the Ethernet header on. Links without such a header get one. Zeros stand for what was not
    /// captured.
    pub bytes: Vec<u8>,
    /// How many of its last bytes were not captured.
    pub missing: usize,
}

impl Frame {
    /// How many of its bytes were captured.
    pub fn captured(&self) -> usize {
        self.bytes.len().saturating_sub(self.missing)
    }
}

/// Why a file is no capture.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is something else.
    #[error("{} is no capture: {why}", path.display())]
    NoCapture {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
}
