//! Somebody who is not root, and need not exist on this machine.

use std::process::Command;

use anyhow::{Context as _, Result};
use rustix::process::{Gid, Uid};

use crate::agent::binary;
use crate::lab::Lab;

/// A user, as a process has one.
#[derive(Debug, Clone)]
pub struct User {
    /// Number of the user, and of its own group.
    pub id: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Capabilities that it keeps, as `setpriv` names them.
    pub capabilities: &'static [&'static str],
}

impl User {
    /// The agent's binary, run by this user. It is copied to where everybody may read it.
    ///
    /// # Errors
    /// If there is no binary.
    pub fn command(&self, lab: &Lab) -> Result<Command> {
        let (from, to) = (binary()?, lab.directory().join("banchi"));
        if !to.exists() {
            std::fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
        }
        let mut command = Command::new("setpriv");
        let id = self.id.to_string();
        command.args(["--reuid", &id, "--regid", &id]);
        match &self.groups[..] {
            [] => command.arg("--clear-groups"),
            groups => {
                let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
                command.arg("--groups").arg(groups.join(","))
            }
        };
        let capabilities: String = self.capabilities.iter().map(|name| format!(",+{name}")).collect();
        for set in ["--bounding-set", "--inh-caps", "--ambient-caps"] {
            command.arg(format!("{set}=-all{capabilities}"));
        }
        command.arg(to);
        Ok(command)
    }

    /// Runs `f` as this user, on a thread of its own.
    ///
    /// # Panics
    /// If `f` does, with the same payload, or if the kernel refuses.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            let groups: Vec<Gid> = self.groups.iter().map(|id| Gid::from_raw(*id)).collect();
            let (uid, gid) = (Uid::from_raw(self.id), Gid::from_raw(self.id));
            // Of this thread alone, unlike those of the C library.
            rustix::thread::set_thread_groups(&groups).unwrap();
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            f()
        };
        let joined = std::thread::scope(|scope| scope.spawn(inside).join());
        joined.unwrap_or_else(|payload| std::panic::resume_unwind(payload))
    }
}
