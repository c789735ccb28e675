//! A generation that outlives its agent: pinned, and taken up by the next one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aya::maps::{Array, Map, MapData, MapInfo, MapType};
use aya::programs::{ProgramInfo, Xdp};
use aya_obj::programs::XdpAttachType;

use banchi_common::abi::{RULE_GRANT, RuleRow};

use super::error::DatapathError;
use super::forward::{Ways, forwarding};
use super::generation::{Datapath, Hold, SLOW_PATH};
use super::load::{Row, chain, writing};
use super::observe;
use super::store::{Record, SHARED, Store};
use crate::image::Image;

impl Datapath {
    /// Pins program and maps of a generation, and writes its record. The shared maps are pinned already.
    ///
    /// # Errors
    /// Where something cannot be pinned or written; nothing stays behind then.
    pub fn pin(&mut self, store: &Store, record: &Record) -> Result<(), DatapathError> {
        let pinned = self.pin_all(store, record);
        if pinned.is_err() {
            store.forget(record.id);
        }
        pinned
    }

    fn pin_all(&mut self, store: &Store, record: &Record) -> Result<(), DatapathError> {
        let directory = store.generation(record.id);
        fs::create_dir_all(&directory)
            .map_err(|e| DatapathError::other(format!("create {}", directory.display()), e))?;
        let Hold::Loaded(ebpf) = &self.hold else { return Ok(()) };
        // The file system takes no dot in a name; what has one is read-only data and belongs to the program.
        let foreign =
            |name: &str| name.contains('.') || SHARED.contains(&name) || observe::MAPS.contains(&name);
        let own = ebpf.maps().filter(|(name, _)| !foreign(name));
        for (name, map) in own {
            map.pin(directory.join(name))
                .map_err(|e| DatapathError::other(format!("pin the map {name}"), chain(&e)))?;
        }
        let pinned = |e: &dyn std::error::Error| DatapathError::other("pin the program", chain(e));
        if let Hold::Loaded(ebpf) = &mut self.hold
            && let Some(slow) = ebpf.program_mut(SLOW_PATH.0)
        {
            let slow: &mut Xdp = slow.try_into().map_err(|e| DatapathError::other("find the program", e))?;
            slow.pin(directory.join(SLOW_PATH.0)).map_err(|e| pinned(&e))?;
        }
        self.program_mut()?.pin(directory.join("program")).map_err(|e| pinned(&e))?;
        store.write(record)
    }

    /// Takes up a generation that is pinned, and checks that its tables are those of the image.
    ///
    /// # Errors
    /// Where a pin is missing, is of another kind, or holds something else. Nothing is changed then.
    pub fn adopt(store: &Store, record: &Record, image: &Image) -> Result<Self, DatapathError> {
        let directory = store.generation(record.id);
        let foreign = |what: &str, found: String| DatapathError::PinnedState {
            what: directory.join(what).display().to_string(),
            found,
            expected: format!("generation {} of {}", record.id, record.policy_path.display()),
        };
        let mut maps = BTreeMap::new();
        let own = fs::read_dir(&directory).into_iter().flatten().flatten();
        let own = own.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
        let shared = SHARED.iter().map(|name| ((*name).to_owned(), store.shared(name)));
        for (name, path) in own.filter(|(name, _)| name != "program" && name != SLOW_PATH.0).chain(shared) {
            let info = MapInfo::from_pin(&path).map_err(|e| foreign(&name, chain(&e)))?;
            let data = MapData::from_pin(&path).map_err(|e| foreign(&name, chain(&e)))?;
            let kind = info.map_type().map_err(|e| foreign(&name, chain(&e)))?;
            let map = match kind {
                MapType::Array => Map::Array(data),
                MapType::PerCpuArray => Map::PerCpuArray(data),
                MapType::LruHash => Map::LruHashMap(data),
                MapType::LruPerCpuHash => Map::PerCpuLruHashMap(data),
                MapType::RingBuf => Map::RingBuf(data),
                MapType::ProgramArray => Map::ProgramArray(data),
                MapType::DevMapHash => Map::DevMapHash(data),
                other => return Err(foreign(&name, format!("a map of kind {other:?}"))),
            };
            maps.insert(name, map);
        }
        let program = Xdp::from_pin(directory.join("program"), XdpAttachType::Interface)
            .map_err(|e| foreign("program", chain(&e)))?;
        let program = Box::new(program);
        let (rules, conduits) = (image.exact_tuples.len() as u32 + 1, image.conduits.len() as u32);
        let rows = image.rules.len() as u32;
        let secret = record.secret;
        let (name, slots) = SLOW_PATH;
        let slow = ProgramInfo::from_pin(directory.join(name)).map_err(|e| foreign(name, chain(&e)))?;
        if in_slot(&directory.join(slots)) != Some(slow.id()) {
            return Err(foreign(slots, "no slow path, or another one".to_owned()));
        }
        let (hold, ways) = (Hold::Adopted { maps, program }, Ways::default());
        let mut adopted = Self { hold, rules, rows, conduits, secret, forwarding: forwarding(image), ways };
        if let Some(map) = adopted.first_difference(image)? {
            return Err(foreign(map, "other contents than its policy compiles to".to_owned()));
        }
        if adopted.has_other_places(record)? {
            return Err(foreign("INTERFACES", "other interfaces than those of its record".to_owned()));
        }
        if let Some(map) = adopted.read_ways(image, record)? {
            return Err(foreign(map, "other ways out than those of its record".to_owned()));
        }
        Ok(adopted)
    }

    /// Reads the tables back: the first that is not what the image says. Modes are left out, since they change.
    ///
    /// # Errors
    /// Where the kernel refuses a read.
    pub fn first_difference(&self, image: &Image) -> Result<Option<&'static str>, DatapathError> {
        Ok(self
            .differs("INDEX", &image.index)?
            .or(self.differs("INDEX6", &image.index6)?)
            .or(self.differs("PORTS", &image.ports)?)
            .or(self.differs("SERVERS", &image.servers)?)
            .or(self.differs("SERVICES", &image.services)?)
            .or(self.differs("RELATIONS", &image.relations)?)
            .or(self.differs("NODES", &image.nodes)?)
            .or(self.differs("FLOWS", &image.flows)?)
            .or(self.differs_but("RULES", &image.rules, end_of_grant)?)
            .or(self.differs("ZONES", &image.zones)?))
    }

    /// Writes the ends of grants where they are not those of the image.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_ends(&mut self, image: &Image) -> Result<(), DatapathError> {
        let mut rows = self.array::<RuleRow>("RULES")?;
        for (at, row) in (0u32..).zip(&image.rules).filter(|(_, row)| row.flags & RULE_GRANT != 0) {
            let Row(found) = rows.get(&at, 0).map_err(|e| writing("RULES", &e))?;
            if found != *row {
                rows.set(at, Row(*row), 0).map_err(|e| writing("RULES", &e))?;
            }
        }
        Ok(())
    }

    fn differs<T: bytemuck::Pod + PartialEq>(
        &self,
        name: &'static str,
        rows: &[T],
    ) -> Result<Option<&'static str>, DatapathError> {
        self.differs_but(name, rows, |found, _| found)
    }

    /// `as_if` gives what a row is compared as.
    fn differs_but<T: bytemuck::Pod + PartialEq>(
        &self,
        name: &'static str,
        rows: &[T],
        as_if: impl Fn(T, &T) -> T,
    ) -> Result<Option<&'static str>, DatapathError> {
        let Ok(map) = self.map(name) else { return Ok(Some(name)) };
        let Ok(array) = Array::<_, Row<T>>::try_from(map) else { return Ok(Some(name)) };
        if array.len() as usize != rows.len().max(1) {
            return Ok(Some(name));
        }
        for (at, row) in (0u32..).zip(rows) {
            let Row(found) = array.get(&at, 0).map_err(|e| writing(name, &e))?;
            if as_if(found, row) != *row {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

/// Id of the program in the first slot of a pinned array of programs.
fn in_slot(path: &Path) -> Option<u32> {
    let data = MapData::from_pin(path).ok()?;
    // Read from outside, an array of programs is one of their numbers.
    let ids: Array<_, u32> = Array::try_from(Map::Array(data)).ok()?;
    ids.get(&0, 0).ok()
}

/// A grant may have been taken back since its image was made: when it ends does not count.
fn end_of_grant(found: RuleRow, wanted: &RuleRow) -> RuleRow {
    if wanted.flags & RULE_GRANT == 0 { found } else { RuleRow { expires_s: wanted.expires_s, ..found } }
}
