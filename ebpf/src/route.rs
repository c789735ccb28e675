//! Routing by the kernel's own tables, without its stack. What is out of the ordinary is left to the stack, which knows
//! what to do: answer, fragment, ask for a neighbour.

use core::mem::zeroed;

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::bindings::{
    BPF_FIB_LKUP_RET_BLACKHOLE, BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_FWD_DISABLED,
    BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_PROHIBIT,
    BPF_FIB_LKUP_RET_SUCCESS, BPF_FIB_LKUP_RET_UNREACHABLE, bpf_fib_lookup as Lookup, xdp_md,
};
use aya_ebpf::helpers::generated::bpf_fib_lookup;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use aya_ebpf::programs::XdpContext;
use banchi_common::abi::{Forwarding, NEIGHBOURS as ROWS, Onward, Setting, Transport};
use banchi_common::engine::Tables as _;
use banchi_common::wire::{Headers, Packet as _, ethertype};

use crate::forward::{EGRESS, count, stack};
use crate::maps::{MAPS, SCRATCH, now};
use crate::packet::Frame;

/// Hardware address of each interface that has a zone, by its index: a number of 48 bits. 0 is none.
#[map]
static HARDWARE: Array<u64> = Array::with_max_entries(1, 0);
/// Next hops that the stack was given a packet for: when, and the low 32 bits of the hardware address. All CPUs write
/// whole words; one that is lost costs a packet the way through the stack.
#[map]
static NEIGHBOURS: Array<u64> = Array::with_max_entries(1, 0);

/// Offset of the IP header of a packet without tags.
const IP: usize = 14;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// Traffic class and flow label of the first word of an IPv6 header.
const FLOWINFO: u32 = 0x0fff_ffff;
/// 2^34 ns, 17 seconds: how often the stack sees a packet to each next hop. A lookup does not use a neighbour's entry as
/// the stack does, so the kernel would never ask again whether a silent device still has its hardware address.
const CONFIRM_SHIFT: u32 = 34;

/// Routes a packet that was judged. The verifier checks it once, and its stack is its own.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn route(ctx: *mut xdp_md) -> u32 {
    // Constant for the verifier, which drops the rest where it is not used.
    if MAPS.setting(Setting::Forwarding as usize) != Forwarding::Route as u32 {
        return XDP_PASS;
    }
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return XDP_PASS };
    // SAFETY: a per-CPU value of a map, and no other packet runs on this CPU meanwhile.
    let headers = unsafe { &(*scratch).headers };
    match send(&XdpContext::new(ctx), headers) {
        Ok(action) => {
            count(Onward::Routed);
            action
        }
        Err(why) => stack(why),
    }
}

#[inline(always)]
fn send(ctx: &XdpContext, headers: &Headers) -> Result<u32, Onward> {
    let frame = &Frame::of(ctx);
    let kind = frame.u16(IP - 2).unwrap_or(0);
    if headers.family == 0 {
        return Err(Onward::NotIp);
    }
    if kind != ethertype::IPV4 && kind != ethertype::IPV6 {
        return Err(Onward::Tagged);
    }
    let own = HARDWARE.get(frame.interface()).copied().unwrap_or(0);
    if own == 0 || frame.u64(0).map(|first| first >> 16) != Some(own) {
        return Err(Onward::OtherHardware);
    }
    // SAFETY: zero bytes are a value of this structure of integers.
    let mut lookup: Lookup = unsafe { zeroed() };
    lookup.ifindex = frame.interface();
    lookup.l4_protocol = headers.protocol;
    if headers.transport <= Transport::Sctp as u8 {
        lookup.sport = headers.source_port.to_be();
        lookup.dport = headers.destination_port.to_be();
    }
    if kind == ethertype::IPV4 {
        ask4(frame, &mut lookup)?;
    } else {
        ask6(frame, &mut lookup)?;
    }
    // SAFETY: the structure is this function's, and of the size that is said.
    let found = unsafe { bpf_fib_lookup(ctx.ctx.cast(), &raw mut lookup, size_of::<Lookup>() as i32, 0) };
    refuse(found as u32)?;
    if lookup.ifindex == frame.interface() {
        return Err(Onward::SameInterface);
    }
    let [a, b, c, d, e, f] = lookup.dmac;
    if is_to_confirm(u32::from_be_bytes([c, d, e, f]) ^ u32::from(a) << 8 ^ u32::from(b), now()) {
        return Err(Onward::Confirming);
    }
    // First, because a packet that was changed is none for the stack.
    let action = EGRESS.redirect(lookup.ifindex, u64::from(XDP_PASS)).map_err(|_| Onward::OtherInterface)?;
    if kind == ethertype::IPV4 {
        let ttl = frame.u8(IP + 8).unwrap_or(0);
        let sum = u32::from(frame.u16(IP + 10).unwrap_or(0)) + 0x0100;
        frame.write(IP + 8, ttl.wrapping_sub(1));
        frame.write(IP + 10, ((sum + u32::from(sum >= 0xffff)) as u16).to_be());
    } else {
        let hops = frame.u8(IP + 7).unwrap_or(0);
        frame.write(IP + 7, hops.wrapping_sub(1));
    }
    frame.write(0, lookup.dmac);
    frame.write(6, lookup.smac);
    Ok(action)
}

/// What a lookup of IPv4 needs to know.
#[inline(always)]
fn ask4(frame: &Frame, lookup: &mut Lookup) -> Result<(), Onward> {
    let Some(first) = frame.u32(IP) else { return Err(Onward::Unsupported) };
    if first >> 24 != 0x45 {
        return Err(Onward::Options);
    }
    if frame.u8(IP + 8).is_none_or(|ttl| ttl <= 1) {
        return Err(Onward::Expiring);
    }
    let source = frame.u32(IP + 12).unwrap_or(0);
    // This network, loopback, multicast and what is above.
    let net = source >> 24;
    if net == 0 || net == 127 || net >= 224 {
        return Err(Onward::StrangeSource);
    }
    // This network, and everybody on it: the stack forwards to neither, and its routes may lead somewhere all the same.
    let destination = frame.u32(IP + 16).unwrap_or(0);
    if destination >> 24 == 0 || destination == u32::MAX {
        return Err(Onward::NotForwarded);
    }
    lookup.family = AF_INET;
    lookup.__bindgen_anon_1.tot_len = first as u16;
    lookup.__bindgen_anon_2.tos = (first >> 16) as u8;
    lookup.__bindgen_anon_3.ipv4_src = source.to_be();
    lookup.__bindgen_anon_4.ipv4_dst = destination.to_be();
    Ok(())
}

/// What a lookup of IPv6 needs to know.
#[inline(always)]
fn ask6(frame: &Frame, lookup: &mut Lookup) -> Result<(), Onward> {
    let Some(second) = frame.u32(IP + 4) else { return Err(Onward::Unsupported) };
    if second >> 8 & 0xff == 0 {
        return Err(Onward::Options);
    }
    if second & 0xff <= 1 {
        return Err(Onward::Expiring);
    }
    let source = [8, 12, 16, 20].map(|at| frame.u32(IP + at).unwrap_or(0).to_be());
    if source == [0; 4] {
        return Err(Onward::StrangeSource);
    }
    lookup.family = AF_INET6;
    lookup.__bindgen_anon_1.tot_len = ((second >> 16) as u16).saturating_add(40);
    lookup.__bindgen_anon_2.flowinfo = (frame.u32(IP).unwrap_or(0) & FLOWINFO).to_be();
    lookup.__bindgen_anon_3.ipv6_src = source;
    lookup.__bindgen_anon_4.ipv6_dst = [24, 28, 32, 36].map(|at| frame.u32(IP + at).unwrap_or(0).to_be());
    Ok(())
}

/// What the kernel says where a program is not to forward.
#[inline(always)]
fn refuse(found: u32) -> Result<(), Onward> {
    match found {
        BPF_FIB_LKUP_RET_SUCCESS => Ok(()),
        BPF_FIB_LKUP_RET_BLACKHOLE | BPF_FIB_LKUP_RET_UNREACHABLE | BPF_FIB_LKUP_RET_PROHIBIT => {
            Err(Onward::Forbidden)
        }
        BPF_FIB_LKUP_RET_NOT_FWDED => Err(Onward::NotForwarded),
        BPF_FIB_LKUP_RET_FWD_DISABLED => Err(Onward::ForwardingOff),
        BPF_FIB_LKUP_RET_NO_NEIGH => Err(Onward::Unresolved),
        BPF_FIB_LKUP_RET_FRAG_NEEDED => Err(Onward::TooLarge),
        _ => Err(Onward::Unsupported),
    }
}

/// Whether the stack has to be given this packet, so that it uses the neighbour.
#[inline(always)]
fn is_to_confirm(neighbour: u32, now: u64) -> bool {
    let row = neighbour.wrapping_mul(0x9e37_79b1) >> (u32::BITS - ROWS.ilog2());
    let Some(seen) = NEIGHBOURS.get_ptr_mut(row) else { return false };
    let seen_now = (now >> CONFIRM_SHIFT) << 32 | u64::from(neighbour);
    // SAFETY: an aligned word of a map, which the kernel's machines read and write as a whole.
    unsafe {
        if *seen == seen_now {
            return false;
        }
        *seen = seen_now;
    }
    true
}
