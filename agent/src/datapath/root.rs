//! The root program: attached once, and told which generation decides.

use std::time::Duration;

use aya::maps::xdp::DevMapHash;
use aya::maps::{Array, Map, MapData, MapInfo, MapType, PerCpuArray, ProgramArray};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramInfo, Xdp};
use aya::{EbpfLoader, maps::MapError};
use aya_obj::programs::XdpAttachType;
use banchi_common::abi::{
    Forwarding, INTERFACES, ONWARDS, Onward, ROOT_COUNTS, ROOT_WORDS, RootCount, RootWord, SLOT_ACTIVE,
    SLOT_PREVIOUS, SLOTS_OF_PROGRAMS, STATE_VERSION, WIRES, wire_key,
};

use super::attach::{XdpMode, attach, attached};
use super::error::DatapathError;
use super::forward::make;
use super::generation::Datapath;
use super::load::{OBJECT, Row, chain, writing};
use super::preflight::Interface;
use super::store::{SHARED, Store};

/// Name of the root program in the object.
pub(super) const PROGRAM: &str = "banchi";
/// Rows of the table of fragments.
const FRAGMENTS: u32 = 4096;

/// The root program and what it is told, both pinned.
pub struct Root {
    store: Store,
    program: Xdp,
    words: Array<MapData, u64>,
    programs: ProgramArray<MapData>,
    counters: PerCpuArray<MapData, Row<u64>>,
    forwards: PerCpuArray<MapData, Row<u64>>,
    wires: DevMapHash<MapData>,
}

impl Root {
    /// Opens what is pinned; `None` where nothing is.
    ///
    /// # Errors
    /// Where something is pinned that this version cannot use. Nothing is changed then.
    pub fn open(store: &Store) -> Result<Option<Self>, DatapathError> {
        if !store.exists() {
            return Ok(None);
        }
        check_shapes(store)?;
        let root = Self::of(store)?;
        let version = root.word(RootWord::Version)?;
        if version != STATE_VERSION {
            return Err(DatapathError::PinnedState {
                what: store.shared("ROOT").display().to_string(),
                found: format!("version {version} of the pinned state"),
                expected: format!("version {STATE_VERSION}"),
            });
        }
        Ok(Some(root))
    }

    /// Loads the root program and pins it, with the maps that all generations share.
    ///
    /// # Errors
    /// Where the kernel refuses; nothing stays behind then.
    pub fn create(store: &Store, ring_bytes: u32) -> Result<Self, DatapathError> {
        store.create()?;
        let made = Self::make(store, ring_bytes);
        if made.is_err() {
            let _ = store.remove();
        }
        made
    }

    fn make(store: &Store, ring_bytes: u32) -> Result<Self, DatapathError> {
        let mut loader = EbpfLoader::new();
        for name in SHARED {
            loader.map_pin_path(name, store.shared(name));
        }
        loader.map_max_entries("EVENTS", ring_bytes);
        let mut ebpf = loader.load(OBJECT).map_err(|e| DatapathError::other("create the maps", chain(&e)))?;
        let program =
            ebpf.program_mut(PROGRAM).ok_or_else(|| DatapathError::other("read the object", PROGRAM))?;
        let program: &mut Xdp =
            program.try_into().map_err(|e| DatapathError::other("find the program", e))?;
        program.load().map_err(|e| DatapathError::other("load the root program", chain(&e)))?;
        program
            .pin(store.shared("program"))
            .map_err(|e| DatapathError::other("pin the root program", chain(&e)))?;
        let mut root = Self::of(store)?;
        root.set(RootWord::Version, STATE_VERSION)?;
        Ok(root)
    }

    fn of(store: &Store) -> Result<Self, DatapathError> {
        let path = store.shared("program");
        let program =
            Xdp::from_pin(&path, XdpAttachType::Interface).map_err(|e| DatapathError::PinnedState {
                what: path.display().to_string(),
                found: chain(&e),
                expected: "the root program".to_owned(),
            })?;
        let data = |name: &str| MapData::from_pin(store.shared(name)).map_err(|e| writing(name, &e));
        let map = |error: MapError| writing("ROOT", &error);
        Ok(Self {
            words: Array::try_from(Map::Array(data("ROOT")?)).map_err(map)?,
            programs: ProgramArray::try_from(Map::ProgramArray(data("PROGRAMS")?)).map_err(map)?,
            counters: PerCpuArray::try_from(Map::PerCpuArray(data("ROOT_COUNTERS")?)).map_err(map)?,
            forwards: PerCpuArray::try_from(Map::PerCpuArray(data("FORWARDS")?)).map_err(map)?,
            wires: DevMapHash::try_from(Map::DevMapHash(data("WIRES")?)).map_err(map)?,
            program,
            store: store.clone(),
        })
    }

    /// A word of the root.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn word(&self, word: RootWord) -> Result<u64, DatapathError> {
        self.words.get(&(word as u32), 0).map_err(|e| writing("ROOT", &e))
    }

    /// Sets a word of the root.
    ///
    /// # Errors
    /// Where the kernel refuses the write.
    pub fn set(&mut self, word: RootWord, value: u64) -> Result<(), DatapathError> {
        self.words.set(word as u32, value, 0).map_err(|e| writing("ROOT", &e))
    }

    /// How often the root did something by itself.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn count(&self, what: RootCount) -> Result<u64, DatapathError> {
        let values = self.counters.get(&(what as u32), 0).map_err(|e| writing("ROOT_COUNTERS", &e))?;
        Ok(values.iter().map(|Row(count)| count).sum())
    }

    /// How many packets of all generations were sent on by the program, or left to the stack for a cause.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn forwarded(&self, what: Onward) -> Result<u64, DatapathError> {
        let values = self.forwards.get(&(what as u32), 0).map_err(|e| writing("FORWARDS", &e))?;
        Ok(values.iter().map(|Row(count)| count).sum())
    }

    /// Makes the wires that are used where no generation decides those of a generation, for a slot of the programs.
    ///
    /// # Errors
    /// Where the kernel refuses a write.
    pub fn wire(&mut self, slot: u32, generation: &Datapath) -> Result<(), DatapathError> {
        let is_wire = generation.forwarding == Forwarding::Wire;
        let ways = generation.ways.egress.iter().filter(|_| is_wire);
        let wanted = ways.map(|(from, to)| (wire_key(slot, *from), *to)).collect();
        let own = |key: u32| key >= wire_key(slot, 0) && key < wire_key(slot, INTERFACES);
        make(&mut self.wires, "WIRES", own, &wanted)
    }

    /// Id of the program.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn program_id(&self) -> Result<u32, DatapathError> {
        let info = self.program.info().map_err(|e| DatapathError::other("find the program", chain(&e)))?;
        Ok(info.id())
    }

    /// Id of the root program that is pinned, where one is.
    pub fn pinned_program(store: &Store) -> Option<u32> {
        Some(ProgramInfo::from_pin(store.shared("program")).ok()?.id())
    }

    /// Attaches to an interface that it is not attached to yet. The link is pinned: it stays when the agent goes.
    ///
    /// # Errors
    /// Where another program is attached, or the driver refuses.
    pub fn attach(&mut self, interface: &Interface, mode: XdpMode) -> Result<(), DatapathError> {
        let path = self.store.link(interface.index);
        let is_pinned = PinnedLink::from_pin(&path).is_ok();
        let own = self.program_id()?;
        let is_own = |index: u32| attached(index).is_none_or(|attached| attached.program == own);
        let link = match attach(&mut self.program, interface, mode) {
            // The hook is taken, and by nobody else as far as can be told: the link is alive.
            Err(DatapathError::HookTaken { .. }) if is_pinned && is_own(interface.index) => return Ok(()),
            attached => attached?,
        };
        if is_pinned {
            // That of an interface that was removed, whose number another one has now.
            self.store.unlink(interface.index);
        }
        let pinned = |e: &dyn std::error::Error| {
            DatapathError::other(format!("pin the link of {}", interface.name), chain(e))
        };
        let link: XdpLink = self.program.take_link(link).map_err(|e| pinned(&e))?;
        let link = FdLink::try_from(link).map_err(|e| pinned(&e))?;
        link.pin(&path).map_err(|e| pinned(&e))?;
        Ok(())
    }

    /// Lets a generation decide from the next packet on, and keeps the one before it at hand. With a deadline, the
    /// one before decides again when it passes, whether or not there is an agent then.
    ///
    /// Each step leaves a state that is right by itself: who is killed between two of them leaves the old
    /// generation or the new one, never a mixture.
    ///
    /// # Errors
    /// Where the kernel refuses a write.
    pub fn activate(
        &mut self,
        new: (&Datapath, u32),
        previous: Option<(&Datapath, u32)>,
        within: Option<Duration>,
    ) -> Result<(), DatapathError> {
        // No deadline while slots change: an old one must not fire with the new previous.
        self.set(RootWord::Deadline, 0)?;
        if let Some((previous, id)) = previous {
            self.put(SLOT_PREVIOUS, previous)?;
            self.set(RootWord::Previous, u64::from(id))?;
        }
        if let Some(within) = within {
            let now = u64::try_from(crate::events::monotonic().as_nanos()).unwrap_or(0);
            self.set(RootWord::Deadline, now.saturating_add(within.as_nanos() as u64))?;
        }
        self.put(SLOT_ACTIVE, new.0)?;
        self.set(RootWord::Rejected, 0)?;
        self.set(RootWord::Active, u64::from(new.1))
    }

    /// Lets a generation decide from the next packet on in place of the active one. What it falls back to, and when,
    /// stays as it is.
    ///
    /// # Errors
    /// Where the kernel refuses a write.
    pub fn replace(&mut self, new: (&Datapath, u32)) -> Result<(), DatapathError> {
        self.put(SLOT_ACTIVE, new.0)?;
        self.set(RootWord::Active, u64::from(new.1))
    }

    /// Lets everything pass, or no more. It needs one map and nothing else to be whole: this is for emergencies.
    ///
    /// # Errors
    /// Where that map is not there, or is another one.
    pub fn bypass(store: &Store, on: bool) -> Result<(), DatapathError> {
        let path = store.shared("ROOT");
        let info = MapInfo::from_pin(&path).map_err(|error| match std::fs::symlink_metadata(&path) {
            Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => {
                DatapathError::NoDataPlane { pins: store.pins().to_owned() }
            }
            _ => writing("ROOT", &error),
        })?;
        // The first two words keep their meaning in every version.
        let fits =
            info.key_size() == 4 && info.value_size() == 8 && info.max_entries() > RootWord::Bypass as u32;
        let data = MapData::from_pin(&path).map_err(|e| writing("ROOT", &e))?;
        let words = if fits { Array::<_, u64>::try_from(Map::Array(data)).ok() } else { None };
        let Some(mut words) = words else {
            return Err(DatapathError::PinnedState {
                what: path.display().to_string(),
                found: "another map".to_owned(),
                expected: "the words of the root program".to_owned(),
            });
        };
        words.set(RootWord::Bypass as u32, u64::from(on), 0).map_err(|e| writing("ROOT", &e))
    }

    /// The previous generation decides again, and the active one is kept at hand.
    ///
    /// # Errors
    /// Where the kernel refuses a write.
    pub fn exchange(
        &mut self,
        active: (&Datapath, u32),
        previous: (&Datapath, u32),
    ) -> Result<(), DatapathError> {
        self.put(SLOT_ACTIVE, previous.0)?;
        self.set(RootWord::Active, u64::from(previous.1))?;
        self.set(RootWord::Rejected, u64::from(active.1))?;
        // Both slots are the same for a moment, so that a deadline that fires now changes nothing.
        self.set(RootWord::Deadline, 0)?;
        self.put(SLOT_PREVIOUS, active.0)?;
        self.set(RootWord::Previous, u64::from(active.1))
    }

    fn put(&mut self, slot: u32, generation: &Datapath) -> Result<(), DatapathError> {
        let fd =
            generation.program()?.fd().map_err(|e| DatapathError::other("find the program", chain(&e)))?;
        self.programs.set(slot, fd, 0).map_err(|e| writing("PROGRAMS", &e))?;
        // The generation decides from here on, so nothing below may say that it does not. These wires are those of a bypass,
        // and are made again whenever interfaces change.
        if let Err(error) = self.wire(slot, generation) {
            tracing::warn!("a bypass would not know every wire of the policy: {error}");
        }
        Ok(())
    }

    /// Number of the generation in a slot, by what the kernel has there.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn generation_in(&self, slot: u32) -> Result<Option<u32>, DatapathError> {
        let data = MapData::from_pin(self.store.shared("PROGRAMS")).map_err(|e| writing("PROGRAMS", &e))?;
        // Read from outside, an array of programs is one of their numbers.
        let ids: Array<_, u32> = Array::try_from(Map::Array(data)).map_err(|e| writing("PROGRAMS", &e))?;
        let Ok(wanted) = ids.get(&slot, 0) else { return Ok(None) };
        for id in self.store.generations() {
            let info = ProgramInfo::from_pin(self.store.generation(id).join("program"));
            if info.is_ok_and(|info| info.id() == wanted) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}

/// What each shared map must look like: aya takes whatever is pinned.
fn check_shapes(store: &Store) -> Result<(), DatapathError> {
    let shapes = [
        ("ROOT", MapType::Array, 4, 8, Some(ROOT_WORDS)),
        ("PROGRAMS", MapType::ProgramArray, 4, 4, Some(SLOTS_OF_PROGRAMS)),
        ("ROOT_COUNTERS", MapType::PerCpuArray, 4, 8, Some(ROOT_COUNTS)),
        ("EVENTS", MapType::RingBuf, 0, 0, None),
        ("FRAGMENTS", MapType::LruHash, 40, 8, Some(FRAGMENTS)),
        ("WIRES", MapType::DevMapHash, 4, 8, Some(WIRES)),
        ("FORWARDS", MapType::PerCpuArray, 4, 8, Some(ONWARDS)),
    ];
    for (name, kind, key, value, entries) in shapes {
        let path = store.shared(name);
        let foreign = |found: String| DatapathError::PinnedState {
            what: path.display().to_string(),
            found,
            expected: format!("{kind:?} with keys of {key} and values of {value} bytes"),
        };
        let info = MapInfo::from_pin(&path).map_err(|e| foreign(chain(&e)))?;
        let is = info.map_type().map_err(|e| foreign(chain(&e)))?;
        let fits = is == kind
            && info.key_size() == key
            && info.value_size() == value
            && entries.is_none_or(|entries| info.max_entries() == entries);
        if !fits {
            let (key, value, entries) = (info.key_size(), info.value_size(), info.max_entries());
            return Err(foreign(format!(
                "{is:?} with keys of {key} and values of {value} bytes, {entries} entries"
            )));
        }
    }
    Ok(())
}
