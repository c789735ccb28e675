//! Traffic that never pauses: each question has a number, and waits for its own answer.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{UdpEcho, uninterrupted};
use crate::lab::{Host, Lab};
use anyhow::{Context as _, Result, ensure};

/// How long a question waits before its loss is a failure. Nothing here is that slow, but the machine may be.
const PATIENCE: Duration = Duration::from_secs(5);

/// Exchanges between `scada` and `plc-1` in both directions, over both interfaces, until it is stopped.
#[derive(Debug)]
pub struct Exchanges {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<u64>>>,
    done: Arc<AtomicU64>,
    _echoes: Vec<UdpEcho>,
}

impl Exchanges {
    /// Source and destination port of what `scada` asks.
    pub const POLLING: (u16, u16) = (7000, 8000);
    /// Source and destination port of what `plc-1` asks.
    pub const REPORTS: (u16, u16) = (7010, 8010);

    /// Starts servers and clients.
    ///
    /// # Errors
    /// If an address or a port cannot be had.
    pub fn start(lab: &Lab) -> Result<Self> {
        let (scada, plc) = (lab.host("scada"), lab.host("plc-1"));
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (mut threads, mut echoes) = (Vec::new(), Vec::new());
        let mut pair = |client: &Host, server: &Host, (source, port): (u16, u16)| -> Result<()> {
            echoes.push(UdpEcho::new(server, server.ipv4(), &[port])?);
            let socket = client.udp((client.ipv4(), source))?;
            let to = SocketAddr::from((server.ipv4(), port));
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            threads.push(std::thread::spawn(move || ask_until(&stop, &socket, to, &done)));
            Ok(())
        };
        pair(scada, plc, Self::POLLING)?;
        pair(plc, scada, Self::REPORTS)?;
        Ok(Self { stop, threads, done, _echoes: echoes })
    }

    /// Exchanges so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits until there have been some more exchanges than `before`.
    ///
    /// # Errors
    /// If there are none.
    pub fn go_on(&self, before: u64) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.done() < before + 100 {
            ensure!(Instant::now() < until, "the traffic stands still");
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Ends it; yields the number of exchanges.
    ///
    /// # Errors
    /// If any exchange failed, or none took place.
    ///
    /// # Panics
    /// If a client did.
    pub fn finish(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = 0;
        for thread in self.threads.drain(..) {
            sum += thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))?;
        }
        ensure!(sum > 0, "no exchange took place");
        Ok(sum)
    }
}

impl Drop for Exchanges {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn ask_until(stop: &AtomicBool, socket: &UdpSocket, to: SocketAddr, done: &AtomicU64) -> Result<u64> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut number: u64 = 0;
    let mut buffer = [0; 64];
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        socket.send_to(&number.to_be_bytes(), to)?;
        let length = uninterrupted(|| socket.recv(&mut buffer))
            .with_context(|| format!("{to} did not answer question {number}"))?;
        ensure!(buffer[..length] == number.to_be_bytes(), "{to}: another answer than that to {number}");
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(number)
}
