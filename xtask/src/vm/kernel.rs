//! Debian's cloud kernels and busybox, downloaded with apt but never installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{apt, paths, step};

/// A kernel that qemu can boot.
pub(super) struct Kernel {
    pub(super) name: String,
    pub(super) image: PathBuf,
}

/// The newest kernel of a release, from the cache if it has one.
pub(super) fn fetch(release: &str) -> Result<Kernel> {
    let directory = paths::cache()?.join("kernels").join(release);
    let cached = fs::read_dir(&directory).into_iter().flatten().flatten();
    let cached = cached.map(|entry| entry.path()).filter(|path| !path.to_string_lossy().ends_with(".part"));
    if let Some(image) = cached.max() {
        let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(Kernel { name, image });
    }
    let mut offered = offered(release);
    if offered.is_empty() {
        step::run("apt-update", "apt-get update: which kernels there are", apt::apt().arg("update"))?;
        offered = self::offered(release);
    }
    // Lists may name packages that the archive has dropped.
    for name in offered.iter().rev().take(3) {
        let image = directory.join(name);
        match extract(name, "boot/vmlinuz-*", &image) {
            Ok(()) => return Ok(Kernel { name: name.clone(), image }),
            Err(error) => eprintln!("warning: {error:#}"),
        }
    }
    bail!("apt offers no linux-image-{release}.*-cloud-amd64; add bookworm, bookworm-security or -backports")
}

/// A busybox that needs no library.
pub(super) fn busybox() -> Result<PathBuf> {
    let file = paths::cache()?.join("busybox-static");
    if !file.is_file() {
        extract("busybox-static", "bin/busybox", &file)?;
    }
    Ok(file)
}

/// Names of packages, oldest first.
fn offered(release: &str) -> Vec<String> {
    let pattern = format!(r"^linux-image-{}\.[0-9].*-cloud-amd64$", release.replace('.', r"\."));
    let found = step::output(Command::new("apt-cache").args(["search", "--names-only", &pattern]));
    let found = found.unwrap_or_default();
    let mut names: Vec<_> =
        found.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.sort_by_key(|name| numbers(name));
    names
}

fn numbers(name: &str) -> Vec<u32> {
    name.split(|other: char| !other.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

/// Downloads a package and takes one file out of it.
fn extract(package: &str, member: &str, to: &Path) -> Result<()> {
    let scratch = to.with_extension("part");
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).with_context(|| format!("create {}", scratch.display()))?;
    let mut download = apt::apt();
    download.args(["-o", "APT::Sandbox::User=root", "download", package]).current_dir(&scratch);
    step::run("apt-download", &format!("apt-get download {package}"), &mut download)?;
    // Debian 12 has /bin in the packages, later releases have /usr/bin.
    let script = "dpkg-deb --fsys-tarfile ./*.deb | tar --extract --file=- --wildcards \
                  --transform='s,.*/,,' \"./$1\" \"./usr/$1\" 2>tar.log; ls | grep -v -e '[.]deb$' -e tar.log";
    let mut unpack = Command::new("sh");
    unpack.args(["-c", script, "sh", member]).current_dir(&scratch);
    let file = step::output(&mut unpack).with_context(|| format!("no {member} in {package}"))?;
    fs::rename(scratch.join(file), to).with_context(|| format!("move {member} to {}", to.display()))?;
    fs::remove_dir_all(&scratch).context("remove the unpacked package")
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_are_numbers() {
        assert!(numbers("linux-image-6.1.0-9-cloud-amd64") < numbers("linux-image-6.1.0-56-cloud-amd64"));
        assert!(
            numbers("linux-image-6.12.99+deb12-cloud-amd64")
                < numbers("linux-image-6.12.117+deb12-cloud-amd64")
        );
    }
}
