//! The observer on interfaces: attached for as long as this process lives, and never in anybody's way.

use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use banchi_common::abi::{Sight, SightKey, Sighted, UNSEENS, Unseen};

use super::attach::{XdpMode, attach, attached, program_name};
use super::counters::settle;
use super::error::DatapathError;
use super::load::{OBJECT, Row, chain, load, missing, writing};
use super::preflight::{Interface, capabilities, index_of, kernel};

/// Name of the program in the object.
const PROGRAM: &str = "observe";
/// Its maps, which no generation needs.
pub(super) const MAPS: [&str; 4] = ["SIGHTED", "SIGHTS", "ROUND", "UNSEEN"];
/// Maps of the data plane that are larger than a row, and that the observer does not need.
const OTHERS: [(&str, u32); 3] = [("EVENTS", 4096), ("SUPPRESS", 1), ("FRAGMENTS", 1)];
/// Bytes of the ring: room for 9,600 packets between two looks.
const RING: u32 = 4 << 20;

/// A program that lets everything pass and sees who speaks with whom. It is off when this is dropped, or the process ends.
pub struct Observer {
    ebpf: Ebpf,
    interfaces: Vec<Interface>,
    ring: RingBuf<MapData>,
    table: HashMap<MapData, Row<SightKey>, Row<Sighted>>,
    round: Array<MapData, u32>,
    unseen: PerCpuArray<MapData, u64>,
    number: u32,
}

impl Observer {
    /// Attaches to interfaces, with room for so many tuples that send within two rounds.
    ///
    /// # Errors
    /// Where the kernel refuses, or another program is attached. Nothing stays behind then.
    pub fn attach(names: &[String], mode: XdpMode, tuples: u32) -> Result<Self, DatapathError> {
        capabilities()?;
        kernel()?;
        let interfaces = names.iter().map(|name| Interface::named(name)).collect::<Result<Vec<_>, _>>()?;
        for interface in &interfaces {
            if holder(interface.index).is_some_and(|name| name == super::root::PROGRAM) {
                return Err(DatapathError::Deciding { interface: interface.name.clone() });
            }
        }
        let mut loader = EbpfLoader::new();
        loader.map_max_entries("SIGHTED", tuples).map_max_entries("SIGHTS", RING);
        for (name, entries) in OTHERS {
            loader.map_max_entries(name, entries);
        }
        let mut ebpf = loader.load(OBJECT).map_err(|e| DatapathError::other("create the maps", chain(&e)))?;
        let mut observer = Self {
            interfaces,
            ring: take(&mut ebpf, "SIGHTS")?,
            table: take(&mut ebpf, "SIGHTED")?,
            round: take(&mut ebpf, "ROUND")?,
            unseen: take(&mut ebpf, "UNSEEN")?,
            number: 0,
            ebpf,
        };
        let program = observer.ebpf.program_mut(PROGRAM).ok_or_else(|| missing(PROGRAM))?;
        let program: &mut Xdp =
            program.try_into().map_err(|e| DatapathError::other("find the program", e))?;
        load(program)?;
        for interface in &observer.interfaces {
            attach(program, interface, mode)?;
        }
        Ok(observer)
    }

    /// Interfaces that the program is on no more: they are gone, or somebody took it off.
    pub fn lost(&self) -> impl Iterator<Item = &str> {
        let gone = self.interfaces.iter().filter(|interface| {
            index_of(&interface.name) != Some(interface.index)
                || holder(interface.index).is_none_or(|name| name != PROGRAM)
        });
        gone.map(|interface| interface.name.as_str())
    }

    /// Number of the round.
    pub fn round(&self) -> u32 {
        self.number
    }

    /// Hands over the packets that were shown so far, and no more than the ring holds: others come meanwhile. With each
    /// comes the place of its interface in the list that this was attached to.
    pub fn shown(&mut self, mut each: impl FnMut(&Sight, Option<usize>)) {
        for _ in 0..RING as usize / size_of::<Sight>() {
            let Some(record) = self.ring.next() else { return };
            // A record of another size is another version's: the object is this program's own.
            if let Ok(sight) = bytemuck::try_pod_read_unaligned::<Sight>(&record) {
                each(&sight, self.interfaces.iter().position(|known| known.index == sight.interface));
            }
        }
    }

    /// Begins the next round. When this returns, nothing of the round before changes any more, and all that is shown of it
    /// is in the ring.
    ///
    /// # Errors
    /// Where the kernel refuses the write.
    pub fn turn(&mut self) -> Result<(), DatapathError> {
        self.number = self.number.wrapping_add(1);
        self.round.set(0, self.number, 0).map_err(|e| writing("ROUND", &e))?;
        settle();
        Ok(())
    }

    /// Takes the tuples of rounds before this one out of the table.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn take(&mut self, mut each: impl FnMut(&SightKey, &Sighted)) -> Result<(), DatapathError> {
        let failed = |e| writing("SIGHTED", &e);
        // Keys first: a walk over a table that shrinks begins again.
        let mut past = Vec::new();
        for key in self.table.keys() {
            let key = key.map_err(failed)?;
            if key.0.round != self.number {
                past.push(key);
            }
        }
        for key in past {
            let Row(sighted) = self.table.get(&key, 0).map_err(failed)?;
            self.table.remove(&key).map_err(failed)?;
            each(&key.0, &sighted);
        }
        Ok(())
    }

    /// How often the observer could not do something since it was attached.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn unseen(&self, what: Unseen) -> Result<u64, DatapathError> {
        debug_assert!((what as u32) < UNSEENS);
        let values = self.unseen.get(&(what as u32), 0).map_err(|e| writing("UNSEEN", &e))?;
        Ok(values.iter().sum())
    }
}

/// Name of the XDP program on an interface.
fn holder(index: u32) -> Option<String> {
    program_name(attached(index)?.program)
}

fn take<M: TryFrom<Map>>(ebpf: &mut Ebpf, name: &str) -> Result<M, DatapathError>
where
    M::Error: std::error::Error,
{
    let map = ebpf.take_map(name).ok_or_else(|| missing(name))?;
    M::try_from(map).map_err(|e| DatapathError::other(format!("access the map {name}"), chain(&e)))
}
