//! Entries on their way into the index.

use banchi_common::abi::Tag;

/// One key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// [`Tag`], for exact tuples plus the transport and the family.
    pub(super) tag: u8,
    pub(super) k0: u64,
    pub(super) k1: u32,
    /// From 1.
    pub(super) value: u32,
}

/// All of them, in the order in which they were made. No key comes twice.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) all: Vec<Entry>,
}

impl Entries {
    pub(super) fn push(&mut self, tag: Tag, k0: u64, k1: u32, value: u32) {
        self.all.push(Entry { tag: tag as u8, k0, k1, value });
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Number of entries of each tag.
    pub(super) fn by_tag(&self) -> Vec<(Tag, usize)> {
        use Tag::{Classes, Client, Conduit, DoubleVlan, Exact, Host4, Pair, Port, Prefix4, Server, Service};
        let tags = [Host4, Prefix4, Service, Pair, Client, Server, Classes, Port, Conduit, DoubleVlan, Exact];
        let mut counts = tags.map(|tag| (tag, 0));
        for entry in &self.all {
            let tag = entry.tag.min(Exact as u8);
            if let Some(count) = counts.iter_mut().find(|(known, _)| *known as u8 == tag) {
                count.1 += 1;
            }
        }
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}
