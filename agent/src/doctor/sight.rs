//! What a network card does to a frame before banchi sees it. This alone decides whether enforcing is safe.

use super::facts::{InterfaceFacts, Wanted};
use super::finding::{Finding, Level};
use crate::datapath::{Runs, XdpMode};

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
        checksums(facts),
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
    let level = if wanted.vlans == Some(true) { Level::Unsafe } else { Level::Warning };
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
                let level = if wanted.vlans == Some(true) { Level::Warning } else { Level::Note };
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

fn checksums(facts: &InterfaceFacts) -> Finding {
    let found = if facts.is_on("rx-checksum") {
        "Checksums are checked by the card, or left to the kernel."
    } else {
        "Checksums are checked by the kernel."
    };
    let why = "banchi decides without them, and with `forwarding: stack` the kernel completes them.";
    Finding::new(Level::Ok, &facts.link.name, "checksums", found, why)
}

fn frame_size(facts: &InterfaceFacts, wanted: &Wanted) -> Finding {
    let (name, mtu) = (&facts.link.name, facts.link.mtu);
    let say = |level, found: String, why| Finding::new(level, name, "frame-size", found, why);
    let most = facts.page.saturating_sub(AROUND_A_FRAME + HEADERS);
    let is_generic = match facts.link.xdp {
        Some(attached) if Some(attached.program) == wanted.own => attached.runs == Runs::Generic,
        _ => wanted.mode == XdpMode::Generic,
    };
    if mtu as usize <= most {
        return say(Level::Ok, format!("MTU {mtu}: frames fit one buffer."), "banchi sees the whole frame.");
    }
    let found = format!("MTU {mtu}: frames need not fit one buffer (up to {most} do).");
    if is_generic {
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
