//! What a network card does to a frame before banchi sees it. This alone decides whether enforcing is safe.

use super::facts::{InterfaceFacts, Wanted};
use super::finding::{Finding, Level};
use crate::datapath::{Runs, XdpMode};
use crate::policy::model::Forwarding;

/// Offloads by the kernel's names, with those that `ethtool -K` takes.
const STRIPPING: [(&str, &str); 2] =
    [("rx-vlan-hw-parse", "rxvlan"), ("rx-vlan-stag-hw-parse", "rx-vlan-stag-hw-parse")];
const FILTERING: [(&str, &str); 2] =
    [("rx-vlan-filter", "rx-vlan-filter"), ("rx-vlan-stag-filter", "rx-vlan-stag-filter")];
const MERGING: [(&str, &str); 2] = [("rx-lro", "lro"), ("rx-gro-hw", "rx-gro-hw")];

/// Bytes of a page that a driver keeps before and behind a frame for XDP: `XDP_PACKET_HEADROOM`, and the kernel's
/// `struct skb_shared_info` on a 64-bit machine.
const AROUND_A_FRAME: usize = 256 + 320;
/// Ethernet header and two tags, which the MTU leaves out.
const HEADERS: usize = 14 + 8;

pub(super) fn examine(facts: &InterfaceFacts, wanted: &Wanted) -> Vec<Finding> {
    let mut findings = seen(facts, wanted);
    findings.extend(onward(facts, wanted));
    findings
}

/// What banchi gets to see.
fn seen(facts: &InterfaceFacts, wanted: &Wanted) -> Vec<Finding> {
    if facts.features.is_none() {
        let found = "The kernel does not tell its offloads.";
        let why = "Whether VLAN tags are taken off or packets merged before banchi sees them is not known.";
        let unknown = Finding::new(Level::Warning, &facts.link.name, "offloads", found, why)
            .remedy(format!("ethtool -k {}", facts.link.name));
        return vec![unknown, frame_size(facts, wanted)];
    }
    vec![
        vlan_tags(facts, wanted),
        vlan_filter(facts, wanted),
        merged_packets(facts),
        checksums(facts, wanted),
        frame_size(facts, wanted),
    ]
}

fn vlan_tags(facts: &InterfaceFacts, wanted: &Wanted) -> Finding {
    let name = &facts.link.name;
    let say = |level, found: String, why| Finding::new(level, name, "vlan-tags", found, why);
    let hidden = match wanted.vlans {
        Some(true) => {
            "The policy tells zones apart by VLAN here: tagged frames would count as untagged, and get \
                       the verdict of another zone."
        }
        _ => "A tagged frame would count as untagged, and pass as one.",
    };
    let is_sent_on = wanted.forwarding != Forwarding::Stack;
    let hidden = if is_sent_on && wanted.vlans != Some(true) {
        "A tagged frame would count as untagged, and be sent on without its tag."
    } else {
        hidden
    };
    let level = if wanted.vlans == Some(true) || is_sent_on { Level::Unsafe } else { Level::Warning };
    // A veth takes no tag off, whatever it says: what counts is whether its other end puts it into the frame, which
    // was tested (`--test cli doctor`).
    if facts.driver == "veth" {
        return match &facts.peer {
            Some((_, false)) => say(Level::Ok, "VLAN tags are in the frame.".to_owned(), "banchi sees them."),
            Some((peer, true)) => {
                let found = format!("The other end, {peer}, keeps VLAN tags beside the frame.");
                say(level, found, hidden)
                    .remedy(format!("ethtool -K {peer} txvlan off tx-vlan-stag-hw-insert off"))
            }
            None => {
                let matters = wanted.vlans == Some(true) || is_sent_on;
                let level = if matters { Level::Warning } else { Level::Note };
                let found = "The other end of this veth is in another namespace, and may keep VLAN tags beside the frame.";
                say(level, found.to_owned(), hidden)
                    .remedy("ethtool -K PEER txvlan off tx-vlan-stag-hw-insert off")
            }
        };
    }
    match turn_off(facts, &STRIPPING) {
        None => say(Level::Ok, "VLAN tags stay in the frame.".to_owned(), "banchi sees them."),
        Some(off) => {
            let found = "The card takes VLAN tags off before banchi sees the frame.".to_owned();
            say(level, found, hidden).remedy(off)
        }
    }
}

fn vlan_filter(facts: &InterfaceFacts, wanted: &Wanted) -> Finding {
    let say = |level, found: &str, why| Finding::new(level, &facts.link.name, "vlan-filter", found, why);
    match turn_off(facts, &FILTERING) {
        Some(off) if wanted.vlans != Some(false) => say(
            Level::Warning,
            "The card drops VLANs that nobody has registered.",
            "Such frames are lost before banchi sees them, in alert mode too, and are in no event; a bridge is not \
             concerned.",
        )
        .remedy(off),
        Some(_) => say(Level::Ok, "The card drops VLANs that nobody has registered.", "The policy uses none here."),
        None => say(Level::Ok, "The card drops no VLAN by itself.", "banchi sees all."),
    }
}

fn merged_packets(facts: &InterfaceFacts) -> Finding {
    let say = |level, found: &str, why| Finding::new(level, &facts.link.name, "merged-packets", found, why);
    match turn_off(facts, &MERGING) {
        None => say(Level::Ok, "The card hands over packets one by one.", "banchi decides about each."),
        Some(off) => say(
            Level::Unsafe,
            "The card merges packets before banchi sees them (LRO or GRO-HW).",
            "Only the first message of what was merged is looked at, so that a command behind it passes unseen; and \
             what is too long for one buffer may not be seen at all.",
        )
        .remedy(off),
    }
}

fn checksums(facts: &InterfaceFacts, wanted: &Wanted) -> Finding {
    let say = |level, found: &str, why: &str| Finding::new(level, &facts.link.name, "checksums", found, why);
    if wanted.forwarding != Forwarding::Stack && facts.driver == "veth" {
        let lost = "What is sent on without the stack keeps a checksum that nobody completes, and is dropped where \
                    it arrives.";
        match (&facts.peer, facts.peer_leaves_checksums) {
            (Some((peer, _)), Some(true)) => {
                return say(
                    Level::Unsafe,
                    &format!("The other end, {peer}, leaves checksums to a card."),
                    lost,
                )
                .remedy(format!("ethtool -K {peer} tx off"));
            }
            (None, _) => {
                let found =
                    "The other end of this veth is in another namespace, and may leave checksums to a card.";
                return say(Level::Note, found, lost).remedy("ethtool -K PEER tx off");
            }
            _ => {}
        }
    }
    let found = if facts.is_on("rx-checksum") {
        "Checksums are checked by the card, or left to the kernel."
    } else {
        "Checksums are checked by the kernel."
    };
    let why = match wanted.forwarding {
        Forwarding::Stack => "banchi decides without them, and the kernel completes them.",
        Forwarding::Route | Forwarding::Wire => "banchi decides without them, and sends them on as they are.",
    };
    say(Level::Ok, found, why)
}

/// Whether frames get in and out where the program sends them on itself.
fn onward(facts: &InterfaceFacts, wanted: &Wanted) -> Vec<Finding> {
    if wanted.forwarding == Forwarding::Stack || wanted.forwarding == Forwarding::Wire && !wanted.is_end {
        return Vec::new();
    }
    let mut findings = vec![redirects(facts, wanted)];
    if wanted.is_end {
        findings.push(promiscuous(facts, wanted));
    }
    findings
}

/// Whether the interface sends what comes in by another one.
fn redirects(facts: &InterfaceFacts, wanted: &Wanted) -> Finding {
    let name = &facts.link.name;
    let say = |level, found: String, why| Finding::new(level, name, "redirects", found, why);
    if is_generic(facts, wanted) {
        return say(Level::Ok, "Generic XDP sends through every interface.".to_owned(), "Frames leave here.");
    }
    let lost = "What the program sends here vanishes without a trace.";
    match (facts.takes_redirects, facts.driver.as_str()) {
        (Some(true), _) => {
            say(Level::Ok, "It sends what a program redirects to it.".to_owned(), "Frames leave here.")
        }
        (Some(false), "veth") => {
            let peer = facts.peer.as_ref().map_or("PEER", |(peer, _)| peer);
            let found = "The other end of this veth has neither GRO nor an XDP program.".to_owned();
            say(Level::Unsafe, found, lost).remedy(format!("ethtool -K {peer} gro on"))
        }
        (Some(false), driver) => {
            let found = format!("Driver {driver} does not send what a native program redirects to it.");
            say(Level::Unsafe, found, lost).remedy("banchi run --xdp-mode generic")
        }
        (None, driver) => {
            let found = format!(
                "Whether driver {driver} sends what a program redirects to it, this kernel does not tell."
            );
            say(Level::Note, found, "Kernels do from Linux 6.3 on. Try it before a line depends on it.")
        }
    }
}

/// Whether an end of a wire takes frames that are for others.
fn promiscuous(facts: &InterfaceFacts, wanted: &Wanted) -> Finding {
    let name = &facts.link.name;
    let say = |level, found: &str, why| Finding::new(level, name, "promiscuous", found, why);
    if facts.link.is_promiscuous {
        return say(Level::Ok, "It takes frames that are for others.", "An end of a wire has to.");
    }
    let found = "It drops frames that are for others.";
    match facts.link.xdp {
        Some(attached) if Some(attached.program) == wanted.own => {
            say(Level::Warning, found, "They do not cross the wire. A running agent sets it within a second.")
                .remedy(format!("ip link set dev {name} promisc on"))
        }
        _ => say(Level::Ok, found, "banchi makes it promiscuous when it starts."),
    }
}

/// Whether the program runs, or is to run, in the stack.
fn is_generic(facts: &InterfaceFacts, wanted: &Wanted) -> bool {
    match facts.link.xdp {
        Some(attached) if Some(attached.program) == wanted.own => attached.runs == Runs::Generic,
        _ => wanted.mode == XdpMode::Generic,
    }
}

fn frame_size(facts: &InterfaceFacts, wanted: &Wanted) -> Finding {
    let (name, mtu) = (&facts.link.name, facts.link.mtu);
    let say = |level, found: String, why| Finding::new(level, name, "frame-size", found, why);
    let most = facts.page.saturating_sub(AROUND_A_FRAME + HEADERS);
    if mtu as usize <= most {
        return say(Level::Ok, format!("MTU {mtu}: frames fit one buffer."), "banchi sees the whole frame.");
    }
    let found = format!("MTU {mtu}: frames need not fit one buffer (up to {most} do).");
    if is_generic(facts, wanted) {
        let why = "Generic XDP puts each of them together first, which takes time.";
        return say(Level::Note, found, why);
    }
    if facts.driver == "veth" {
        // Tested (`--test cli doctor`): it refuses where the other end's frames would not fit.
        let why = "What counts for a veth is the MTU of its other end, and the driver checks that itself.";
        return say(Level::Note, found, why);
    }
    let why = "The program takes frames of one buffer: a driver has to refuse native XDP, or longer frames are lost \
               or cross unseen.";
    say(Level::Unsafe, found, why).remedy(format!("ip link set dev {name} mtu 1500"))
}

/// The command that turns those off that are on; `None` where none is.
fn turn_off(facts: &InterfaceFacts, features: &[(&str, &str)]) -> Option<String> {
    let on: Vec<&(&str, &str)> = features.iter().filter(|(feature, _)| facts.is_on(feature)).collect();
    if on.is_empty() {
        return None;
    }
    if on.iter().all(|(feature, _)| facts.is_fixed(feature)) {
        // Of virtual machines, mostly: what the host offers cannot be refused inside.
        return Some(format!("ethtool -i {}  # no switch: turn it off at the host", facts.link.name));
    }
    let words: Vec<String> = on.iter().map(|(_, word)| format!("{word} off")).collect();
    Some(format!("ethtool -K {} {}", facts.link.name, words.join(" ")))
}

#[cfg(test)]
mod tests;
