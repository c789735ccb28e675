//! One protocol of one capture, packet by packet.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use banchi_common::direction::Class;
use banchi_common::reason::Reason;
use banchi_tests::pcap::{self, Recording};

use crate::compare::Tally;
use crate::dissector::{self, Dissected};
use crate::packet::{self, Packet};
use crate::program::Programs;
use crate::table::Capture;

/// The packets of a capture that have a payload and a port of the protocol.
pub(crate) struct Replay<'c> {
    path: PathBuf,
    capture: &'c Capture,
    frames: usize,
    packets: Vec<Recorded>,
}

struct Recorded {
    /// As other tools count it.
    number: usize,
    at: Duration,
    frame: Vec<u8>,
    packet: Packet,
    /// Whether its source port, and its destination port, are ports of a server.
    ports: [bool; 2],
    /// Whether its sender is the client.
    asks: bool,
}

impl<'c> Replay<'c> {
    pub(crate) fn read(path: &Path, capture: &'c Capture) -> Self {
        let Recording { frames, cut } = pcap::read(path).unwrap();
        assert_eq!(cut, capture.cut, "{}: the end of the file", path.display());
        let mut packets = Vec::new();
        let mut at = Duration::ZERO;
        for (number, recorded) in (1..).zip(&frames) {
            // Merged captures jump.
            at = at.max(recorded.at);
            let mut frame = recorded.ethernet().unwrap_or_default();
            let Some(mut packet) = Packet::read(&frame) else { continue };
            let ports = [packet.source.1, packet.destination.1].map(|port| capture.ports.contains(&port));
            if packet.carrier == capture.carrier && packet.start < packet.end && ports != [false, false] {
                let asks = asks(capture, &packet, ports);
                packet::part(&mut frame, &mut packet, asks);
                packets.push(Recorded { number, at, frame, packet, ports, asks });
            }
        }
        Self { path: path.to_owned(), capture, frames: frames.len(), packets }
    }

    /// With the clients that ask.
    pub(crate) fn run(&self, tshark: bool) -> Tally {
        let capture = self.capture;
        let dissected: Option<Vec<Dissected>> = (tshark && dissector::knows(capture.protocol))
            .then(|| dissector::dissect(&self.path, capture.decode_as, capture.cut));
        if let Some(dissected) = &dissected {
            assert_eq!(dissected.len(), self.frames, "{}: tshark sees other frames", self.path.display());
        }
        let mut programs = self.programs(false);
        let mut tally = Tally::default();
        for recorded in &self.packets {
            let by_ports = match recorded.ports {
                [true, true] => None,
                [_, to_server] => Some(if to_server { Class::Request } else { Class::Response }),
            };
            let by_tshark = dissected.as_ref().map(|all| all[recorded.number - 1].class(capture.protocol));
            let outcome = programs.run(&recorded.frame, &recorded.packet, recorded.at);
            tally.add(recorded.number, &outcome, by_ports, by_tshark);
        }
        tally
    }

    /// With each client in the place of its server, where the ports do not tell them apart: a row of the document,
    /// and what is wrong.
    pub(crate) fn run_exchanged(&self) -> Option<(String, String)> {
        if self.packets.iter().any(|recorded| recorded.ports != [true, true]) {
            return None;
        }
        let mut programs = self.programs(true);
        let mut requests = BTreeMap::new();
        let (mut packets, mut reported) = (0, 0);
        for recorded in self.packets.iter().filter(|recorded| recorded.is_between_hosts()) {
            let outcome = programs.run(&recorded.frame, &recorded.packet, recorded.at);
            packets += 1;
            reported += usize::from(outcome.reason != Reason::Allowed);
            if outcome.class == Class::Request {
                *requests.entry(outcome.reason).or_insert(0) += 1;
            }
        }
        let asked: usize = requests.values().sum();
        let stopped = requests.get(&Reason::ReversedDirection).copied().unwrap_or(0);
        let Capture { file, protocol, .. } = self.capture;
        let row = format!("| {file} | `{protocol}` | {packets} | {asked} | {stopped} | {reported} |\n");
        let wrong = if asked == stopped {
            String::new()
        } else {
            format!("  requests of what is no client any more: {requests:?}\n")
        };
        Some((row, wrong))
    }

    fn programs(&self, exchanged: bool) -> Programs {
        let packets = self.packets.iter().filter(|recorded| !exchanged || recorded.is_between_hosts());
        let ends = packets.map(|recorded| (&recorded.packet, recorded.asks != exchanged));
        Programs::new(self.capture.protocol, self.capture.carrier, self.capture.ports, ends)
    }
}

impl Recorded {
    fn is_between_hosts(&self) -> bool {
        !packet::is_group(self.packet.destination.0)
    }
}

/// Whether a packet's sender is the client: by its ports, or where both are the server's, by the table.
fn asks(capture: &Capture, packet: &Packet, ports: [bool; 2]) -> bool {
    let listed = |address: IpAddr| capture.clients.contains(&address.to_string().as_str());
    match ports {
        [true, true] => {
            let (from, to) = (packet.source.0, packet.destination.0);
            listed(from) || !listed(to) && !packet::is_group(to) && from < to
        }
        [_, to_server] => to_server,
    }
}
