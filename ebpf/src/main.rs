//! The data plane: every packet of every zone interface goes through [`root::banchi`], which hands it to the
//! [`generation`] that decides. That one lets pass what nearly all packets are, and hands the others to its
//! [`slow_path`].
//!
//! What a packet *means* is decided in `banchi_common::engine`, the same code that the agent runs over the
//! same tables. Here is only what the kernel adds: packet access ([`packet`]), maps ([`maps`]), counters and
//! events ([`report`]).

#![no_std]
#![no_main]
// One instruction that the compiler must not improve: see packet.rs.
#![feature(asm_experimental_arch)]

mod forward;
mod maps;
mod observe;
mod once;
mod packet;
mod report;
mod root;
mod route;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use banchi_common::abi::Setting;
use banchi_common::engine::{Scratch, Step, Tables as _, go_on, set_out, verdict};
use banchi_common::reason::Verdict;
use banchi_common::wire::Headers;

use crate::maps::{Maps, SCRATCH, SLOW_PATH, now};
use crate::packet::Frame;
use crate::report::Packet;

/// Lets packets pass that a rule allows. Whatever else a packet is, it goes on to [`slow_path`].
#[xdp]
pub fn generation(ctx: XdpContext) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return XDP_PASS };
    // SAFETY: a per-CPU value of a map, and no other packet runs on this CPU meanwhile.
    let scratch = unsafe { &mut *scratch };
    let frame = Frame::of(&ctx);
    let maps = Maps::<true> { now: now() };
    // Not the ones of the scratch space: as long as they are here, they are in registers.
    let mut headers = Headers::default();
    let mut step = Step::Start;
    if maps.setting(Setting::Log as usize) == 0 {
        let so_far = (&mut scratch.decision, &mut scratch.nodes);
        step = set_out(&frame, &maps, frame.interface(), &mut headers, so_far);
    }
    if step == Step::Decided && !scratch.decision.reason.is_reported() {
        let packet = Packet::passing(&frame);
        report::count(&scratch.decision, packet.length, maps.now);
        if maps.setting(Setting::Trace as usize) != 0 {
            report::trace(&scratch.decision, &packet);
        }
        if forward::wants_headers() {
            scratch.headers = headers;
        }
        return forward::onward(&ctx, &frame);
    }
    scratch.step = step as u32;
    scratch.headers = headers;
    // SAFETY: a call that succeeds does not come back; one that fails changes nothing.
    unsafe { SLOW_PATH.tail_call(&ctx, 0) };
    root::unjudged(&ctx)
}

/// Judges any packet, counts and reports it, and carries the verdict out.
#[xdp]
pub fn slow_path(ctx: XdpContext) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return XDP_PASS };
    // SAFETY: a per-CPU value of a map, and no other packet runs on this CPU meanwhile.
    let Scratch { headers, decision, step, nodes, .. } = unsafe { &mut *scratch };
    let frame = Frame::of(&ctx);
    let maps = Maps::<false> { now: now() };
    if maps.setting(Setting::PassOthers as usize) != 0 && maps.interface(frame.interface()) == 0 {
        return XDP_PASS;
    }
    go_on(*step, &frame, &maps, frame.interface(), (headers, decision, *nodes));
    let (verdict, mode) = verdict(&maps, decision);
    let packet = Packet { verdict, mode, ..Packet::passing(&frame) };
    report::count(decision, packet.length, maps.now);
    if decision.reason.is_reported() {
        report::report(&ctx, headers, decision, &packet);
    }
    if maps.setting(Setting::Trace as usize) != 0 {
        report::trace(decision, &packet);
    }
    if maps.setting(Setting::Log as usize) != 0 {
        report::log(&ctx, headers, decision, &packet);
    }
    match verdict {
        Verdict::Pass | Verdict::WouldDrop => forward::onward(&ctx, &frame),
        Verdict::Drop => XDP_DROP,
    }
}

/// Never called: nothing in the data plane panics. The linker wants it all the same.
#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Helpers such as `bpf_ktime_get_ns` are for programs that are compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
