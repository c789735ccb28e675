//! What waits in the ring of events, looked at and left there: the next agent reports it.
//!
//! The kernel maps a ring as a page with the consumer's position, one with the producer's, and the bytes of the records
//! twice in a row (`kernel/bpf/ringbuf.c`). Nothing here is mapped for writing.

use std::os::fd::AsFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use aya::maps::{MapData, MapInfo};
use banchi_common::abi::Event;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::error::DatapathError;
use super::load::{chain, writing};
use super::store::Store;

/// Bits of a record's first word that are not its length: it is being written, and it was given up.
const BUSY: u32 = 1 << 31;
const GIVEN_UP: u32 = 1 << 30;
/// Bytes before a record: its length and flags, and where its page is.
const HEADER: u64 = 8;
/// Words of an event.
const WORDS: usize = size_of::<Event>() / 8;

/// What a ring holds.
#[derive(Debug, Clone, Default)]
pub struct Waiting {
    /// Events that no agent has read, oldest first.
    pub events: Vec<Event>,
    /// Bytes of the ring that they and what is being written take.
    pub used_bytes: u64,
    /// Bytes of the ring.
    pub ring_bytes: u64,
}

/// Events that wait in the pinned ring. If an agent reads meanwhile, those that it has read may be missing.
///
/// # Errors
/// Where the ring is not there, or cannot be mapped.
pub fn waiting(store: &Store) -> Result<Waiting, DatapathError> {
    let path = store.shared("EVENTS");
    let info = MapInfo::from_pin(&path).map_err(|e| writing("EVENTS", &e))?;
    let data = MapData::from_pin(&path).map_err(|e| writing("EVENTS", &e))?;
    let size = u64::from(info.max_entries());
    let page = rustix::param::page_size();
    // Both pages of positions, and the records twice.
    let view = Mapped::new(&data, 2 * page + 2 * size as usize)?;
    let consumed = || view.word(0).map_or(0, |word| word.load(Ordering::Acquire));
    let produced = view.word(page).map_or(0, |word| word.load(Ordering::Acquire));
    let mut at = consumed();
    let mut waiting =
        Waiting { used_bytes: produced.saturating_sub(at), ring_bytes: size, ..Waiting::default() };
    while at < produced {
        let start = 2 * page + (at & (size - 1)) as usize;
        let Some(header) = view.half(start) else { break };
        let header = header.load(Ordering::Acquire);
        if header & BUSY != 0 {
            break;
        }
        let length = u64::from(header & !GIVEN_UP);
        let words: Option<Vec<u64>> = (0..WORDS)
            .map(|word| Some(view.word(start + HEADER as usize + 8 * word)?.load(Ordering::Relaxed)))
            .collect();
        // The kernel writes over a record only when it was consumed: if it is not yet, what was read is whole.
        fence(Ordering::Acquire);
        let now = consumed();
        if now > at {
            at = now;
            continue;
        }
        if header & GIVEN_UP == 0 && length as usize == size_of::<Event>() {
            let words = words.unwrap_or_default();
            waiting.events.extend(bytemuck::try_pod_read_unaligned::<Event>(bytemuck::cast_slice(&words)));
        }
        at += (length + HEADER).next_multiple_of(8);
    }
    Ok(waiting)
}

/// Memory of the kernel, to be read.
struct Mapped {
    start: NonNull<u8>,
    length: usize,
}

impl Mapped {
    fn new(map: &MapData, length: usize) -> Result<Self, DatapathError> {
        let failed =
            |e: &dyn std::error::Error| DatapathError::other("look into the ring of events", chain(e));
        // SAFETY: the kernel chooses a place that nothing else uses, and the length is that of the whole ring.
        let start = unsafe {
            mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, map.fd().as_fd(), 0)
        };
        let start = start.map_err(|e| failed(&e))?;
        let start = NonNull::new(start.cast()).ok_or_else(|| failed(&rustix::io::Errno::NOMEM))?;
        Ok(Self { start, length })
    }

    /// A word that the kernel may write at any time; `None` past the end, or off its alignment.
    fn word(&self, at: usize) -> Option<&AtomicU64> {
        let inside = at.is_multiple_of(8) && at.checked_add(8)? <= self.length;
        // SAFETY: eight aligned bytes of the mapping, which lives as long as `self`. They are only loaded, and the
        // kernel stores aligned words as a whole.
        inside.then(|| unsafe { self.start.add(at).cast().as_ref() })
    }

    /// Half a word, as [`Mapped::word`].
    fn half(&self, at: usize) -> Option<&AtomicU32> {
        let inside = at.is_multiple_of(4) && at.checked_add(4)? <= self.length;
        // SAFETY: as above, with four bytes.
        inside.then(|| unsafe { self.start.add(at).cast().as_ref() })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own, and no reference into it outlives it.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}
