//! What random packets carry: payloads of every class, and frames without IP.

use banchi::policy::model::{Direction, Service};
use banchi_tests::oracle::{Body, TestPacket};

use super::packets::Packets;
use super::policies::BELOW_IP;

/// The longest payload. What a packet quotes, and what a defect claims, hangs on it.
const LONGEST: usize = 30;

/// How datagrams of known protocols begin: requests, answers, announcements, and what is none of these.
const SAMPLES: [&[u8]; 14] = [
    // BACnet/IP: read property, its answer, an error; who-is, i-am, change of value; forwarded; network layer.
    &[0x81, 0x0a, 0, 0x11, 1, 4, 0, 5, 1, 0x0c, 0x0c, 2, 0, 0, 1, 0x19, 0x55],
    &[0x81, 0x0a, 0, 0x17, 1, 0, 0x30, 1, 0x0c, 0x0c, 2, 0, 0, 1, 0x19, 0x55, 0x3e, 0x44, 0, 0, 0, 0, 0x3f],
    &[0x81, 0x0a, 0, 0x0d, 1, 0, 0x50, 1, 0x0c, 0x91, 2, 0x91, 0x20],
    &[0x81, 0x0b, 0, 0x0c, 1, 0x20, 0xff, 0xff, 0, 0xff, 0x10, 8],
    &[0x81, 0x0b, 0, 0x14, 1, 0, 0x10, 0, 0xc4, 2, 0, 0, 1, 0x22, 5, 0xc4, 0x91, 0, 0x21, 0x18],
    &[0x81, 0x0a, 0, 0x0a, 1, 0, 0x10, 2, 9, 1],
    &[0x81, 4, 0, 0x12, 10, 0, 0, 1, 0xba, 0xc0, 1, 0x20, 0xff, 0xff, 0, 0xff, 0x10, 8],
    &[0x81, 0x0b, 0, 7, 1, 0x80, 0],
    // SLMP: 3E request and response, 4E request and response, 1E request and response.
    &[0x50, 0, 0, 0xff, 0xff, 3, 0, 0x0c, 0, 0x10, 0, 1, 4, 0, 0, 0x64, 0, 0, 0xa8, 3, 0],
    &[0xd0, 0, 0, 0xff, 0xff, 3, 0, 4, 0, 0, 0, 0x34, 0x12],
    &[0x54, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 3, 0, 0x0c, 0, 0x10, 0, 1, 4, 0, 0, 0x64, 0, 0, 0xa8, 3, 0],
    &[0xd4, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 3, 0, 2, 0, 0, 0],
    &[1, 0xff, 0x0a, 0, 0x64, 0, 0, 0, 0x20, 0x44, 3, 0],
    &[0x81, 0, 0x34, 0x12, 2, 0],
];

impl Packets<'_> {
    /// A payload as the service could have it.
    pub(super) fn fill(&mut self, packet: &mut TestPacket, service: &Service) {
        packet.payload = match &service.direction {
            Some(Direction::Named(_)) if self.chance(70) => {
                SAMPLES[self.rng.usize(0..SAMPLES.len())].to_vec()
            }
            _ => {
                let length = self.rng.usize(0..=LONGEST);
                std::iter::repeat_with(|| self.rng.u8(..)).take(length).collect()
            }
        };
        if let Some(Direction::Custom { at, mask, request, response }) = &service.direction {
            let at = usize::from(*at);
            if at < LONGEST && self.chance(90) {
                let other = self.rng.u8(..);
                let bits = self.pick(&[*request, *request, *response, *response, other]);
                let length = (at + 1).max(packet.payload.len());
                packet.payload.resize(length, 0x5a);
                packet.payload[at] = packet.payload[at] & !mask | bits & mask;
                if self.chance(8) {
                    // The byte is not there; where the frame is short, padding is.
                    packet.payload.truncate(at);
                }
            }
        }
        if self.chance(5) {
            let cut = self.rng.usize(0..=packet.payload.len());
            packet.payload.truncate(cut);
        }
        packet.trailer = if self.chance(10) { self.rng.usize(0..=packet.payload.len()) } else { 0 };
    }

    /// Neither IP nor ARP.
    pub(super) fn below_ip(&mut self) -> Body {
        if self.chance(40) {
            let kinds = [0x88cc, 0x88f7, 0x8100 - 1, 0x9000, 0x88a4, 0x05ff, 0x0600];
            let listed = BELOW_IP.into_iter().filter(|kind| *kind >= 0x600);
            let all: Vec<u16> = kinds.into_iter().chain(listed).collect();
            return Body::Ethertype(self.pick(&all));
        }
        let saps = [0x42, 0x42, 0xaa, 0xaa, 0x06, 0x82, 0x82, 0xf0, 0x00];
        let destination = self.pick(&saps);
        let source = if self.chance(70) { destination } else { self.pick(&saps) };
        // A length is no SAP.
        let length = self.pick(&[8, 46, 0x82, 0xaa]);
        Body::Llc { destination, source, cisco: self.rng.bool(), length }
    }
}
