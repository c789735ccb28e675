//! The tables that a decision reads.

use super::conversation;
use super::index;
use super::lookup::{self, Question};
use crate::abi::{
    Asked, Bucket, Bucket6, ConduitRow, Conversations, Feature, FlowRow, NodeRow, PortRow, RelationRow,
    RuleRow, ServerRow, ServiceRow, Setting,
};
use crate::wire::Headers;

/// Identity of a fragmented packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct FragmentKey {
    /// Source address.
    pub source: [u64; 2],
    /// Destination address.
    pub destination: [u64; 2],
    /// Identification.
    pub id: u32,
    /// IP protocol; 0 for IPv6.
    pub protocol: u8,
    /// IP version.
    pub family: u8,
    /// Zone of the source, from 1.
    pub zone: u16,
}

impl FragmentKey {
    /// The key of a packet's fragments.
    #[inline(always)]
    #[must_use]
    pub fn of(headers: &Headers, zone: u16) -> Self {
        Self {
            source: [headers.source.hi, headers.source.lo],
            destination: [headers.destination.hi, headers.destination.lo],
            id: headers.fragment_id,
            // Behind the extension headers of IPv6 each fragment may name another one; only the first
            // fragment's counts (RFC 8200, section 4.5).
            protocol: if headers.family == 4 { headers.protocol } else { 0 },
            family: headers.family,
            zone,
        }
    }
}

/// One generation's tables, and the state that decisions share.
///
/// Rows are `None` only where an index is out of range, which a consistent image never asks for.
pub trait Tables: Sized {
    /// A word of the settings.
    fn setting(&self, at: usize) -> u32;
    /// A bucket of the index.
    fn bucket(&self, at: u32) -> Option<&Bucket>;
    /// A bucket of the IPv6 address index.
    fn bucket6(&self, at: u32) -> Option<&Bucket6>;
    /// Classes of two ports.
    fn ports(&self, at: u32) -> Option<&PortRow>;
    /// A class of server ports.
    fn server(&self, at: u32) -> Option<&ServerRow>;
    /// A set of services.
    fn service(&self, at: u32) -> Option<&ServiceRow>;
    /// A relation, from 1.
    fn relation(&self, at: u32) -> Option<&RelationRow>;
    /// A node, from 1.
    fn node(&self, at: u32) -> Option<&NodeRow>;
    /// A flow, from 1.
    fn flow(&self, at: u32) -> Option<&FlowRow>;
    /// A rule, from 1.
    fn rule(&self, at: u32) -> Option<&RuleRow>;
    /// A conduit, from 1; 0 is what belongs to none.
    fn conduit(&self, at: u32) -> Option<&ConduitRow>;
    /// Place of an interface in the zone table, from 1; 0 is none.
    fn interface(&self, index: u32) -> u32;
    /// Zone at a place of the zone table; 0 is none.
    fn zone(&self, at: u32) -> u32;
    /// Whether the first fragment of a packet was allowed.
    fn fragment_allowed(&self, key: &FragmentKey) -> bool;
    /// Notes that the first fragment of a packet was allowed.
    fn allow_fragments(&self, key: &FragmentKey);

    /// Nanoseconds since boot; never 0.
    fn now(&self) -> u64;
    /// Times of the last questions of the exact tuple at a place of the index.
    fn asked(&self, place: u32) -> Option<&Asked>;
    /// A bucket of the conversation table.
    fn conversations(&self, at: u32) -> Option<&Conversations>;
    /// Whether answers without a question are not enforced yet.
    fn in_grace(&self) -> bool;
    /// Whether the gateway is an island.
    #[inline(always)]
    fn is_island(&self) -> bool {
        false
    }
    /// Whether the agent was not heard of for longer than this, in milliseconds.
    #[inline(always)]
    fn is_agent_lost(&self, _limit_ms: u32) -> bool {
        false
    }
    /// Whether every question is taken for asked: for explanations, which have seen no packet.
    #[inline(always)]
    fn takes_questions_for_asked(&self) -> bool {
        false
    }

    /// Value of a key in the index, and above it (<< 32) the place of the key; 0 is absent.
    ///
    /// This and the next few take and give numbers only, so that the data plane can make functions of them
    /// that the verifier checks once, and not at every place that calls them.
    fn find_at(&self, tag: u8, k0: u64, k1: u32) -> u64 {
        index::find_at(self, tag, k0, k1)
    }
    /// The same for the key of an exact tuple.
    fn find_exact(&self, tag: u8, k0: u64, k1: u32) -> u64 {
        self.find_at(tag, k0, k1)
    }
    /// Asks the memory for what the buckets of an exact tuple may lead to, and waits for nothing.
    #[inline(always)]
    fn touch(&self, _buckets: [u32; 2]) {}
    /// Value of a key in the index; 0 is absent.
    #[inline(always)]
    fn find(&self, tag: u8, k0: u64, k1: u32) -> u32 {
        self.find_at(tag, k0, k1) as u32
    }
    /// See [`super::hold_in`].
    fn hold_in(&self, conduit: u32, island: u32) -> u32 {
        super::hold::hold_in(self, conduit, island)
    }
    /// See [`super::drops`].
    fn drops(&self, reason: u32, conduit: u32, of_rule: u32) -> u32 {
        super::decide::drops(self, reason, conduit, of_rule)
    }
    /// See [`conversation::note`].
    fn note_conversation(&self, tag: u64, bucket: u32, now: u64) {
        conversation::note(self, tag, bucket, now);
    }
    /// See [`conversation::asked_at`].
    fn find_conversation(&self, tag: u64, bucket: u32) -> u64 {
        conversation::asked_at(self, tag, bucket)
    }
    /// The most specific host or prefix that the policy knows for an address; 0 is none.
    fn node_of(&self, family: u8, hi: u64, lo: u64) -> u32 {
        lookup::node_of(self, family, hi, lo)
    }
    /// First rule of the file that answers a question, from 1; 0 is none.
    fn first_rule(&self, question: Question) -> u32 {
        lookup::first_rule(self, question)
    }

    /// Whether the policy uses a feature.
    #[inline(always)]
    fn uses(&self, feature: Feature) -> bool {
        self.setting(Setting::Features as usize) & feature as u32 != 0
    }
}
