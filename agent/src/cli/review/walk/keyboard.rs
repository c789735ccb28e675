//! Lines that a person types.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::low_level::{pipe, unregister};

/// What came of waiting for a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    Line(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or nobody is there any more, or it is told to end.
    Closed,
}

/// Where answers are from.
pub(super) trait Typist {
    /// Waits for a line.
    fn line(&mut self) -> io::Result<Typed>;

    /// Forgets what was typed before it was asked for: the rest of something that was pasted is no answer.
    fn forget(&mut self) -> io::Result<()>;

    /// Does what may take long, and is not left half done: only a second Ctrl-C ends the process meanwhile.
    fn patiently<T>(&mut self, act: impl FnOnce() -> T) -> io::Result<T> {
        Ok(act())
    }
}

/// Standard input, a terminal that hands over whole lines.
pub(super) struct Keyboard {
    interrupted: UnixStream,
    left: UnixStream,
    typed: Vec<u8>,
}

impl Keyboard {
    /// Takes over Ctrl-C, and what comes when the terminal goes away: it ends the wait for a line, and nothing else.
    pub(super) fn open() -> io::Result<Self> {
        let (interrupted, signal) = UnixStream::pair()?;
        pipe::register(SIGINT, signal)?;
        let (left, signal) = UnixStream::pair()?;
        pipe::register(SIGHUP, signal.try_clone()?)?;
        pipe::register(SIGTERM, signal)?;
        Ok(Self { interrupted, left, typed: Vec::new() })
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
            let mut ready = [
                PollFd::new(&self.interrupted, PollFlags::IN),
                PollFd::new(&self.left, PollFlags::IN),
                PollFd::new(&stdin, PollFlags::IN),
            ];
            match poll(&mut ready, None) {
                Err(Errno::INTR) => continue,
                done => done?,
            };
            let [interrupted, left, _] = ready.map(|one| !one.revents().is_empty());
            if interrupted {
                return Ok(Typed::Interrupted);
            }
            if left {
                return Ok(Typed::Closed);
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

    fn patiently<T>(&mut self, act: impl FnOnce() -> T) -> io::Result<T> {
        let pressed = Arc::new(AtomicBool::new(false));
        // In this order: the first one says that the next one ends.
        let ends = flag::register_conditional_shutdown(SIGINT, 128 + SIGINT, Arc::clone(&pressed))?;
        let presses = flag::register(SIGINT, pressed)?;
        let done = act();
        unregister(ends);
        unregister(presses);
        Ok(done)
    }
}
