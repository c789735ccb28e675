//! ARP over Ethernet and IPv4 (RFC 826).

use super::{Address, Content, Packet};

const SENDER_MAC: usize = 8;
const SENDER: usize = 14;
const LENGTH: usize = 28;

/// Checks that the message is complete and speaks of Ethernet and IPv4.
#[inline(always)]
pub(super) fn parse<P: Packet>(packet: &P, l3: usize) -> Option<Content> {
    let kinds = packet.u32(l3)?;
    let lengths = packet.u16(l3 + 4)?;
    packet.u8(l3 + LENGTH - 1)?;
    if kinds == 0x0001_0800 && lengths == 0x0604 { Some(Content::Arp) } else { Some(Content::Malformed) }
}

/// The address that the sender says is its own, and the hardware address that it gives for it.
#[inline(always)]
pub fn claimed_address<P: Packet>(packet: &P, l3: usize) -> Option<(Address, [u8; 6])> {
    let high = packet.u16(l3 + SENDER_MAC)?.to_be_bytes();
    let low = packet.u32(l3 + SENDER_MAC + 2)?.to_be_bytes();
    let address = packet.u32(l3 + SENDER)?;
    Some((Address { hi: 0, lo: u64::from(address) }, [high[0], high[1], low[0], low[1], low[2], low[3]]))
}
