//! `vm`: the tests of the data plane under other releases of the kernel.
//!
//! A machine runs one kernel, a plant runs another. This boots Debian's kernels in qemu (emulated: nested
//! virtualisation is rare), with test executables as their only user space. No network, no disk.

mod initramfs;
mod kernel;
mod qemu;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};

use crate::{artifacts, build, paths, setup, step, test::Report};

/// The kernels of Debian 12 and 13.
const RELEASES: &[&str] = &["6.1", "6.12"];
/// Tests that need no file and no namespace; `clock` sets the clock of its machine.
const TESTS: &[&str] = &["load", "clock"];

/// Boot other kernels under qemu and run the tests of the data plane there
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Release of the kernel: 6.1, 6.12, or all
    #[arg(long, default_value = "all")]
    kernel: String,
    /// Integration tests of banchi-tests to run
    #[arg(long, default_values = TESTS)]
    test: Vec<String>,
    /// Give a kernel this many seconds
    #[arg(long, default_value_t = 300)]
    timeout: u64,
}

/// An executable to run in the machine.
struct Binary {
    name: String,
    file: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if cfg!(not(target_arch = "x86_64")) {
        bail!("the test executables are for this machine, the kernels for x86_64");
    }
    setup::ensure(&setup::Options { vm: true, ..Default::default() })?;
    build::ensure(&build::Options { bpf_only: true, ..build::Options::default() })?;
    let mut binaries = Vec::new();
    for name in &options.test {
        step::say(&format!("building the test {name}"));
        let file = artifacts::executable("test", &["--no-run", "--workspace", "--test", name])?;
        binaries.push(Binary { name: name.clone(), file });
    }
    let releases = match options.kernel.as_str() {
        "all" => RELEASES.to_vec(),
        release => vec![release],
    };
    let mut failed = Vec::new();
    for release in releases {
        if let Err(error) = boot(release, &binaries, Duration::from_secs(options.timeout)) {
            eprintln!("    FAILED: {release}: {error:#}");
            failed.push(release);
        }
    }
    match failed.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => bail!("failed under {}", failed.join(" and ")),
    }
}

fn boot(release: &str, binaries: &[Binary], timeout: Duration) -> Result<()> {
    let kernel = kernel::fetch(release)?;
    let busybox = kernel::busybox()?;
    // Nothing that a test prints may look like a result.
    let token = format!("banchi-vm-{:08x}", std::process::id().wrapping_mul(0x9e37_79b1));
    let image = paths::logs().join(format!("initramfs-{release}.cpio"));
    initramfs::write(&image, &busybox, binaries, &token).context("build the initial file system")?;
    step::say(&format!("booting {}", kernel.name));
    let run =
        qemu::run(&kernel.image, &image, timeout, &paths::logs().join(format!("console-{release}.log")))?;

    let say = |what: &str| {
        let prefix = format!("{token} {what}");
        run.lines.iter().find_map(|(at, line)| Some((at, line.strip_prefix(&prefix)?.trim())))
    };
    let (booted, version) = say("kernel ").context("it did not boot; its console is above")?;
    for binary in binaries {
        let (_, code) = say(&format!("{} exit ", binary.name))
            .with_context(|| format!("{} did not end ({})", binary.name, run.end))?;
        if code != "0" {
            bail!("{} failed with exit code {code}", binary.name);
        }
    }
    let mut report = Report::default();
    run.lines.iter().for_each(|(_, line)| report.read(line));
    if !report.success() {
        bail!("no test passed");
    }
    let took = run.took.as_secs_f32();
    let booted = booted.as_secs_f32();
    eprintln!(
        "    {version}: {} tests passed; booted in {booted:.1} s, done in {took:.1} s",
        report.passed()
    );
    Ok(())
}
