//! Frames that are sent by the kernel itself, and counted where they arrive.

use anyhow::{Context as _, Result};
use aya::maps::{Array, MapData, PerCpuArray, PerCpuValues};
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp};

use crate::kernel::Kit;

/// Bytes of a generated frame.
pub(crate) const FRAME: usize = 64;

/// Frames that the kernel lets go at once. A veth has room for 256.
const BATCH: u32 = 64;

/// What a CPU has counted, in the bytes of the program.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Seen {
    pub(crate) listed: u64,
    pub(crate) unlisted: u64,
    last_ns: u64,
    pub(crate) gap_ns: u64,
}

// SAFETY: four words and nothing between them; any bytes are a value.
unsafe impl aya::Pod for Seen {}

impl Kit {
    /// The frame that `generate` begins with.
    ///
    /// # Errors
    /// Where it has another length than the program's.
    pub(crate) fn template(&mut self, frame: &[u8]) -> Result<()> {
        let map = self.ebpf.map_mut("TEMPLATE").context("there is no map TEMPLATE")?;
        let frame: [u8; FRAME] = frame.try_into().context("the frame has another length")?;
        Ok(Array::<_, [u8; FRAME]>::try_from(map)?.set(0, frame, 0)?)
    }

    /// Packets that were generated: listed, and not.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(crate) fn sent(&self) -> Result<(u64, u64)> {
        let map = self.ebpf.map("SENT").context("there is no map SENT")?;
        let map: PerCpuArray<_, u64> = PerCpuArray::try_from(map)?;
        Ok((map.get(&0, 0)?.iter().sum(), map.get(&1, 0)?.iter().sum()))
    }

    /// Packets that were counted, and the longest gap between two.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(crate) fn seen(&self) -> Result<Seen> {
        let map = self.ebpf.map("SEEN").context("there is no map SEEN")?;
        let map: PerCpuArray<&MapData, Seen> = PerCpuArray::try_from(map)?;
        Ok(map.get(&0, 0)?.iter().fold(Seen::default(), |sum, seen| Seen {
            listed: sum.listed + seen.listed,
            unlisted: sum.unlisted + seen.unlisted,
            last_ns: 0,
            gap_ns: sum.gap_ns.max(seen.gap_ns),
        }))
    }

    /// The next packet is the first one: no gap is before it. Nor was one before, if `all` is forgotten. Not while
    /// packets are counted.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub(crate) fn pause(&mut self, all: bool) -> Result<()> {
        let map = self.ebpf.map_mut("SEEN").context("there is no map SEEN")?;
        let mut map: PerCpuArray<&mut MapData, Seen> = PerCpuArray::try_from(map)?;
        let values = map.get(&0, 0)?;
        let values =
            values.iter().map(|seen| if all { Seen::default() } else { Seen { last_ns: 0, ..*seen } });
        let values = PerCpuValues::try_from(values.collect::<Vec<_>>())?;
        Ok(map.set(0, values, 0)?)
    }
}

/// Lets a program send frames: each becomes a real one where the program says so.
///
/// # Errors
/// Where the kernel refuses the run.
pub(crate) fn send(program: &Xdp, frames: u32) -> Result<()> {
    let options = TestRunOptions {
        data_in: Some(&[0; FRAME]),
        repeat: frames,
        attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
        ..TestRunOptions::new()
    };
    program.test_run(options).context("send frames")?;
    Ok(())
}
