//! The observer: a program of its own, for interfaces where nothing is to be decided. It lets every packet pass, shows the
//! first ones of each tuple in a round to the agent, and counts the others ([`banchi_common::abi::Sighted`]).

use core::arch::asm;
use core::hint::black_box;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_xdp_load_bytes};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use banchi_common::abi::{SHOWN, SHOWN_A_ROUND, Sight, SightKey, SightSide, Sighted, Transport, Unseen};
use banchi_common::wire::{Content, Headers, NO_TRANSPORT, Packet as _, parse, rule_ethertype};

use crate::maps::{ROUND, SCRATCH, SIGHTED, SIGHTS, UNSEEN};
use crate::packet::Frame;

/// Only where no entry is there.
const NEW: u64 = 1;
/// No frame is shorter: see `report.rs`.
const ETHERNET: u32 = 14;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const SYN_ACK: u8 = SYN | ACK;

/// Sees a packet, and lets it pass.
#[xdp]
pub fn observe(ctx: XdpContext) -> u32 {
    if let Some(scratch) = SCRATCH.get_ptr_mut(0) {
        // SAFETY: a per-CPU value of a map, and no other packet runs on this CPU meanwhile.
        see(&ctx, unsafe { &mut (*scratch).headers });
    }
    XDP_PASS
}

#[inline(always)]
fn see(ctx: &XdpContext, headers: &mut Headers) {
    let frame = Frame::of(ctx);
    *headers = Headers::default();
    let content = parse(&frame, headers);
    let round = ROUND.get(0).copied().unwrap_or(0);
    let (key, is_low) = key_of(&frame, headers, content, round);
    // SAFETY: reads a clock.
    let now = unsafe { bpf_ktime_get_ns() };
    let mut entry = SIGHTED.get_ptr_mut(&key);
    if entry.is_none() {
        // Another CPU may be faster, which is as good.
        let _ = SIGHTED.insert(&key, Sighted { first_ns: now, ..Sighted::default() }, NEW);
        entry = SIGHTED.get_ptr_mut(&key);
    }
    let Some(entry) = entry else { return unseen(Unseen::NoRoom) };
    // SAFETY: a value of a map, which the agent removes only when no program is on its way with this round any more. Other
    // CPUs change it, so that it is read and written word by word, and never as a whole.
    let (mine, other) = unsafe {
        let low = &raw mut (*entry).sides[0];
        let high = &raw mut (*entry).sides[1];
        if is_low { (low, high) } else { (high, low) }
    };
    let carried = u64::from(headers.end.saturating_sub(headers.payload));
    let is_tcp = headers.transport == Transport::Tcp as u8;
    // SAFETY: as above; aligned words.
    let (told_ns, shown) = unsafe { ([(*mine).told_ns, (*other).told_ns], (*mine).shown) };
    // SAFETY: as above. Two CPUs that see one side at once leave the time of one of them.
    unsafe {
        (*mine).last_ns = now;
        if carried != 0 || !is_tcp {
            (*mine).told_ns = now;
        }
        let wait = now.saturating_sub(told_ns[1]);
        if told_ns[1] != 0 && wait > (*mine).longest_wait_ns {
            (*mine).longest_wait_ns = wait;
        }
    }
    if shown < SHOWN_A_ROUND {
        let sight = Sighting { time_ns: now, told_ns, round };
        if show(ctx, &frame, &sight) {
            // SAFETY: as above.
            unsafe { (*mine).shown = shown + 1 };
            return;
        }
        unseen(Unseen::RingFull);
    }
    count(mine, carried, if is_tcp { headers.tcp_flags } else { 0 });
}

/// The key of a packet, and whether its sender is the lower end.
#[inline(always)]
fn key_of(frame: &Frame, headers: &Headers, content: Content, round: u32) -> (SightKey, bool) {
    let mut key = SightKey {
        ends: [[0; 2]; 2],
        round,
        ports: [0; 2],
        ethertype: 0,
        transport: NO_TRANSPORT,
        family: headers.family,
        content: content as u8,
        protocol: 0,
        reserved: [0; 2],
    };
    match content {
        Content::Flow => {
            let (source, destination) = (headers.source, headers.destination);
            let (from, to) = (headers.source_port, headers.destination_port);
            let is_low = (source, from) <= (destination, to);
            let (low, high) = if is_low { (source, destination) } else { (destination, source) };
            key.ends = [[low.hi, low.lo], [high.hi, high.lo]];
            key.ports = if is_low { [from, to] } else { [to, from] };
            key.transport = headers.transport;
            return (key, is_low);
        }
        Content::OtherProtocol => key.protocol = headers.protocol,
        Content::OtherEthertype => {
            key.ethertype = rule_ethertype(frame, headers);
            key.ends = [[0, hardware(frame, 6)], [0, hardware(frame, 0)]];
        }
        _ => {}
    }
    (key, true)
}

#[inline(always)]
fn hardware(frame: &Frame, at: usize) -> u64 {
    let (high, low) = (frame.u16(at).unwrap_or(0), frame.u32(at + 2).unwrap_or(0));
    u64::from(high) << 32 | u64::from(low)
}

/// What a [`Sight`] says besides its packet.
struct Sighting {
    time_ns: u64,
    told_ns: [u64; 2],
    round: u32,
}

/// Shows a packet; false where the ring has no room.
#[inline(always)]
fn show(ctx: &XdpContext, frame: &Frame, sight: &Sighting) -> bool {
    let Some(mut room) = SIGHTS.reserve::<Sight>(0) else { return false };
    let length = frame.wire_length();
    // Opaque to the compiler, so that the bounds below are checked on the very value that the helper gets.
    let captured = black_box(length.min(SHOWN as u32));
    let record = room.as_mut_ptr();
    // SAFETY: the reserved record is as large as a sight and ours until it is submitted; the helper writes at most
    // `captured` bytes, which `data` has room for. What is behind them is never read.
    let copied = unsafe {
        (*record).time_ns = sight.time_ns;
        (*record).told_ns = sight.told_ns;
        (*record).interface = frame.interface();
        (*record).length = length;
        (*record).round = sight.round;
        (*record).captured = captured;
        if captured < ETHERNET || captured > SHOWN as u32 {
            -1
        } else {
            bpf_xdp_load_bytes(ctx.as_ptr().cast(), 0, (&raw mut (*record).data).cast(), captured)
        }
    };
    if copied != 0 {
        room.discard(0);
        return false;
    }
    room.submit(0);
    true
}

/// Counts a packet that is not shown. Another CPU may do so at the same time.
#[inline(always)]
fn count(side: *mut SightSide, carried: u64, flags: u8) {
    // SAFETY: words of a value of a map.
    let words = unsafe {
        [
            &raw mut (*side).packets,
            &raw mut (*side).bytes,
            &raw mut (*side).payloads,
            &raw mut (*side).opened,
            &raw mut (*side).accepted,
        ]
    };
    let [packets, bytes, payloads, opened, accepted] = words;
    add(packets, 1);
    if carried != 0 {
        add(bytes, carried);
        add(payloads, 1);
    }
    match flags & (SYN | ACK | RST) {
        SYN => add(opened, 1),
        SYN_ACK => add(accepted, 1),
        _ => {}
    }
}

/// Adds to an aligned word in one step. The compiler offers this for targets only that can compare and swap, too.
#[inline(always)]
fn add(word: *mut u64, more: u64) {
    // SAFETY: the word is one of a value of a map.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) word, in(reg) more, options(nostack)) };
}

#[inline(always)]
fn unseen(what: Unseen) {
    if let Some(counter) = UNSEEN.get_ptr_mut(what as u32) {
        // SAFETY: a per-CPU value of a map, and no other code runs on this CPU meanwhile.
        unsafe { *counter += 1 };
    }
}
