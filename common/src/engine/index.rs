//! The index: a static hash table with two buckets for each key.

use super::tables::Tables;
use crate::abi::{Bucket, SLOTS, Setting, VALUE_BITS, VALUE_MAX};

/// Mixes a key of the index. Both halves of the result choose a bucket each.
#[inline(always)]
#[must_use]
pub const fn hash(seed: u32, tag: u8, k0: u64, k1: u32) -> u64 {
    let mut x = (k0 ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 32;
    x = (x ^ (k1 as u64 | ((tag as u64) << 32)) ^ ((seed as u64) << 40)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 32)
}

/// Maps a 32-bit hash to `0..range`.
#[inline(always)]
#[must_use]
pub const fn in_range(hash: u32, range: u32) -> u32 {
    ((hash as u64 * range as u64) >> 32) as u32
}

/// Value of a key in the index, and above it (<< 32) the place of the key; 0 is absent.
#[inline(always)]
pub fn find_at<T: Tables>(tables: &T, tag: u8, k0: u64, k1: u32) -> u64 {
    find_in(tables, buckets_of(tables, tag, k0, k1), tag, k0, k1)
}

/// The same for the key of an exact tuple, whose other rows are asked for while the first bucket is on its way.
#[inline(always)]
pub fn find_exact<T: Tables>(tables: &T, tag: u8, k0: u64, k1: u32) -> u64 {
    let buckets = buckets_of(tables, tag, k0, k1);
    tables.touch(buckets);
    find_in(tables, buckets, tag, k0, k1)
}

/// The two buckets that a key may stand in.
#[inline(always)]
fn buckets_of<T: Tables>(tables: &T, tag: u8, k0: u64, k1: u32) -> [u32; 2] {
    let mixed = hash(tables.setting(Setting::IndexSeed as usize), tag, k0, k1);
    let range = tables.setting(Setting::IndexBuckets as usize);
    [in_range(mixed as u32, range), in_range((mixed >> 32) as u32, range)]
}

#[inline(always)]
fn find_in<T: Tables>(tables: &T, [first, second]: [u32; 2], tag: u8, k0: u64, k1: u32) -> u64 {
    if let Some(bucket) = tables.bucket(first) {
        let found = in_bucket(bucket, first, tag, k0, k1);
        if found != 0 {
            return found;
        }
    }
    match tables.bucket(second) {
        Some(bucket) => in_bucket(bucket, second, tag, k0, k1),
        None => 0,
    }
}

#[inline(always)]
fn in_bucket(bucket: &Bucket, at: u32, tag: u8, k0: u64, k1: u32) -> u64 {
    macro_rules! slot {
        ($slot:literal) => {
            if bucket.k0[$slot] == k0
                && bucket.k1[$slot] == k1
                && bucket.tag_value[$slot] >> VALUE_BITS == tag as u32
            {
                let place = at * SLOTS as u32 + $slot;
                return (place as u64) << 32 | (bucket.tag_value[$slot] & VALUE_MAX) as u64;
            }
        };
    }
    const { assert!(SLOTS == 4) };
    slot!(0);
    slot!(1);
    slot!(2);
    slot!(3);
    0
}
