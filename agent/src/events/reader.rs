//! Reading the ring.

use std::io;

use aya::maps::{MapData, RingBuf};
use banchi_common::abi::Event;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Records that are handed over before others have their turn: signals and questions do not wait for the end of a
/// flood.
const BATCH: usize = 1_024;

/// Events of the kernel, one after the other.
pub struct Reader {
    ring: AsyncFd<RingBuf<MapData>>,
}

impl Reader {
    /// Waits on a ring. Must be made inside a tokio runtime.
    ///
    /// # Errors
    /// Where the runtime cannot watch the ring.
    pub fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        // SAFETY: the ring owns its descriptor, keeps it open for as long as it lives, and never changes it; it is
        // moved into the `AsyncFd` here.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }?;
        Ok(Self { ring })
    }

    /// Waits until there are events, and hands over those that are there, up to a limit.
    ///
    /// # Errors
    /// Where the wait fails.
    pub async fn next(&mut self, mut each: impl FnMut(&Event)) -> io::Result<()> {
        let mut ready = self.ring.readable_mut().await?;
        let ring = ready.get_inner_mut();
        for _ in 0..BATCH {
            let Some(record) = ring.next() else {
                ready.clear_ready();
                return Ok(());
            };
            // A record of another size is another version's: the loader would have refused it.
            if let Ok(event) = bytemuck::try_pod_read_unaligned::<Event>(&record) {
                each(&event);
            }
        }
        Ok(())
    }
}
