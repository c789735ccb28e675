//! A file as a stream of bytes: plain, gzip or zstd, told by how it begins.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::CaptureError;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Bytes that are read from the file at once.
const CHUNK: usize = 1 << 18;

/// A stream of a file's content.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn unpacked(path: &Path) -> Result<Box<dyn Read + Send>, CaptureError> {
    open(path, &Arc::default())
}

/// A stream of a file's content, and where it counts the bytes of the file that were read.
pub(super) fn open(path: &Path, progress: &Arc<AtomicU64>) -> Result<Box<dyn Read + Send>, CaptureError> {
    let failed = |source| CaptureError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut reader = BufReader::with_capacity(CHUNK, Counted { file, read: Arc::clone(progress) });
    let start = reader.fill_buf().map_err(failed)?;
    if start.starts_with(GZIP) {
        return Ok(Box::new(Full(flate2::bufread::MultiGzDecoder::new(reader))));
    }
    if start.starts_with(ZSTD) {
        let decoder = ruzstd::decoding::StreamingDecoder::new(reader).map_err(|error| {
            CaptureError::NoCapture { path: path.to_owned(), why: format!("broken zstd: {error}") }
        })?;
        return Ok(Box::new(Full(decoder)));
    }
    Ok(Box::new(Full(reader)))
}

struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Fills the whole buffer unless the stream ends: who looks at the first read sees a whole header.
struct Full<R>(R);

impl<R: Read> Read for Full<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.0.read(rest) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // What came before the error still counts.
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}
