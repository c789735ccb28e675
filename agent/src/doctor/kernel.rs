//! What is said about the kernel.

use super::facts::KernelFacts;
use super::finding::{Finding, Level};

pub(super) fn examine(facts: &KernelFacts) -> Vec<Finding> {
    let say = |level, check, found: String, why| Finding::new(level, "kernel", check, found, why);
    let release = match &facts.lacks {
        None => say(
            Level::Ok,
            "release",
            format!("Linux {}, with BTF.", facts.release),
            "It has what banchi needs.",
        ),
        Some(lacks) => say(
            Level::Unsafe,
            "release",
            format!("Linux {} lacks {lacks}.", facts.release),
            "banchi needs Linux 6.1 or later with BPF and BTF, and does not start.",
        )
        .remedy("apt-get install linux-image-amd64  # Debian 12 or later"),
    };
    let missing = facts.missing_capabilities.join(", ");
    let privileges = if missing.is_empty() {
        say(
            Level::Ok,
            "privileges",
            "This process may load programs.".to_owned(),
            "Nothing is loaded without.",
        )
    } else {
        let found = format!("This process lacks {missing}.");
        say(Level::Unsafe, "privileges", found, "Nothing can be loaded, and banchi does not start.")
            .remedy("sudo banchi doctor")
    };
    let bpffs = if facts.has_bpffs {
        say(Level::Ok, "bpffs", "The BPF file system is mounted.".to_owned(), "Pins outlive the agent there.")
    } else {
        let found = "No BPF file system at /sys/fs/bpf.".to_owned();
        let why =
            "The data plane is pinned there, so that it outlives the agent; banchi does not start without.";
        say(Level::Unsafe, "bpffs", found, why).remedy("mount -t bpf bpf /sys/fs/bpf")
    };
    let ring = match facts.has_ring_buffer {
        Some(true) => {
            say(Level::Ok, "ring-buffer", "There are ring buffers.".to_owned(), "Events come through one.")
        }
        Some(false) => say(
            Level::Unsafe,
            "ring-buffer",
            "There are no ring buffers.".to_owned(),
            "Events come through one, and banchi does not start.",
        ),
        None => say(
            Level::Note,
            "ring-buffer",
            "Whether there are ring buffers cannot be told without privilege.".to_owned(),
            "Events come through one.",
        )
        .remedy("sudo banchi doctor"),
    };
    let jit = match facts.has_jit {
        Some(true) => say(Level::Ok, "jit", "Programs are compiled.".to_owned(), "Packets wait for them."),
        Some(false) => say(
            Level::Warning,
            "jit",
            "Programs are interpreted.".to_owned(),
            "Every packet takes many times as long to decide, and may be late for its machine.",
        )
        .remedy("sysctl -w net.core.bpf_jit_enable=1"),
        None => say(
            Level::Note,
            "jit",
            "Whether programs are compiled can be told in the first network namespace only.".to_owned(),
            "Interpreted ones take many times as long.",
        )
        .remedy("nsenter --net=/proc/1/ns/net sysctl net.core.bpf_jit_enable"),
    };
    vec![privileges, release, bpffs, ring, jit]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn good() -> KernelFacts {
        KernelFacts {
            release: "6.1.0".to_owned(),
            lacks: None,
            missing_capabilities: Vec::new(),
            has_bpffs: true,
            has_ring_buffer: Some(true),
            has_jit: Some(true),
        }
    }

    fn level(facts: &KernelFacts, check: &str) -> Level {
        examine(facts).iter().find(|finding| finding.check == check).unwrap().level
    }

    #[test]
    fn a_good_kernel_is_ok_in_everything() {
        assert!(examine(&good()).iter().all(|finding| finding.level == Level::Ok));
    }

    #[test]
    fn what_is_missing_is_unsafe_and_what_is_slow_is_not() {
        let lacks = |what: &str| KernelFacts { lacks: Some(what.to_owned()), ..good() };
        assert_eq!(level(&lacks("BTF"), "release"), Level::Unsafe);
        assert_eq!(level(&KernelFacts { has_bpffs: false, ..good() }, "bpffs"), Level::Unsafe);
        assert_eq!(
            level(&KernelFacts { has_ring_buffer: Some(false), ..good() }, "ring-buffer"),
            Level::Unsafe
        );
        assert_eq!(level(&KernelFacts { has_ring_buffer: None, ..good() }, "ring-buffer"), Level::Note);
        let bare = KernelFacts { missing_capabilities: vec!["CAP_BPF".to_owned()], ..good() };
        assert_eq!(level(&bare, "privileges"), Level::Unsafe);
        assert_eq!(level(&KernelFacts { has_jit: Some(false), ..good() }, "jit"), Level::Warning);
        assert_eq!(level(&KernelFacts { has_jit: None, ..good() }, "jit"), Level::Note);
    }
}
