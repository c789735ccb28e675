//! One packet at a time: does it pass?

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use banchi_tests::lab::{Host, Lab, RawSocket};
use banchi_tests::packet::Packet;
use banchi_tests::traffic::uninterrupted;

/// How long a packet may take that passes. One that does not costs this time.
const PATIENCE: Duration = Duration::from_millis(300);

/// Sends UDP packets from one host to another, each told by its own number.
pub(crate) struct Probe<'l> {
    lab: &'l Lab,
    from: (Ipv4Addr, String),
    to: &'l Host,
    socket: RawSocket,
    /// Where the packets arrive, by port: nothing else fills these up.
    ends: BTreeMap<u16, UdpSocket>,
    number: u64,
}

impl<'l> Probe<'l> {
    pub(crate) fn new(lab: &'l Lab, from: &str, to: &str) -> Result<Self> {
        let (client, server) = (lab.host(from), lab.host(to));
        Ok(Self {
            lab,
            from: (client.ipv4(), client.zone().to_owned()),
            to: server,
            socket: client.raw("eth0")?,
            ends: BTreeMap::new(),
            number: 0,
        })
    }

    /// Whether a packet from one port to another passes.
    pub(crate) fn passes(&mut self, ports: (u16, u16)) -> Result<bool> {
        self.passes_from(self.from.0, ports)
    }

    /// The same with another source address.
    pub(crate) fn passes_from(&mut self, source: Ipv4Addr, ports: (u16, u16)) -> Result<bool> {
        let end = match self.ends.entry(ports.1) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.to.udp((self.to.ipv4(), ports.1))?),
        };
        self.number += 1;
        let number = self.number.to_be_bytes();
        let packet = Packet::udp((source, ports.0), (self.to.ipv4(), ports.1)).payload(number);
        self.socket.send(&packet.to_mac(self.lab.gateway_mac(&self.from.1)).build())?;
        let until = Instant::now() + PATIENCE;
        let mut buffer = [0; 64];
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            end.set_read_timeout(Some(left))?;
            match uninterrupted(|| end.recv(&mut buffer)) {
                Ok(length) if buffer[..length] == number => return Ok(true),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    /// Waits until packets pass, or do not. Yields when the first one was sent that did.
    pub(crate) fn until(&mut self, ports: (u16, u16), wanted: bool, patience: Duration) -> Result<Instant> {
        let until = Instant::now() + patience;
        loop {
            let sent = Instant::now();
            if self.passes(ports)? == wanted {
                return Ok(sent);
            }
            ensure!(Instant::now() < until, "after {patience:?}, {ports:?} still passes: {}", !wanted);
        }
    }
}
