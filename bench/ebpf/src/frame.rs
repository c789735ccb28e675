//! Reads and writes of packets, each behind a comparison with the end.

use core::arch::asm;

use aya_ebpf::programs::XdpContext;

/// A packet, from its Ethernet header on. Numbers are in the order of the packet.
pub struct Frame {
    start: usize,
    end: usize,
}

impl Frame {
    /// The packet of a context.
    #[inline(always)]
    pub fn of(ctx: &XdpContext) -> Self {
        Self { start: ctx.data(), end: ctx.data_end() }
    }

    #[inline(always)]
    fn address(&self, at: usize, size: usize) -> Option<usize> {
        let first = self.start + at;
        (first + size <= self.end).then_some(first)
    }

    /// The byte at an offset, widened.
    #[inline(always)]
    pub fn u8(&self, at: usize) -> Option<u32> {
        let address = self.address(at, 1)?;
        let value: u64;
        // SAFETY: the verifier has seen the comparison, so the byte is the packet's.
        unsafe {
            asm!("{0} = *(u8 *)({1} + 0)", out(reg) value, in(reg) address, options(readonly, nostack))
        };
        Some(value as u32)
    }

    /// Two bytes at an offset.
    #[inline(always)]
    pub fn u16(&self, at: usize) -> Option<u16> {
        let address = self.address(at, 2)?;
        let value: u64;
        // SAFETY: as above, and the machine loads from any address.
        unsafe {
            asm!("{0} = *(u16 *)({1} + 0)", out(reg) value, in(reg) address, options(readonly, nostack))
        };
        Some(value as u16)
    }

    /// Four bytes at an offset.
    #[inline(always)]
    pub fn u32(&self, at: usize) -> Option<u32> {
        let address = self.address(at, 4)?;
        let value: u64;
        // SAFETY: as above.
        unsafe {
            asm!("{0} = *(u32 *)({1} + 0)", out(reg) value, in(reg) address, options(readonly, nostack))
        };
        Some(value as u32)
    }

    /// Writes two bytes.
    #[inline(always)]
    pub fn set_u16(&self, at: usize, value: u16) -> Option<()> {
        let address = self.address(at, 2)?;
        let value = u64::from(value);
        // SAFETY: the verifier has seen the comparison, so the bytes are the packet's, and the machine stores to any
        // address.
        unsafe { asm!("*(u16 *)({0} + 0) = {1}", in(reg) address, in(reg) value, options(nostack)) };
        Some(())
    }

    /// Writes four bytes.
    #[inline(always)]
    pub fn set_u32(&self, at: usize, value: u32) -> Option<()> {
        let address = self.address(at, 4)?;
        let value = u64::from(value);
        // SAFETY: as above.
        unsafe { asm!("*(u32 *)({0} + 0) = {1}", in(reg) address, in(reg) value, options(nostack)) };
        Some(())
    }

    /// Writes the beginning of the frame.
    #[inline(always)]
    pub fn set<const N: usize>(&self, words: &[u64; N]) -> Option<()> {
        let address = self.address(0, N * 8)? as *mut u64;
        for (at, word) in words.iter().enumerate() {
            // SAFETY: the verifier has seen the comparison, so the bytes are the packet's; buffers begin aligned. Volatile,
            // because the compiler would make one copy of it, which is a call of a loop over bytes here.
            unsafe { address.add(at).write_volatile(*word) };
        }
        Some(())
    }
}
