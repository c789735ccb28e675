//! Every map. The sizes here are placeholders: the agent sets them when it loads a policy.

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_coarse_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, LruPerCpuHashMap, PerCpuArray, ProgramArray, RingBuf};
use banchi_common::abi::{
    Asked, Bucket, Bucket6, ConduitRow, Control, Conversations, Counter, Feature, FlowRow, NodeRow, PortRow,
    RelationRow, Reports, RootWord, RuleRow, SETTINGS as WORDS, SLOTS, ServerRow, ServiceRow, Setting,
    SightKey, Sighted, SuppressKey, Suppressed, Trace, UNSEENS,
};
use banchi_common::engine::{self, FragmentKey, Question, Scratch, Tables};

use crate::root::{note_loss, word};

/// Page-aligned values, so that a bucket is one cache line.
const MMAPABLE: u32 = 1 << 10;

/// Settings of the generation, constant for the verifier.
#[unsafe(no_mangle)]
static SETTINGS: [u32; WORDS] = [0; WORDS];

#[map]
static INDEX: Array<Bucket> = Array::with_max_entries(1, MMAPABLE);
#[map]
static INDEX6: Array<Bucket6> = Array::with_max_entries(1, MMAPABLE);
#[map]
static PORTS: Array<PortRow> = Array::with_max_entries(1, 0);
#[map]
static SERVERS: Array<ServerRow> = Array::with_max_entries(1, 0);
#[map]
static SERVICES: Array<ServiceRow> = Array::with_max_entries(1, 0);
#[map]
static RELATIONS: Array<RelationRow> = Array::with_max_entries(1, 0);
#[map]
static NODES: Array<NodeRow> = Array::with_max_entries(1, 0);
#[map]
static FLOWS: Array<FlowRow> = Array::with_max_entries(1, 0);
#[map]
static RULES: Array<RuleRow> = Array::with_max_entries(1, 0);
#[map]
static CONDUITS: Array<ConduitRow> = Array::with_max_entries(1, 0);
#[map]
static INTERFACES: Array<u32> = Array::with_max_entries(1, 0);
#[map]
static ZONES: Array<u32> = Array::with_max_entries(1, 0);

/// Buckets from which on the index and the times of its tuples, 128 bytes a bucket, are more than a cache near a
/// processor holds beside everything else.
const OUT_OF_CACHE: u32 = 2048;

/// A value of a map that all CPUs change.
#[repr(transparent)]
struct Shared<T>(T);
// SAFETY: the words of such a value are aligned, and the kernel's machines read and write an aligned word as a
// whole: another CPU's word is the old or the new one.
unsafe impl<T> Sync for Shared<T> {}

/// Times of the last questions of the exact tuples, at their places of the index: those of a bucket in one cache line.
#[map]
static ASKED: Array<Shared<Asked>> = Array::with_max_entries(1, MMAPABLE);
/// Questions that have no exact tuple.
#[map]
static CONVERSATIONS: Array<Shared<Conversations>> = Array::with_max_entries(1, MMAPABLE);
/// What the agent tells a running program.
#[map]
pub static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// First fragments that were allowed.
#[map]
static FRAGMENTS: LruHashMap<FragmentKey, u64> = LruHashMap::with_max_entries(4096, 0);

/// Flows and reasons that were reported lately. A value for each CPU: no two write the same one.
#[map]
pub static SUPPRESS: LruPerCpuHashMap<SuppressKey, Suppressed> = LruPerCpuHashMap::with_max_entries(16384, 0);
/// Reports for the agent.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);
/// Packets of each rule: row 2 * rule is forward, the next is return.
#[map]
pub static RULE_COUNTERS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(1, 0);
/// Packets of each conduit and reason: row 32 * conduit + reason.
#[map]
pub static REASON_COUNTERS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(1, 0);
/// What became of the reports of each reason.
#[map]
pub static REPORTS: PerCpuArray<Reports> = PerCpuArray::with_max_entries(32, 0);
/// The last decision of each CPU, where [`banchi_common::abi::Setting::Trace`] is set.
#[map]
pub static TRACE: PerCpuArray<Trace> = PerCpuArray::with_max_entries(1, 0);

/// The program that judges what [`crate::generation`] does not, in the one slot. It is this generation's own, so that
/// both change in one step.
#[map]
pub static SLOW_PATH: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Tuples that the observer saw, by round.
#[map]
pub static SIGHTED: HashMap<SightKey, Sighted> = HashMap::with_max_entries(1, 0);
/// Packets that the observer shows.
#[map]
pub static SIGHTS: RingBuf = RingBuf::with_byte_size(1 << 12, 0);
/// Number of the observer's round.
#[map]
pub static ROUND: Array<u32> = Array::with_max_entries(1, 0);
/// What the observer could not do, by [`banchi_common::abi::Unseen`].
#[map]
pub static UNSEEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(UNSEENS, 0);

/// What is known of the packet at hand; one at a time runs on a CPU. In a map and not on the stack, because the
/// verifier forgets what is written there: it would walk through the rest of the program for every combination of
/// constants.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// What the coarse clock said in a tick of the kernel.
#[repr(C)]
pub struct Tick {
    jiffies: u64,
    ns: u64,
}

/// The last tick of each CPU: asking the clock is a call, and the number of the tick is not.
#[map]
static TICK: PerCpuArray<Tick> = PerCpuArray::with_max_entries(1, 0);

/// Nanoseconds since boot, by the coarse clock: it moves every few milliseconds. A CPU may see it a tick late.
#[inline(always)]
pub fn now() -> u64 {
    if MAPS.setting(Setting::TestClock as usize) != 0 {
        return CONTROL.get(0).map_or(0, |control| control.test_ns);
    }
    tick()
}

/// The same, whatever a test says what time it is.
#[inline(always)]
pub fn tick() -> u64 {
    // SAFETY: reads a counter.
    let jiffies = unsafe { bpf_jiffies64() };
    let Some(tick) = TICK.get_ptr_mut(0) else { return 0 };
    // SAFETY: a per-CPU value of a map, and no other code runs on this CPU meanwhile.
    let tick = unsafe { &mut *tick };
    if tick.jiffies != jiffies {
        // SAFETY: reads a clock.
        *tick = Tick { jiffies, ns: unsafe { bpf_ktime_get_coarse_ns() } };
    }
    tick.ns
}

/// Whether packets that pass are those of a proof, which is of the tables alone.
#[inline(always)]
pub fn is_quiet() -> bool {
    CONTROL.get(0).is_none_or(|control| control.quiet != 0)
}

/// Asks the memory for a row. BPF has no instruction for that, but the processor does not wait for a load that nobody uses.
#[inline(always)]
fn fetch<T>(row: Option<*const T>) {
    if let Some(row) = row {
        // SAFETY: the map gave it, and every row has at least that much.
        unsafe { row.cast::<u64>().read_volatile() };
    }
}

/// The maps of this program as the tables of the engine, and what time it is for the packet at hand.
///
/// Where `INLINE`, what nearly every packet asks is part of the caller: a call and its return cost more than the lookup
/// on machines that guard returns. Else it is a function that the verifier checks once.
pub struct Maps<const INLINE: bool> {
    /// Nanoseconds since boot.
    pub now: u64,
}

/// The maps where no time is asked for.
pub const MAPS: Maps<false> = Maps { now: 0 };

impl<const INLINE: bool> Tables for Maps<INLINE> {
    #[inline(always)]
    fn setting(&self, at: usize) -> u32 {
        if at >= WORDS {
            return 0;
        }
        // SAFETY: the index is below the length. Volatile, because the loader replaces the value that the
        // compiler sees.
        unsafe { (&raw const SETTINGS).cast::<u32>().add(at).read_volatile() }
    }
    #[inline(always)]
    fn bucket(&self, at: u32) -> Option<&Bucket> {
        INDEX.get(at)
    }
    #[inline(always)]
    fn bucket6(&self, at: u32) -> Option<&Bucket6> {
        INDEX6.get(at)
    }
    #[inline(always)]
    fn ports(&self, at: u32) -> Option<&PortRow> {
        PORTS.get(at)
    }
    #[inline(always)]
    fn server(&self, at: u32) -> Option<&ServerRow> {
        SERVERS.get(at)
    }
    #[inline(always)]
    fn service(&self, at: u32) -> Option<&ServiceRow> {
        SERVICES.get(at)
    }
    #[inline(always)]
    fn relation(&self, at: u32) -> Option<&RelationRow> {
        RELATIONS.get(at)
    }
    #[inline(always)]
    fn node(&self, at: u32) -> Option<&NodeRow> {
        NODES.get(at)
    }
    #[inline(always)]
    fn flow(&self, at: u32) -> Option<&FlowRow> {
        FLOWS.get(at)
    }
    #[inline(always)]
    fn rule(&self, at: u32) -> Option<&RuleRow> {
        RULES.get(at)
    }
    #[inline(always)]
    fn conduit(&self, at: u32) -> Option<&ConduitRow> {
        CONDUITS.get(at)
    }
    #[inline(always)]
    fn interface(&self, index: u32) -> u32 {
        INTERFACES.get(index).copied().unwrap_or(0)
    }
    #[inline(always)]
    fn zone(&self, at: u32) -> u32 {
        ZONES.get(at).copied().unwrap_or(0)
    }
    #[inline(always)]
    fn now(&self) -> u64 {
        self.now
    }
    #[inline(always)]
    fn asked(&self, place: u32) -> Option<&Asked> {
        ASKED.get(place).map(|shared| &shared.0)
    }
    #[inline(always)]
    fn conversations(&self, at: u32) -> Option<&Conversations> {
        CONVERSATIONS.get(at).map(|shared| &shared.0)
    }
    #[inline(always)]
    fn in_grace(&self) -> bool {
        CONTROL.get(0).is_some_and(|control| self.now < control.grace_until_ns)
    }
    #[inline(always)]
    fn is_island(&self) -> bool {
        word(RootWord::Island) != 0 && !is_quiet()
    }
    #[inline(always)]
    fn is_agent_lost(&self, limit_ms: u32) -> bool {
        let heard = word(RootWord::Heartbeat);
        let lost = heard != 0 && self.now.saturating_sub(heard) > u64::from(limit_ms) * 1_000_000;
        if !lost || is_quiet() {
            return false;
        }
        note_loss(heard);
        true
    }
    #[inline(always)]
    fn hold_in(&self, conduit: u32, island: u32) -> u32 {
        if INLINE {
            engine::hold_in(self, conduit, island)
        } else {
            crate::once::hold_in(conduit, island, self.now)
        }
    }
    #[inline(always)]
    fn drops(&self, reason: u32, conduit: u32, of_rule: u32) -> u32 {
        crate::once::drops(reason, conduit, of_rule, self.now)
    }
    #[inline(always)]
    fn note_conversation(&self, tag: u64, bucket: u32, now: u64) {
        crate::once::note_conversation(tag, bucket, now);
    }
    #[inline(always)]
    fn find_conversation(&self, tag: u64, bucket: u32) -> u64 {
        crate::once::find_conversation(tag, bucket)
    }
    #[inline(always)]
    fn find_at(&self, tag: u8, k0: u64, k1: u32) -> u64 {
        if INLINE {
            engine::find_at(self, tag, k0, k1)
        } else {
            crate::once::index_find(u32::from(tag), k0, k1)
        }
    }
    #[inline(always)]
    fn find_exact(&self, tag: u8, k0: u64, k1: u32) -> u64 {
        if INLINE { engine::find_exact(self, tag, k0, k1) } else { self.find_at(tag, k0, k1) }
    }
    #[inline(always)]
    fn touch(&self, [first, second]: [u32; 2]) {
        if self.setting(Setting::IndexBuckets as usize) < OUT_OF_CACHE {
            return;
        }
        fetch(INDEX.get_ptr(second));
        if self.uses(Feature::Windows) {
            // The slots of a bucket have their times in one line.
            fetch(ASKED.get_ptr(first * SLOTS as u32));
            fetch(ASKED.get_ptr(second * SLOTS as u32));
        }
    }
    #[inline(always)]
    fn node_of(&self, family: u8, hi: u64, lo: u64) -> u32 {
        crate::once::node_of(u32::from(family), hi, lo)
    }
    #[inline(always)]
    fn first_rule(&self, question: Question) -> u32 {
        let Question { ports, nodes, hi, lo } = question;
        crate::once::first_rule(ports, nodes, hi, lo)
    }
    #[inline(always)]
    fn fragment_allowed(&self, key: &FragmentKey) -> bool {
        FRAGMENTS.get_ptr(key).is_some()
    }
    #[inline(always)]
    fn allow_fragments(&self, key: &FragmentKey) {
        // A full table evicts its oldest entry; there is nothing to do about an error.
        let _ = FRAGMENTS.insert(key, 1, 0);
    }
}
