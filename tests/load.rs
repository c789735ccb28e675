//! Every program of the data plane passes the verifier of this kernel, and runs.

use std::{fs, path::PathBuf, process};

use anyhow::{Context as _, Result, ensure};
use aya::{
    EbpfLoader, include_bytes_aligned,
    programs::{Program, TestRun as _, TestRunOptions},
};

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
