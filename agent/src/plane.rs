//! The data plane as the agent sees it: one generation that decides, perhaps the one before it, and the root program
//! that hands packets to them. All of it is pinned, and outlives the agent.

mod follow;
mod guard;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use banchi_common::abi::{Mode, RootCount, RootWord, SLOT_ACTIVE, SLOT_PREVIOUS, STATE_VERSION};
use sha2::{Digest as _, Sha256};

use crate::datapath::{
    Datapath, DatapathError, Interface, Options, Record, Root, Store, XdpMode, object_hash, preflight,
};
use crate::events::monotonic;
use crate::image::{Image, compile};
use crate::policy::model::Policy;
use crate::policy::{self};

pub use follow::Change;
pub use guard::guard;

/// Longest that it takes to hand over, with answers under way: until then none of them is held to be unsolicited.
const HANDOVER: Duration = Duration::from_secs(2);

/// A policy as loaded.
pub struct Generation {
    /// What is known of it besides its policy.
    pub record: Record,
    /// The policy.
    pub policy: Policy,
    /// Its tables.
    pub image: Image,
    /// Program and maps.
    pub datapath: Datapath,
}

/// Everything in the kernel.
pub struct Plane {
    store: Store,
    root: Root,
    /// The generation that decides.
    pub active: Generation,
    /// The one that decides after a rollback.
    pub previous: Option<Generation>,
    /// Interfaces of the active policy.
    pub interfaces: Vec<Interface>,
    mode: XdpMode,
    options: Options,
    said: follow::Said,
    /// Keeps other agents off the pins.
    lock: Option<OwnedFd>,
}

/// A policy on its way into the kernel.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its file, for people.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Whether it may enforce where that is unsafe.
    pub accepts_unsafe: bool,
}

/// How a plane came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It was made.
    New,
    /// It was there, with this policy.
    Adopted,
    /// It was there, with another policy, which this one took the place of.
    Replaced,
}

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
        let (policy, image) = read(source)?;
        let interfaces = preflight(&policy, &image)?;
        if !store.exists() || store.is_unfinished() {
            // What is there goes on, and is said to be unsafe; what is not there is not made.
            guard(&policy, mode, source.accepts_unsafe)?;
        }
        let lock = store.lock()?;
        if store.is_unfinished() {
            log::warn!("pins without a link, of a start that did not get far: they are removed");
            store.remove()?;
        }
        let Some(root) = Root::open(&store)? else {
            let root = Root::create(&store, options.ring_bytes)?;
            let made =
                Self::make(store.clone(), root, (policy, image), interfaces, source, mode, grace, options);
            if made.is_err() {
                let _ = store.remove();
            }
            return made.map(|plane| (Self { lock: Some(lock), ..plane }, Start::New));
        };
        let debugs = options.log;
        let mut plane = Self::adopt(store, root, mode, options)?;
        plane.lock = Some(lock);
        let wanted = hash(&source.text);
        let is_there = plane.active.record.policy_hash == wanted
            && plane.active.record.interfaces == named(&interfaces)
            && plane.active.record.object == object_hash()
            && !debugs;
        let start = if is_there {
            Start::Adopted
        } else if plane.deadline()?.is_some() {
            log::warn!("a policy waits for its confirmation: {} is not applied", source.path.display());
            Start::Adopted
        } else if plane.is_rejected(&wanted)? {
            log::warn!(
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
        let record = record(1, source, &interfaces, &datapath, &options);
        datapath.pin(&store, &record)?;
        datapath.grace(grace.unwrap_or_else(|| policy.longest_window()))?;
        let active = Generation { record, policy, image, datapath };
        root.activate((&active.datapath, 1), None, None)?;
        let said = follow::Said::default();
        let mut plane =
            Self { store, root, active, previous: None, interfaces, mode, options, said, lock: None };
        plane.beat()?;
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
        let mut previous_id = root.generation_in(SLOT_PREVIOUS)?.filter(|id| *id != active_id);
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
            log::warn!("generation {active_id} was not confirmed in time: generation {back} is back");
            previous = Some(std::mem::replace(&mut active, before));
            previous_id = Some(active_id);
            active_id = back;
        }
        if previous.is_none() {
            // There is nothing to fall back to, so nothing waits: an agent was killed on the way.
            root.set(RootWord::Deadline, 0)?;
        }
        root.set(RootWord::Active, u64::from(active_id))?;
        for id in store.generations() {
            if id != active_id && Some(id) != previous_id {
                // Of an agent that was killed before its generation was activated.
                store.forget(id);
            }
        }
        let known = |(name, index): &(String, u32)| {
            let (name, driver) = (name.clone(), "unknown".to_owned());
            Interface { name, index: *index, driver }
        };
        let interfaces = active.record.interfaces.iter().map(known).collect();
        let said = follow::Said::default();
        let mut plane = Self { store, root, active, previous, interfaces, mode, options, said, lock: None };
        plane.beat()?;
        Ok(plane)
    }

    /// Attaches the root program where it is not attached yet.
    fn attach(&mut self) -> Result<(), DatapathError> {
        for interface in &self.interfaces {
            self.root.attach(interface, self.mode)?;
        }
        Ok(())
    }

    /// Loads, proves and activates a policy. With `within`, the one before comes back unless it is confirmed in time.
    ///
    /// # Errors
    /// Where the policy has errors, does not fit, or the loaded program does not do what it says. What decided before
    /// goes on then.
    pub fn apply(&mut self, source: &Source, within: Option<Duration>) -> Result<(), DatapathError> {
        let (policy, image) = read(source)?;
        let interfaces = preflight(&policy, &image)?;
        self.guard_next(&policy, source)?;
        let indices: Vec<u32> = interfaces.iter().map(|interface| interface.index).collect();
        let id = self.store.generations().last().copied().unwrap_or(0) + 1;
        let options = Options { generation: id, ..self.options.clone() };
        let mut datapath =
            Datapath::load_heir(&self.active.datapath, &image, &indices, &options, Some(&self.store))?;
        datapath.prove(&policy, &image, &indices)?;
        let record = record(id, source, &interfaces, &datapath, &self.options);
        datapath.pin(&self.store, &record)?;
        let mut new = Generation { record, policy, image, datapath };
        if let Err(error) = self.switch_to(&mut new, within) {
            self.store.forget(id);
            return Err(error);
        }
        // Not earlier: until then it may have to come back.
        if let Some(old) = self.previous.take() {
            self.store.forget(old.record.id);
        }
        // What was asked between the first look and the change.
        new.datapath.take_over(&new.image, &self.active.datapath, &self.active.image)?;
        self.previous = Some(std::mem::replace(&mut self.active, new));
        let before = std::mem::replace(&mut self.interfaces, interfaces);
        if let Err(error) = self.attach() {
            // An interface that cannot be had: the policy cannot be kept.
            self.rollback()?;
            self.interfaces = before;
            return Err(error);
        }
        // Only now, and only where the policy before cannot come back by itself and need them.
        if within.is_none() {
            self.leave_others();
        }
        Ok(())
    }

    /// Lets a new generation decide.
    fn switch_to(&mut self, new: &mut Generation, within: Option<Duration>) -> Result<(), DatapathError> {
        self.carry_modes(new)?;
        new.datapath.take_over(&new.image, &self.active.datapath, &self.active.image)?;
        new.datapath.grace(HANDOVER)?;
        if let Some(within) = within {
            // Whoever falls back knows nothing of what was asked meanwhile.
            self.active.datapath.grace(within + self.active.policy.longest_window())?;
        }
        let before = (&self.active.datapath, self.active.record.id);
        self.root.activate((&new.datapath, new.record.id), Some(before), within)
    }

    /// Takes the root program off interfaces that neither policy names.
    fn leave_others(&self) {
        let generations = std::iter::once(&self.active).chain(&self.previous);
        let named: Vec<u32> =
            generations.flat_map(|one| one.record.interfaces.iter().map(|(_, index)| *index)).collect();
        for index in self.store.links().into_iter().filter(|index| !named.contains(index)) {
            self.store.unlink(index);
        }
    }

    /// Modes that were set by hand stay, where the conduit has kept its name.
    fn carry_modes(&self, new: &mut Generation) -> Result<(), DatapathError> {
        for (number, (mode, by_hand)) in self.active.datapath.modes()?.into_iter().enumerate() {
            let wanted = conduit_name(&self.active.policy, number);
            if let (true, Some(at)) = (by_hand, same_conduit(&new.policy, wanted.as_deref())) {
                new.datapath.set_mode(at, mode)?;
            }
        }
        Ok(())
    }

    /// Keeps the active generation for good.
    ///
    /// # Errors
    /// Where there is nothing to confirm, or the kernel refuses the write.
    pub fn confirm(&mut self) -> Result<(), DatapathError> {
        match self.deadline()? {
            None => return Err(DatapathError::other("confirm", "nothing waits for a confirmation")),
            Some(deadline) if deadline <= now_ns() => {
                self.rollback()?;
                return Err(DatapathError::other("confirm", "too late: the policy before is back"));
            }
            Some(_) => {}
        }
        self.root.set(RootWord::Deadline, 0)?;
        self.leave_others();
        Ok(())
    }

    /// The generation before decides again.
    ///
    /// # Errors
    /// Where there is none, or the kernel refuses a write.
    pub fn rollback(&mut self) -> Result<(), DatapathError> {
        let Some(mut before) = self.previous.take() else {
            return Err(DatapathError::other("roll back", "there is no generation before this one"));
        };
        if let Err(error) = self.hand_over(&mut before) {
            self.previous = Some(before);
            return Err(error);
        }
        self.previous = Some(std::mem::replace(&mut self.active, before));
        // What was asked between the first look and the change; without it grace goes on for a while.
        let (now, then) = (&mut self.active, self.previous.as_ref());
        if let Some(Err(error)) =
            then.map(|then| now.datapath.take_over(&now.image, &then.datapath, &then.image))
        {
            log::warn!("{error}");
        }
        Ok(())
    }

    /// Lets the generation before decide.
    fn hand_over(&mut self, before: &mut Generation) -> Result<(), DatapathError> {
        self.carry_modes(before)?;
        before.datapath.take_over(&before.image, &self.active.datapath, &self.active.image)?;
        before.datapath.grace(HANDOVER)?;
        let ids = (self.active.record.id, before.record.id);
        self.root.exchange((&self.active.datapath, ids.0), (&before.datapath, ids.1))
    }

    /// Says that the agent is alive, and follows what the kernel did by itself. True where it has fallen back.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn tick(&mut self) -> Result<bool, DatapathError> {
        self.beat()?;
        let deadline = self.root.word(RootWord::Deadline)?;
        if deadline == 0 || deadline > now_ns() {
            return Ok(false);
        }
        if self.previous.is_none() {
            self.root.set(RootWord::Deadline, 0)?;
            return Ok(false);
        }
        self.rollback()?;
        Ok(true)
    }

    fn beat(&mut self) -> Result<(), DatapathError> {
        self.root.set(RootWord::Heartbeat, now_ns())
    }

    /// When the active generation falls back unless it is confirmed, nanoseconds since boot.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn deadline(&self) -> Result<Option<u64>, DatapathError> {
        Ok(Some(self.root.word(RootWord::Deadline)?).filter(|deadline| *deadline != 0))
    }

    /// How often the root program did something by itself.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn count(&self, what: RootCount) -> Result<u64, DatapathError> {
        self.root.count(what)
    }

    /// Whether everything passes.
    ///
    /// # Errors
    /// Where the kernel refuses the read.
    pub fn is_bypassed(&self) -> Result<bool, DatapathError> {
        Ok(self.root.word(RootWord::Bypass)? != 0)
    }

    /// Sets a conduit's mode by hand; 0 is what belongs to none.
    ///
    /// # Errors
    /// Where the kernel refuses the write.
    pub fn set_mode(&mut self, conduit: u32, mode: Mode) -> Result<(), DatapathError> {
        self.active.datapath.set_mode(conduit, mode)?;
        // The kernel may bring the one before back by itself.
        let wanted = conduit_name(&self.active.policy, conduit as usize);
        let Some(previous) = &mut self.previous else { return Ok(()) };
        match same_conduit(&previous.policy, wanted.as_deref()) {
            Some(number) => previous.datapath.set_mode(number, mode),
            None => Ok(()),
        }
    }
}

impl Generation {
    /// Takes up a pinned generation. Its policy comes from its record, and its tables are checked against it.
    fn adopt(store: &Store, id: u32) -> Result<Self, DatapathError> {
        let mut record = store.read(id)?;
        let (path, text) = (record.policy_path.clone(), record.policy_text.clone());
        let source = Source { path, text, accepts_unsafe: false };
        let (policy, image) = read(&source)?;
        let datapath = Datapath::adopt(store, &mut record, &image)?;
        Ok(Self { record, policy, image, datapath })
    }
}

fn read(source: &Source) -> Result<(Policy, Image), DatapathError> {
    let name = source.path.display().to_string();
    let loaded = policy::load(&name, &source.text);
    let Some(policy) = loaded.policy else {
        let text = loaded.render(&source.text, policy::render::Style::Plain);
        return Err(DatapathError::other("read the policy", format!("{name} has errors\n{text}")));
    };
    let image = compile(&policy).map_err(|error| DatapathError::other("compile the policy", error))?;
    Ok((policy, image))
}

fn record(
    id: u32,
    source: &Source,
    interfaces: &[Interface],
    datapath: &Datapath,
    options: &Options,
) -> Record {
    Record {
        version: STATE_VERSION,
        id,
        policy_path: source.path.clone(),
        policy_text: source.text.clone(),
        policy_hash: hash(&source.text),
        interfaces: named(interfaces),
        moving: Vec::new(),
        secret: datapath.secret(),
        suppress_ms: options.suppress_ms,
        object: object_hash(),
        loaded: jiff::Timestamp::now().to_string(),
    }
}

/// Name of a conduit by number; 0, what belongs to none, has none.
fn conduit_name(policy: &Policy, number: usize) -> Option<String> {
    number.checked_sub(1).and_then(|at| policy.conduits.get(at)).map(|conduit| conduit.name.clone())
}

/// Number of the conduit of a name in another policy.
fn same_conduit(policy: &Policy, name: Option<&str>) -> Option<u32> {
    let Some(name) = name else { return Some(0) };
    policy.conduits.iter().position(|conduit| conduit.name == name).map(|at| at as u32 + 1)
}

fn named(interfaces: &[Interface]) -> Vec<(String, u32)> {
    interfaces.iter().map(|interface| (interface.name.clone(), interface.index)).collect()
}

/// SHA-256, in hexadecimal.
pub fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now_ns() -> u64 {
    u64::try_from(monotonic().as_nanos()).unwrap_or(0)
}

/// Where pins and records of an agent stand that listens at a socket.
pub fn store_of(pins: &Path, socket: &Path) -> Store {
    Store::new(pins, socket.parent().unwrap_or(Path::new("/run/banchi")))
}
