//! Functions that the verifier checks once, whatever number of places call them.
//!
//! They are global symbols that take and give numbers (and the context of the packet), which is what makes the verifier look at them apart
//! from their callers. What they do is the engine's.

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use banchi_common::abi::Setting;
use banchi_common::direction::{self, Look};
use banchi_common::engine::{self, Question, Tables as _};

use crate::maps::{MAPS, Maps};
use crate::packet::Frame;

/// For functions that are checked once themselves: what they call is part of them.
const LEAF: Maps<true> = Maps { now: 0 };

/// See [`engine::find_at`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn index_find(tag: u32, k0: u64, k1: u32) -> u64 {
    engine::find_at(&MAPS, tag as u8, k0, k1)
}

/// See [`engine::note`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn note_conversation(tag: u64, bucket: u32, now: u64) -> u32 {
    engine::note(&MAPS, tag, bucket, now);
    0
}

/// See [`engine::asked_at`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn find_conversation(tag: u64, bucket: u32) -> u64 {
    engine::asked_at(&MAPS, tag, bucket)
}

/// See [`engine::node_of`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn node_of(family: u32, hi: u64, lo: u64) -> u32 {
    engine::node_of(&LEAF, family as u8, hi, lo)
}

/// See [`engine::first_rule`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn first_rule(ports: u64, nodes: u64, hi: u64, lo: u64) -> u32 {
    engine::first_rule(&LEAF, Question { ports, nodes, hi, lo })
}

/// See [`engine::hold_in`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn hold_in(conduit: u32, island: u32, now: u64) -> u32 {
    engine::hold_in(&Maps::<false> { now }, conduit, island)
}

/// See [`engine::drops`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn drops(reason: u32, conduit: u32, of_rule: u32, now: u64) -> u32 {
    engine::drops(&Maps::<false> { now }, reason, conduit, of_rule)
}

/// See [`direction::class_at`]. Of all that a packet has, a function that is checked once takes its context.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn class_at(ctx: *mut xdp_md, bounds: u64, length: u32, method: u32, byte: u64) -> u32 {
    let frame = Frame::of(&XdpContext::new(ctx));
    let look = Look { bounds, length, method, byte };
    direction::class_at(&frame, look, MAPS.setting(Setting::Protocols as usize))
}
