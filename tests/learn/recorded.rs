//! Traffic that a test makes up, frame by frame with its time.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use banchi::capture::Frame;
use banchi::learn::{Flow, Table, Traffic, flows};
use banchi_tests::packet::{Packet, flags};

/// Nanoseconds.
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MS;
/// Noon of a day, in nanoseconds since 1970.
pub(crate) const START: u64 = 1_750_075_200 * SECOND;

/// Frames with their times.
#[derive(Default, Clone)]
pub(crate) struct Recorded {
    pub(crate) frames: Vec<(u64, Vec<u8>)>,
}

/// Bytes that no protocol of the data plane takes for its own.
pub(crate) fn noise(seed: u64) -> Vec<u8> {
    (0..12).map(|at| 0xe0 | (seed.wrapping_mul(31).wrapping_add(at * 7) % 13) as u8).collect()
}

impl Recorded {
    /// Adds a frame at a time after the start.
    pub(crate) fn add(&mut self, at: u64, packet: &Packet) {
        self.frames.push((START + at, packet.build()));
    }

    /// A client asks `times` times, every `period`, and is answered after `latency`.
    pub(crate) fn poll(&mut self, client: &str, server: &str, times: u64, period: u64, latency: u64) {
        for n in 0..times {
            // Nothing in a plant is exact.
            let at = n * period + (n * 7919) % 13 * period / 200;
            self.add(at, &Packet::udp(client, server).payload(noise(n)));
            self.add(at + latency + n % 5 * latency / 20, &Packet::udp(server, client).payload(noise(n + 3)));
        }
    }

    /// A TCP connection with an opening, and so many questions.
    pub(crate) fn connect(&mut self, at: u64, client: &str, server: &str, questions: u64) {
        self.add(at, &Packet::tcp(client, server, flags::SYN));
        self.add(at + MS, &Packet::tcp(server, client, flags::SYN | flags::ACK));
        for n in 0..questions {
            let at = at + 2 * MS + n * 100 * MS;
            self.add(at, &Packet::tcp(client, server, flags::ACK).payload(noise(n)));
            self.add(at + 5 * MS, &Packet::tcp(server, client, flags::ACK).payload(noise(n + 1)));
        }
    }

    /// In the order of time.
    pub(crate) fn sorted(mut self) -> Self {
        self.frames.sort();
        self
    }

    /// As frames of a capture.
    pub(crate) fn captured(&self) -> impl Iterator<Item = Frame> {
        (1..).zip(&self.frames).map(|(number, (at, bytes))| Frame {
            at: *at,
            file: 0,
            number,
            interface: None,
            bytes: bytes.clone(),
            missing: 0,
        })
    }

    pub(crate) fn traffic(&self) -> Traffic {
        let mut table = Table::new(100_000);
        self.captured().for_each(|frame| table.packet(&frame));
        table.finish()
    }

    pub(crate) fn flows(&self) -> Vec<Flow> {
        flows(&self.traffic())
    }

    /// Writes a pcap file in nanoseconds, high byte first.
    pub(crate) fn write(&self, path: &Path) {
        let mut file = BufWriter::new(File::create(path).unwrap());
        for word in [0xa1b2_3c4d_u32, 0x0002_0004, 0, 0, 65_535, 1] {
            file.write_all(&word.to_be_bytes()).unwrap();
        }
        for (at, bytes) in &self.frames {
            let length = bytes.len() as u32;
            for word in [(at / SECOND) as u32, (at % SECOND) as u32, length, length] {
                file.write_all(&word.to_be_bytes()).unwrap();
            }
            file.write_all(bytes).unwrap();
        }
    }
}
