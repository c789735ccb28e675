//! Leaving nothing behind: when a lab is dropped, when a signal ends the process, and after a crash.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::mount::unmount;
use super::namespace::DIRECTORY;

/// What the names of lab number `count` of process `pid` begin with.
pub(crate) fn prefix(pid: u32, count: u32) -> String {
    format!("banchi-{pid}-{count}-")
}

/// The directory of the lab with this prefix.
pub(crate) fn directory(prefix: &str) -> PathBuf {
    std::env::temp_dir().join(prefix.trim_end_matches('-'))
}

/// The place for pins of the lab with this prefix.
pub(crate) fn pins(prefix: &str) -> PathBuf {
    Path::new("/sys/fs/bpf").join(prefix.trim_end_matches('-'))
}

/// Removes everything of the lab unless disarmed: for the time while it is being built.
pub(crate) struct Guard(Option<String>);

impl Guard {
    pub(crate) fn new(prefix: String) -> Self {
        Self(Some(prefix))
    }

    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(prefix) = &self.0 {
            remove(prefix);
        }
    }
}

/// Makes SIGINT, SIGTERM and SIGHUP, as well as `exit`, remove this process's labs first.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    extern "C" fn at_exit() {
        remove_all_of(std::process::id());
    }
    ONCE.call_once(|| {
        // SAFETY: `at_exit` is a function for the whole life of the process and does not unwind: nothing in it
        // panics, failures to remove are ignored.
        unsafe { libc::atexit(at_exit) };
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).expect("no handler for signals");
        std::thread::spawn(move || {
            if let Some(signal) = signals.forever().next() {
                remove_all_of(std::process::id());
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        });
    });
}

/// Removes the labs of processes that are gone without having done so themselves.
pub(crate) fn abandoned() -> Result<()> {
    for name in leftovers("banchi-") {
        let Some((prefix, pid)) = parse(&name) else { continue };
        if !Path::new("/proc").join(pid.to_string()).exists() {
            remove(&prefix);
        }
    }
    fs::create_dir_all(DIRECTORY).with_context(|| format!("creating {DIRECTORY}"))
}

/// Removes the lab with this prefix: its processes, namespaces (the interfaces go with them), mounts, files
/// and pins.
pub(crate) fn remove(prefix: &str) {
    let namespaces: Vec<_> = entries(Path::new(DIRECTORY)).filter(|n| n.starts_with(prefix)).collect();
    kill_inside(&namespaces);
    for name in &namespaces {
        let _ = Command::new("ip").args(["netns", "delete", name]).stderr(Stdio::null()).status();
    }
    unmount(&directory(prefix));
    let _ = fs::remove_dir_all(directory(prefix));
    let _ = fs::remove_dir_all(pins(prefix));
}

/// All that exists under names which begin so: namespaces, directories and pins.
pub(crate) fn leftovers(beginning: &str) -> Vec<String> {
    let places = [PathBuf::from(DIRECTORY), std::env::temp_dir(), PathBuf::from("/sys/fs/bpf")];
    places.iter().flat_map(|place| entries(place)).filter(|name| name.starts_with(beginning)).collect()
}

fn remove_all_of(pid: u32) {
    for name in leftovers(&format!("banchi-{pid}-")) {
        if let Some((prefix, _)) = parse(&name) {
            remove(&prefix);
        }
    }
}

/// The prefix of the lab that a name belongs to, and the process that made it.
fn parse(name: &str) -> Option<(String, u32)> {
    let mut parts = name.strip_prefix("banchi-")?.split('-');
    let pid = parts.next()?.parse().ok()?;
    let count = parts.next()?.parse().ok()?;
    Some((prefix(pid, count), pid))
}

fn entries(place: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

/// Ends what still runs in the namespaces: nothing but children of this or a vanished test can be in there.
fn kill_inside(namespaces: &[String]) {
    let inode = |path: &Path| fs::metadata(path).map(|m| m.ino()).ok();
    let ours: Vec<_> = namespaces.iter().filter_map(|n| inode(&Path::new(DIRECTORY).join(n))).collect();
    let processes = entries(Path::new("/proc")).filter_map(|name| name.parse::<i32>().ok());
    for pid in processes.filter(|pid| pid.cast_unsigned() != std::process::id()) {
        let inside = inode(&PathBuf::from(format!("/proc/{pid}/ns/net"))).is_some_and(|i| ours.contains(&i));
        if let (true, Some(pid)) = (inside, Pid::from_raw(pid)) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_lab() {
        assert_eq!(parse("banchi-12-3-gw"), Some(("banchi-12-3-".to_owned(), 12)));
        assert_eq!(parse("banchi-12-3-sw-line-a"), Some(("banchi-12-3-".to_owned(), 12)));
        assert_eq!(parse("banchi-12-3"), Some(("banchi-12-3-".to_owned(), 12)));
        assert_eq!(parse("banchi-tools"), None, "something else of that name is left alone");
        assert_eq!(parse("other-12-3-gw"), None);
    }
}
