//! What is held against the oracle: the engine in memory, and the loaded program.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use anyhow::{Context as _, Result, bail, ensure};
use banchi::datapath::{Datapath, Options};
use banchi::image::{CompileError, Image, compile};
use banchi::policy::model::Policy;
use banchi_common::abi::{
    Asked, Bucket, Bucket6, ConduitRow, Conversations, FlowRow, Forwarding, NodeRow, PortRow, RelationRow,
    RuleRow, ServerRow, ServiceRow, Setting,
};
use banchi_common::engine::{FragmentKey, Nodes, Tables, go_on, judge, set_out, verdict};
use banchi_common::reason::Verdict;
use banchi_common::wire::{Bytes, Headers};
use banchi_tests::oracle::{Judgement, TestPacket};

use super::policies::INTERFACES;

/// Something that judges packets by a policy.
pub(crate) trait Subject: Sized {
    /// Takes a policy; `None` where it does not fit the tables, which is no disagreement.
    fn new(policy: &Policy) -> Result<Option<Self>>;
    /// Judges one packet that comes at a time, in nanoseconds since boot. The frame that comes just before it is
    /// judged first.
    fn judge(&mut self, packet: &TestPacket, now: u64) -> Result<Judgement>;
}

/// Compiles; `None` where the tables have no room.
pub(crate) fn compiled(policy: &Policy) -> Result<Option<Image>> {
    match compile(policy) {
        Ok(image) => Ok(Some(image)),
        Err(CompileError::Relations { .. } | CompileError::PrefixLengths { .. }) => Ok(None),
        Err(other) => bail!("a small policy does not compile: {other}"),
    }
}

/// The engine over an image. Fragments and questions are remembered, as the kernel does.
pub(crate) struct Host {
    pub(crate) image: Image,
    fragments: RefCell<HashSet<FragmentKey>>,
    asked: Vec<Asked>,
    conversations: Vec<Conversations>,
    now: Cell<u64>,
}

impl Host {
    pub(crate) fn of(image: Image) -> Self {
        let buckets = image.setting(Setting::ConversationBuckets) as usize;
        Self {
            fragments: RefCell::default(),
            asked: std::iter::repeat_with(Asked::default).take(image.slots()).collect(),
            conversations: std::iter::repeat_with(Conversations::default).take(buckets).collect(),
            now: Cell::new(1),
            image,
        }
    }

    fn run(&self, frame: &[u8], interface: u32) -> Judgement {
        let packet = Bytes(frame);
        let mut headers = Headers::default();
        let decision = judge(&packet, self, interface, &mut headers);
        // In two parts, as the programs in the kernel go: the same way, and the same headers.
        let (mut again, mut found, mut nodes) = (Headers::default(), decision, Nodes::default());
        let step = set_out(&packet, self, interface, &mut again, (&mut found, &mut nodes));
        go_on(step as u32, &packet, self, interface, (&mut again, &mut found, nodes));
        assert_eq!((found, again), (decision, headers), "the fast path, as far as {step:?}");
        let (verdict, _) = verdict(self, &decision);
        Judgement {
            reason: decision.reason,
            rule: (decision.rule as usize).checked_sub(1),
            orientation: decision.orientation,
            class: decision.class,
            zone: usize::from(decision.zone).checked_sub(1),
            conduit: usize::from(decision.conduit).checked_sub(1),
            verdict,
            dropped: verdict == Verdict::Drop,
        }
    }
}

impl Subject for Host {
    fn new(policy: &Policy) -> Result<Option<Self>> {
        Ok(compiled(policy)?.map(Self::of))
    }

    fn judge(&mut self, packet: &TestPacket, now: u64) -> Result<Judgement> {
        self.now.set(now);
        let place = self.image.interfaces.iter().position(|name| name == packet.interface);
        let interface = place.map_or(u32::MAX, |place| place as u32 + 1);
        self.fragments.borrow_mut().clear();
        if let Some(before) = packet.frame_before() {
            self.run(&before, interface);
        }
        Ok(self.run(&packet.frame(), interface))
    }
}

impl Tables for Host {
    fn setting(&self, at: usize) -> u32 {
        Tables::setting(&self.image, at)
    }
    fn bucket(&self, at: u32) -> Option<&Bucket> {
        self.image.bucket(at)
    }
    fn bucket6(&self, at: u32) -> Option<&Bucket6> {
        self.image.bucket6(at)
    }
    fn ports(&self, at: u32) -> Option<&PortRow> {
        Tables::ports(&self.image, at)
    }
    fn server(&self, at: u32) -> Option<&ServerRow> {
        self.image.server(at)
    }
    fn service(&self, at: u32) -> Option<&ServiceRow> {
        self.image.service(at)
    }
    fn relation(&self, at: u32) -> Option<&RelationRow> {
        self.image.relation(at)
    }
    fn node(&self, at: u32) -> Option<&NodeRow> {
        self.image.node(at)
    }
    fn flow(&self, at: u32) -> Option<&FlowRow> {
        self.image.flow(at)
    }
    fn rule(&self, at: u32) -> Option<&RuleRow> {
        self.image.rule(at)
    }
    fn conduit(&self, at: u32) -> Option<&ConduitRow> {
        self.image.conduit(at)
    }
    fn interface(&self, index: u32) -> u32 {
        self.image.interface(index)
    }
    fn zone(&self, at: u32) -> u32 {
        self.image.zone(at)
    }
    fn fragment_allowed(&self, key: &FragmentKey) -> bool {
        self.fragments.borrow().contains(key)
    }
    fn allow_fragments(&self, key: &FragmentKey) {
        self.fragments.borrow_mut().insert(*key);
    }
    fn now(&self) -> u64 {
        self.now.get()
    }
    fn asked(&self, place: u32) -> Option<&Asked> {
        self.asked.get(place as usize)
    }
    fn conversations(&self, at: u32) -> Option<&Conversations> {
        self.conversations.get(at as usize)
    }
    fn in_grace(&self) -> bool {
        false
    }
}

/// The program in the kernel. Its thread must be inside [`interfaces`].
pub(crate) struct Kernel(Datapath);

impl Subject for Kernel {
    fn new(policy: &Policy) -> Result<Option<Self>> {
        let Some(mut image) = compiled(policy)? else { return Ok(None) };
        // A verdict does not depend on how a packet leaves.
        let way = Forwarding::ALL[policy.rules.len() % Forwarding::ALL.len()];
        image.set(Setting::Forwarding, way as u32);
        let indices = image.interfaces.iter().map(|name| index(name)).collect::<Result<Vec<_>>>()?;
        let options = Options { trace: true, test_clock: true, ..Options::default() };
        Ok(Some(Self(Datapath::load(&image, &indices, &options)?)))
    }

    fn judge(&mut self, packet: &TestPacket, now: u64) -> Result<Judgement> {
        self.0.set_time(now)?;
        let interface = index(packet.interface)?;
        if let Some(before) = packet.frame_before() {
            self.0.test_run(&before, interface)?;
        }
        let outcome = self.0.test_run(&packet.frame(), interface)?;
        Ok(Judgement {
            reason: outcome.reason,
            rule: outcome.rule,
            orientation: outcome.orientation,
            class: outcome.class,
            zone: outcome.zone,
            conduit: outcome.conduit,
            verdict: outcome.verdict,
            dropped: outcome.dropped,
        })
    }
}

/// Interfaces are made in the reverse of this order, after others: their indices say nothing about their places.
fn index(name: &str) -> Result<u32> {
    let at = INTERFACES.iter().position(|known| *known == name).context("an interface of the tests")?;
    Ok(FIRST_INDEX + (INTERFACES.len() - 1 - at) as u32 * 2)
}

const FIRST_INDEX: u32 = 11;

/// Moves the thread into a network namespace of its own, with the interfaces of the tests.
pub(crate) fn interfaces() -> Result<()> {
    // SAFETY: the thread is one of the test's own, and nothing of it depends on a network.
    let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
    ensure!(done == 0, "a network namespace needs root: {}", std::io::Error::last_os_error());
    for name in INTERFACES.iter().rev() {
        let index = index(name)?;
        let arguments = [
            "link",
            "add",
            "name",
            name,
            "index",
            &index.to_string(),
            "type",
            "veth",
            "peer",
            "name",
            &format!("{name}-peer"),
            "index",
            &(index + 1).to_string(),
        ]
        .map(str::to_owned);
        let output = std::process::Command::new("ip").args(arguments).output().context("run ip")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
