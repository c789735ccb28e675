//! What the benchmark runs in the kernel beside the data plane: the floor ([`empty`], [`redirect`]), the limit
//! ([`lookup`], [`lookup_redirect`], [`fib_redirect`]), what makes packets ([`vary`], [`generate`]) and what counts
//! them ([`count`]).
//!
//! Tuple number `n` is the same everywhere: client `n % clients` and server `n / clients`, counted from two addresses.

#![no_std]
#![no_main]
// Loads and stores of packets, which are aligned to two bytes only: the compiler would make single bytes of them.
#![feature(asm_experimental_arch)]

mod frame;

use core::mem::zeroed;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS};
use aya_ebpf::bindings::{BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup};
use aya_ebpf::helpers::generated::{
    bpf_fib_lookup as ask_fib, bpf_get_prandom_u32, bpf_ktime_get_ns, bpf_redirect,
};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, ProgramArray};
use aya_ebpf::programs::XdpContext;

use crate::frame::Frame;

/// Words of [`PLAN`], as `bench/src/kernel.rs` sets them.
#[repr(usize)]
#[derive(Clone, Copy)]
enum Word {
    /// Clients; tuples are clients times servers.
    Clients = 0,
    /// Servers.
    Servers,
    /// The first client's address, or the low word of it.
    ClientBase,
    /// The first server's address, or the low word of it.
    ServerBase,
    /// Offset of the client's (low) address in the frame.
    ClientAt,
    /// Offset of the server's (low) address in the frame.
    ServerAt,
    /// Offset of a port that becomes a random one from 49152 on; 0 is none.
    PortAt,
    /// Of so many packets one is listed, the others are not; 1 is listed alone, 0 unlisted alone.
    OneOf,
    /// Destination port of what is listed.
    Port,
    /// Index of the interface that generated frames leave by.
    Out,
    /// Sum of the header's words without its addresses and checksum, as the frame has it.
    HeaderSum,
    /// Unlisted packets have one of so many ports from `UnlistedPort` on.
    UnlistedPorts,
    /// The first port that is not listed.
    UnlistedPort,
    /// Whether gaps between packets are noted, too.
    Gaps,
    /// Offset of the bytes with the TTL or hop limit, which [`vary`] writes anew with the destination's hardware address:
    /// whoever routes has changed them. 0 is none.
    TtlAt,
    /// Those two bytes.
    Ttl,
    /// The first four bytes of the hardware address, and the other two.
    Hardware,
    HardwareEnd,
    /// Their number.
    Count,
}

/// Constants of a program, as the verifier sees them.
#[unsafe(no_mangle)]
static PLAN: [u32; Word::Count as usize] = [0; Word::Count as usize];

/// The tuples of the bare lookup.
#[map]
static TUPLES: HashMap<Key, u32> = HashMap::with_max_entries(1, 0);
/// Where [`vary`] goes on.
#[map]
static NEXT: ProgramArray = ProgramArray::with_max_entries(1, 0);
/// The frame that [`generate`] begins with.
#[map]
static TEMPLATE: Array<[u64; TEMPLATE_WORDS]> = Array::with_max_entries(1, 0);
/// What was generated: listed, and not.
#[map]
static SENT: PerCpuArray<u64> = PerCpuArray::with_max_entries(2, 0);
/// What was counted.
#[map]
static SEEN: PerCpuArray<Seen> = PerCpuArray::with_max_entries(1, 0);

/// Bytes of a generated frame: the shortest that Ethernet has, without its checksum, and four more.
const TEMPLATE_WORDS: usize = 8;
/// First of the ports that systems give to clients.
const EPHEMERAL: u32 = 49_152;
/// Offset of the destination port where neither tags nor options are.
const PORT_AT: usize = 36;
const AF_INET: u8 = 2;

/// Both addresses, both ports and the protocol, each as in the packet.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Key {
    source: u32,
    destination: u32,
    ports: u32,
    protocol: u32,
}

/// What a CPU has counted.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Seen {
    listed: u64,
    unlisted: u64,
    /// When the last one came.
    last_ns: u64,
    /// The longest time without one.
    gap_ns: u64,
}

#[inline(always)]
fn plan(word: Word) -> u32 {
    // SAFETY: the index is below the length. Volatile, because the loader replaces what the compiler sees.
    unsafe { (&raw const PLAN).cast::<u32>().add(word as usize).read_volatile() }
}

#[inline(always)]
fn random(below: u32) -> u32 {
    // SAFETY: yields a number.
    let random = unsafe { bpf_get_prandom_u32() };
    ((u64::from(random) * u64::from(below)) >> 32) as u32
}

/// What a run of a program costs at least.
#[xdp]
pub fn empty(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// One lookup of the tuple of an IPv4 packet, which is believed to be one: what exact matching costs at least.
#[xdp]
pub fn lookup(ctx: XdpContext) -> u32 {
    let frame = Frame::of(&ctx);
    let Some(key) = key(&frame) else { return XDP_ABORTED };
    match TUPLES.get_ptr(&key) {
        Some(_) => XDP_PASS,
        None => XDP_DROP,
    }
}

/// Sends every frame out of an interface: what any program costs at least that forwards frames itself.
#[xdp]
pub fn redirect(_ctx: XdpContext) -> u32 {
    // SAFETY: takes two numbers.
    unsafe { bpf_redirect(plan(Word::Out), 0) as u32 }
}

/// The same where the bare lookup finds the tuple.
#[xdp]
pub fn lookup_redirect(ctx: XdpContext) -> u32 {
    let frame = Frame::of(&ctx);
    let Some(key) = key(&frame) else { return XDP_PASS };
    match TUPLES.get_ptr(&key) {
        // SAFETY: takes two numbers.
        Some(_) => unsafe { bpf_redirect(plan(Word::Out), 0) as u32 },
        None => XDP_DROP,
    }
}

/// Routes every frame by the kernel's tables: what any program costs at least that asks them.
#[xdp]
pub fn fib_redirect(ctx: XdpContext) -> u32 {
    routed(&ctx).unwrap_or(XDP_ABORTED)
}

#[inline(always)]
fn routed(ctx: &XdpContext) -> Option<u32> {
    let frame = Frame::of(ctx);
    // SAFETY: zero bytes are a value of this structure of integers.
    let mut way: bpf_fib_lookup = unsafe { zeroed() };
    way.family = AF_INET;
    way.ifindex = ctx.ingress_ifindex() as u32;
    way.__bindgen_anon_1.tot_len = frame.u16(16)?.to_be();
    way.__bindgen_anon_3.ipv4_src = frame.u32(26)?;
    way.__bindgen_anon_4.ipv4_dst = frame.u32(30)?;
    // SAFETY: the structure is this function's, and of the size that is said.
    let found = unsafe { ask_fib(ctx.as_ptr(), &raw mut way, size_of::<bpf_fib_lookup>() as i32, 0) };
    if found != i64::from(BPF_FIB_LKUP_RET_SUCCESS) {
        return None;
    }
    let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (way.dmac, way.smac);
    frame.set_u32(0, u32::from_ne_bytes([a, b, c, d]))?;
    frame.set_u32(4, u32::from_ne_bytes([e, f, g, h]))?;
    frame.set_u32(8, u32::from_ne_bytes([i, j, k, l]))?;
    // One hop less, and what that changes in the checksum (RFC 1624).
    frame.set_u16(22, (u16::from_be(frame.u16(22)?) - 0x0100).to_be())?;
    let sum = u32::from(u16::from_be(frame.u16(24)?)) + 0x0100;
    frame.set_u16(24, ((sum + (sum >> 16)) as u16).to_be())?;
    // SAFETY: takes two numbers.
    Some(unsafe { bpf_redirect(way.ifindex, 0) as u32 })
}

#[inline(always)]
fn key(frame: &Frame) -> Option<Key> {
    Some(Key {
        source: frame.u32(26)?,
        destination: frame.u32(30)?,
        ports: frame.u32(34)?,
        protocol: frame.u8(23)?,
    })
}

/// Makes the packet one of a random tuple, and hands it on.
#[xdp]
pub fn vary(ctx: XdpContext) -> u32 {
    let frame = Frame::of(&ctx);
    if tuple(&frame).is_none() || restore(&frame).is_none() {
        return XDP_ABORTED;
    }
    // SAFETY: a call that succeeds does not come back; one that fails changes nothing.
    unsafe { NEXT.tail_call(&ctx, 0) };
    XDP_ABORTED
}

/// Makes the packet one again that was not routed yet.
#[inline(always)]
fn restore(frame: &Frame) -> Option<()> {
    let ttl_at = plan(Word::TtlAt) as usize;
    if ttl_at == 0 {
        return Some(());
    }
    frame.set_u16(ttl_at, plan(Word::Ttl) as u16)?;
    frame.set_u32(0, plan(Word::Hardware))?;
    frame.set_u16(4, plan(Word::HardwareEnd) as u16)
}

/// Writes addresses of a random tuple, and yields them.
#[inline(always)]
fn tuple(frame: &Frame) -> Option<(u32, u32)> {
    let clients = plan(Word::Clients).max(1);
    let number = random(clients * plan(Word::Servers));
    let client = (plan(Word::ClientBase) + number % clients).to_be();
    let server = (plan(Word::ServerBase) + number / clients).to_be();
    frame.set_u32(plan(Word::ClientAt) as usize, client)?;
    frame.set_u32(plan(Word::ServerAt) as usize, server)?;
    let port_at = plan(Word::PortAt) as usize;
    if port_at != 0 {
        frame.set_u16(port_at, ((EPHEMERAL + random(0x4000)) as u16).to_be())?;
    }
    Some((client, server))
}

/// Sends a frame of a random tuple, or one that is not listed. Its buffer may hold anything: buffers are used again.
#[xdp]
pub fn generate(ctx: XdpContext) -> u32 {
    match frame(&Frame::of(&ctx)) {
        // SAFETY: takes two numbers.
        Some(()) => unsafe { bpf_redirect(plan(Word::Out), 0) as u32 },
        None => XDP_ABORTED,
    }
}

#[inline(always)]
fn frame(frame: &Frame) -> Option<()> {
    frame.set(TEMPLATE.get(0)?)?;
    let (client, server) = tuple(frame)?;
    let half = |word: u32| (word & 0xffff) + (word >> 16);
    let sum = half(half(half(client) + half(server) + plan(Word::HeaderSum)));
    frame.set_u16(24, !(sum as u16))?;
    let one_of = plan(Word::OneOf);
    let sent = SENT.get_ptr_mut(0)?;
    let unlisted = SENT.get_ptr_mut(1)?;
    // SAFETY: per-CPU values of a map, and no other code runs on this CPU meanwhile.
    let (sent, unlisted) = unsafe { (&mut *sent, &mut *unlisted) };
    let is_listed = one_of != 0 && (*sent + *unlisted) % u64::from(one_of) == 0;
    let port = if is_listed {
        *sent += 1;
        plan(Word::Port)
    } else {
        *unlisted += 1;
        plan(Word::UnlistedPort) + random(plan(Word::UnlistedPorts))
    };
    frame.set_u16(PORT_AT, (port as u16).to_be())
}

/// Counts IPv4 frames by their destination port, and lets everything else pass.
#[xdp]
pub fn count(ctx: XdpContext) -> u32 {
    let frame = Frame::of(&ctx);
    if frame.u16(12) != Some(0x0800_u16.to_be()) {
        return XDP_PASS;
    }
    let (Some(port), Some(seen)) = (frame.u16(PORT_AT), SEEN.get_ptr_mut(0)) else { return XDP_PASS };
    // SAFETY: a per-CPU value of a map, and no other code runs on this CPU meanwhile.
    let seen = unsafe { &mut *seen };
    if u32::from(u16::from_be(port)) == plan(Word::Port) {
        seen.listed += 1;
    } else {
        seen.unlisted += 1;
    }
    if plan(Word::Gaps) != 0 {
        // SAFETY: reads a clock.
        let now = unsafe { bpf_ktime_get_ns() };
        if seen.last_ns != 0 && now - seen.last_ns > seen.gap_ns {
            seen.gap_ns = now - seen.last_ns;
        }
        seen.last_ns = now;
    }
    XDP_DROP
}

/// Never called: nothing here panics. The linker wants it all the same.
#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Some helpers are for programs that are compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
