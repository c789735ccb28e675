//! One run of qemu, bounded in time, with everything that its serial console said.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// What happened.
pub(super) struct Run {
    /// Lines of the console, and when they came.
    pub(super) lines: Vec<(Duration, String)>,
    pub(super) took: Duration,
    /// How it ended.
    pub(super) end: String,
}

/// Boots until the machine powers off, or the time is over.
pub(super) fn run(kernel: &Path, initramfs: &Path, timeout: Duration, log: &Path) -> Result<Run> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg", "-smp", "2", "-m", "1024", "-nic", "none", "-nographic", "-no-reboot"]);
    qemu.args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"]);
    qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
    qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = qemu.spawn().context("start qemu-system-x86_64")?;
    let console = child.stdout.take().context("qemu has no console")?;

    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut console = BufReader::new(console);
        let mut line = Vec::new();
        while console.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if sender.send(text).is_err() {
                break;
            }
        }
    });

    let began = Instant::now();
    let mut file = File::create(log).with_context(|| format!("create {}", log.display()))?;
    let mut lines = Vec::new();
    let expired = loop {
        match receiver.recv_timeout(timeout.saturating_sub(began.elapsed())) {
            Ok(line) => {
                writeln!(file, "{line}")?;
                eprintln!("    | {line}");
                lines.push((began.elapsed(), line));
            }
            Err(RecvTimeoutError::Disconnected) => break false,
            Err(RecvTimeoutError::Timeout) => {
                child.kill().context("stop qemu")?;
                break true;
            }
        }
    };
    let status = child.wait()?;
    let took = began.elapsed();
    drop(receiver);
    let _ = reader.join();
    let end = match expired {
        true => format!("stopped after {} s", timeout.as_secs()),
        false => format!("qemu: {status}"),
    };
    Ok(Run { lines, took, end })
}
