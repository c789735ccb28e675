//! Lines that a person types.

use std::io;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush};
use signal_hook::consts::SIGINT;
use signal_hook::low_level::pipe;

/// What came of waiting for a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    Line(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or nobody is there any more.
    Closed,
}

/// Where answers are from.
pub(super) trait Typist {
    /// Waits for a line.
    fn line(&mut self) -> io::Result<Typed>;

    /// Forgets what was typed before it was asked for: the rest of something that was pasted is no answer.
    fn forget(&mut self) -> io::Result<()>;
}

/// Standard input, a terminal that hands over whole lines.
pub(super) struct Keyboard {
    interrupted: UnixStream,
    typed: Vec<u8>,
}

impl Keyboard {
    /// Takes Ctrl-C over: it ends the wait for a line, and nothing else.
    pub(super) fn open() -> io::Result<Self> {
        let (interrupted, signal) = UnixStream::pair()?;
        pipe::register(SIGINT, signal)?;
        Ok(Self { interrupted, typed: Vec::new() })
    }
}

impl Typist for Keyboard {
    fn line(&mut self) -> io::Result<Typed> {
        let stdin = io::stdin();
        loop {
            if let Some(end) = self.typed.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.typed.drain(..=end).collect();
                return Ok(Typed::Line(String::from_utf8_lossy(&line).into_owned()));
            }
            let mut ready =
                [PollFd::new(&self.interrupted, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
            match poll(&mut ready, None) {
                Err(Errno::INTR) => continue,
                done => done?,
            };
            let [interrupted, _] = ready.map(|one| !one.revents().is_empty());
            if interrupted {
                return Ok(Typed::Interrupted);
            }
            let mut bytes = [0; 4_096];
            match rustix::io::read(&stdin, &mut bytes) {
                // What has no end was not sent by anybody.
                Ok(0) | Err(Errno::IO) => return Ok(Typed::Closed),
                Ok(read) => self.typed.extend_from_slice(bytes.get(..read).unwrap_or_default()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn forget(&mut self) -> io::Result<()> {
        self.typed.clear();
        Ok(tcflush(io::stdin(), QueueSelector::IFlush)?)
    }
}
