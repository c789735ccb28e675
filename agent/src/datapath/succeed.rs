//! What a new generation takes over from the one before it: questions whose answers may still come.

use std::collections::BTreeMap;

use aya::maps::{Array, MapData};
use banchi_common::abi::{Feature, SLOTS, Setting, Tag, VALUE_BITS, WAYS};
use banchi_common::engine::{Tables as _, exact_key, find_at};

use super::error::DatapathError;
use super::load::{Datapath, Options, Row, writing};
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
    ) -> Result<Self, DatapathError> {
        let (before, before_image) = older;
        // One secret for both, so that a conversation stands in the same bucket.
        let mut datapath = Self::load_with(image, indices, options, before.secret)?;
        datapath.take_over_tuples(image, before, before_image)?;
        datapath.take_over_conversations(image, before, before_image)?;
        Ok(datapath)
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
            if low | high != 0 {
                let asked = if turned { [high, low] } else { [low, high] };
                to.set(place, Row(asked), 0).map_err(|e| writing("ASKED", &e))?;
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
            if bucket != [[0; WAYS]; 2] {
                to.set(at, Row(bucket), 0).map_err(|e| writing(name, &e))?;
            }
        }
        Ok(())
    }

    fn array<T: bytemuck::Pod>(&mut self, name: &str) -> Result<Array<&mut MapData, Row<T>>, DatapathError> {
        super::load::array(&mut self.ebpf, name)
    }
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
