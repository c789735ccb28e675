//! How a plane comes to be: made, or taken up as it is pinned.

use std::time::Duration;

use banchi_common::abi::{RootWord, SLOT_ACTIVE, SLOT_PREVIOUS};

use super::generation::{named, read, record};
use super::ledger::Ledger;
use super::{Generation, Plane, Source, Start, follow, guard, hash, now_ns};
use crate::datapath::{
    Datapath, DatapathError, Interface, Options, Root, Store, XdpMode, object_hash, preflight,
};
use crate::image::Image;
use crate::policy::model::Policy;

impl Plane {
    /// Takes up what is in the kernel, or makes it. Another policy than the one there takes its place.
    ///
    /// # Errors
    /// Whatever is not as it must be. A data plane that was there goes on as before then.
    pub fn start(
        store: Store,
        source: &Source,
        mode: XdpMode,
        grace: Option<Duration>,
        options: Options,
    ) -> Result<(Self, Start), DatapathError> {
        let mut source = source.clone();
        // What decides already needs no word for it again: a restart must not fail for that.
        source.allow_empty |= store.knows(&hash(&source.text));
        let source = &source;
        let (policy, image) = read(source, &[])?;
        let interfaces = preflight(&policy, &image)?;
        if !store.exists() || store.is_unfinished() {
            // What is there goes on, and is said to be unsafe; what is not there is not made.
            guard(&policy, mode, source.accepts_unsafe)?;
        }
        let lock = store.lock()?;
        if store.is_unfinished() {
            tracing::warn!("pins without a link, of a start that did not get far: they are removed");
            store.remove()?;
        }
        let Some(mut root) = Root::open(&store)? else {
            let root = Root::create(&store, options.ring_bytes)?;
            let made =
                Self::make(store.clone(), root, (policy, image), interfaces, source, mode, grace, options);
            if made.is_err() {
                let _ = store.remove();
            }
            return made.map(|plane| (Self { lock: Some(lock), ..plane }, Start::New));
        };
        let debugs = options.log;
        let heard = root.word(RootWord::Heartbeat)?;
        root.busy()?;
        let mut plane = Self::adopt(store.clone(), root, mode, options).inspect_err(|_| {
            // Nobody will be heard of here.
            if let Ok(Some(mut root)) = Root::open(&store) {
                let _ = root.set(RootWord::Heartbeat, heard);
            }
        })?;
        plane.lock = Some(lock);
        let wanted = hash(&source.text);
        let is_there = plane.active.record.policy_hash == wanted
            && plane.active.record.interfaces == named(&interfaces)
            && plane.active.record.object == object_hash()
            && !debugs;
        let start = if is_there {
            Start::Adopted
        } else if plane.deadline()?.is_some() {
            tracing::warn!("a policy waits for its confirmation: {} is not applied", source.path.display());
            Start::Adopted
        } else if plane.is_rejected(&wanted)? {
            tracing::warn!(
                "{} was taken back, and is not applied again by a restart: `banchi apply` does it",
                source.path.display()
            );
            Start::Adopted
        } else {
            plane.apply(source, None)?;
            Start::Replaced
        };
        plane.attach()?;
        Ok((plane, start))
    }

    #[allow(clippy::too_many_arguments, reason = "called once, from above")]
    fn make(
        store: Store,
        mut root: Root,
        (policy, image): (Policy, Image),
        interfaces: Vec<Interface>,
        source: &Source,
        mode: XdpMode,
        grace: Option<Duration>,
        options: Options,
    ) -> Result<Self, DatapathError> {
        let indices: Vec<u32> = interfaces.iter().map(|interface| interface.index).collect();
        let options = Options { generation: 1, ..options };
        let mut datapath = Datapath::load_in(&store, &image, &indices, &options)?;
        datapath.prove(&policy, &image, &indices)?;
        let record = record(1, source, &interfaces, &datapath, &options, &[]);
        datapath.pin(&store, &record)?;
        datapath.grace(grace.unwrap_or_else(|| policy.longest_window()))?;
        let active = Generation { record, policy, image, datapath };
        root.activate((&active.datapath, 1), None, None)?;
        let said = follow::Said::default();
        let ledger = Ledger::begin(&store)?;
        let previous = None;
        let mut plane = Self {
            store,
            root,
            active,
            previous,
            interfaces,
            mode,
            options,
            said,
            ledger,
            left_over: Vec::new(),
            lock: None,
        };
        plane.root.beat()?;
        plane.attach()?;
        Ok(plane)
    }

    /// Whether a policy is the one that was taken back last, by hand or by a deadline.
    fn is_rejected(&self, hash: &str) -> Result<bool, DatapathError> {
        let rejected = self.root.word(RootWord::Rejected)?;
        Ok(self.previous.as_ref().is_some_and(|previous| {
            u64::from(previous.record.id) == rejected && previous.record.policy_hash == hash
        }))
    }

    /// Takes up what is pinned, whatever its policy.
    fn adopt(store: Store, mut root: Root, mode: XdpMode, options: Options) -> Result<Self, DatapathError> {
        let lost = || DatapathError::PinnedState {
            what: store.pins().display().to_string(),
            found: "no generation that decides".to_owned(),
            expected: "one".to_owned(),
        };
        let mut active_id = root.generation_in(SLOT_ACTIVE)?.ok_or_else(lost)?;
        let previous_id = root.generation_in(SLOT_PREVIOUS)?.filter(|id| *id != active_id);
        let mut active = Generation::adopt(&store, active_id)?;
        let mut previous = previous_id.map(|id| Generation::adopt(&store, id)).transpose()?;
        // The kernel has fallen back while nobody was there: what decides now is the previous one.
        let deadline = root.word(RootWord::Deadline)?;
        if deadline != 0
            && deadline <= now_ns()
            && let Some(before) = previous.take()
        {
            root.exchange((&active.datapath, active_id), (&before.datapath, before.record.id))?;
            let back = before.record.id;
            tracing::warn!("generation {active_id} was not confirmed in time: generation {back} is back");
            previous = Some(std::mem::replace(&mut active, before));
            active_id = back;
        }
        if previous.is_none() {
            // There is nothing to fall back to, so nothing waits: an agent was killed on the way.
            root.set(RootWord::Deadline, 0)?;
        }
        root.set(RootWord::Active, u64::from(active_id))?;
        let known = |(name, index): &(String, u32)| {
            let (name, driver) = (name.clone(), "unknown".to_owned());
            Interface { name, index: *index, driver }
        };
        let interfaces = active.record.interfaces.iter().map(known).collect();
        for generation in std::iter::once(&mut active).chain(&mut previous) {
            generation.finish(&store)?;
        }
        let said = follow::Said::default();
        let ledger = Ledger::read(&store);
        let mut plane = Self {
            store,
            root,
            active,
            previous,
            interfaces,
            mode,
            options,
            said,
            ledger,
            left_over: Vec::new(),
            lock: None,
        };
        // Of an agent that was killed before it activated them, or before it took their counters in.
        plane.retire_others();
        plane.root.beat()?;
        Ok(plane)
    }

    /// Attaches the root program where it is not attached yet.
    pub(super) fn attach(&mut self) -> Result<(), DatapathError> {
        for interface in &self.interfaces {
            self.root.attach(interface, self.mode)?;
        }
        self.forward_anew()
    }
}
