//! The only place with raw packet pointers.

use core::arch::asm;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use banchi_common::direction::Look;
use banchi_common::wire::Packet;

use crate::once;

/// A packet in the driver's buffer, from its Ethernet header on.
pub struct Frame {
    start: usize,
    end: usize,
    interface: u32,
    context: *mut xdp_md,
}

impl Frame {
    /// The packet of a context.
    #[inline(always)]
    pub fn of(ctx: &XdpContext) -> Self {
        Self {
            start: ctx.data(),
            end: ctx.data_end(),
            interface: ctx.ingress_ifindex() as u32,
            context: ctx.ctx,
        }
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

    /// Where a `T` stands, if the packet has all of it.
    #[inline(always)]
    fn place<T>(&self, at: usize) -> Option<usize> {
        let first = self.start + at;
        if past::<T>(first) > self.end { None } else { Some(first) }
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

/// Loads a number that stands at any address. The compiler knows of no machine that can, and would load byte by byte.
macro_rules! load {
    ($number:ty, $size:literal, $first:expr) => {{
        let value: u64;
        // SAFETY: the address comes from `Frame::place`, whose comparison the verifier has seen: all of it is the packet's.
        unsafe {
            asm!(concat!("{0} = *(", $size, " *)({1} + 0)"), out(reg) value, in(reg) $first,
                options(pure, readonly, nostack));
        }
        <$number>::from_be(value as $number)
    }};
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
    fn class_at(&self, look: Look, _protocols: u32) -> u32 {
        let Look { bounds, length, method, byte } = look;
        once::class_at(self.context, bounds, length, method, byte)
    }
    #[inline(always)]
    fn length(&self) -> usize {
        self.end - self.start
    }
    #[inline(always)]
    fn u8(&self, at: usize) -> Option<u8> {
        Some(load!(u8, "u8", self.place::<u8>(at)?))
    }
    #[inline(always)]
    fn u16(&self, at: usize) -> Option<u16> {
        Some(load!(u16, "u16", self.place::<u16>(at)?))
    }
    #[inline(always)]
    fn u32(&self, at: usize) -> Option<u32> {
        Some(load!(u32, "u32", self.place::<u32>(at)?))
    }
    #[inline(always)]
    fn u64(&self, at: usize) -> Option<u64> {
        Some(load!(u64, "u64", self.place::<u64>(at)?))
    }
}
