//! From an image to a loaded program with its own, fully populated maps.

use aya::maps::{Array, MapError, MapInfo, ProgramArray};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use banchi_common::abi::{Forwarding, INTERFACES, NEIGHBOURS, Setting};
use banchi_common::reason::REASON_ROWS;

use super::error::DatapathError;
use super::forward;
use super::generation::{Datapath, Hold, SLOW_PATH};
use super::links::links;
use super::store::{SHARED, Store};
use crate::image::Image;

pub(super) static OBJECT: &[u8] = include_bytes_aligned!(env!("BANCHI_BPF_OBJECT"));

/// A row of a map, in the bytes that both sides share.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Row<T>(pub(super) T);

// SAFETY: `bytemuck::Pod` promises what `aya::Pod` asks for (any bytes are a value, no padding, Copy), and the
// wrapper is transparent.
unsafe impl<T: bytemuck::Pod> aya::Pod for Row<T> {}

/// What the policy does not say.
#[derive(Debug, Clone)]
pub struct Options {
    /// Milliseconds between two events of one kind about one flow; 0 reports every packet.
    pub suppress_ms: u32,
    /// Events of one reason a second and CPU before they are counted only; 0 is no limit.
    pub events_per_second: u32,
    /// Bytes of the ring buffer: a power of two, at least a page.
    pub ring_bytes: u32,
    /// Write each decision to the trace map: for tests and proofs.
    pub trace: bool,
    /// Tell the log what becomes of every packet: for debugging only.
    pub log: bool,
    /// The time is what [`Datapath::set_time`] says: for tests and proofs.
    pub test_clock: bool,
    /// Number of the generation.
    pub generation: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            suppress_ms: 10_000,
            events_per_second: 1_000,
            ring_bytes: 4 << 20,
            trace: false,
            log: false,
            test_clock: false,
            generation: 0,
        }
    }
}

impl Datapath {
    /// Loads an image. `indices` are the interface indices of [`Image::interfaces`], in that order.
    ///
    /// # Errors
    /// Where the kernel refuses the program or a map; nothing stays behind then.
    pub fn load(image: &Image, indices: &[u32], options: &Options) -> Result<Self, DatapathError> {
        Self::load_with(image, indices, options, secret()?, None)
    }

    /// Loads an image whose program shares the pinned maps of a store, to be activated there.
    ///
    /// # Errors
    /// Where the kernel refuses the program or a map; nothing stays behind then.
    pub fn load_in(
        store: &Store,
        image: &Image,
        indices: &[u32],
        options: &Options,
    ) -> Result<Self, DatapathError> {
        Self::load_with(image, indices, options, secret()?, Some(store))
    }

    pub(super) fn load_with(
        image: &Image,
        indices: &[u32],
        options: &Options,
        secret: u32,
        store: Option<&Store>,
    ) -> Result<Self, DatapathError> {
        let mut settings = image.settings;
        let mut set = |setting: Setting, value: u32| {
            if let Some(word) = settings.get_mut(setting as usize) {
                *word = value;
            }
        };
        set(Setting::SuppressMs, options.suppress_ms);
        set(Setting::EventsPerSecond, options.events_per_second);
        set(Setting::Trace, u32::from(options.trace));
        set(Setting::Log, u32::from(options.log));
        set(Setting::TestClock, u32::from(options.test_clock));
        set(Setting::ConversationSecret, secret);
        set(Setting::Generation, options.generation);
        set(Setting::PassOthers, u32::from(store.is_some()));
        let largest = indices.iter().copied().max().unwrap_or(0);
        if largest >= INTERFACES {
            let at = indices.iter().position(|index| *index == largest).unwrap_or(0);
            let interface = image.interfaces.get(at).cloned().unwrap_or_default();
            return Err(DatapathError::InterfaceIndex { interface, index: largest, limit: INTERFACES - 1 });
        }

        let counters = (image.rules.len() * 2) as u32;
        let reasons = (image.conduits.len() * REASON_ROWS) as u32;
        let mut loader = EbpfLoader::new();
        loader.override_global("SETTINGS", settings.as_slice(), true);
        let sizes = [
            ("INDEX", image.index.len()),
            ("INDEX6", image.index6.len()),
            ("PORTS", image.ports.len()),
            ("SERVERS", image.servers.len()),
            ("SERVICES", image.services.len()),
            ("RELATIONS", image.relations.len()),
            ("NODES", image.nodes.len()),
            ("FLOWS", image.flows.len()),
            ("RULES", image.rules.len()),
            ("CONDUITS", image.conduits.len()),
            ("ZONES", image.zones.len()),
        ];
        for (name, rows) in sizes {
            loader.map_max_entries(name, (rows as u32).max(1));
        }
        loader.map_max_entries("INTERFACES", super::places::rows(largest));
        let forwarding = forward::forwarding(image);
        let is_route = forwarding == Forwarding::Route;
        loader.map_max_entries("EGRESS", forward::entries(image));
        loader.map_max_entries("HARDWARE", if is_route { super::places::rows(largest) } else { 1 });
        loader.map_max_entries("NEIGHBOURS", if is_route { NEIGHBOURS } else { 1 });
        loader.map_max_entries("ASKED", image.slots() as u32);
        loader.map_max_entries("CONVERSATIONS", image.setting(Setting::ConversationBuckets).max(1));
        loader.map_max_entries("RULE_COUNTERS", counters);
        loader.map_max_entries("REASON_COUNTERS", reasons);
        let mut ring_bytes = options.ring_bytes;
        if let Some(store) = store {
            for name in SHARED {
                loader.map_pin_path(name, store.shared(name));
            }
            // The ring is as large as it was made: aya would map it by the size that it is told.
            let ring = MapInfo::from_pin(store.shared("EVENTS")).map_err(|e| writing("EVENTS", &e))?;
            ring_bytes = ring.max_entries();
        }
        loader.map_max_entries("EVENTS", ring_bytes);
        let mut ebpf = loader.load(OBJECT).map_err(|e| DatapathError::other("create the maps", chain(&e)))?;

        fill(&mut ebpf, "INDEX", &image.index)?;
        fill(&mut ebpf, "INDEX6", &image.index6)?;
        fill(&mut ebpf, "PORTS", &image.ports)?;
        fill(&mut ebpf, "SERVERS", &image.servers)?;
        fill(&mut ebpf, "SERVICES", &image.services)?;
        fill(&mut ebpf, "RELATIONS", &image.relations)?;
        fill(&mut ebpf, "NODES", &image.nodes)?;
        fill(&mut ebpf, "FLOWS", &image.flows)?;
        fill(&mut ebpf, "RULES", &image.rules)?;
        fill(&mut ebpf, "CONDUITS", &image.conduits)?;
        fill(&mut ebpf, "ZONES", &image.zones)?;
        let mut places = array::<u32>(&mut ebpf, "INTERFACES")?;
        for (place, index) in (1u32..).zip(indices) {
            places.set(*index, Row(place), 0).map_err(|e| writing("INTERFACES", &e))?;
        }

        let (rules, conduits) = (image.exact_tuples.len() as u32 + 1, image.conduits.len() as u32);
        let rows = image.rules.len() as u32;
        load_slow_path(&mut ebpf)?;
        let (hold, ways) = (Hold::Loaded(ebpf), forward::Ways::default());
        let mut datapath = Self { hold, rules, rows, conduits, secret, forwarding, ways };
        if forwarding != Forwarding::Stack {
            let links = links().map_err(|e| DatapathError::other("look at the interfaces", e))?;
            datapath.forward(image, indices, &links, true)?;
        }
        load(datapath.program_mut()?)?;
        Ok(datapath)
    }
}

pub(super) fn load(program: &mut Xdp) -> Result<(), DatapathError> {
    program.load().map_err(|error| match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let start = log.len().saturating_sub(2_000);
            DatapathError::Verifier { log: format!("{io_error}\n{}", log.get(start..).unwrap_or(&log)) }
        }
        other => DatapathError::other("load the program", chain(&other)),
    })
}

/// Loads the program behind the one of the generation, and puts it where that one finds it.
fn load_slow_path(ebpf: &mut Ebpf) -> Result<(), DatapathError> {
    let (name, map) = SLOW_PATH;
    let program = ebpf.program_mut(name).ok_or_else(|| missing(name))?;
    let program: &mut Xdp = program.try_into().map_err(|e| DatapathError::other("find the program", e))?;
    load(program)?;
    let other = |e: &dyn std::error::Error| DatapathError::other("find the program", chain(e));
    let fd = program.fd().map_err(|e| other(&e))?.try_clone().map_err(|e| other(&e))?;
    let slots = ebpf.map_mut(map).ok_or_else(|| missing(map))?;
    let mut slots = ProgramArray::try_from(slots).map_err(|e| writing(map, &e))?;
    slots.set(0, &fd, 0).map_err(|e| writing(map, &e))
}

/// SHA-256 of the object that programs are loaded from.
pub fn object_hash() -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(OBJECT).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What nobody outside can guess, so that nobody can aim at a bucket of the conversation table.
fn secret() -> Result<u32, DatapathError> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| DatapathError::other("draw a random number", e))?;
    Ok(u32::from_ne_bytes(bytes))
}

/// Error and causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

pub(super) fn missing(name: &str) -> DatapathError {
    DatapathError::other("read the object", format!("it has no `{name}`"))
}

pub(super) fn writing(map: &str, error: &MapError) -> DatapathError {
    DatapathError::other(format!("access the map {map}"), chain(error))
}

pub(super) fn array<'a, T: bytemuck::Pod>(
    ebpf: &'a mut Ebpf,
    name: &str,
) -> Result<Array<&'a mut aya::maps::MapData, Row<T>>, DatapathError> {
    let map = ebpf.map_mut(name).ok_or_else(|| missing(name))?;
    Array::try_from(map).map_err(|e| writing(name, &e))
}

/// Writes the rows that are not zero: the others are zero already.
fn fill<T: bytemuck::Pod + PartialEq>(ebpf: &mut Ebpf, name: &str, rows: &[T]) -> Result<(), DatapathError> {
    let mut array = array::<T>(ebpf, name)?;
    let zero = T::zeroed();
    for (at, row) in (0u32..).zip(rows) {
        if *row != zero {
            array.set(at, Row(*row), 0).map_err(|e| writing(name, &e))?;
        }
    }
    Ok(())
}
