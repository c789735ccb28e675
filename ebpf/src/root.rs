//! The root program: attached once, never detached to change anything. It hands each packet to the generation that
//! is active, or, when a deadline has passed without a confirmation, to the one before.

use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray, ProgramArray};
use aya_ebpf::programs::XdpContext;
use banchi_common::abi::{
    ROOT_COUNTS, ROOT_WORDS, RootCount, RootWord, SLOT_ACTIVE, SLOT_PREVIOUS, SLOTS_OF_PROGRAMS,
};

use crate::forward::past;

/// What the agent, or a person without one, tells the data plane.
#[map]
static ROOT: Array<u64> = Array::with_max_entries(ROOT_WORDS, 0);
/// The active generation, and the one before.
#[map]
static PROGRAMS: ProgramArray = ProgramArray::with_max_entries(SLOTS_OF_PROGRAMS, 0);
/// What happened here, by [`RootCount`].
#[map]
static ROOT_COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(ROOT_COUNTS, 0);

/// A word of the root's array.
#[inline(always)]
pub fn word(word: RootWord) -> u64 {
    ROOT.get(word as u32).copied().unwrap_or(0)
}

/// Notes after which heartbeat the agent was lost. All CPUs write the same.
#[inline(always)]
pub fn note_loss(heartbeat: u64) {
    if word(RootWord::LostAfter) != heartbeat
        && let Some(noted) = ROOT.get_ptr_mut(RootWord::LostAfter as u32)
    {
        // SAFETY: an aligned word of a map, which the kernel's machines write as a whole.
        unsafe { *noted = heartbeat };
    }
}

#[inline(always)]
fn count(what: RootCount) {
    if let Some(counter) = ROOT_COUNTERS.get_ptr_mut(what as u32) {
        // SAFETY: a per-CPU value of a map, and no other code runs on this CPU meanwhile.
        unsafe { *counter += 1 };
    }
}

/// Hands a packet to its generation.
#[xdp]
pub fn banchi(ctx: XdpContext) -> u32 {
    if word(RootWord::Bypass) != 0 {
        count(RootCount::Bypassed);
        return past(&ctx);
    }
    let deadline = word(RootWord::Deadline);
    // Each call has its own slot as a constant, which the kernel makes a direct jump of.
    // SAFETY: reads a clock.
    if deadline != 0 && unsafe { bpf_ktime_get_coarse_ns() } >= deadline {
        count(RootCount::FellBack);
        // SAFETY: a call that succeeds does not come back; one that fails changes nothing.
        unsafe { PROGRAMS.tail_call(&ctx, SLOT_PREVIOUS) };
        return unjudged(&ctx);
    }
    // SAFETY: as above.
    unsafe { PROGRAMS.tail_call(&ctx, SLOT_ACTIVE) };
    unjudged(&ctx)
}

/// Sends a packet on that nobody judges, and counts it.
#[inline(always)]
pub fn unjudged(ctx: &XdpContext) -> u32 {
    count(RootCount::NoGeneration);
    past(ctx)
}
