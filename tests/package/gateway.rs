//! A clean Debian with its service manager, whose network is that of a lab's gateway.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use banchi_tests::lab::{Lab, Mount, Output, Process};
use banchi_tests::traffic::uninterrupted;
use rustix::process::{Pid, Signal, kill_process};

/// How long it may take to boot, or a command in it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A booted system, gone when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    init: Pid,
    root: Mount,
    _scratch: Mount,
    _container: Process,
}

impl Gateway {
    /// Boots it; its service manager has started everything when this returns.
    pub(crate) fn boot(lab: &Lab) -> Result<Self> {
        let clean = std::env::var_os("BANCHI_ROOT").map(PathBuf::from).context(
            "BANCHI_ROOT names no clean Debian: run the tests with `cargo xtask test`, or make one with `cargo xtask setup`",
        )?;
        let scratch = Mount::tmpfs(lab, "gateway", "1G")?;
        let root = Mount::overlay(&clean, &scratch)?;
        fs::create_dir_all(lab.pins())?;
        // As systemd mounts a BPF file system.
        fs::set_permissions(lab.pins(), Permissions::from_mode(0o700))?;
        fs::write(root.path().join("etc/hostname"), "gateway\n")?;
        fs::write(root.path().join("etc/hosts"), "127.0.0.1 localhost gateway\n")?;
        let notify = lab.directory().join("notify");
        let manager = UnixDatagram::bind(&notify)?;
        manager.set_read_timeout(Some(PATIENCE))?;

        let mut command = Command::new("systemd-nspawn");
        command.env("NOTIFY_SOCKET", &notify).env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "1");
        command.args(["--quiet", "--boot", "--notify-ready=yes", "--register=no", "--keep-unit"]);
        command.args(["--link-journal=no", "--resolv-conf=off", "--console=pipe"]);
        // A gateway is a machine of its own: nothing is kept from its root.
        command.args(["--capability=all", "--system-call-filter=bpf perf_event_open"]);
        command.arg("--directory").arg(root.path());
        command.arg(format!("--machine={}gateway", lab.prefix()));
        command.arg(format!("--network-namespace-path={}", lab.gateway().path().display()));
        command.arg(format!("--bind={}:/sys/fs/bpf", lab.pins().display()));
        let container = Process::spawn(command).context("systemd-nspawn: run `cargo xtask setup`")?;
        let init = booted(&manager).with_context(|| {
            format!(
                "the gateway does not boot:\n{}",
                [container.stdout(), container.stderr()].concat().join("\n")
            )
        })?;
        let gateway = Self { init, root, _scratch: scratch, _container: container };
        // The container's sysfs shows the interfaces of the namespace that it was started from.
        gateway.check(
            "mkdir /run/sysfs && mount -t sysfs sysfs /run/sysfs && \
             for place in class devices/virtual; do mount --bind /run/sysfs/$place/net /sys/$place/net; done",
        )?;
        Ok(gateway)
    }

    /// A file of the system, by its absolute path there.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// Puts a file into root's home.
    pub(crate) fn bring(&self, file: &Path) -> Result<()> {
        let name = file.file_name().context("a file has a name")?;
        fs::copy(file, self.root.path().join("root").join(name))
            .with_context(|| format!("bringing {}", file.display()))?;
        Ok(())
    }

    /// A line of shell, in root's home.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.init.as_raw_nonzero()));
        command.args(["--mount", "--uts", "--ipc", "--pid", "--net", "--root", "--wd", "--", "env", "-i"]);
        command.args(["HOME=/root", "LC_ALL=C.UTF-8", "TERM=dumb"]);
        command.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(["sh", "-c", &format!("cd && {line}")]);
        command
    }

    /// Starts a line of shell.
    pub(crate) fn spawn(&self, line: &str) -> Result<Process> {
        Process::spawn(self.shell(line))
    }

    /// Runs a line of shell to its end; `input` is what somebody types.
    pub(crate) fn run(&self, line: &str, input: &str) -> Result<Output> {
        let mut process = Process::spawn_listening(self.shell(line))?;
        if !input.is_empty() {
            process.tell(input)?;
        }
        process.end_input();
        process.finish(PATIENCE).with_context(|| line.to_owned())
    }

    /// Runs one that has to succeed; yields what it printed, on both streams.
    pub(crate) fn check(&self, line: &str) -> Result<String> {
        let output = self.run(line, "")?;
        ensure!(output.status.success(), "{line}: {output}");
        Ok(output.stdout + &output.stderr)
    }

    /// What a verb says, as JSON.
    pub(crate) fn json(&self, line: &str) -> Result<serde_json::Value> {
        let output = self.run(line, "")?;
        ensure!(output.status.success(), "{line}: {output}");
        serde_json::from_str(&output.stdout).with_context(|| output.stdout.clone())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // All of the system ends with its first process.
        let _ = kill_process(self.init, Signal::KILL);
    }
}

/// Waits until the system is up; yields its first process.
fn booted(manager: &UnixDatagram) -> Result<Pid> {
    let mut buffer = [0; 4096];
    let mut init = None;
    loop {
        let length = uninterrupted(|| manager.recv(&mut buffer))?;
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let leader = text.lines().find_map(|line| line.strip_prefix("X_NSPAWN_LEADER_PID="));
        init = leader.and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw).or(init);
        if text.lines().any(|line| line == "READY=1") {
            let Some(init) = init else { bail!("it does not say which process is its first") };
            return Ok(init);
        }
    }
}
