//! Every program of the data plane passes the verifier of this kernel, and runs: bare, and specialised to policies
//! that use each of its features.

use std::{fs, path::PathBuf, process};

use anyhow::{Context as _, Result, anyhow, ensure};
use aya::{
    EbpfLoader, include_bytes_aligned,
    programs::{Program, TestRun as _, TestRunOptions},
};
use banchi::datapath::{Datapath, Options};
use banchi_common::abi::{Forwarding, Setting};
use banchi_tests::protocols::services_and_conduits;

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/banchi.o"));

/// `XDP_ABORTED` to `XDP_REDIRECT`.
const ACTIONS: std::ops::RangeInclusive<u32> = 0..=4;

/// A place for pinned maps that does not outlive the test.
struct Pins(PathBuf);

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_program_passes_the_verifier_and_runs() -> Result<()> {
    let pins = Pins(PathBuf::from(format!("/sys/fs/bpf/banchi-load-{}", process::id())));
    fs::create_dir(&pins.0)
        .with_context(|| format!("create {}: needs root and a bpffs", pins.0.display()))?;
    let mut object = EbpfLoader::new().default_map_pin_directory(&pins.0).load(OBJECT)?;
    let mut programs = 0;
    for (name, program) in object.programs_mut() {
        let Program::Xdp(program) = program else { continue };
        program.load().with_context(|| format!("load {name}"))?;
        let frame = [0; 64];
        let run = program.test_run(TestRunOptions { data_in: Some(&frame), ..TestRunOptions::new() });
        let action = run.with_context(|| format!("run {name}"))?.return_value;
        ensure!(ACTIONS.contains(&action), "{name} returned {action}, which is no action of XDP");
        programs += 1;
    }
    ensure!(programs > 0, "the object has no XDP program");
    Ok(())
}

/// The examples, and a policy that uses everything at once. Carried along, since a virtual machine has no checkout.
const POLICIES: [(&str, &str); 7] = [
    ("address-linked", include_str!("../examples/address-linked.yaml")),
    ("master-slave-modbus", include_str!("../examples/master-slave-modbus.yaml")),
    ("pinned-source-melsec", include_str!("../examples/pinned-source-melsec.yaml")),
    ("plant", include_str!("../examples/plant.yaml")),
    ("same-port-bacnet", include_str!("../examples/same-port-bacnet.yaml")),
    ("wire", include_str!("../examples/wire.yaml")),
    ("everything", include_str!("policies/everything.yaml")),
];

/// Every protocol whose payloads are told apart, over IPv4 and IPv6.
fn every_protocol() -> String {
    let rest = services_and_conduits(["control", "line"], "scada", "plc");
    format!(
        "version: 1
zones:
  control: {{ interfaces: [control], networks: [10.10.0.0/16, 'fd00:10::/64'] }}
  line: {{ interfaces: [line], networks: [10.20.0.0/24, 'fd00:20::/64'] }}
assets:
  scada: {{ zone: control, addresses: [10.10.1.0/24, 'fd00:10::5'] }}
  plc: {{ zone: line, addresses: [10.20.0.11, 'fd00:20::11', 10.20.0.255] }}
{rest}"
    )
}

#[test]
fn every_example_loads() -> Result<()> {
    let every_protocol = every_protocol();
    for (name, text) in POLICIES.into_iter().chain([("every-protocol", every_protocol.as_str())]) {
        let policy = banchi::policy::load(name, text).policy.ok_or_else(|| anyhow!("{name} has errors"))?;
        let mut image = banchi::image::compile(&policy)?;
        // Which interface it is does not matter here.
        let indices = vec![1; image.interfaces.len()];
        let (stack, route, wire) = (Forwarding::Stack, Forwarding::Route, Forwarding::Wire);
        for (way, log) in [(stack, false), (stack, true), (route, false), (wire, false), (wire, true)] {
            image.set(Setting::Forwarding, way as u32);
            image.set(Setting::GatewayZone, u32::from(way == Forwarding::Wire));
            let options = Options { log, ..Options::default() };
            let loaded = Datapath::load(&image, &indices, &options);
            let loaded = loaded.with_context(|| format!("load {name}, {way:?}, log {log}"))?;
            if let (Some(fast), Some(slow)) = (walked("generation"), walked("slow_path")) {
                println!("{name}, {way:?}, log {log}: the verifier walked {fast} and {slow} instructions");
            }
            drop(loaded);
        }
    }
    Ok(())
}

/// What a policy does not use the verifier leaves out. Where it takes a program with all of it, and with what tests ask for
/// on top, it takes each with less.
#[test]
fn a_policy_that_uses_everything_loads() -> Result<()> {
    let policy = banchi::policy::load("every-protocol", &every_protocol());
    let mut image = banchi::image::compile(&policy.policy.ok_or_else(|| anyhow!("the policy has errors"))?)?;
    image.set(Setting::Features, u32::MAX);
    // What only large tables have: it is loaded here, and no packet looks.
    image.set(Setting::IndexBuckets, u32::MAX);
    let indices = vec![1; image.interfaces.len()];
    for way in Forwarding::ALL {
        image.set(Setting::Forwarding, way as u32);
        image.set(Setting::GatewayZone, u32::from(way == Forwarding::Wire));
        for (log, trace) in [(false, true), (true, true)] {
            let options = Options { log, trace, test_clock: trace, ..Options::default() };
            let loaded = Datapath::load(&image, &indices, &options);
            let loaded = loaded.with_context(|| format!("load everything, {way:?}, log {log}"))?;
            if let (Some(fast), Some(slow)) = (walked("generation"), walked("slow_path")) {
                println!(
                    "everything, {way:?}, log {log}: the verifier walked {fast} and {slow} instructions"
                );
            }
            drop(loaded);
        }
    }
    Ok(())
}

/// Instructions that the verifier walked for the youngest program of a name here, where the kernel says.
fn walked(name: &str) -> Option<u32> {
    let mut programs: Vec<_> = aya::programs::loaded_programs().filter_map(Result::ok).collect();
    programs.retain(|program| program.name_as_str() == Some(name));
    programs.iter().max_by_key(|program| program.id())?.verified_instruction_count()
}
