//! Ethernet II, up to two VLAN tags (IEEE 802.1Q, 802.1ad), and the EtherTypes that keep a network alive.

use super::{Content, Headers, Packet};

/// Offset of the EtherType.
const TYPE: usize = 12;
/// Length of a tag.
const TAG: usize = 4;
/// Length of the header without tags.
const HEADER: usize = 14;

/// EtherTypes that the parser knows.
pub mod ethertype {
    /// Internet Protocol version 4.
    pub const IPV4: u16 = 0x0800;
    /// Address Resolution Protocol.
    pub const ARP: u16 = 0x0806;
    /// Customer VLAN tag.
    pub const VLAN: u16 = 0x8100;
    /// Internet Protocol version 6.
    pub const IPV6: u16 = 0x86dd;
    /// Service VLAN tag.
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// Older service VLAN tag.
    pub const OLD_SERVICE_VLAN: u16 = 0x9100;
    /// Below this value the field is a length, and LLC follows.
    pub const FIRST: u16 = 0x0600;
}

macro_rules! survival {
    ($( $value:literal $name:literal )+) => {
        /// EtherTypes that always pass, with their names.
        pub const SURVIVAL_ETHERTYPES: &[SurvivalEthertype] =
            &[ $( SurvivalEthertype { value: $value, name: $name } ),+ ];
        /// Whether an EtherType always passes.
        #[must_use]
        #[inline(always)]
        pub const fn always_passes(ethertype: u16) -> bool { matches!(ethertype, $( $value )|+) }
    };
}

/// An EtherType that always passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SurvivalEthertype {
    /// Its number.
    pub value: u16,
    /// What it is.
    pub name: &'static str,
}

/// What an EtherType is that always passes.
#[must_use]
pub fn always_passing_name(ethertype: u16) -> Option<&'static str> {
    SURVIVAL_ETHERTYPES.iter().find(|known| known.value == ethertype).map(|known| known.name)
}

survival! {
    0x80e1 "DLR, the ring protocol of EtherNet/IP"
    0x8808 "pause frames"
    0x8809 "slow protocols (LACP)"
    0x888e "EAPOL, port authentication"
    0x88cc "LLDP, link layer discovery"
    0x88e3 "MRP, media redundancy"
    0x88f7 "PTP, precision time"
    0x88fb "PRP and HSR supervision"
    0x892f "HSR, seamless redundancy"
    0x9000 "loop detection"
}

/// A protocol below IP that a policy can let cross, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtEthertype {
    /// Its EtherType; below 0x100 it is a destination SAP of LLC.
    pub value: u16,
    /// Its word in a policy.
    pub word: &'static str,
    /// What it is.
    pub name: &'static str,
}

macro_rules! crossing {
    ($( $value:literal $word:literal $name:literal )+) => {
        /// Protocols below IP that a policy can let cross, by name.
        pub const OT_ETHERTYPES: &[OtEthertype] =
            &[ $( OtEthertype { value: $value, word: $word, name: $name } ),+ ];
    };
}

crossing! {
    0x8892 "profinet" "PROFINET RT and DCP"
    0x88a4 "ethercat" "EtherCAT"
    0x88ab "powerlink" "Ethernet POWERLINK"
    0x88b8 "goose" "IEC 61850 GOOSE"
    0x88b9 "gse" "IEC 61850 GSE management"
    0x88ba "sv" "IEC 61850 sampled values"
    0x88cd "sercos" "SERCOS III"
    0x890f "cc-link-ie" "CC-Link IE Field and Control"
    0x22f0 "avtp" "IEEE 1722 audio and video transport"
    0x88e5 "macsec" "MACsec"
    0x82 "bacnet-ethernet" "BACnet over LLC"
}

/// What an EtherType rule calls a frame: its EtherType, or the destination SAP where the field is a length.
#[inline(always)]
pub fn rule_ethertype<P: Packet>(packet: &P, headers: &Headers) -> u16 {
    if headers.ethertype >= ethertype::FIRST {
        return headers.ethertype;
    }
    packet.u8(headers.l3()).map_or(u16::MAX, u16::from)
}

/// Reads addresses, tags and type. Yields the offset of what follows.
#[inline(always)]
pub(super) fn parse<P: Packet>(packet: &P, headers: &mut Headers) -> Option<usize> {
    let mut kind = packet.u16(TYPE)?;
    let mut next = HEADER;
    if is_tag(kind) {
        let outer = packet.u16(next)? & 0x0fff;
        kind = packet.u16(next + 2)?;
        next += TAG;
        headers.outer_vid = outer;
        if is_tag(kind) {
            let inner = packet.u16(next)? & 0x0fff;
            kind = packet.u16(next + 2)?;
            next += TAG;
            // VID 0 marks priority only: the other tag names the VLAN.
            if outer == 0 {
                headers.outer_vid = inner;
            } else {
                headers.inner_vid = inner;
            }
        }
    }
    headers.ethertype = kind;
    Some(next)
}

/// Reads at most one tag, before IPv4. `None` is any other frame.
#[inline(always)]
pub(super) fn parse_plain<P: Packet>(packet: &P, headers: &mut Headers) -> Option<usize> {
    let (mut kind, mut next) = (packet.u16(TYPE)?, HEADER);
    if kind == ethertype::VLAN {
        headers.outer_vid = packet.u16(next)? & 0x0fff;
        kind = packet.u16(next + 2)?;
        next += TAG;
    }
    headers.ethertype = kind;
    if kind == ethertype::IPV4 { Some(next) } else { None }
}

#[inline(always)]
const fn is_tag(kind: u16) -> bool {
    matches!(kind, ethertype::VLAN | ethertype::SERVICE_VLAN | ethertype::OLD_SERVICE_VLAN)
}

/// What a frame is that carries neither IP nor ARP.
#[inline(always)]
pub(super) fn other<P: Packet>(packet: &P, kind: u16, l3: usize) -> Content {
    let alive = if kind < ethertype::FIRST { llc_survives(packet, l3) } else { always_passes(kind) };
    if alive { Content::Survival } else { Content::OtherEthertype }
}

/// Spanning tree (DSAP 0x42), and Cisco's discovery and spanning tree over SNAP.
#[inline(always)]
fn llc_survives<P: Packet>(packet: &P, l3: usize) -> bool {
    match packet.u16(l3) {
        Some(0x4242) => true,
        Some(0xaaaa) => matches!(packet.u32(l3 + 4), Some(0x000c_2000 | 0x000c_010b)),
        _ => false,
    }
}
