//! A policy in the kernel, with the root program before it.

use anyhow::{Result, bail, ensure};
use aya::maps::{Array, Map, MapData};
use aya::programs::Xdp;
use banchi::datapath::{Counters, Datapath, Options, Root, Store};
use banchi_common::abi::{Feature, SLOT_ACTIVE, Setting};
use banchi_common::engine::Tables;
use banchi_tests::lab::Lab;

use super::Ports;
use super::cases::Case;
use crate::kernel;
use crate::traffic::{self, Forwarding, Service, Tuples};

/// What a program may look for in vain, where a policy does not use it. Tags are not among it: zones have other tables with
/// them.
const UNUSED: u32 = Feature::Ipv6 as u32
    | Feature::Classes as u32
    | Feature::Relations as u32
    | Feature::Mac as u32
    | Feature::Exact as u32
    | Feature::Windows as u32
    | Feature::Conversations as u32
    | Feature::Ethertypes as u32
    | Feature::AgentLoss as u32
    | Feature::Grants as u32;

/// A root program and a generation.
pub(super) struct Loaded {
    pub(super) service: Service,
    pub(super) forwarding: Forwarding,
    /// Whether the program is without what the policy does not use.
    pub(super) is_specialised: bool,
    store: Store,
    root: Root,
    datapath: Datapath,
}

impl Loaded {
    /// Compiles a policy and loads it as an agent does; what is not allowed is dropped.
    pub(super) fn new(
        lab: &Lab,
        place: &str,
        service: Service,
        tuples: Tuples,
        forwarding: Forwarding,
        ports: Ports,
        is_specialised: bool,
    ) -> Result<Self> {
        let text = traffic::policy(service, tuples, forwarding, "enforce");
        let loaded = banchi::policy::load("bench.yaml", &text);
        let Some(policy) = &loaded.policy else {
            bail!("the policy {place}: {:?}", loaded.diagnostics.first())
        };
        let mut image = banchi::image::compile(policy)?;
        if !is_specialised {
            let features = Tables::setting(&image, Setting::Features as usize);
            image.set(Setting::Features, features | UNUSED);
        }
        let store = Store::new(lab.pins().join(place), lab.directory().join(place));
        let mut root = Root::create(&store, 1 << 20)?;
        let indices = image.interfaces.iter().map(|name| match name.as_str() {
            "control" => ports.control,
            _ => ports.line,
        });
        let datapath = Datapath::load_in(&store, &image, &indices.collect::<Vec<_>>(), &Options::default())?;
        root.activate((&datapath, 1), None, None)?;
        Ok(Self { service, forwarding, is_specialised, store, root, datapath })
    }

    /// The root program, which hands packets to the generation.
    pub(super) fn root(&self) -> Result<Xdp> {
        kernel::by_id(self.root.program_id()?)
    }

    /// The generation alone.
    pub(super) fn generation(&self) -> Result<Xdp> {
        let slots = MapData::from_pin(self.store.pins().join("root").join("PROGRAMS"))?;
        // Read from outside, an array of programs is one of their numbers.
        let slots: Array<_, u32> = Array::try_from(Map::Array(slots))?;
        kernel::by_id(slots.get(&SLOT_ACTIVE, 0)?)
    }

    /// Runs a packet through both programs, and looks at what was counted: nothing else may be measured.
    pub(super) fn check(&self, case: &Case, ports: Ports) -> Result<()> {
        let action = case.action(self.forwarding);
        let interface = if case.from_line { ports.line } else { ports.control };
        for program in [self.root()?, self.generation()?] {
            if let Some(first) = &case.first {
                kernel::run(&program, first, ports.control, 1)?;
            }
            // Who routes gives the first packet to each neighbour to the stack.
            kernel::run(&program, &case.frame, interface, 1)?;
            let before = count(&self.datapath.counters()?, case);
            let is = kernel::run(&program, &case.frame, interface, 1)?;
            let after = self.datapath.counters()?;
            let name = case.name;
            ensure!(count(&after, case) == before + 1, "{name} is something else: {:?}", after.reasons);
            ensure!(is == action, "{name}: the program says {is}, and not {action}");
        }
        Ok(())
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // The lab removes what is left.
        let _ = self.store.remove();
    }
}

/// Packets that were counted under what a case should be.
fn count(counters: &Counters, case: &Case) -> u64 {
    match case.reason {
        Some(reason) => {
            let reasons = counters.reasons.iter().flatten();
            reasons.filter(|(known, _)| *known == reason).map(|(_, count)| count.packets).sum()
        }
        None => counters.rules.iter().map(|(there, back)| there.packets + back.packets).sum(),
    }
}
