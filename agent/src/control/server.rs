//! The answering side.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};

use super::history::History;
use super::peer::Peer;
use super::protocol::{Reply, Request};
use super::roles::{Access, Role};
use crate::audit::{Audit, Entry, Outcome, Who, Written};
use crate::datapath::DatapathError;

/// Longest request of an operator, in bytes.
const LONGEST: u64 = 64 << 20;
/// Longest request of anybody else, in bytes: nothing that they may ask for is nearly as long.
const LONGEST_OF_OTHERS: u64 = 64 << 10;
/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections of operators, of readers, and of those who have no role. Apart, so that nobody keeps an operator out.
const CONNECTIONS: [usize; 3] = [64, 64, 8];

/// A request on its way to the agent's main loop, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) request: Request,
    pub(crate) peer: Peer,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// An answer, and the line about it that should be on the disk before.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: Reply,
    pub(crate) written: Option<Written>,
}

/// A listening socket, removed when dropped.
#[derive(Debug)]
pub struct Server {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
}

/// Listens: for the owner and root only, or for everybody, where requests are refused one by one. A file has one group
/// and there are two roles, and who is refused should hear why.
///
/// # Errors
/// Where another agent listens there, or the path cannot be used.
pub fn bind(path: &Path, for_all: bool) -> Result<Server, DatapathError> {
    let failed = |cause: io::Error| DatapathError::other(format!("listen at {}", path.display()), cause);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => {
            return Err(DatapathError::AlreadyRunning {
                holder: format!("it answers at {}", path.display()),
            });
        }
        // Another user's, who may well answer.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(failed(error)),
        Err(_) => {}
    }
    // Nobody answers: what is left of an agent that was killed. Anything but a socket is somebody else's.
    match fs::symlink_metadata(path) {
        Ok(left) if left.file_type().is_socket() => fs::remove_file(path).map_err(failed)?,
        Ok(_) => return Err(failed(io::Error::other("there is a file that is no socket"))),
        Err(_) => {}
    }
    // Nobody else may connect, not even between these lines: nothing else runs yet that would make a file.
    let withheld = if for_all { 0o111 } else { 0o177 };
    let before = rustix::process::umask(Mode::from_raw_mode(withheld));
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
    /// Answers until the process ends.
    ///
    /// # Errors
    /// Where the socket cannot be watched.
    pub(crate) fn serve(&self, desk: Desk) -> io::Result<()> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        tokio::spawn(accept(listener, desk));
        Ok(())
    }
}

/// What connections have in common.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) questions: mpsc::Sender<Question>,
    pub(crate) events: History,
    pub(crate) access: Access,
    pub(crate) audit: Audit,
}

async fn accept(listener: UnixListener, desk: Desk) {
    let rooms = CONNECTIONS.map(|places| Arc::new(Semaphore::new(places)));
    let [operators, readers, others] = &rooms;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let peer = match Peer::of(&stream) {
                    Ok(peer) => peer,
                    Err(error) => {
                        tracing::warn!("cannot tell who connects: {error}");
                        continue;
                    }
                };
                let role = desk.access.role_of(&peer);
                let room = match role {
                    Some(Role::Operator) => operators,
                    Some(Role::Reader) => readers,
                    None => others,
                };
                match Arc::clone(room).try_acquire_owned() {
                    Ok(place) => {
                        tokio::spawn(answer(stream, desk.clone(), peer, role, place));
                    }
                    Err(_) => tracing::warn!("too many connections of uid {} and others like it", peer.uid),
                }
            }
            // Out of descriptors, most likely: wait for some to be closed.
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(
    stream: UnixStream,
    desk: Desk,
    peer: Peer,
    role: Option<Role>,
    _place: OwnedSemaphorePermit,
) {
    let (read, mut write) = stream.into_split();
    let longest = if role == Some(Role::Operator) { LONGEST } else { LONGEST_OF_OTHERS };
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(longest));
    let asked = tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await;
    if !matches!(asked, Ok(Ok(length)) if length > 0) {
        return;
    }
    let reply = match serde_json::from_str::<Request>(&line) {
        // Too long for a reader, and so something that changes.
        Err(_) if line.len() as u64 == longest && role != Some(Role::Operator) => {
            let entry = Entry::of(Who::at(&peer), "unknown", serde_json::Map::new());
            refuse(&desk, &peer, entry, "do that", Role::Operator).await
        }
        Err(error) => Reply::Error { message: format!("not a request: {error}") },
        Ok(request) if role < Some(request.role()) => {
            let entry = Entry::asked(Who::at(&peer), &request);
            let verb = entry.verb.clone();
            refuse(&desk, &peer, entry, &verb, request.role()).await
        }
        Ok(Request::Events { last, follow }) => {
            send_events(&mut write, &desk.events, last, follow).await;
            return;
        }
        Ok(request) => {
            let (answer, receiver) = oneshot::channel();
            if desk.questions.send(Question { request, peer, answer }).await.is_err() {
                return;
            }
            match receiver.await {
                Ok(Answer { reply, written }) => {
                    if let Some(written) = written {
                        written.wait().await;
                    }
                    reply
                }
                Err(_) => Reply::Error { message: "the agent is stopping".to_owned() },
            }
        }
    };
    if let Ok(mut line) = serde_json::to_vec(&reply) {
        line.push(b'\n');
        // A client that hung up does not want its answer.
        let _ = write.write_all(&line).await;
    }
}

/// Records who was refused what, and says so.
async fn refuse(desk: &Desk, peer: &Peer, entry: Entry, verb: &str, needed: Role) -> Reply {
    let message = desk.access.refusal(peer, verb, needed);
    if let Some(written) = desk.audit.refuse(entry.not_done(Outcome::Refused, &message)) {
        written.wait().await;
    }
    Reply::Refused { message }
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
            Err(broadcast::error::RecvError::Lagged(missed)) => format!("{{\"missed\":{missed}}}").into(),
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
