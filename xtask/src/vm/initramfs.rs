//! The initial file system: busybox, the test executables with their libraries, and a script that runs them.
//! The format is `newc` (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::Binary;
use crate::step;

const DIRECTORY: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;

/// Writes the image. The script reports with lines that begin with `token`.
pub(super) fn write(image: &Path, busybox: &Path, binaries: &[Binary], token: &str) -> Result<()> {
    let mut files = BTreeMap::new();
    files.insert(PathBuf::from("/init"), script(binaries, token).into_bytes());
    files.insert(PathBuf::from("/bin/busybox"), read(busybox)?);
    for Binary { name, file } in binaries {
        for library in libraries(file)? {
            files.insert(library.clone(), read(&library)?);
        }
        files.insert(Path::new("/tests").join(name), stripped(file, image)?);
    }
    let mounts = ["/proc", "/sys", "/dev", "/tmp", "/root"].map(PathBuf::from);
    let parents = files.keys().flat_map(|file| file.ancestors().skip(1)).map(Path::to_owned);
    let directories: BTreeSet<_> = parents.chain(mounts).filter(|path| path != Path::new("/")).collect();

    let mut archive = Vec::new();
    for directory in &directories {
        append(&mut archive, directory, DIRECTORY, &[])?;
    }
    for (name, content) in &files {
        append(&mut archive, name, EXECUTABLE, content)?;
    }
    append(&mut archive, Path::new("/TRAILER!!!"), 0, &[])?;
    fs::create_dir_all(image.parent().unwrap_or(image))?;
    fs::write(image, archive).with_context(|| format!("write {}", image.display()))
}

fn script(binaries: &[Binary], token: &str) -> String {
    let mut script = format!(
        "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root TMPDIR=/tmp RUST_BACKTRACE=1 BANCHI_VM=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t bpf bpf /sys/fs/bpf
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
ip link set lo up
echo
echo \"{token} kernel $(uname -r)\"
"
    );
    for Binary { name, .. } in binaries {
        script += &format!("/tests/{name} --test-threads=1\necho \"{token} {name} exit $?\"\n");
    }
    script + "sync\npoweroff -f\n"
}

/// The shared libraries that the loader would take, and the loader.
fn libraries(file: &Path) -> Result<Vec<PathBuf>> {
    let list = step::output(Command::new("ldd").arg(file));
    // A static executable has none, which ldd calls an error.
    let list = list.unwrap_or_default();
    let mut libraries = Vec::new();
    for line in list.lines() {
        if line.contains("not found") {
            bail!("{}: {}", file.display(), line.trim());
        }
        libraries.extend(line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from));
    }
    Ok(libraries)
}

/// The executable without debug information, which would be most of the image.
fn stripped(file: &Path, image: &Path) -> Result<Vec<u8>> {
    let small = image.with_extension("stripped");
    let strip = step::succeeds(Command::new("strip").arg("--strip-debug").arg("-o").arg(&small).arg(file));
    read(if strip { &small } else { file })
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("read {}", file.display()))
}

fn append(archive: &mut Vec<u8>, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
    let name = path.to_string_lossy();
    let name = name.trim_start_matches('/');
    let size = u32::try_from(content.len()).with_context(|| format!("{name} is too large"))?;
    let length = u32::try_from(name.len() + 1)?;
    // The magic number, then 13 fields: inode, mode, owner, group, links, time, size, device (2), special
    // device (2), length of the name, checksum. No hard links here, so the inode may be 0.
    archive.extend(b"070701");
    for field in [0, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, length, 0] {
        archive.extend(format!("{field:08x}").bytes());
    }
    archive.extend(name.bytes());
    archive.push(0);
    align(archive);
    archive.extend(content);
    align(archive);
    Ok(())
}

fn align(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}
