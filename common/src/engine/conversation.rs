//! Questions that were asked, so that answers can be told from what nobody asked for.
//!
//! An exact tuple has a place of its own: nothing can push it out. Everything else shares a table of buckets with
//! [`WAYS`] places each. A bucket is chosen by a secret hash of both ends. One client holds at most half of a
//! bucket, so however many conversations a host opens, those of the others stay.

use super::index::in_range;
use super::tables::Tables;
use crate::abi::{Setting, TAG_BITS, WAYS};
use crate::wire::Address;

/// Places of a bucket that one client can hold.
const SHARE: u32 = WAYS as u32 / 2;

/// Stands for an end that may be another in the question and in the answer. No host has it: 0.0.0.0 and `::` are what
/// hosts ask from that have no address yet.
pub(super) const ANYBODY: Address = Address { hi: u64::MAX, lo: 0 };

/// Who asks whom, as the table knows it. An address that may differ between question and answer is [`ANYBODY`], such
/// a port is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) client: Address,
    pub(super) server: Address,
    pub(super) client_port: u16,
    pub(super) server_port: u16,
}

/// Where a conversation stands: its tag, and its bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) tag: u64,
    pub(super) bucket: u32,
}

/// A permutation of 64-bit words that spreads every bit (the finalizer of MurmurHash3).
#[inline(always)]
const fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

impl Ends {
    #[inline(always)]
    pub(super) fn place<T: Tables>(&self, tables: &T) -> Place {
        let secret = tables.setting(Setting::ConversationSecret as usize);
        let seed = (secret as u64) << 32 | !secret as u64;
        let mut client = mix(seed ^ self.client.lo);
        let mut all = client;
        if self.client.hi | self.server.hi != 0 {
            client = mix(client ^ self.client.hi);
            all = mix(client ^ self.server.hi);
        }
        all = mix(all ^ self.server.lo);
        all = mix(all ^ ((self.client_port as u64) << 16 | self.server_port as u64));
        let buckets = tables.setting(Setting::ConversationBuckets as usize);
        // The bucket comes from bits that the tag does not have.
        let bucket = in_range((all >> 32) as u32, buckets);
        Place { tag: (client >> TAG_BITS) << TAG_BITS | (all & ((1 << TAG_BITS) - 1)) | 1, bucket }
    }
}

/// Time of the last question of a conversation; 0 is never.
#[inline(always)]
pub fn asked_at<T: Tables>(tables: &T, tag: u64, bucket: u32) -> u64 {
    let Some(bucket) = tables.conversations(bucket) else { return 0 };
    for at in 0..WAYS {
        if bucket.tag[at].get() == tag {
            return bucket.asked[at].get();
        }
    }
    0
}

/// Notes a question. Where the bucket is full, the client's own oldest gives way if it holds its share, else the
/// oldest of all.
#[inline(always)]
pub fn note<T: Tables>(tables: &T, tag: u64, bucket: u32, now: u64) {
    let Some(bucket) = tables.conversations(bucket) else { return };
    let (mut own, mut own_at, mut own_asked) = (0, 0, u64::MAX);
    let (mut oldest_at, mut oldest_asked) = (0, u64::MAX);
    for at in 0..WAYS {
        let found = bucket.tag[at].get();
        // An empty place has been asked at 0, and is the oldest.
        let asked = bucket.asked[at].get();
        if found == tag {
            if asked != now {
                bucket.asked[at].set(now);
            }
            return;
        }
        if asked < oldest_asked {
            (oldest_at, oldest_asked) = (at, asked);
        }
        if found >> TAG_BITS == tag >> TAG_BITS && found != 0 {
            own += 1;
            if asked < own_asked {
                (own_at, own_asked) = (at, asked);
            }
        }
    }
    let at = (if own >= SHARE { own_at } else { oldest_at }) & (WAYS - 1);
    bucket.asked[at].set(now);
    bucket.tag[at].set(tag);
}

/// Whether a question is no older than a window. Time 0 is no question. Another CPU may have noted the next question
/// after this packet looked at the clock: that is no age at all.
#[inline(always)]
pub(super) const fn is_within(asked: u64, now: u64, window: u64) -> bool {
    asked != 0 && now.saturating_sub(asked) <= window
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_includes_its_last_moment() {
        assert!(is_within(100, 100, 5) && is_within(100, 105, 5) && !is_within(100, 106, 5));
        assert!(!is_within(0, 1, 5), "never asked");
        assert!(is_within(101, 100, 5), "asked again meanwhile, by the clock of another CPU");
    }
}
