//! A policy in the kernel, and packets for it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;

use banchi::datapath::{Count, Counters, Datapath, Options, Outcome};
use banchi::image::Image;
use banchi::policy::model::{Mode, Policy};
use banchi_common::abi::{Forwarding, Setting};
use banchi_common::direction::Class;
use banchi_common::reason::{Orientation, Reason, Verdict};
use banchi_tests::packet::Packet;

/// Zones and assets that most tests share; each zone is an interface of its own name. What is not allowed is
/// dropped.
pub(crate) const PLANT: &str = r#"
version: 1
defaults: { mode: enforce }
zones:
  control: { interfaces: [control], networks: [10.10.0.0/16, "fd00:10::/64"] }
  line-a:  { interfaces: [line-a], networks: [10.20.0.0/24, "fd00:20::/64"] }
  line-b:  { interfaces: [line-b], networks: [10.30.0.0/24, "fd00:30::/64"] }
assets:
  scada: { zone: control, addresses: [10.10.1.5, "fd00:10::5"] }
  hmi:   { zone: control, addresses: [10.10.1.6, "fd00:10::6"] }
  plc:   { zone: line-a, addresses: [10.20.0.11, "fd00:20::11"] }
  plc-2: { zone: line-a, addresses: [10.20.0.12, "fd00:20::12"] }
  robot: { zone: line-b, addresses: [10.30.0.21, "fd00:30::21"] }
"#;

/// The interface that every network namespace has: `lo`.
const HERE: u32 = 1;

/// A compiled policy, and its program for each interface that packets came in by.
///
/// A test-run needs an interface that exists, and a minimal machine has only one. So a program is loaded for
/// each point of view, in which [`HERE`] is the interface at hand. The points of view share no state.
pub(crate) struct Site {
    pub(crate) policy: Policy,
    pub(crate) image: Image,
    options: Options,
    /// How its programs forward.
    forwarding: Forwarding,
    views: RefCell<BTreeMap<usize, Datapath>>,
    cases: Cell<usize>,
}

impl Site {
    pub(crate) fn new(yaml: &str) -> Self {
        let options = Options { trace: true, suppress_ms: 0, events_per_second: 0, ..Options::default() };
        Self::with(yaml, options)
    }

    pub(crate) fn with(yaml: &str, options: Options) -> Self {
        Self::by(forwarding(), yaml, options)
    }

    /// The same with programs that forward like this.
    pub(crate) fn by(forwarding: Forwarding, yaml: &str, options: Options) -> Self {
        let loaded = banchi::policy::load("test.yaml", yaml);
        let Some(policy) = loaded.policy else {
            let told = loaded.diagnostics.iter().map(|d| format!("{d:?}")).collect::<Vec<_>>();
            panic!("the policy of the test is wrong: {}", told.join("\n"));
        };
        let mut image = banchi::image::compile(&policy).expect("the policy of the test compiles");
        image.set(Setting::Forwarding, forwarding as u32);
        Self { policy, image, options, forwarding, views: RefCell::default(), cases: Cell::new(0) }
    }

    /// [`PLANT`] with services and conduits.
    pub(crate) fn plant(rest: &str) -> Self {
        Self::new(&format!("{PLANT}{rest}"))
    }

    /// Runs a frame that came in by an interface; one that the policy does not name belongs to no zone.
    pub(crate) fn run(&self, interface: &str, frame: &[u8]) -> Outcome {
        self.view(interface, |view| view.test_run(frame, HERE).expect("the kernel runs the program"))
    }

    /// What an interface's program has counted, or holds.
    pub(crate) fn view<T>(&self, interface: &str, f: impl FnOnce(&mut Datapath) -> T) -> T {
        let names = &self.image.interfaces;
        let place = names.iter().position(|name| name == interface).unwrap_or(names.len());
        let mut views = self.views.borrow_mut();
        let view = views.entry(place).or_insert_with(|| {
            let indices: Vec<u32> =
                (0..names.len()).map(|at| if at == place { HERE } else { HERE + 1 + at as u32 }).collect();
            let mut view =
                Datapath::load(&self.image, &indices, &self.options).expect("the kernel takes the program");
            if self.forwarding == Forwarding::Wire {
                // The only interface there is, so that there is another end.
                view.join(HERE, HERE).expect("the kernel joins the interface with itself");
            }
            view
        });
        f(view)
    }

    pub(crate) fn counters(&self, interface: &str) -> Counters {
        self.view(interface, |view| view.counters().expect("the kernel reads the counters"))
    }

    pub(crate) fn set_mode(&self, interface: &str, conduit: Option<&str>, mode: Mode) {
        let number = conduit.map_or(0, |name| self.conduit(name) as u32 + 1);
        self.view(interface, |view| view.set_mode(number, mode).expect("the kernel writes the mode"));
    }

    pub(crate) fn rule(&self, name: &str) -> usize {
        self.policy
            .rules
            .iter()
            .position(|rule| rule.name == name)
            .unwrap_or_else(|| panic!("no rule {name}"))
    }

    pub(crate) fn conduit(&self, name: &str) -> usize {
        let found = self.policy.conduits.iter().position(|conduit| conduit.name == name);
        found.unwrap_or_else(|| panic!("no conduit {name}"))
    }

    /// Runs every case, and fails with the reasons of all that went otherwise.
    pub(crate) fn check(&self, cases: impl IntoIterator<Item = Case>) {
        let mut wrong = String::new();
        for case in cases {
            self.cases.set(self.cases.get() + 1);
            let outcome = self.run(&case.from, &case.frame);
            for problem in case.want.problems(self, &outcome) {
                let _ = writeln!(wrong, "- {} (from {}): {problem}", case.why, case.from);
            }
        }
        assert!(wrong.is_empty(), "\n{wrong}");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The thread has the name of the test.
        println!("cases: {} {}", self.cases.get(), std::thread::current().name().unwrap_or_default());
    }
}

/// One row of a table.
pub(crate) struct Case {
    why: String,
    from: String,
    frame: Vec<u8>,
    want: Want,
}

/// A frame, why its verdict is what it is, and the interface that it comes in by.
pub(crate) fn case(why: impl Into<String>, from: &str, frame: impl Frame, want: Want) -> Case {
    Case { why: why.into(), from: from.to_owned(), frame: frame.bytes(), want }
}

/// What can be run.
pub(crate) trait Frame {
    fn bytes(self) -> Vec<u8>;
}

impl Frame for Packet {
    fn bytes(self) -> Vec<u8> {
        self.build()
    }
}

impl Frame for Vec<u8> {
    fn bytes(self) -> Vec<u8> {
        self
    }
}

/// What the outcome must be; `None` is not looked at.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    reason: Reason,
    verdict: Verdict,
    orientation: Option<Orientation>,
    rule: Option<Option<&'static str>>,
    conduit: Option<Option<&'static str>>,
    zone: Option<Option<&'static str>>,
    class: Option<Class>,
}

/// A rule allows it, client to server.
pub(crate) fn forward(rule: &'static str) -> Want {
    Want {
        orientation: Some(Orientation::Forward),
        rule: Some(Some(rule)),
        ..want(Reason::Allowed, Verdict::Pass)
    }
}

/// A rule allows it, server to client.
pub(crate) fn back(rule: &'static str) -> Want {
    Want {
        orientation: Some(Orientation::Return),
        rule: Some(Some(rule)),
        ..want(Reason::Allowed, Verdict::Pass)
    }
}

/// It keeps a network alive.
pub(crate) fn survives() -> Want {
    want(Reason::Survival, Verdict::Pass)
}

/// It belongs to an allowed packet.
pub(crate) fn related() -> Want {
    want(Reason::Related, Verdict::Pass)
}

/// A conduit lets its protocol cross.
pub(crate) fn crosses(conduit: &'static str) -> Want {
    want(Reason::ListedEthertype, Verdict::Pass).conduit(conduit).no_rule()
}

/// It is dropped.
pub(crate) fn drops(reason: Reason) -> Want {
    want(reason, Verdict::Drop)
}

/// It passes, and enforce would have dropped it.
pub(crate) fn reports(reason: Reason) -> Want {
    want(reason, Verdict::WouldDrop)
}

fn want(reason: Reason, verdict: Verdict) -> Want {
    Want { reason, verdict, orientation: None, rule: None, conduit: None, zone: None, class: None }
}

impl Want {
    pub(crate) fn orientation(&self) -> Option<Orientation> {
        self.orientation
    }

    pub(crate) fn reason(&self) -> Reason {
        self.reason
    }

    /// It deviates from a rule that its addresses and ports match: the rule and the way through it are known.
    pub(crate) fn of(self, rule: &'static str, orientation: Orientation) -> Self {
        Self { orientation: Some(orientation), rule: Some(Some(rule)), ..self }
    }

    /// The rule that fits best.
    pub(crate) fn near(self, rule: &'static str) -> Self {
        Self { rule: Some(Some(rule)), ..self }
    }

    /// No rule has anything to do with it.
    pub(crate) fn no_rule(self) -> Self {
        Self { rule: Some(None), ..self }
    }

    pub(crate) fn conduit(self, name: &'static str) -> Self {
        Self { conduit: Some(Some(name)), ..self }
    }

    pub(crate) fn no_conduit(self) -> Self {
        Self { conduit: Some(None), ..self }
    }

    pub(crate) fn zone(self, name: &'static str) -> Self {
        Self { zone: Some(Some(name)), ..self }
    }

    pub(crate) fn no_zone(self) -> Self {
        Self { zone: Some(None), ..self }
    }

    /// What its payload shows itself as.
    pub(crate) fn class(self, class: Class) -> Self {
        Self { class: Some(class), ..self }
    }

    fn problems(&self, site: &Site, outcome: &Outcome) -> Vec<String> {
        let policy = &site.policy;
        let mut found = Vec::new();
        let mut differ = |what: &str, is: String, wanted: String| {
            if is != wanted {
                found.push(format!("{what} is {is}, not {wanted}"));
            }
        };
        differ("the reason", outcome.reason.about().name.into(), self.reason.about().name.into());
        differ("the verdict", format!("{:?}", outcome.verdict), format!("{:?}", self.verdict));
        differ("`dropped`", outcome.dropped.to_string(), (self.verdict == Verdict::Drop).to_string());
        // What passes crosses a wire, and nothing else does.
        let crosses = site.forwarding == Forwarding::Wire && self.verdict != Verdict::Drop;
        if site.forwarding != Forwarding::Route {
            differ("`sent_on`", outcome.sent_on.to_string(), crosses.to_string());
        }
        if let Some(wanted) = self.orientation {
            differ("the orientation", format!("{:?}", outcome.orientation), format!("{wanted:?}"));
        }
        if let Some(wanted) = self.class {
            differ("the class", format!("{:?}", outcome.class), format!("{wanted:?}"));
        }
        if let Some(wanted) = self.rule {
            let is = outcome.rule.map(|at| policy.rules[at].name.as_str());
            differ("the rule", format!("{is:?}"), format!("{wanted:?}"));
        }
        if let Some(wanted) = self.conduit {
            let is = outcome.conduit.map(|at| policy.conduits[at].name.as_str());
            differ("the conduit", format!("{is:?}"), format!("{wanted:?}"));
        }
        if let Some(wanted) = self.zone {
            let is = outcome.zone.map(|at| policy.zones[at].name.as_str());
            differ("the zone", format!("{is:?}"), format!("{wanted:?}"));
        }
        found
    }
}

/// How the programs of all tests forward: `BANCHI_FORWARDING` says it, and a verdict must not depend on it.
pub(crate) fn forwarding() -> Forwarding {
    let Ok(word) = std::env::var(FORWARDING) else { return Forwarding::Stack };
    let known = Forwarding::ALL.into_iter().find(|way| way.name() == word);
    known.unwrap_or_else(|| panic!("{FORWARDING}={word} is no way of forwarding"))
}

/// The variable that says how programs forward.
pub(crate) const FORWARDING: &str = "BANCHI_FORWARDING";

/// Packets and bytes.
pub(crate) fn figures(count: &Count) -> (u64, u64) {
    (count.packets, count.bytes)
}

/// An IP address.
pub(crate) fn ip(text: &str) -> std::net::IpAddr {
    text.parse().unwrap_or_else(|_| panic!("not an address: {text}"))
}
