//! A generation: one policy as loaded, a program with its own maps.

use std::collections::BTreeMap;
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{Array, Map, MapData, RingBuf};
use aya::programs::Xdp;
use banchi_common::abi::{ConduitRow, Control, Forwarding, Mode};

use super::error::DatapathError;
use super::forward::Ways;
use super::load::{Row, writing};
use super::store::Store;

/// Name of the program of a generation in the object.
const PROGRAM: &str = "generation";
/// Name of the program that it hands packets to, and of the map that it finds it in.
pub(super) const SLOW_PATH: (&str, &str) = ("slow_path", "SLOW_PATH");

/// A program with its maps. Gone from the kernel when dropped, unless it is pinned.
pub struct Datapath {
    pub(super) hold: Hold,
    /// Rules of the policy, plus one.
    pub(super) rules: u32,
    /// Rows of rules, with those that the policy implies.
    pub(super) rows: u32,
    pub(super) conduits: u32,
    /// Of its conversation table.
    pub(super) secret: u32,
    pub(super) forwarding: Forwarding,
    /// Ways out as they were made last.
    pub(super) ways: Ways,
}

/// A conduit as it stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConduitState {
    /// Its mode.
    pub mode: Mode,
    /// Whether the mode was set by hand.
    pub by_hand: bool,
    /// Whether it goes on while the gateway is an island.
    pub kept: bool,
}

/// Who loaded the program.
pub(super) enum Hold {
    /// This process did.
    Loaded(Ebpf),
    /// Another one did, and pinned it.
    Adopted {
        /// By name.
        maps: BTreeMap<String, Map>,
        program: Box<Xdp>,
    },
}

impl Hold {
    fn map(&self, name: &str) -> Option<&Map> {
        match self {
            Self::Loaded(ebpf) => ebpf.map(name),
            Self::Adopted { maps, .. } => maps.get(name),
        }
    }

    fn map_mut(&mut self, name: &str) -> Option<&mut Map> {
        match self {
            Self::Loaded(ebpf) => ebpf.map_mut(name),
            Self::Adopted { maps, .. } => maps.get_mut(name),
        }
    }

    fn take_map(&mut self, name: &str) -> Option<Map> {
        match self {
            Self::Loaded(ebpf) => ebpf.take_map(name),
            Self::Adopted { maps, .. } => maps.remove(name),
        }
    }
}

impl Datapath {
    /// Secret of the conversation table.
    pub fn secret(&self) -> u32 {
        self.secret
    }

    pub(super) fn program_mut(&mut self) -> Result<&mut Xdp, DatapathError> {
        match &mut self.hold {
            Hold::Loaded(ebpf) => {
                let program = ebpf.program_mut(PROGRAM).ok_or_else(|| missing(PROGRAM))?;
                program.try_into().map_err(|e| DatapathError::other("find the program", e))
            }
            Hold::Adopted { program, .. } => Ok(program),
        }
    }

    pub(super) fn program(&self) -> Result<&Xdp, DatapathError> {
        match &self.hold {
            Hold::Loaded(ebpf) => {
                let program = ebpf.program(PROGRAM).ok_or_else(|| missing(PROGRAM))?;
                program.try_into().map_err(|e| DatapathError::other("find the program", e))
            }
            Hold::Adopted { program, .. } => Ok(program),
        }
    }

    pub(super) fn map(&self, name: &str) -> Result<&Map, DatapathError> {
        self.hold.map(name).ok_or_else(|| missing(name))
    }

    pub(super) fn map_mut(&mut self, name: &str) -> Result<&mut Map, DatapathError> {
        self.hold.map_mut(name).ok_or_else(|| missing(name))
    }

    pub(super) fn array<T: bytemuck::Pod>(
        &mut self,
        name: &str,
    ) -> Result<Array<&mut MapData, Row<T>>, DatapathError> {
        Array::try_from(self.map_mut(name)?).map_err(|e| writing(name, &e))
    }

    /// Sets a conduit's mode by hand, from now on and for its rules too. Conduit 0 is what belongs to none.
    ///
    /// # Errors
    /// Where the kernel refuses the write.
    pub fn set_mode(&mut self, conduit: u32, mode: Mode) -> Result<(), DatapathError> {
        self.change_conduit(conduit, |row| (row.mode, row.by_hand) = (mode as u8, 1))
    }

    /// Says whether a conduit goes on while the gateway is an island. Conduit 0 is what belongs to none.
    ///
    /// # Errors
    /// Where the kernel refuses the write.
    pub fn set_kept(&mut self, conduit: u32, kept: bool) -> Result<(), DatapathError> {
        self.change_conduit(conduit, |row| row.kept = u8::from(kept))
    }

    fn change_conduit(
        &mut self,
        conduit: u32,
        change: impl FnOnce(&mut ConduitRow),
    ) -> Result<(), DatapathError> {
        let mut rows = self.array::<ConduitRow>("CONDUITS")?;
        let Row(mut row) = rows.get(&conduit, 0).map_err(|e| writing("CONDUITS", &e))?;
        change(&mut row);
        rows.set(conduit, Row(row), 0).map_err(|e| writing("CONDUITS", &e))
    }

    /// From now on and for this long, answers without a question are reported and not dropped.
    ///
    /// # Errors
    /// Where the kernel refuses the write.
    pub fn grace(&mut self, duration: Duration) -> Result<(), DatapathError> {
        let until =
            if duration.is_zero() { 0 } else { monotonic_ns().saturating_add(duration.as_nanos() as u64) };
        self.control(|control| control.grace_until_ns = until)
    }

    /// Until when answers without a question are not enforced, nanoseconds since boot; `None` where they are.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn grace_until(&self) -> Result<Option<u64>, DatapathError> {
        let rows: Array<_, Row<Control>> =
            Array::try_from(self.map("CONTROL")?).map_err(|e| writing("CONTROL", &e))?;
        let Row(control) = rows.get(&0, 0).map_err(|e| writing("CONTROL", &e))?;
        Ok((control.grace_until_ns > monotonic_ns()).then_some(control.grace_until_ns))
    }

    pub(super) fn quiet(&mut self, on: bool) -> Result<(), DatapathError> {
        self.control(|control| control.quiet = u64::from(on))
    }

    /// Sets the clock of [`Options::test_clock`], in nanoseconds.
    ///
    /// # Errors
    /// Where the kernel refuses the write.
    pub fn set_time(&mut self, ns: u64) -> Result<(), DatapathError> {
        self.control(|control| control.test_ns = ns)
    }

    fn control(&mut self, change: impl FnOnce(&mut Control)) -> Result<(), DatapathError> {
        let mut rows = self.array::<Control>("CONTROL")?;
        let Row(mut control) = rows.get(&0, 0).map_err(|e| writing("CONTROL", &e))?;
        change(&mut control);
        rows.set(0, Row(control), 0).map_err(|e| writing("CONTROL", &e))
    }

    /// Mode of every conduit from 0, and whether it was set by hand.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn modes(&self) -> Result<Vec<(Mode, bool)>, DatapathError> {
        Ok(self.conduits()?.into_iter().map(|state| (state.mode, state.by_hand)).collect())
    }

    /// Every conduit from 0 as it stands now.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn conduits(&self) -> Result<Vec<ConduitState>, DatapathError> {
        let rows: Array<_, Row<ConduitRow>> =
            Array::try_from(self.map("CONDUITS")?).map_err(|e| writing("CONDUITS", &e))?;
        (0..self.conduits)
            .map(|at| {
                let Row(row) = rows.get(&at, 0).map_err(|e| writing("CONDUITS", &e))?;
                let mode = if row.mode == Mode::Enforce as u8 { Mode::Enforce } else { Mode::Alert };
                Ok(ConduitState { mode, by_hand: row.by_hand != 0, kept: row.kept != 0 })
            })
            .collect()
    }

    /// The ring of events. There is one, and it can be taken once.
    ///
    /// # Errors
    /// Where it has been taken.
    pub fn take_events(&mut self) -> Result<RingBuf<aya::maps::MapData>, DatapathError> {
        let map = self.hold.take_map("EVENTS").ok_or_else(|| missing("EVENTS"))?;
        RingBuf::try_from(map).map_err(|e| writing("EVENTS", &e))
    }

    /// Starts forwarding the data plane's log records. They exist only with [`Options::log`].
    ///
    /// # Errors
    /// Where the kernel refuses the ring.
    pub fn take_log(&mut self) -> Result<aya_log::EbpfLogger<&'static dyn log::Log>, DatapathError> {
        match &mut self.hold {
            Hold::Loaded(ebpf) => {
                aya_log::EbpfLogger::init(ebpf).map_err(|e| DatapathError::other("open the log", e))
            }
            Hold::Adopted { .. } => {
                Err(DatapathError::other("open the log", "the program was not loaded here"))
            }
        }
    }
}

/// Says which conduits of a pinned generation go on while the gateway is an island, by number; 0 is what belongs to none.
///
/// # Errors
/// Where the pin is missing or another map, or the kernel refuses a write.
pub fn keep_conduits(store: &Store, id: u32, kept: &[u32]) -> Result<(), DatapathError> {
    let data =
        MapData::from_pin(store.generation(id).join("CONDUITS")).map_err(|e| writing("CONDUITS", &e))?;
    let mut rows: Array<_, Row<ConduitRow>> =
        Array::try_from(Map::Array(data)).map_err(|e| writing("CONDUITS", &e))?;
    for at in 0..rows.len() {
        let Row(row) = rows.get(&at, 0).map_err(|e| writing("CONDUITS", &e))?;
        let row = ConduitRow { kept: u8::from(kept.contains(&at)), ..row };
        rows.set(at, Row(row), 0).map_err(|e| writing("CONDUITS", &e))?;
    }
    Ok(())
}

fn monotonic_ns() -> u64 {
    u64::try_from(crate::events::monotonic().as_nanos()).unwrap_or(0)
}

fn missing(name: &str) -> DatapathError {
    DatapathError::other("read the object", format!("it has no `{name}`"))
}
