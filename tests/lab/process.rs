//! A child process whose output can be waited for.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// A running command, killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    line: String,
    stdin: Option<ChildStdin>,
    stdout: Stream,
    stderr: Stream,
}

/// What a finished command printed.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// The lines that a child printed so far, filled by a thread.
#[derive(Debug)]
struct Stream {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    all: Vec<String>,
    closed: bool,
}

impl Process {
    /// Starts it in the network namespace of the calling thread.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn spawn(command: Command) -> Result<Self> {
        Self::spawn_with(command, Stdio::null())
    }

    /// The same for one that takes commands: see [`tell`](Self::tell).
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn spawn_listening(command: Command) -> Result<Self> {
        Self::spawn_with(command, Stdio::piped())
    }

    fn spawn_with(mut command: Command, stdin: Stdio) -> Result<Self> {
        let line = format!("{command:?}");
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {line}"))?;
        let stdin = child.stdin.take();
        let stdout = Stream::of(child.stdout.take());
        let stderr = Stream::of(child.stderr.take());
        Ok(Self { child, line, stdin, stdout, stderr })
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    /// If it takes none, or no more.
    pub fn tell(&self, command: &str) -> Result<()> {
        let mut stdin = self.stdin.as_ref().with_context(|| format!("{} takes no commands", self.line))?;
        writeln!(stdin, "{command}").with_context(|| format!("telling {}: {command}", self.line))
    }

    /// Closes its standard input: there is no more to tell.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of standard output, also one printed before, and returns it.
    ///
    /// # Errors
    /// If the stream ends or the time is up first; with all that was printed.
    pub fn wait_stdout(&self, wanted: impl Fn(&str) -> bool, timeout: Duration) -> Result<String> {
        self.wait_line(&self.stdout, 0, wanted, timeout).map(|(_, line)| line)
    }

    /// The same for standard error.
    ///
    /// # Errors
    /// As [`wait_stdout`](Self::wait_stdout).
    pub fn wait_stderr(&self, wanted: impl Fn(&str) -> bool, timeout: Duration) -> Result<String> {
        self.wait_line(&self.stderr, 0, wanted, timeout).map(|(_, line)| line)
    }

    /// Waits for a line of standard output at or after number `from`; returns the number after it and the line.
    ///
    /// # Errors
    /// As [`wait_stdout`](Self::wait_stdout).
    pub fn wait_stdout_from(
        &self,
        from: usize,
        wanted: impl Fn(&str) -> bool,
        timeout: Duration,
    ) -> Result<(usize, String)> {
        self.wait_line(&self.stdout, from, wanted, timeout)
    }

    /// All lines of standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.lines()
    }

    /// All lines of standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.lines()
    }

    /// Sends a signal, for instance `Signal::TERM`.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("signalling {}", self.line))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it still runs when the time is up; it is not killed then.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let pidfd = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?;
        let limit =
            Timespec { tv_sec: timeout.as_secs().cast_signed(), tv_nsec: timeout.subsec_nanos().into() };
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit))?;
        match self.child.try_wait()? {
            Some(status) => Ok(status),
            None => bail!("{} still runs after {timeout:?}\n{}", self.line, self.printed()),
        }
    }

    /// Waits for its end and returns what it printed; kills it when the time is up.
    ///
    /// # Errors
    /// If the time was up.
    pub fn finish(mut self, timeout: Duration) -> Result<Output> {
        let status = self.wait(timeout)?;
        // A grandchild may hold the pipes open: the lines end where the process did, not later than the deadline.
        self.stdout.wait_closed(timeout);
        self.stderr.wait_closed(timeout);
        Ok(Output { status, stdout: self.stdout.text(), stderr: self.stderr.text() })
    }

    /// Asks it to end (SIGTERM), and kills it if it does not.
    ///
    /// # Errors
    /// If it had to be killed.
    pub fn terminate(mut self, timeout: Duration) -> Result<ExitStatus> {
        if self.child.try_wait()?.is_none() {
            self.signal(Signal::TERM)?;
        }
        self.wait(timeout)
    }

    fn wait_line(
        &self,
        stream: &Stream,
        from: usize,
        wanted: impl Fn(&str) -> bool,
        timeout: Duration,
    ) -> Result<(usize, String)> {
        match stream.wait_for(from, wanted, timeout) {
            Some(found) => Ok(found),
            None => bail!("no such line from {} within {timeout:?}\n{}", self.line, self.printed()),
        }
    }

    fn printed(&self) -> String {
        format!("stdout:\n{}stderr:\n{}", self.stdout.text(), self.stderr.text())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nstdout:\n{}stderr:\n{}", self.status, self.stdout, self.stderr)
    }
}

impl Stream {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let shared = Arc::new(Shared::default());
        let reader = pipe.map(|pipe| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.fill(BufReader::new(pipe)))
        });
        Self { shared, reader }
    }

    fn wait_for(
        &self,
        from: usize,
        wanted: impl Fn(&str) -> bool,
        timeout: Duration,
    ) -> Option<(usize, String)> {
        let deadline = Instant::now() + timeout;
        let mut next = from;
        let mut lines = self.shared.lock();
        loop {
            while let Some(line) = lines.all.get(next) {
                next += 1;
                if wanted(line) {
                    return Some((next, line.clone()));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.closed || left.is_zero() {
                return None;
            }
            lines = self.shared.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn wait_closed(&mut self, timeout: Duration) {
        self.wait_for(0, |_| false, timeout);
        if let Some(reader) = self.reader.take_if(|r| r.is_finished()) {
            let _ = reader.join();
        }
    }

    fn lines(&self) -> Vec<String> {
        self.shared.lock().all.clone()
    }

    fn text(&self) -> String {
        self.lines().into_iter().flat_map(|line| [line, "\n".to_owned()]).collect()
    }
}

impl Shared {
    fn fill(&self, mut pipe: impl BufRead) {
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            self.lock().all.push(text);
            self.changed.notify_all();
            line.clear();
        }
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
