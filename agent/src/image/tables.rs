//! The image as tables of the engine: what the kernel does, in memory.

use banchi_common::abi::{
    Asked, Bucket, Bucket6, ConduitRow, Conversations, FlowRow, NodeRow, PortRow, RelationRow, RuleRow,
    ServerRow, ServiceRow,
};
use banchi_common::engine::{FragmentKey, Tables};

use super::Image;

fn row<T>(rows: &[T], at: u32) -> Option<&T> {
    rows.get(at as usize)
}

/// Interface indices are places from 1 here, and no fragment has been seen.
impl Tables for Image {
    fn setting(&self, at: usize) -> u32 {
        self.settings.get(at).copied().unwrap_or(0)
    }
    fn bucket(&self, at: u32) -> Option<&Bucket> {
        row(&self.index, at)
    }
    fn bucket6(&self, at: u32) -> Option<&Bucket6> {
        row(&self.index6, at)
    }
    fn ports(&self, at: u32) -> Option<&PortRow> {
        row(&self.ports, at)
    }
    fn server(&self, at: u32) -> Option<&ServerRow> {
        row(&self.servers, at)
    }
    fn service(&self, at: u32) -> Option<&ServiceRow> {
        row(&self.services, at)
    }
    fn relation(&self, at: u32) -> Option<&RelationRow> {
        row(&self.relations, at)
    }
    fn node(&self, at: u32) -> Option<&NodeRow> {
        row(&self.nodes, at)
    }
    fn flow(&self, at: u32) -> Option<&FlowRow> {
        row(&self.flows, at)
    }
    fn rule(&self, at: u32) -> Option<&RuleRow> {
        row(&self.rules, at)
    }
    fn conduit(&self, at: u32) -> Option<&ConduitRow> {
        row(&self.conduits, at)
    }
    fn interface(&self, index: u32) -> u32 {
        if index as usize <= self.interfaces.len() { index } else { 0 }
    }
    fn zone(&self, at: u32) -> u32 {
        row(&self.zones, at).copied().unwrap_or(0)
    }
    fn fragment_allowed(&self, _key: &FragmentKey) -> bool {
        false
    }
    fn allow_fragments(&self, _key: &FragmentKey) {}
    /// Only grants look at it here, since no question is waited for.
    fn now(&self) -> u64 {
        u64::try_from(crate::events::monotonic().as_nanos()).unwrap_or(1)
    }
    fn asked(&self, _place: u32) -> Option<&Asked> {
        None
    }
    fn conversations(&self, _at: u32) -> Option<&Conversations> {
        None
    }
    fn in_grace(&self) -> bool {
        false
    }
    fn takes_questions_for_asked(&self) -> bool {
        true
    }
}
