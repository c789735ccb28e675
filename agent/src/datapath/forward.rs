//! Where a generation sends packets itself: the map `EGRESS`, by interface, and for routes the hardware addresses of the
//! gateway, `HARDWARE`. Both say what is there now, so they are made anew when interfaces come and go.

use std::collections::BTreeMap;

use aya::maps::xdp::{DevMapHash, XdpMapError};
use aya::maps::{Array, MapData, MapError};
use banchi_common::abi::{Forwarding, Setting};

use super::error::DatapathError;
use super::generation::Datapath;
use super::links::Link;
use super::load::{Row, writing};
use super::store::Record;
use crate::image::Image;

const EGRESS: &str = "EGRESS";
const HARDWARE: &str = "HARDWARE";
/// Fewest entries of a map of ways out.
const FEWEST: usize = 16;

/// Ways out of the gateway, as far as the interfaces are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ways {
    /// Wires: the other end by this one. Routes: each interface by itself.
    pub(super) egress: BTreeMap<u32, u32>,
    /// Hardware addresses as numbers.
    hardware: BTreeMap<u32, u64>,
}

impl Ways {
    /// Those of an image whose interfaces have these indices, in the image's order.
    fn of(image: &Image, indices: &[u32], links: &[Link]) -> Self {
        let link = |index: u32| links.iter().find(|link| link.index == index);
        let mut ways = Self::default();
        match forwarding(image) {
            Forwarding::Stack => {}
            Forwarding::Wire => {
                for (one, other) in wires(image, indices) {
                    if link(one).is_some() && link(other).is_some() {
                        ways.egress.extend([(one, other), (other, one)]);
                    }
                }
            }
            Forwarding::Route => {
                for link in indices.iter().filter_map(|index| link(*index)) {
                    ways.egress.insert(link.index, link.index);
                    ways.hardware.extend(link.hardware.map(|address| (link.index, number(address))));
                }
            }
        }
        ways
    }
}

/// How a policy forwards, as its image has it.
pub(super) fn forwarding(image: &Image) -> Forwarding {
    let word = image.setting(Setting::Forwarding);
    Forwarding::ALL.into_iter().find(|way| *way as u32 == word).unwrap_or_default()
}

/// Entries of the map of ways out. Those of interfaces that are gone are gone as well.
pub(super) fn entries(image: &Image) -> u32 {
    (image.interfaces.len() * 2).next_power_of_two().max(FEWEST) as u32
}

/// Indices of both ends of each wire.
pub(super) fn wires(image: &Image, indices: &[u32]) -> Vec<(u32, u32)> {
    let index = |place: usize| indices.get(place).copied();
    image.wires.iter().filter_map(|(one, other)| Some((index(*one)?, index(*other)?))).collect()
}

fn number(address: [u8; 6]) -> u64 {
    address.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Datapath {
    /// How it forwards.
    pub fn forwarding(&self) -> Forwarding {
        self.forwarding
    }

    /// Makes the ways out what they should be with the interfaces that are there; `anew` where what the maps hold is not
    /// known. True where something has changed. `indices` are those of [`Image::interfaces`].
    ///
    /// # Errors
    /// Where the kernel refuses a read or a write.
    pub fn forward(
        &mut self,
        image: &Image,
        indices: &[u32],
        links: &[Link],
        anew: bool,
    ) -> Result<bool, DatapathError> {
        let wanted = Ways::of(image, indices, links);
        if wanted == self.ways && !anew {
            return Ok(false);
        }
        if self.forwarding != Forwarding::Stack {
            let mut egress = DevMapHash::try_from(self.map_mut(EGRESS)?).map_err(|e| writing(EGRESS, &e))?;
            make(&mut egress, EGRESS, |_| true, &wanted.egress)?;
        }
        if self.forwarding == Forwarding::Route {
            let gone: Vec<u32> = self
                .ways
                .hardware
                .keys()
                .copied()
                .filter(|index| !wanted.hardware.contains_key(index))
                .collect();
            let mut hardware = self.array::<u64>(HARDWARE)?;
            let gone = gone.into_iter().map(|index| (index, 0));
            for (index, address) in
                gone.chain(wanted.hardware.iter().map(|(index, address)| (*index, *address)))
            {
                hardware.set(index, Row(address), 0).map_err(|e| writing(HARDWARE, &e))?;
            }
        }
        self.ways = wanted;
        Ok(true)
    }

    /// Joins two interfaces for packets that come in by the first, as a wire does: for tests.
    ///
    /// # Errors
    /// Where there is no such interface.
    pub fn join(&mut self, from: u32, to: u32) -> Result<(), DatapathError> {
        let mut egress = DevMapHash::try_from(self.map_mut(EGRESS)?).map_err(|e| writing(EGRESS, &e))?;
        egress.insert(from, to, None, 0).map_err(|e| DatapathError::other("join interfaces", e))
    }

    /// Reads the ways out that are in the kernel. Yields the map that is another one, or that has a way that the record
    /// does not allow for; what is missing may be gone with its interface.
    pub(super) fn read_ways(
        &mut self,
        image: &Image,
        record: &Record,
    ) -> Result<Option<&'static str>, DatapathError> {
        let hardware = self.map(HARDWARE).ok().and_then(|map| Array::<_, Row<u64>>::try_from(map).ok());
        let is_route = self.forwarding == Forwarding::Route;
        let most = record.interfaces.iter().map(|(_, index)| *index).filter(|_| is_route).max();
        if hardware.is_none_or(|rows| most.is_some_and(|most| most >= rows.len())) {
            return Ok(Some(HARDWARE));
        }
        let Ok(map) = self.map(EGRESS) else { return Ok(Some(EGRESS)) };
        let Ok(egress) = DevMapHash::try_from(map) else { return Ok(Some(EGRESS)) };
        let indices: Vec<u32> = record.interfaces.iter().map(|(_, index)| *index).collect();
        let mut allowed = ways(image, &indices);
        // An interface that is being given another index has a way with either.
        for (index, place) in &record.moving {
            let mut moving = indices.clone();
            if let Some(slot) = (*place as usize).checked_sub(1).and_then(|at| moving.get_mut(at)) {
                *slot = *index;
            }
            allowed.extend(ways(image, &moving));
        }
        let mut found = BTreeMap::new();
        for entry in egress.iter() {
            let (from, to) = entry.map_err(|e| writing(EGRESS, &e))?;
            if !allowed.contains(&(from, to.if_index)) {
                return Ok(Some(EGRESS));
            }
            found.insert(from, to.if_index);
        }
        self.ways.egress = found;
        Ok(None)
    }
}

/// Every way that an image has with these indices, whether or not the interfaces are there.
fn ways(image: &Image, indices: &[u32]) -> Vec<(u32, u32)> {
    match forwarding(image) {
        Forwarding::Stack => Vec::new(),
        Forwarding::Wire => {
            wires(image, indices).into_iter().flat_map(|(one, other)| [(one, other), (other, one)]).collect()
        }
        Forwarding::Route => indices.iter().map(|index| (*index, *index)).collect(),
    }
}

/// Makes the entries of a device map whose keys are `own` those that are wanted.
pub(super) fn make<T: std::borrow::BorrowMut<MapData>>(
    map: &mut DevMapHash<T>,
    name: &str,
    own: impl Fn(u32) -> bool,
    wanted: &BTreeMap<u32, u32>,
) -> Result<(), DatapathError> {
    let keys: Vec<u32> = map.keys().filter_map(Result::ok).filter(|key| own(*key)).collect();
    for key in keys.into_iter().filter(|key| !wanted.contains_key(key)) {
        match map.remove(key) {
            // The kernel has removed it with its interface.
            Ok(()) | Err(MapError::KeyNotFound) => {}
            Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(writing(name, &error)),
        }
    }
    for (key, to) in wanted {
        // Also where it seems to be there: an interface that was made again may have its old index.
        match map.insert(*key, *to, None, 0) {
            // It went since somebody looked; who follows interfaces sees that next.
            Err(XdpMapError::MapError(MapError::SyscallError(error))) if is_no_device(&error.io_error) => {}
            made => made.map_err(|e| {
                DatapathError::other(format!("access the map {name}"), super::load::chain(&e))
            })?,
        }
    }
    Ok(())
}

/// What the kernel says of an interface that is not there, when it is to become an entry of a device map.
fn is_no_device(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENODEV))
}
