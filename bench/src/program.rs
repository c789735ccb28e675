//! What a packet costs in the program alone, by test runs: banchi, xdp-filter, one bare lookup, and nothing at all.

mod cases;
mod filter;
mod loaded;

use anyhow::{Context as _, Result, ensure};
use aya::programs::Xdp;
use banchi_tests::lab::Lab;

use crate::gateway;
use crate::kernel::{self, Kit, Plan};
use crate::measure::{self, Rounds};
use crate::report::{Row, short};
use crate::traffic::{self, DROP, Forwarding, PASS, ROUTE, STACK, Service, Tuples};
use cases::Case;
use loaded::Loaded;

const BENCH: &str = "program";
/// Runs of a series; a tenth of them is the other point of the slope.
const RUNS: (u32, u32) = (100_000, 200_000);
const ROUNDS: (usize, usize) = (5, 7);
/// Tuples of a quick run, and of a whole one.
const SIZES: (&[Tuples], &[Tuples]) = (
    &[Tuples::new(10, 100), Tuples::new(256, 256)],
    &[Tuples::new(2, 5), Tuples::new(10, 100), Tuples::new(256, 256), Tuples::new(1000, 1000)],
);
/// The size at which every kind of deviation is measured.
const DEVIATIONS: Tuples = Tuples::new(10, 100);
/// Policies that are also loaded as if they used everything.
const UNSPECIALISED: [Service; 4] = [Service::SamePort, Service::Bacnet, Service::Modbus, Service::Ephemeral];

/// Interfaces of the gateway.
#[derive(Clone, Copy)]
struct Ports {
    control: u32,
    line: u32,
}

/// A program with a packet, measured over and over.
struct Subject {
    row: Row,
    program: Xdp,
    frame: Vec<u8>,
    interface: u32,
    action: u32,
    /// Who has to be asked what before, so that the packet is an answer, and by which interface.
    first: Option<(Xdp, Vec<u8>, u32)>,
    /// Number of the subject that tells what the program before this one costs.
    wrapper: Option<usize>,
    rounds: Rounds,
}

/// Everything of one size, in alternation.
struct Group<'l> {
    lab: &'l Lab,
    tuples: Tuples,
    ports: Ports,
    subjects: Vec<Subject>,
    /// Maps that programs use.
    kits: Vec<Kit>,
}

/// Runs the part.
pub(crate) fn run(quick: bool) -> Result<Vec<Row>> {
    let lab = gateway::lab()?;
    lab.gateway().run(|| inside(&lab, quick))
}

/// In the gateway, on a thread of its own.
fn inside(lab: &Lab, quick: bool) -> Result<Vec<Row>> {
    measure::pin()?;
    let ports = Ports { control: kernel::index("control")?, line: kernel::index("line-a")? };
    // An interface takes test runs while some program is on it.
    let mut holder = Kit::load(&Plan::new(Tuples::new(1, 1)), 1)?;
    holder.attach("empty", ports.control)?;
    holder.attach("empty", ports.line)?;
    let filter = filter::load(lab)?;
    let forwardings = traffic::forwardings();
    let mut rows = Vec::new();
    for tuples in if quick { SIZES.0 } else { SIZES.1 } {
        eprintln!("    {} tuples: loading", short(tuples.count()));
        let mut group = Group { lab, tuples: *tuples, ports, subjects: Vec::new(), kits: Vec::new() };
        group.peers(&filter)?;
        let mut policies = Vec::new();
        for forwarding in &forwardings {
            for service in cases::services(*tuples == DEVIATIONS, *forwarding, quick) {
                let place = format!("{}-{}-{service:?}", tuples.count(), forwarding.name);
                let new = |place: &str, is_specialised| {
                    Loaded::new(lab, place, *service, *tuples, *forwarding, ports, is_specialised)
                };
                policies.push(new(&place, true)?);
                if *tuples == DEVIATIONS && *forwarding == STACK && UNSPECIALISED.contains(service) {
                    policies.push(new(&format!("{place}-unspecialised"), false)?);
                }
            }
        }
        for policy in &policies {
            group.banchi(policy)?;
        }
        let (runs, rounds) = if quick { (RUNS.0, ROUNDS.0) } else { (RUNS.1, ROUNDS.1) };
        eprintln!("    {} tuples: {} subjects, {rounds} rounds", short(tuples.count()), group.subjects.len());
        for _ in 0..rounds {
            for subject in &mut group.subjects {
                subject.time(runs)?;
            }
        }
        rows.extend(group.finish()?);
    }
    Ok(rows)
}

impl Group<'_> {
    fn row(&self, subject: &str, case: &str) -> Row {
        let row = Row::new(BENCH, subject, case).tuples(self.tuples.count());
        Row { distribution: Some("hot"), ..row }
    }

    /// The first is what others are held against, the second what a run costs without a program.
    fn peers(&mut self, filter: &Xdp) -> Result<()> {
        let same = cases::same_port();
        let mut kit = Kit::load(&Plan::new(self.tuples), self.tuples.count())?;
        kit.fill(self.tuples)?;
        let row = Row { tuples: Some(1), ..self.row("xdp-filter", same.name) };
        self.direct(row, kernel::same(filter)?, &same, PASS)?;
        let row = Row { tuples: None, ..self.row("empty", "floor") };
        self.direct(row, kit.handle("empty")?, &same, PASS)?;
        let row = self.row("lookup", same.name);
        let refused = cases::source_port_deviation();
        let is = kernel::run(kit.program("lookup")?, &refused, self.ports.control, 1)?;
        ensure!(is == DROP, "the bare lookup finds anything");
        self.direct(row.clone(), kit.handle("lookup")?, &same, PASS)?;
        let uniform = Row { distribution: Some("uniform"), ..row };
        self.varied(uniform, self.tuples, &kit.handle("lookup")?, &same, STACK)?;
        self.kits.push(kit);
        Ok(())
    }

    /// Each case of a policy, through the root program and without it.
    fn banchi(&mut self, policy: &Loaded) -> Result<()> {
        let forwarding = policy.forwarding;
        for case in cases::of(policy.service) {
            let case = case.to(|zone| self.lab.gateway_mac(zone));
            policy.check(&case, self.ports)?;
            let both = [("banchi", policy.root()?), ("generation", policy.generation()?)];
            let one = [("unspecialised", policy.generation()?)];
            for (subject, program) in if policy.is_specialised { &both[..] } else { &one } {
                let row = self.row(subject, case.name).by(forwarding, "enforce");
                let uniform = Row { distribution: Some("uniform"), ..row.clone() };
                let action = case.action(forwarding);
                if !case.is_hot {
                } else if forwarding == ROUTE && action != DROP {
                    // A packet that was routed is another one.
                    self.varied(row, Tuples::new(1, 1), program, &case, forwarding)?;
                } else {
                    self.direct(row, kernel::same(program)?, &case, action)?;
                }
                if case.is_uniform {
                    self.varied(uniform, self.tuples, program, &case, forwarding)?;
                }
            }
        }
        Ok(())
    }

    fn interface(&self, case: &Case) -> u32 {
        if case.from_line { self.ports.line } else { self.ports.control }
    }

    fn first(&self, program: &Xdp, case: &Case) -> Result<Option<(Xdp, Vec<u8>, u32)>> {
        let Some(frame) = &case.first else { return Ok(None) };
        Ok(Some((kernel::same(program)?, frame.clone(), self.ports.control)))
    }

    /// Adds a program with the packet as it is.
    fn direct(&mut self, row: Row, program: Xdp, case: &Case, action: u32) -> Result<()> {
        let (frame, interface) = (case.frame.clone(), self.interface(case));
        let (first, rounds) = (self.first(&program, case)?, Rounds::default());
        self.subjects.push(Subject { row, program, frame, interface, action, first, wrapper: None, rounds });
        Ok(())
    }

    /// Adds a program behind one that makes the packet one of a random tuple, and the latter alone.
    fn varied(
        &mut self,
        row: Row,
        tuples: Tuples,
        next: &Xdp,
        case: &Case,
        forwarding: Forwarding,
    ) -> Result<()> {
        let zone = if case.from_line { "line-a" } else { "control" };
        let at = case.ttl_at as usize;
        let ttl = case.frame.get(at..at + 2).and_then(|ttl| ttl.try_into().ok()).context("no TTL")?;
        let anew = (case.ttl_at, ttl, self.lab.gateway_mac(zone).0);
        let (addresses_at, port_at) = (case.addresses_at, case.port_at);
        let anew = (forwarding == ROUTE).then_some(anew);
        let plan = Plan { addresses_at, port_at, anew, ..Plan::new(tuples) };
        let (mut kit, mut bare) = (Kit::load(&plan, 1)?, Kit::load(&plan, 1)?);
        let empty = bare.handle("empty")?;
        bare.then(&empty)?;
        kit.then(next)?;
        let name = row.case.clone();
        self.direct(Row::new("", "wrapper", name), bare.handle("vary")?, case, PASS)?;
        let (program, wrapper) = (kit.handle("vary")?, Some(self.subjects.len() - 1));
        let (frame, interface, action) = (case.frame.clone(), self.interface(case), case.action(forwarding));
        let (first, rounds) = (self.first(next, case)?, Rounds::default());
        let subject = Subject { row, program, frame, interface, action, first, wrapper, rounds };
        subject.ask()?;
        // Random tuples, of which none may be refused. Now and then the stack is given a packet that could be routed.
        let may_differ = usize::from(forwarding == ROUTE);
        let mut others = Vec::new();
        for _ in 0..1_000 {
            others.extend(Some(subject.run(1)?).filter(|is| *is != action));
        }
        let (case, whose) = (&subject.row.case, &subject.row.subject);
        ensure!(others.len() <= may_differ, "{case} of {whose}, some tuple: {others:?}, and not {action}");
        self.subjects.push(subject);
        self.kits.extend([kit, bare]);
        Ok(())
    }

    /// The figures: without what is before a program, and beside xdp-filter.
    fn finish(&self) -> Result<Vec<Row>> {
        let get = |at: usize| self.subjects.get(at).map(|subject| &subject.rounds).context("no such subject");
        let (filter, empty) = (get(0)?, get(1)?);
        let mut rows = Vec::new();
        for subject in self.subjects.iter().filter(|subject| !subject.row.bench.is_empty()) {
            let mut rounds = subject.rounds.clone();
            if let Some(wrapper) = subject.wrapper {
                // The empty program and the loop of the test run are in every other figure, too.
                let own = get(wrapper)?.with(empty, |wrapper, empty| wrapper - empty);
                rounds = rounds.with(&own, |all, own| all - own);
            }
            let row = subject.row.clone().values(&rounds, "ns");
            rows.push(if row.subject == "xdp-filter" {
                row
            } else {
                row.against("xdp-filter", &rounds, filter)
            });
        }
        Ok(rows)
    }
}

impl Subject {
    fn ask(&self) -> Result<()> {
        if let Some((program, frame, interface)) = &self.first {
            kernel::run(program, frame, *interface, 1)?;
        }
        Ok(())
    }

    fn run(&self, repeat: u32) -> Result<u32> {
        kernel::run(&self.program, &self.frame, self.interface, repeat)
    }

    fn time(&mut self, runs: u32) -> Result<()> {
        self.ask()?;
        let each = measure::slope(runs, |repeat| {
            // Other processes are not in the time that this one has had.
            let began = measure::cpu_time();
            let is = self.run(repeat)?;
            let took = measure::cpu_time() - began;
            let (case, subject) = (&self.row.case, &self.row.subject);
            ensure!(is == self.action, "{case} of {subject}: the program says {is}, and not {}", self.action);
            Ok(took)
        })?;
        self.rounds.push(each);
        Ok(())
    }
}
