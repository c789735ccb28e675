//! Counters and events.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_xdp_load_bytes};
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::trace;
use banchi_common::abi::{
    CAPTURE, Counter, Event, EventKind, Mode, Reports, Setting, SuppressKey, Suppressed, Trace,
};
use banchi_common::engine::{Decision, Tables as _};
use banchi_common::reason::{Orientation, REASON_ROWS, Reason, Verdict};
use banchi_common::wire::{Address, Headers, arp_claim, ethertype, neighbour_claim};
use core::hint::black_box;

use crate::maps::{EVENTS, MAPS, REASON_COUNTERS, REPORTS, RULE_COUNTERS, SUPPRESS, TRACE, is_quiet, tick};
use crate::packet::Frame;

/// No frame is shorter. As a lower bound it is one that the verifier of Linux 6.1 understands.
const ETHERNET: u32 = 14;
const NANOS: u64 = 1_000_000_000;

/// Writes a struct field by field: one that is written as a whole is made on the stack.
macro_rules! write {
    ($to:expr, $kind:ident { $($field:ident: $value:expr,)* }) => {{
        // All of the fields, or this is none of its patterns.
        let $kind { $($field: _,)* };
        $((&raw mut (*$to).$field).write($value);)*
    }};
}

/// Counts a packet: an allowed one with its rule, any other with its conduit and reason.
#[inline(always)]
pub fn count(decision: &Decision, length: u32, now: u64) {
    let counter = if decision.reason.is_by_rule() {
        let back = u32::from(decision.orientation == Orientation::Return);
        RULE_COUNTERS.get_ptr_mut(decision.rule * 2 + back)
    } else {
        REASON_COUNTERS.get_ptr_mut(u32::from(decision.conduit) * REASON_ROWS as u32 + decision.reason as u32)
    };
    if let Some(counter) = counter {
        // SAFETY: a per-CPU value of a map, and no other code runs on this CPU meanwhile.
        let counter: &mut Counter = unsafe { &mut *counter };
        counter.packets += 1;
        counter.bytes += u64::from(length);
        counter.last_ns = now;
    }
}

/// What is known of a packet besides its headers and its decision.
pub struct Packet {
    /// Bytes from the Ethernet header.
    pub length: u32,
    /// Interface that it came in by.
    pub interface: u32,
    /// The verdict.
    pub verdict: Verdict,
    /// The mode that gave it.
    pub mode: Mode,
}

impl Packet {
    /// A packet that passes.
    #[inline(always)]
    pub fn passing(frame: &Frame) -> Self {
        Self {
            length: frame.wire_length(),
            interface: frame.interface(),
            verdict: Verdict::Pass,
            mode: Mode::Alert,
        }
    }
}

/// Sends an event, unless it repeats one that was sent lately.
#[inline(never)]
pub fn report(ctx: &XdpContext, headers: &Headers, decision: &Decision, packet: &Packet) {
    if is_quiet() {
        return;
    }
    let Some(reports) = REPORTS.get_ptr_mut(decision.reason as u32) else { return };
    // SAFETY: a per-CPU value of a map, and no other code runs on this CPU meanwhile.
    let reports = unsafe { &mut *reports };
    // How long ago something was need not be known better than to a tick.
    let now = tick();
    let window = u64::from(MAPS.setting(Setting::SuppressMs as usize)) * 1_000_000;
    let key = key_of(ctx, headers, decision, packet.verdict);
    let mut repeats = 0;
    let known = if window == 0 { None } else { SUPPRESS.get_ptr_mut(&key) };
    if let Some(entry) = known {
        // SAFETY: a per-CPU value of a map, and no other code runs on this CPU meanwhile.
        let entry: &mut Suppressed = unsafe { &mut *entry };
        if now.wrapping_sub(entry.reported_ns) < window || over_rate(reports, now) {
            entry.repeats += 1;
            reports.suppressed += 1;
            return;
        }
        repeats = entry.repeats;
        *entry = Suppressed { reported_ns: now, repeats: 0 };
    } else {
        if over_rate(reports, now) {
            reports.limited += 1;
            return;
        }
    }
    let Some(mut room) = EVENTS.reserve::<Event>(0) else {
        reports.lost += 1;
        if let Some(entry) = known {
            // SAFETY: as above. What the lost event would have said, the next one says.
            unsafe { *entry = Suppressed { reported_ns: 0, repeats } };
        }
        return;
    };
    let event = room.as_mut_ptr();
    // Read anew below. What the compiler kept of it since the key was made would take more stack than there is.
    let (headers, decision) = (black_box(headers), black_box(decision));
    let Packet { length, interface, verdict, mode } = *black_box(packet);
    // Opaque to the compiler, so that the bounds below are checked on the very value that the helper gets.
    let captured = black_box(length.min(CAPTURE as u32));
    // SAFETY: the reserved record is as large as an event and ours until it is submitted; the helper writes
    // at most `captured` bytes, which `data` has room for.
    let copied = unsafe {
        write!(
            event,
            Event {
                time_ns: bpf_ktime_get_ns(),
                source: if headers.family == 0 { key.source } else { [headers.source.hi, headers.source.lo] },
                destination: [headers.destination.hi, headers.destination.lo],
                repeats: repeats,
                interface: interface,
                rule: decision.rule,
                length: length,
                generation: MAPS.setting(Setting::Generation as usize),
                source_port: headers.source_port,
                destination_port: headers.destination_port,
                ethertype: headers.ethertype,
                outer_vid: headers.outer_vid,
                inner_vid: headers.inner_vid,
                conduit: decision.conduit,
                zone: decision.zone,
                destination_zone: decision.destination_zone,
                kind: EventKind::Deviation as u8,
                reason: decision.reason as u8,
                verdict: verdict as u8,
                mode: mode as u8,
                family: headers.family,
                protocol: headers.protocol,
                captured: 0,
                class: decision.class as u8,
                orientation: decision.orientation as u8,
                reserved: [0; 6],
                data: [0; CAPTURE / 8],
            }
        );
        if captured < ETHERNET || captured > CAPTURE as u32 {
            -1
        } else {
            bpf_xdp_load_bytes(ctx.as_ptr().cast(), 0, (&raw mut (*event).data).cast(), captured)
        }
    };
    if copied == 0 {
        // SAFETY: as above.
        unsafe { (*event).captured = captured as u16 };
    }
    room.submit(0);
    reports.sent += 1;
    // Not before: what was never reported is not repeated.
    if window != 0 && known.is_none() {
        // A full table evicts its oldest entry; there is nothing to do about an error.
        let _ = SUPPRESS.insert(&key, Suppressed { reported_ns: now, repeats: 0 }, 0);
    }
}

/// The flow without its noise. A client's port is noise; a server's port that does not belong to its
/// address is not. Of an announcement the address that it claims counts, whoever sends it.
#[inline(always)]
fn key_of(ctx: &XdpContext, headers: &Headers, decision: &Decision, verdict: Verdict) -> SuppressKey {
    let telling = decision.reason == Reason::AddressPortMismatch;
    let source = if decision.reason == Reason::ArpSpoof { claimed(ctx, headers) } else { None };
    let source = source.unwrap_or(headers.source);
    SuppressKey {
        source: [source.hi, source.lo],
        destination: [headers.destination.hi, headers.destination.lo],
        source_port: if telling { headers.source_port } else { 0 },
        destination_port: headers.destination_port,
        ethertype: headers.ethertype,
        zone: decision.zone,
        protocol: headers.protocol,
        reason: decision.reason as u8,
        verdict: verdict as u8,
        reserved: [0; 5],
    }
}

/// The address that an announcement claims.
#[inline(always)]
fn claimed(ctx: &XdpContext, headers: &Headers) -> Option<Address> {
    let frame = Frame::of(ctx);
    if headers.ethertype == ethertype::ARP {
        return arp_claim(&frame, headers.l3()).map(|(address, _)| address);
    }
    neighbour_claim(&frame, headers)
}

/// Whether a reason has used up its events of this second. One reason's flood leaves the others their room.
#[inline(always)]
fn over_rate(reports: &mut Reports, now: u64) -> bool {
    let limit = u64::from(MAPS.setting(Setting::EventsPerSecond as usize));
    if limit == 0 {
        return false;
    }
    let second = now / NANOS;
    if reports.second != second {
        reports.second = second;
        reports.in_second = 0;
    }
    reports.in_second += 1;
    reports.in_second > limit
}

/// Leaves the decision where a test can read it.
#[inline(always)]
pub fn trace(decision: &Decision, packet: &Packet) {
    if let Some(trace) = TRACE.get_ptr_mut(0) {
        // SAFETY: a per-CPU value of a map, and no other code runs on this CPU meanwhile.
        let trace: &mut Trace = unsafe { &mut *trace };
        *trace = Trace {
            rule: decision.rule,
            conduit: decision.conduit,
            zone: decision.zone,
            reason: decision.reason as u8,
            verdict: packet.verdict as u8,
            orientation: decision.orientation as u8,
            mode: packet.mode as u8,
            count: trace.count + 1,
            class: decision.class as u8,
            reserved: [0; 3],
        };
    }
}

/// Tells the agent's log what became of a packet.
#[inline(never)]
pub fn log(ctx: &XdpContext, headers: &Headers, decision: &Decision, packet: &Packet) {
    trace!(
        ctx,
        "if {} protocol {} ports {} > {} reason {} verdict {} rule {}",
        packet.interface,
        headers.protocol,
        headers.source_port,
        headers.destination_port,
        decision.reason as u8,
        packet.verdict as u8,
        decision.rule
    );
}
