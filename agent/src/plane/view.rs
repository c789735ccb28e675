//! The data plane as it is pinned, looked at by a verb that asks no agent. Nothing here writes: no word, no map, no file,
//! and no lock that could be in the way of an agent that starts.

use std::collections::BTreeMap;

use banchi_common::abi::{Event, RootWord, SLOT_ACTIVE, SLOT_PREVIOUS};

use super::ledger::Ledger;
use super::{Generation, Plane, now_ns};
use crate::datapath::{DatapathError, Interface, Options, Root, Store, XdpMode, waiting};
use crate::events::{Clock, Names, Report};

/// What is pinned. Whatever would change it wants the [`Plane`] to be mutable, which this never hands out.
pub struct View {
    plane: Plane,
    fell_back_ns: Option<u64>,
}

impl View {
    /// Opens what is pinned, and checks it as an agent does that takes it up; `None` where nothing is.
    ///
    /// # Errors
    /// Where something is pinned that this version cannot use.
    pub fn open(store: &Store) -> Result<Option<Self>, DatapathError> {
        if store.is_unfinished() {
            return Ok(None);
        }
        let Some(root) = Root::open(store)? else { return Ok(None) };
        let nothing = || DatapathError::PinnedState {
            what: store.pins().display().to_string(),
            found: "no generation that decides".to_owned(),
            expected: "one".to_owned(),
        };
        let active_id = root.generation_in(SLOT_ACTIVE)?.ok_or_else(nothing)?;
        let previous_id = root.generation_in(SLOT_PREVIOUS)?.filter(|id| *id != active_id);
        let mut active = Generation::adopt(store, active_id)?;
        let mut previous = previous_id.map(|id| Generation::adopt(store, id)).transpose()?;
        let deadline = root.word(RootWord::Deadline)?;
        let fell_back = deadline != 0 && deadline <= now_ns() && previous.is_some();
        if fell_back && let Some(before) = previous.take() {
            // The kernel asks the other slot by itself. No agent has exchanged them yet.
            previous = Some(std::mem::replace(&mut active, before));
        }
        let known = |(name, index): &(String, u32)| Interface {
            name: name.clone(),
            index: *index,
            driver: "unknown".to_owned(),
        };
        let interfaces = active.record.interfaces.iter().map(known).collect();
        let plane = Plane {
            store: store.clone(),
            root,
            active,
            previous,
            interfaces,
            mode: XdpMode::Native,
            options: Options::default(),
            said: super::follow::Said::default(),
            ledger: Ledger::read(store),
            left_over: Vec::new(),
            lock: None,
        };
        Ok(Some(Self { plane, fell_back_ns: fell_back.then_some(deadline) }))
    }

    /// Everything that is pinned, with the generation that decides as the active one.
    pub fn plane(&self) -> &Plane {
        &self.plane
    }

    /// Events that no agent has read, with the names of the policy that each is of. They stay where they are.
    ///
    /// # Errors
    /// Where the ring cannot be looked into.
    pub fn events(&self) -> Result<Vec<Report>, DatapathError> {
        let plane = &self.plane;
        let generations = std::iter::once(&plane.active).chain(&plane.previous);
        let names: BTreeMap<u32, Names> =
            generations.map(|one| (one.record.id, Names::of(&one.policy, &plane.interfaces))).collect();
        let (none, clock) = (Names::none(), Clock::now());
        let waiting = waiting(&plane.store)?;
        let name = |event: &Event| names.get(&event.generation).unwrap_or(&none);
        Ok(waiting.events.iter().filter_map(|event| Report::of(event, name(event), &clock)).collect())
    }

    /// When the kernel has brought the previous policy back by itself, nanoseconds since boot.
    pub fn fell_back_ns(&self) -> Option<u64> {
        self.fell_back_ns
    }
}
