//! Sockets inside a namespace. They stay there wherever they are used from.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

use super::raw::RawSocket;
use super::{DEADLINE, Namespace};
use crate::Endpoint;

/// How long a port may stay taken before that counts as an error.
const BUSY: Duration = Duration::from_secs(1);

impl Namespace {
    /// A UDP socket bound to `local` (port 0 for any); it waits [`DEADLINE`] for a packet.
    ///
    /// # Errors
    /// If the address is not one of the host's or the port is taken.
    pub fn udp(&self, local: impl Endpoint) -> Result<UdpSocket> {
        let local = local.endpoint();
        let bound = self.run(|| once_free(|| UdpSocket::bind(local)));
        let socket = bound.with_context(|| format!("UDP {local} in {}", self.netns()))?;
        socket.set_read_timeout(Some(DEADLINE))?;
        Ok(socket)
    }

    /// A TCP socket that listens on `local`.
    ///
    /// # Errors
    /// If the address is not one of the host's or the port is taken.
    pub fn tcp_listener(&self, local: impl Endpoint) -> Result<TcpListener> {
        let local = local.endpoint();
        self.run(|| once_free(|| TcpListener::bind(local)))
            .with_context(|| format!("TCP {local} in {}", self.netns()))
    }

    /// A TCP connection from `local` (port 0 for any) to `remote`, which waits [`DEADLINE`] for data.
    ///
    /// # Errors
    /// If it is refused, or not accepted within `timeout`: see [`is_timeout`].
    pub fn tcp(
        &self,
        local: impl Endpoint,
        remote: impl Endpoint,
        timeout: Duration,
    ) -> io::Result<TcpStream> {
        let (local, remote): (SocketAddr, SocketAddr) = (local.endpoint(), remote.endpoint());
        let connect = || {
            let socket = Socket::new(Domain::for_address(local), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&local.into())?;
            socket.connect_timeout(&remote.into(), timeout)?;
            Ok(socket)
        };
        let socket = self.run(|| once_free(connect))?;
        socket.set_read_timeout(Some(DEADLINE))?;
        Ok(socket.into())
    }

    /// A packet socket on an interface of the namespace: for frames that no stack would send, and to see what
    /// really arrives.
    ///
    /// # Errors
    /// If there is no such interface.
    pub fn raw(&self, interface: &str) -> Result<RawSocket> {
        self.run(|| RawSocket::open(interface)).with_context(|| format!("{interface} in {}", self.netns()))
    }
}

/// Whether a socket gave up waiting, as opposed to having been refused.
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Between fork and exec, a child that another test starts holds copies of all sockets, so that one which was just
/// closed may keep its port for a moment longer.
fn once_free<T>(open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + BUSY;
    loop {
        match open() {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                // Nothing announces the end of a copy.
                std::thread::park_timeout(Duration::from_millis(1));
            }
            done => return done,
        }
    }
}

fn is_busy(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
}
