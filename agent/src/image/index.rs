//! Static two-choice hash tables: every key stands in one of two buckets, so that a lookup reads at most two
//! cache lines. Built by cuckoo hashing (Pagh and Rodler 2004) with four slots a bucket.

use banchi_common::abi::{Bucket, Bucket6, SLOTS, Setting, VALUE_BITS};
use banchi_common::engine::{hash, hash6, in_range};
use bytemuck::Zeroable as _;

use super::Image;
use super::entries::{Entries, Entry};

/// Share of slots that are filled. Two choices of four slots fill up to 0.97; a lower figure builds faster.
const FILL: f64 = 0.85;
/// Slots of a bucket of IPv6 addresses.
const SLOTS6: usize = 2;
/// Share of slots that are filled there: two choices of two slots fill up to 0.89.
const FILL6: f64 = 0.7;
/// Moves before another seed is tried.
const MAX_MOVES: usize = 512;

/// Builds the index of an image and sets its size and seed.
pub(super) fn build(image: &mut Image, entries: &Entries) {
    let keys: Vec<Key> = entries.all.iter().map(Key::of).collect();
    let (seed, buckets, places) = place(keys.len(), SLOTS, FILL, |seed, at| {
        keys.get(at).map_or(0, |key| hash(seed, key.tag, key.k0, key.k1))
    });
    let mut index = vec![Bucket::zeroed(); buckets as usize];
    for (entry, place) in entries.all.iter().zip(places) {
        let (bucket, slot) = (place / SLOTS, place % SLOTS);
        if let Some(bucket) = index.get_mut(bucket)
            && let (Some(k0), Some(k1), Some(tag_value)) =
                (bucket.k0.get_mut(slot), bucket.k1.get_mut(slot), bucket.tag_value.get_mut(slot))
        {
            *k0 = entry.k0;
            *k1 = entry.k1;
            *tag_value = u32::from(entry.tag) << VALUE_BITS | entry.value;
        }
    }
    image.index = index;
    image.set(Setting::IndexBuckets, buckets);
    image.set(Setting::IndexSeed, seed);
}

#[derive(Clone, Copy)]
struct Key {
    tag: u8,
    k0: u64,
    k1: u32,
}

impl Key {
    fn of(entry: &Entry) -> Self {
        Self { tag: entry.tag, k0: entry.k0, k1: entry.k1 }
    }
}

/// One IPv6 address or prefix: both words, length + 1, node.
pub(super) type Entry6 = (u64, u64, u32, u32);

/// Builds the index of IPv6 addresses and sets its size and seed.
pub(super) fn build6(image: &mut Image, entries: &[Entry6]) {
    let (seed, buckets, places) = place(entries.len(), SLOTS6, FILL6, |seed, at| {
        entries.get(at).map_or(0, |(hi, lo, length, _)| hash6(seed, *hi, *lo, *length))
    });
    let mut index = vec![Bucket6::zeroed(); buckets as usize];
    for ((hi, lo, length, node), place) in entries.iter().zip(places) {
        let (bucket, slot) = (place / SLOTS6, place % SLOTS6);
        if let Some(bucket) = index.get_mut(bucket)
            && let (Some(to_hi), Some(to_lo), Some(to_length), Some(to_node)) = (
                bucket.hi.get_mut(slot),
                bucket.lo.get_mut(slot),
                bucket.length.get_mut(slot),
                bucket.node.get_mut(slot),
            )
        {
            (*to_hi, *to_lo, *to_length, *to_node) = (*hi, *lo, *length, *node);
        }
    }
    image.index6 = index;
    image.set(Setting::Index6Buckets, buckets);
    image.set(Setting::Index6Seed, seed);
}

/// Finds a seed, a size and a slot for each key.
fn place(keys: usize, slots: usize, fill: f64, mix: impl Fn(u32, usize) -> u64) -> (u32, u32, Vec<usize>) {
    let mut buckets = ((keys as f64 / (slots as f64 * fill)).ceil() as u32).max(1);
    let mut seed = 1;
    loop {
        if let Some(places) = try_place(keys, slots, buckets, &|at| mix(seed, at)) {
            return (seed, buckets, places);
        }
        seed = seed % 255 + 1;
        buckets += buckets / 16 + 1;
    }
}

/// Slot of each key, or `None` where some key finds none.
fn try_place(keys: usize, slots: usize, buckets: u32, mix: &impl Fn(usize) -> u64) -> Option<Vec<usize>> {
    const EMPTY: u32 = u32::MAX;
    let mut table = vec![EMPTY; buckets as usize * slots];
    let choices = |key: u32| {
        let mixed = mix(key as usize);
        [in_range(mixed as u32, buckets) as usize, in_range((mixed >> 32) as u32, buckets) as usize]
    };
    let mut turn: u64 = 0x2545_f491_4f6c_dd1d;
    for key in 0..keys as u32 {
        let mut moving = key;
        let mut avoid = usize::MAX;
        let mut placed = false;
        for _ in 0..MAX_MOVES {
            let options = choices(moving);
            let free = options
                .iter()
                .flat_map(|bucket| bucket * slots..(bucket + 1) * slots)
                .find(|slot| table.get(*slot) == Some(&EMPTY));
            if let Some(slot) = free {
                *table.get_mut(slot)? = moving;
                placed = true;
                break;
            }
            // Put it in the place of another, which moves on; never back to where this one came from.
            turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let [first, second] = options;
            let bucket = if first == avoid { second } else { first };
            let slot = bucket * slots + (turn >> 33) as usize % slots;
            moving = std::mem::replace(table.get_mut(slot)?, moving);
            avoid = bucket;
        }
        if !placed {
            return None;
        }
    }
    let mut places = vec![0; keys];
    for (slot, key) in table.iter().enumerate() {
        if let Some(place) = places.get_mut(*key as usize) {
            *place = slot;
        }
    }
    Some(places)
}
