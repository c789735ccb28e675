//! One network namespace, and code and commands inside it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::process::{Output, Process};

/// Where `ip netns` keeps its namespaces.
pub(crate) const DIRECTORY: &str = "/run/netns";

/// A named network namespace. It does not remove itself: the [`Lab`](super::Lab) does, for all of its own.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    pub(crate) fn open(name: String) -> Result<Self> {
        let path = Path::new(DIRECTORY).join(&name);
        let file = File::open(&path).with_context(|| format!("opening the namespace {}", path.display()))?;
        Ok(Self { name, file })
    }

    /// The name for `ip netns exec`, to look inside from a shell.
    pub fn netns(&self) -> &str {
        &self.name
    }

    /// The file that holds it.
    pub fn path(&self) -> PathBuf {
        Path::new(DIRECTORY).join(&self.name)
    }

    /// Runs `f` on a thread of its own inside the namespace. Sockets that it returns stay in there.
    ///
    /// # Panics
    /// If `f` does, with the same payload.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
                .unwrap_or_else(|e| panic!("entering {}: {e}", self.name));
            f()
        };
        let joined = std::thread::scope(|scope| scope.spawn(inside).join());
        joined.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    }

    /// Starts a command inside the namespace; it is killed when the [`Process`] is dropped.
    ///
    /// Only the network is another one: files, mounts and the BPF file system are those of the test.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn spawn(&self, command: Command) -> Result<Process> {
        self.run(|| Process::spawn(command))
    }

    /// The same for a command that is to be told what to do, by [`Process::tell`].
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn spawn_listening(&self, command: Command) -> Result<Process> {
        self.run(|| Process::spawn_listening(command))
    }

    /// Runs a command to its end and returns what it printed.
    ///
    /// # Errors
    /// If it cannot be started or is not done in time, and then it is killed.
    pub fn output<S: AsRef<OsStr>>(&self, argv: &[S], timeout: Duration) -> Result<Output> {
        let [program, arguments @ ..] = argv else { anyhow::bail!("no command to run") };
        let mut command = Command::new(program);
        command.args(arguments);
        self.spawn(command)?.finish(timeout)
    }

    /// Runs a command that has to succeed, and returns its standard output.
    ///
    /// # Errors
    /// If it fails in any way; with what it printed.
    pub fn check<S: AsRef<OsStr>>(&self, argv: &[S]) -> Result<String> {
        let output = self.output(argv, super::DEADLINE)?;
        let line: Vec<_> = argv.iter().map(|a| a.as_ref().to_string_lossy()).collect();
        ensure!(output.status.success(), "{} in {}: {output}", line.join(" "), self.name);
        Ok(output.stdout)
    }

    /// Sets a `net.` parameter of the kernel, as `net/ipv4/ip_forward`.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.run(|| {
            for (name, value) in settings {
                let path = Path::new("/proc/sys").join(name);
                std::fs::write(&path, value).with_context(|| format!("{} = {value}", path.display()))?;
            }
            Ok(())
        })
    }
}
