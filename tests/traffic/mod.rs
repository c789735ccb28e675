//! The four port idioms of plants with plain sockets: servers that answer, and the clients that ask them.
//!
//! All is deterministic: payloads are given, ports are pinned, and each question waits for its own answer.

mod exchanges;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use crate::Endpoint;
use crate::lab::{DEADLINE, Namespace, is_timeout};

pub use exchanges::Exchanges;

/// The pinned source port of an engineering tool, and the ports of the modules that it talks to: idiom "pinned
/// source, diverging destination".
pub const PINNED_SOURCE: u16 = 5010;

/// See [`PINNED_SOURCE`].
pub const DIVERGING: [u16; 12] = [5011, 5012, 5020, 5021, 5022, 5023, 5024, 5025, 5026, 5027, 5028, 5029];

/// The source port and the base of the idiom "address-linked port".
pub const LINKED_BASE: u16 = 6000;

/// The port that belongs to an address by the relation base plus last octet.
pub fn linked_port(address: Ipv4Addr) -> u16 {
    LINKED_BASE + u16::from(address.octets()[3])
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The right answer came back.
    Answered,
    /// Nothing came back in time.
    Silent,
    /// Somebody refused: a TCP reset or an ICMP error.
    Refused,
}

/// A UDP server on any number of ports that sends back whatever it gets; it ends when dropped.
#[derive(Debug)]
pub struct UdpEcho {
    thread: Option<JoinHandle<()>>,
    stop: Arc<OwnedFd>,
    asked: Arc<AtomicU32>,
}

/// A TCP server that sends back whatever it gets; it ends when dropped.
#[derive(Debug)]
pub struct TcpEcho {
    thread: Option<JoinHandle<()>>,
    listener: TcpListener,
}

impl UdpEcho {
    /// Listens on all `ports` of `address` in the namespace; ready when this returns.
    ///
    /// # Errors
    /// If the address is not one of the host's or a port is taken.
    pub fn new(host: &Namespace, address: impl Into<IpAddr>, ports: &[u16]) -> Result<Self> {
        Self::answering(host, address, ports, |_| {})
    }

    /// The same, with an answer that is made of the question.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn answering(
        host: &Namespace,
        address: impl Into<IpAddr>,
        ports: &[u16],
        answer: fn(&mut [u8]),
    ) -> Result<Self> {
        let make = answer;
        let address = address.into();
        let sockets: Vec<_> = ports.iter().map(|&port| host.udp((address, port))).collect::<Result<_>>()?;
        sockets.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let asked = Arc::new(AtomicU32::new(0));
        let answer = {
            let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
            move || answer_until(&stop, &sockets, &asked, make)
        };
        Ok(Self { thread: Some(std::thread::spawn(answer)), stop, asked })
    }

    /// How many questions arrived, which is what tells a dropped question from a dropped answer.
    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer_until(stop: &OwnedFd, sockets: &[UdpSocket], asked: &AtomicU32, make: fn(&mut [u8])) {
    let mut buffer = [0; 2048];
    loop {
        let mut waiting: Vec<_> = sockets.iter().map(|s| PollFd::new(s, PollFlags::IN)).collect();
        waiting.push(PollFd::new(stop, PollFlags::IN));
        if poll(&mut waiting, None).is_err() || waiting.last().is_some_and(|stop| !stop.revents().is_empty())
        {
            return;
        }
        for socket in sockets {
            // Whatever else it reports is an ICMP error about an earlier answer, and thereby taken note of.
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                asked.fetch_add(1, Ordering::SeqCst);
                make(&mut buffer[..length]);
                let _ = socket.send_to(&buffer[..length], from);
            }
        }
    }
}

impl TcpEcho {
    /// Listens; ready when this returns.
    ///
    /// # Errors
    /// If the address is not one of the host's or the port is taken.
    pub fn new(host: &Namespace, listen: impl Endpoint) -> Result<Self> {
        let listener = host.tcp_listener(listen)?;
        let accepting = listener.try_clone()?;
        let serve = move || {
            for stream in accepting.incoming() {
                let Ok(mut stream) = stream else { return };
                std::thread::spawn(move || {
                    let _ = stream.try_clone().and_then(|mut from| io::copy(&mut from, &mut stream));
                });
            }
        };
        Ok(Self { thread: Some(std::thread::spawn(serve)), listener })
    }
}

impl Drop for TcpEcho {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Asks over UDP from a pinned port and waits for the same bytes to come back from where they were sent.
///
/// # Errors
/// If the socket cannot be opened, or something else comes back.
pub fn ask_udp(
    host: &Namespace,
    from: impl Endpoint,
    to: impl Endpoint,
    question: &[u8],
    patience: Duration,
) -> Result<Outcome> {
    exchange_udp(host, from, to, question, question, patience)
}

/// The same, with an answer that is not the question.
///
/// # Errors
/// As [`ask_udp`].
pub fn exchange_udp(
    host: &Namespace,
    from: impl Endpoint,
    to: impl Endpoint,
    question: &[u8],
    answer: &[u8],
    patience: Duration,
) -> Result<Outcome> {
    let to = to.endpoint();
    let socket = host.udp(from)?;
    socket.connect(to)?;
    ask(&socket, question, answer, patience).with_context(|| format!("asking {to} over UDP"))
}

/// A FINS command (synthetic, after Omron W342): read the state of the controller.
pub const FINS_COMMAND: [u8; 13] = [0x80, 0, 2, 0, 1, 0, 0, 2, 0, 7, 0x06, 0x01, 0];

/// Makes the response to a FINS command of it.
pub fn answer_fins(message: &mut [u8]) {
    if let Some(first) = message.first_mut() {
        *first |= 0x40;
    }
}

/// Opens a connection from `from` (port 0 for any), sends, and waits for the same bytes to come back.
///
/// # Errors
/// If the socket cannot be opened, or something else comes back.
pub fn ask_tcp(
    host: &Namespace,
    from: impl Endpoint,
    to: impl Endpoint,
    question: &[u8],
    patience: Duration,
) -> Result<Outcome> {
    let to = to.endpoint();
    let stream = match host.tcp(from, to, patience) {
        Ok(stream) => stream,
        Err(error) => return outcome(error).with_context(|| format!("connecting to {to}")),
    };
    converse(stream, question, patience).with_context(|| format!("asking {to} over TCP"))
}

/// Idiom "pinned source, diverging destination": one socket on [`PINNED_SOURCE`] asks every port of [`DIVERGING`].
///
/// # Errors
/// As [`ask_udp`].
pub fn ask_diverging(host: &Namespace, from: IpAddr, to: IpAddr) -> Result<Vec<(u16, Outcome)>> {
    let ports = DIVERGING.iter().map(|&port| SocketAddr::from((to, port)));
    let outcomes = ask_each(host, (from, PINNED_SOURCE).into(), ports)?;
    Ok(outcomes.into_iter().map(|(to, outcome)| (to.port(), outcome)).collect())
}

/// Idiom "address-linked port": one socket on [`LINKED_BASE`] asks each server on the port that its address gives.
///
/// # Errors
/// As [`ask_udp`].
pub fn ask_linked(host: &Namespace, from: Ipv4Addr, to: &[Ipv4Addr]) -> Result<Vec<(SocketAddr, Outcome)>> {
    let servers = to.iter().map(|&address| SocketAddr::from((address, linked_port(address))));
    ask_each(host, (from, LINKED_BASE).into(), servers)
}

fn ask_each(
    host: &Namespace,
    from: SocketAddr,
    servers: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<(SocketAddr, Outcome)>> {
    let socket = host.udp(from)?;
    let ask_one = |to: SocketAddr| {
        socket.connect(to)?;
        let outcome = ask(&socket, to.to_string().as_bytes(), to.to_string().as_bytes(), DEADLINE);
        Ok((to, outcome.with_context(|| format!("asking {to} from port {}", from.port()))?))
    };
    servers.map(ask_one).collect()
}

fn ask(socket: &UdpSocket, question: &[u8], answer: &[u8], patience: Duration) -> Result<Outcome> {
    socket.set_read_timeout(Some(patience))?;
    let mut buffer = [0; 2048];
    let asked = socket.send(question).and_then(|_| uninterrupted(|| socket.recv(&mut buffer)));
    match asked {
        Ok(length) => {
            anyhow::ensure!(buffer[..length] == *answer, "another answer: {:02x?}", &buffer[..length]);
            Ok(Outcome::Answered)
        }
        Err(error) => outcome(error),
    }
}

/// A wait with a timeout is not taken up again by itself where a machine that was stopped goes on.
///
/// # Errors
/// Those of the call, but an interruption.
pub fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn converse(mut stream: TcpStream, question: &[u8], patience: Duration) -> Result<Outcome> {
    stream.set_read_timeout(Some(patience))?;
    let mut buffer = vec![0; question.len()];
    match stream.write_all(question).and_then(|()| stream.read_exact(&mut buffer)) {
        Ok(()) => {
            anyhow::ensure!(buffer == question, "another answer: {buffer:02x?}");
            Ok(Outcome::Answered)
        }
        Err(error) => outcome(error),
    }
}

fn outcome(error: io::Error) -> Result<Outcome> {
    match error.kind() {
        _ if is_timeout(&error) => Ok(Outcome::Silent),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Ok(Outcome::Refused),
        _ => Err(error.into()),
    }
}
