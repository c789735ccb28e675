//! What a new generation takes over from the one before it: questions whose answers may still come.

use std::collections::BTreeMap;

use aya::maps::Array;
use banchi_common::abi::{Feature, SLOTS, Setting, Tag, VALUE_BITS, WAYS};
use banchi_common::engine::{Tables as _, exact_key, find_at};

use super::error::DatapathError;
use super::generation::Datapath;
use super::load::{Options, Row, writing};
use super::store::Store;
use crate::image::Image;

/// Times of both ends of an exact tuple.
type Asked = [u64; 2];
/// Tags and times of a bucket of conversations.
type Conversations = [[u64; WAYS]; 2];

/// Length + 1 of a host in the index of IPv6 addresses.
const HOST: u32 = 129;

impl Datapath {
    /// Loads an image that takes the place of another one: what was asked of the older program may be answered to
    /// this one. Questions that the older one sees from now on are not taken over.
    ///
    /// # Errors
    /// Where the kernel refuses the program or a map; nothing stays behind then.
    pub fn succeed(
        older: (&Self, &Image),
        image: &Image,
        indices: &[u32],
        options: &Options,
        store: Option<&Store>,
    ) -> Result<Self, DatapathError> {
        let mut datapath = Self::load_heir(older.0, image, indices, options, store)?;
        datapath.take_over(image, older.0, older.1)?;
        Ok(datapath)
    }

    /// Loads an image that can take over from an older program: one secret for both, so that a conversation stands
    /// in the same bucket.
    ///
    /// # Errors
    /// Where the kernel refuses the program or a map; nothing stays behind then.
    pub fn load_heir(
        older: &Self,
        image: &Image,
        indices: &[u32],
        options: &Options,
        store: Option<&Store>,
    ) -> Result<Self, DatapathError> {
        Self::load_with(image, indices, options, older.secret, store)
    }

    /// Takes over every question that an older program was asked, where it is later than what is known here.
    ///
    /// # Errors
    /// Where the kernel refuses a read or a write.
    pub fn take_over(&mut self, image: &Image, before: &Self, old: &Image) -> Result<(), DatapathError> {
        self.take_over_tuples(image, before, old)?;
        self.take_over_conversations(image, before, old)
    }

    fn take_over_tuples(&mut self, image: &Image, before: &Self, old: &Image) -> Result<(), DatapathError> {
        if image.slots() == 1 || old.slots() == 1 {
            return Ok(());
        }
        let addresses = hosts6(image);
        let from: Array<_, Row<Asked>> =
            Array::try_from(before.map("ASKED")?).map_err(|e| writing("ASKED", &e))?;
        let mut to = self.array::<Asked>("ASKED")?;
        for (place, tag, k0, k1) in exact_tuples(image) {
            let Some((old_place, turned)) = place_in(old, &addresses, tag, k0, k1) else { continue };
            let Row([low, high]) = from.get(&old_place, 0).map_err(|e| writing("ASKED", &e))?;
            if low | high == 0 {
                continue;
            }
            let [low, high] = if turned { [high, low] } else { [low, high] };
            let Row(known) = to.get(&place, 0).map_err(|e| writing("ASKED", &e))?;
            let later = [low.max(known[0]), high.max(known[1])];
            if later != known {
                to.set(place, Row(later), 0).map_err(|e| writing("ASKED", &e))?;
            }
        }
        Ok(())
    }

    fn take_over_conversations(
        &mut self,
        image: &Image,
        before: &Self,
        old: &Image,
    ) -> Result<(), DatapathError> {
        let buckets = image.setting(Setting::ConversationBuckets);
        let noted = |image: &Image| image.setting(Setting::Features) & Feature::Conversations as u32 != 0;
        if !noted(image) || !noted(old) || buckets != old.setting(Setting::ConversationBuckets) {
            return Ok(());
        }
        let name = "CONVERSATIONS";
        let from: Array<_, Row<Conversations>> =
            Array::try_from(before.map(name)?).map_err(|e| writing(name, &e))?;
        let mut to = self.array::<Conversations>(name)?;
        for at in 0..buckets {
            let Row(bucket) = from.get(&at, 0).map_err(|e| writing(name, &e))?;
            if bucket == [[0; WAYS]; 2] {
                continue;
            }
            let Row(known) = to.get(&at, 0).map_err(|e| writing(name, &e))?;
            let later = merged(known, bucket);
            if later != known {
                to.set(at, Row(later), 0).map_err(|e| writing(name, &e))?;
            }
        }
        Ok(())
    }
}

/// The latest conversations of two buckets.
fn merged([tags, times]: Conversations, [old_tags, old_times]: Conversations) -> Conversations {
    let mut latest: BTreeMap<u64, u64> = BTreeMap::new();
    for (tag, time) in tags.into_iter().zip(times).chain(old_tags.into_iter().zip(old_times)) {
        if tag != 0 {
            let known = latest.entry(tag).or_default();
            *known = time.max(*known);
        }
    }
    let mut rows: Vec<(u64, u64)> = latest.into_iter().collect();
    rows.sort_by_key(|(tag, time)| (std::cmp::Reverse(*time), *tag));
    let mut bucket = [[0; WAYS]; 2];
    let [tags, times] = &mut bucket;
    for ((tag, time), (to_tag, to_time)) in rows.into_iter().zip(tags.iter_mut().zip(times)) {
        (*to_tag, *to_time) = (tag, time);
    }
    bucket
}

/// Place, tag and key of every exact tuple.
fn exact_tuples(image: &Image) -> impl Iterator<Item = (u32, u8, u64, u32)> {
    image.index.iter().enumerate().flat_map(|(at, bucket)| {
        let keys = bucket.tag_value.iter().zip(bucket.k0).zip(bucket.k1).enumerate();
        keys.filter_map(move |(slot, ((tag_value, k0), k1))| {
            let tag = (tag_value >> VALUE_BITS) as u8;
            (tag >= Tag::Exact as u8).then_some(((at * SLOTS + slot) as u32, tag, k0, k1))
        })
    })
}

/// Address of each IPv6 host, by its node.
fn hosts6(image: &Image) -> BTreeMap<u32, (u64, u64)> {
    let rows = image.index6.iter().flat_map(|bucket| {
        bucket.length.into_iter().zip(bucket.node).zip(bucket.hi.into_iter().zip(bucket.lo))
    });
    rows.filter(|((length, _), _)| *length == HOST).map(|((_, node), address)| (node, address)).collect()
}

/// Place of a tuple in an older image, and whether its ends are turned round there. Handles of IPv4 are addresses,
/// those of IPv6 numbers that each image gives anew.
fn place_in(
    old: &Image,
    addresses: &BTreeMap<u32, (u64, u64)>,
    tag: u8,
    k0: u64,
    k1: u32,
) -> Option<(u32, bool)> {
    let (mut low, mut high) = ((k0 >> 32) as u32, k0 as u32);
    if (tag - Tag::Exact as u8) & 4 != 0 {
        for handle in [&mut low, &mut high] {
            let (hi, lo) = addresses.get(handle)?;
            *handle = old.node_of(6, *hi, *lo);
            if *handle == 0 {
                return None;
            }
        }
    }
    let (k0, k1, is_low) = exact_key(low, (k1 >> 16) as u16, high, k1 as u16);
    let found = find_at(old, tag, k0, k1);
    (found != 0).then_some(((found >> 32) as u32, !is_low))
}
