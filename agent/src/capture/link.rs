//! Links: what stands before the IP packet, turned into an Ethernet header.
//!
//! Linktypes and the headers of Linux's cooked captures are those of <https://www.tcpdump.org/linktypes.html>.

use pcap_parser::Linktype;

/// Hardware addresses for links that have none: from one station to another, to a group, to all.
const SOMEBODY: [u8; 6] = [0x02, 0, 0, 0, 0, 2];
const STATION: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const GROUP: [u8; 6] = [0x01, 0, 0, 0, 0, 1];
const ALL: [u8; 6] = [0xff; 6];
const ETHERNET: u16 = 1;

/// Appends a frame as it would be on Ethernet; false where the link is unknown or the header is cut short.
pub(super) fn ethernet(link: Linktype, bytes: &[u8], frame: &mut Vec<u8>) -> bool {
    match link {
        Linktype::ETHERNET => {
            frame.extend_from_slice(bytes);
            true
        }
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => raw(bytes, frame),
        Linktype::NULL | Linktype::LOOP => bytes.get(4..).is_some_and(|packet| raw(packet, frame)),
        Linktype::LINUX_SLL => cooked(bytes, frame).is_some(),
        Linktype::LINUX_SLL2 => cooked2(bytes, frame).is_some(),
        _ => false,
    }
}

fn raw(packet: &[u8], frame: &mut Vec<u8>) -> bool {
    let kind = match packet.first().map(|byte| byte >> 4) {
        Some(4) => [0x08, 0x00],
        Some(6) => [0x86, 0xdd],
        _ => return false,
    };
    header(STATION, SOMEBODY, kind, packet, frame);
    true
}

fn header(to: [u8; 6], from: [u8; 6], kind: [u8; 2], rest: &[u8], frame: &mut Vec<u8>) {
    frame.extend_from_slice(&to);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(&kind);
    frame.extend_from_slice(rest);
}

/// Packet type, ARPHRD, length of the address, 8 bytes of address, protocol; all big-endian.
fn cooked(bytes: &[u8], frame: &mut Vec<u8>) -> Option<()> {
    let from = sender(word(bytes, 2)?, word(bytes, 4)?, bytes.get(6..12)?);
    let kind = bytes.get(14..16)?.try_into().ok()?;
    header(receiver(word(bytes, 0)?), from, kind, bytes.get(16..)?, frame);
    Some(())
}

/// Protocol, reserved, interface index, ARPHRD, packet type, length of the address, 8 bytes of address.
fn cooked2(bytes: &[u8], frame: &mut Vec<u8>) -> Option<()> {
    let length = u16::from(*bytes.get(11)?);
    let from = sender(word(bytes, 8)?, length, bytes.get(12..18)?);
    let kind = bytes.get(0..2)?.try_into().ok()?;
    header(receiver(u16::from(*bytes.get(10)?)), from, kind, bytes.get(20..)?, frame);
    Some(())
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn receiver(packet_type: u16) -> [u8; 6] {
    match packet_type {
        1 => ALL,
        2 => GROUP,
        _ => STATION,
    }
}

fn sender(hardware: u16, length: u16, address: &[u8]) -> [u8; 6] {
    let known = (hardware == ETHERNET && length == 6).then(|| address.try_into().ok()).flatten();
    known.unwrap_or(SOMEBODY)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn of(link: Linktype, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        ethernet(link, bytes, &mut frame).then_some(frame)
    }

    #[test]
    fn cooked_headers_keep_sender_and_protocol() {
        let v1 = [0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0, 0x45];
        assert_eq!(
            of(Linktype::LINUX_SLL, &v1).as_deref(),
            Some(&[255, 255, 255, 255, 255, 255, 1, 2, 3, 4, 5, 6, 8, 0, 0x45][..])
        );
        let v2 = [0x81, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0, 20, 8, 0, 0x45];
        let frame = of(Linktype::LINUX_SLL2, &v2);
        assert_eq!(
            frame.as_deref().map(|f| &f[6..]),
            Some(&[1, 2, 3, 4, 5, 6, 0x81, 0, 0, 20, 8, 0, 0x45][..])
        );
        for cut in 0..v1.len() - 1 {
            assert_eq!(of(Linktype::LINUX_SLL, &v1[..cut]), None, "{cut}");
        }
        for cut in 0..20 {
            assert_eq!(of(Linktype::LINUX_SLL2, &v2[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn raw_packets_are_told_by_their_version() {
        assert!(of(Linktype::RAW, &[0x45, 0]).is_some_and(|f| f.ends_with(&[0x08, 0, 0x45, 0])));
        assert!(of(Linktype::RAW, &[0x60]).is_some_and(|f| f.ends_with(&[0x86, 0xdd, 0x60])));
        assert_eq!(of(Linktype::RAW, &[0x20]), None);
        assert_eq!(of(Linktype::NULL, &[2, 0, 0]), None);
    }
}
