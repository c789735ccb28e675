//! What becomes of a packet that passes: left to the stack, across a wire, or routed ([`crate::route`]).
//!
//! Which of them is a setting of the generation, so that the verifier removes the others.

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{DevMapHash, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use banchi_common::abi::{
    Forwarding, ONWARDS, Onward, RootWord, SLOT_ACTIVE, SLOT_PREVIOUS, Setting, WIRES as MOST_WIRES, wire_key,
};
use banchi_common::engine::{Decision, Scratch, Tables as _};
use banchi_common::wire::{Headers, Packet as _, ethertype};

use crate::maps::{MAPS, SCRATCH, is_quiet};
use crate::packet::Frame;
use crate::root::word;
use crate::route::route;

/// Where the generation sends packets. Wires: the other end, by the interface that a packet came in by. Routes: an
/// interface that has a zone, by its own index.
#[map]
pub static EGRESS: DevMapHash = DevMapHash::with_max_entries(1, 0);
/// The other ends of wires, by slot and interface ([`wire_key`]), for where no generation decides.
#[map]
static WIRES: DevMapHash = DevMapHash::with_max_entries(MOST_WIRES, 0);
/// What became of packets, by [`Onward`].
#[map]
static FORWARDS: PerCpuArray<u64> = PerCpuArray::with_max_entries(ONWARDS, 0);

/// ICMPv6 neighbour solicitation.
const SOLICITATION: u8 = 135;
const ICMPV6: u8 = 58;

/// Whether [`onward`] wants the headers of a packet, in the scratch space of its CPU.
#[inline(always)]
pub fn wants_headers() -> bool {
    let way = MAPS.setting(Setting::Forwarding as usize);
    let gateway = MAPS.setting(Setting::GatewayZone as usize);
    way == Forwarding::Route as u32 || way == Forwarding::Wire as u32 && gateway != 0
}

/// Sends a packet on that passes. What cannot be sent on is left to the stack, and counted.
#[inline(always)]
pub fn onward(ctx: &XdpContext, frame: &Frame) -> u32 {
    let way = MAPS.setting(Setting::Forwarding as usize);
    if way == Forwarding::Wire as u32 {
        // A call, so only where there is a gateway to be reached.
        if MAPS.setting(Setting::GatewayZone as usize) != 0 && is_for_gateway(ctx.ctx) != 0 {
            return stack(Onward::ForGateway);
        }
        return EGRESS
            .redirect(frame.interface(), u64::from(XDP_PASS))
            .unwrap_or_else(|_| stack(Onward::NoWire));
    }
    if way == Forwarding::Route as u32 {
        return route(ctx.ctx);
    }
    XDP_PASS
}

/// 1 for a packet on a wire that is for an address of the gateway, or asks for one. The verifier checks it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn is_for_gateway(ctx: *mut xdp_md) -> u32 {
    let gateway = MAPS.setting(Setting::GatewayZone as usize);
    if gateway == 0 {
        return 0;
    }
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return 0 };
    // SAFETY: a per-CPU value of a map, and no other packet runs on this CPU meanwhile.
    let Scratch { headers, decision, .. } = unsafe { &*scratch };
    let frame = Frame::of(&XdpContext::new(ctx));
    u32::from(zone_asked_for(&frame, headers, decision) == gateway)
}

/// Zone of the address that a packet is for, or that it asks for; 0 is none.
#[inline(always)]
fn zone_asked_for(frame: &Frame, headers: &Headers, decision: &Decision) -> u32 {
    if decision.destination_zone != 0 {
        return u32::from(decision.destination_zone);
    }
    let asks = headers.icmp_type == SOLICITATION && headers.protocol == ICMPV6;
    let (family, hi, lo) = if headers.ethertype == ethertype::ARP {
        // The target of ARP over Ethernet and IPv4.
        (4, 0, frame.u32(headers.l3() + 24).map_or(0, u64::from))
    } else if headers.family == 6 && asks {
        let target = headers.l4() + 8;
        (6, frame.u64(target).unwrap_or(0), frame.u64(target + 8).unwrap_or(0))
    } else if headers.family != 0 {
        (headers.family, headers.destination.hi, headers.destination.lo)
    } else {
        return 0;
    };
    let node = MAPS.node_of(family, hi, lo);
    if node == 0 { 0 } else { MAPS.node(node).map_or(0, |row| u32::from(row.zone)) }
}

/// Past every policy: across the wire where the interface is an end of one, else to the stack.
#[inline(always)]
pub fn past(ctx: &XdpContext) -> u32 {
    let deadline = word(RootWord::Deadline);
    // SAFETY: reads a clock.
    let fell_back = deadline != 0 && unsafe { bpf_ktime_get_coarse_ns() } >= deadline;
    let slot = if fell_back { SLOT_PREVIOUS } else { SLOT_ACTIVE };
    let key = wire_key(slot, ctx.ingress_ifindex() as u32);
    WIRES.redirect(key, u64::from(XDP_PASS)).unwrap_or(XDP_PASS)
}

/// Leaves a packet to the stack.
#[inline(always)]
pub fn stack(why: Onward) -> u32 {
    count(why);
    XDP_PASS
}

/// Packets of a proof are not real, and do not count.
#[inline(always)]
pub fn count(what: Onward) {
    if is_quiet() {
        return;
    }
    if let Some(counter) = FORWARDS.get_ptr_mut(what as u32) {
        // SAFETY: a per-CPU value of a map, and no other packet runs on this CPU meanwhile.
        unsafe { *counter += 1 };
    }
}
