//! The answering side.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Mode;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::history::History;
use super::protocol::{Reply, Request};
use crate::datapath::DatapathError;

/// Longest request, in bytes.
const LONGEST: u64 = 64 << 20;
/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request on its way to the agent's main loop, and where its answer goes.
pub(crate) type Question = (Request, oneshot::Sender<Reply>);

/// A listening socket, removed when dropped.
#[derive(Debug)]
pub struct Server {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
}

/// Listens for the owner and root only.
///
/// # Errors
/// Where another agent listens there, or the path cannot be used.
pub fn bind(path: &Path) -> Result<Server, DatapathError> {
    let failed = |cause: io::Error| DatapathError::other(format!("listen at {}", path.display()), cause);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(DatapathError::AlreadyRunning { holder: format!("it answers at {}", path.display()) });
    }
    // Nobody answers: what is left of an agent that was killed. Anything but a socket is somebody else's.
    match fs::symlink_metadata(path) {
        Ok(left) if left.file_type().is_socket() => fs::remove_file(path).map_err(failed)?,
        Ok(_) => return Err(failed(io::Error::other("there is a file that is no socket"))),
        Err(_) => {}
    }
    // Nobody else may connect, not even between these lines: nothing else runs yet that would make a file.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = std::os::unix::net::UnixListener::bind(path);
    rustix::process::umask(before);
    let listener = listener.map_err(failed)?;
    Ok(Server { listener, path: path.to_owned() })
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Server {
    /// Answers until the process ends. Questions go to `questions`; events come from `events`.
    ///
    /// # Errors
    /// Where the socket cannot be watched.
    pub fn serve(&self, questions: mpsc::Sender<Question>, events: History) -> io::Result<()> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        tokio::spawn(accept(listener, questions, events));
        Ok(())
    }
}

async fn accept(listener: UnixListener, questions: mpsc::Sender<Question>, events: History) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(answer(stream, questions.clone(), events.clone()));
            }
            // Out of descriptors, most likely: wait for some to be closed.
            Err(error) => {
                log::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, questions: mpsc::Sender<Question>, events: History) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(LONGEST));
    let asked = tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await;
    if !matches!(asked, Ok(Ok(length)) if length > 0) {
        return;
    }
    let reply = match serde_json::from_str::<Request>(&line) {
        Err(error) => Reply::Error { message: format!("not a request: {error}") },
        Ok(Request::Events { last, follow }) => {
            send_events(&mut write, &events, last, follow).await;
            return;
        }
        Ok(request) => {
            let (sender, receiver) = oneshot::channel();
            if questions.send((request, sender)).await.is_err() {
                return;
            }
            receiver.await.unwrap_or(Reply::Error { message: "the agent is stopping".to_owned() })
        }
    };
    if let Ok(mut line) = serde_json::to_vec(&reply) {
        line.push(b'\n');
        // A client that hung up does not want its answer.
        let _ = write.write_all(&line).await;
    }
}

/// Sends the last events and, where asked for, all that come. A client that reads too slowly is told how many
/// it missed; it never holds up the agent.
async fn send_events(write: &mut OwnedWriteHalf, events: &History, last: usize, follow: bool) {
    let (history, mut coming) = events.subscribe(last);
    for line in history {
        if send(write, &line).await.is_err() {
            return;
        }
    }
    if !follow {
        return;
    }
    loop {
        let line = match coming.recv().await {
            Ok(line) => line,
            Err(broadcast::error::RecvError::Lagged(missed)) => format!("{{\"missed\":{missed}}}"),
            Err(broadcast::error::RecvError::Closed) => return,
        };
        if send(write, &line).await.is_err() {
            return;
        }
    }
}

async fn send(write: &mut OwnedWriteHalf, line: &str) -> io::Result<()> {
    write.write_all(line.as_bytes()).await?;
    write.write_all(b"\n").await
}
