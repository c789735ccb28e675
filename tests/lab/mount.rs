//! A small file system of its own, gone when dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::Lab;

/// A mounted file system below the directory of a lab.
#[derive(Debug)]
pub struct Mount(PathBuf);

impl Mount {
    /// A file system in memory of this size, as `mount -o size=` has it, in a folder of the lab's directory; no name
    /// covers the directory itself.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn tmpfs(lab: &Lab, name: &str, size: &str) -> Result<Self> {
        let path = match name {
            "" => lab.directory().to_owned(),
            name => lab.directory().join(name),
        };
        fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "banchi-test"]).arg(&path);
        ensure!(mount.status()?.success(), "mounting {}", path.display());
        Ok(Self(path))
    }

    /// A directory as it is, for reading; what is written to it is in `scratch` and goes with that.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn overlay(lower: &Path, scratch: &Self) -> Result<Self> {
        let part = |name: &str| -> Result<PathBuf> {
            let path = scratch.path().join(name);
            fs::create_dir(&path).with_context(|| format!("creating {}", path.display()))?;
            Ok(path)
        };
        let (upper, work, path) = (part("upper")?, part("work")?, part("root")?);
        let layers = [("lowerdir", lower), ("upperdir", &upper), ("workdir", &work)];
        let layers = layers.map(|(name, path)| format!("{name}={}", path.display())).join(",");
        let mut mount = Command::new("mount");
        mount.args(["-t", "overlay", "-o", &layers, "banchi-test"]).arg(&path);
        ensure!(mount.status()?.success(), "mounting {}", path.display());
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

/// Unmounts what is mounted at or below a path.
pub(super) fn unmount(path: &Path) {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let places = table.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    // The last ones were mounted last, and may be inside of others.
    let inside: Vec<_> = places.filter(|place| place.starts_with(path)).collect();
    for place in inside.iter().rev() {
        // Lazily: something may still have a file open, and that ends.
        let _ = Command::new("umount").arg("-l").arg(place).stderr(Stdio::null()).status();
    }
}
