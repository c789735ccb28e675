//! Where packets are sent, as interfaces come and go: the ways out of both generations, and promiscuous ends of wires.

use std::collections::BTreeSet;

use banchi_common::abi::{Forwarding, Onward, SLOT_ACTIVE, SLOT_PREVIOUS};

use super::{Generation, Plane};
use crate::datapath::{DatapathError, Link, keep_promiscuous, links};

impl Generation {
    /// Indices of the interfaces, in the image's order.
    fn indices(&self) -> Vec<u32> {
        self.record.interfaces.iter().map(|(_, index)| *index).collect()
    }

    /// Indices of the interfaces that are an end of a wire.
    fn ends(&self) -> BTreeSet<u32> {
        let indices = self.indices();
        let places = self.image.wires.iter().flat_map(|(one, other)| [*one, *other]);
        places.filter_map(|place| indices.get(place).copied()).collect()
    }
}

impl Plane {
    /// Makes the ways out of both generations what their policies say, as far as the interfaces are there; `anew` where
    /// what the kernel has is not known.
    pub(super) fn forward(&mut self, links: &[Link], anew: bool) -> Result<(), DatapathError> {
        let generations = [(SLOT_ACTIVE, Some(&mut self.active)), (SLOT_PREVIOUS, self.previous.as_mut())];
        let mut ends = BTreeSet::new();
        for (slot, generation) in generations {
            let Some(generation) = generation else { continue };
            let indices = generation.indices();
            if generation.datapath.forward(&generation.image, &indices, links, anew)? {
                self.root.wire(slot, &generation.datapath)?;
            }
            ends.extend(generation.ends());
        }
        for name in keep_promiscuous(&self.store, &ends, links)? {
            log::info!(
                "`{name}` takes frames that are for others (promiscuous), as the end of a wire has to"
            );
        }
        Ok(())
    }

    /// The same with the interfaces as they are now, whatever is in the kernel.
    pub(super) fn forward_anew(&mut self) -> Result<(), DatapathError> {
        let links = links().map_err(|e| DatapathError::other("look at the interfaces", e))?;
        self.forward(&links, true)
    }

    /// How the policy that decides forwards.
    pub fn forwarding(&self) -> Forwarding {
        self.active.policy.forwarding
    }

    /// What became of packets that pass: sent on by the program, or left to the stack for a cause. Those that never
    /// happened are left out.
    ///
    /// # Errors
    /// Where the kernel refuses a read.
    pub fn forwarded(&self) -> Result<Vec<(Onward, u64)>, DatapathError> {
        let mut counts = Vec::new();
        for what in Onward::ALL {
            let packets = self.root.forwarded(what)?;
            if packets > 0 {
                counts.push((what, packets));
            }
        }
        Ok(counts)
    }
}
