//! The only place with raw packet pointers.

use core::arch::asm;

use aya_ebpf::programs::XdpContext;
use banchi_common::wire::Packet;

/// A packet in the driver's buffer, from its Ethernet header on.
pub struct Frame {
    start: usize,
    end: usize,
    interface: u32,
}

impl Frame {
    /// The packet of a context.
    #[inline(always)]
    pub fn of(ctx: &XdpContext) -> Self {
        Self { start: ctx.data(), end: ctx.data_end(), interface: ctx.ingress_ifindex() as u32 }
    }

    /// Index of the interface that the packet came in by.
    #[inline(always)]
    pub fn interface(&self) -> u32 {
        self.interface
    }

    /// Bytes from the Ethernet header to the end of the frame.
    #[inline(always)]
    pub fn wire_length(&self) -> u32 {
        (self.end - self.start) as u32
    }

    #[inline(always)]
    fn read<T: Copy>(&self, at: usize) -> Option<T> {
        let first = self.start + at;
        if past::<T>(first) > self.end {
            return None;
        }
        // SAFETY: the verifier has seen the comparison above, so the bytes are the packet's; every bit
        // pattern is a number.
        Some(unsafe { (first as *const T).read_unaligned() })
    }

    /// Overwrites bytes, as they are; false past the end, where nothing is changed.
    #[inline(always)]
    pub fn write<T: Copy>(&self, at: usize, value: T) -> bool {
        let first = self.start + at;
        if past::<T>(first) > self.end {
            return false;
        }
        // SAFETY: the verifier has seen the comparison above, so the bytes are the packet's, which nobody else has.
        unsafe { (first as *mut T).write_unaligned(value) };
        true
    }
}

/// The address behind a `T`. The compiler must not see that this adds: for one byte it would compare
/// `first >= end`, from which the verifier learns nothing where the offset is variable.
#[inline(always)]
fn past<T>(first: usize) -> usize {
    let mut address = first;
    // SAFETY: adds a constant to a register.
    unsafe { asm!("{0} += {1}", inout(reg) address, const size_of::<T>(), options(pure, nomem, nostack)) };
    address
}

impl Packet for Frame {
    #[inline(always)]
    fn bounded(&self, at: usize) -> usize {
        let mut bounded = at;
        // SAFETY: clears bits of a register.
        unsafe { asm!("{0} &= 0x7fff", inout(reg) bounded, options(pure, nomem, nostack)) };
        bounded
    }
    #[inline(always)]
    fn length(&self) -> usize {
        self.end - self.start
    }
    #[inline(always)]
    fn u8(&self, at: usize) -> Option<u8> {
        self.read(at)
    }
    #[inline(always)]
    fn u16(&self, at: usize) -> Option<u16> {
        self.read(at).map(u16::from_be)
    }
    #[inline(always)]
    fn u32(&self, at: usize) -> Option<u32> {
        self.read(at).map(u32::from_be)
    }
    #[inline(always)]
    fn u64(&self, at: usize) -> Option<u64> {
        self.read(at).map(u64::from_be)
    }
}
