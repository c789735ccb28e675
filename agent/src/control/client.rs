//! The asking side. Plain blocking I/O: a verb asks once, or reads until it is told to stop.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::protocol::{Reply, Request};

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long where there is another source of the answer: what is pinned.
const PATIENCE_TO_READ: Duration = Duration::from_secs(4);
/// How long it may take to compile, load and prove a large policy.
const LOADING: Duration = Duration::from_secs(300);

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no banchi runs at {path} ({cause}): start it with `banchi run`, or name its socket with --socket"
    )]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// What connecting said.
        cause: std::io::Error,
    },
    /// Somebody listens and says nothing.
    #[error("the agent at {path} does not answer: it hangs, or is very busy")]
    Silent {
        /// The socket.
        path: PathBuf,
    },
    /// The connection broke, or the answer is not one.
    #[error("the agent at {path} did not answer properly: {cause}")]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What happened.
        cause: String,
    },
    /// The agent said no.
    #[error("{0}")]
    Refused(String),
    /// Whoever asks may not: what the agent, or the kernel, said.
    #[error("{0}")]
    Forbidden(String),
}

impl ClientError {
    /// Whether no agent works there, as far as can be told. One that may not be asked is none of ours to judge.
    pub fn is_absent(&self) -> bool {
        match self {
            Self::NotRunning { cause, .. } => cause.kind() != std::io::ErrorKind::PermissionDenied,
            Self::Silent { .. } => true,
            Self::Broken { .. } | Self::Refused(_) | Self::Forbidden(_) => false,
        }
    }

    /// What it means that no agent answers.
    pub fn absence(&self) -> &'static str {
        match self {
            Self::Silent { .. } => "the agent does not answer",
            _ => "no agent runs",
        }
    }
}

fn connect(socket: &Path, request: &Request) -> Result<BufReader<UnixStream>, ClientError> {
    let mut stream = UnixStream::connect(socket).map_err(|cause| not_connected(socket, cause))?;
    let mut line = serde_json::to_vec(request).map_err(|e| broken(socket, e))?;
    line.push(b'\n');
    // An agent that has read enough to say no says so, and reads no further.
    if let Err(error) = stream.write_all(&line)
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        return Err(broken(socket, error));
    }
    Ok(BufReader::new(stream))
}

fn not_connected(socket: &Path, cause: std::io::Error) -> ClientError {
    if cause.kind() != std::io::ErrorKind::PermissionDenied {
        return ClientError::NotRunning { path: socket.to_owned(), cause };
    }
    let (uid, path) = (rustix::process::geteuid().as_raw(), socket.display());
    ClientError::Forbidden(format!(
        "uid {uid} may not connect to {path}: an agent takes root and its own user only, unless it was started with \
         --readers GROUP or --operators GROUP"
    ))
}

fn broken(socket: &Path, cause: impl std::fmt::Display) -> ClientError {
    ClientError::Broken { path: socket.to_owned(), cause: cause.to_string() }
}

/// Why nothing could be read.
fn unread(socket: &Path, error: std::io::Error) -> ClientError {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            ClientError::Silent { path: socket.to_owned() }
        }
        _ => broken(socket, error),
    }
}

/// Asks once.
///
/// # Errors
/// Where nobody listens, the answer breaks off, or the agent refuses.
pub fn request(socket: &Path, request: &Request) -> Result<Reply, ClientError> {
    let mut reader = connect(socket, request)?;
    let patience = match request {
        Request::Apply { .. } | Request::Grant { .. } | Request::Revoke { .. } => LOADING,
        Request::Status => PATIENCE_TO_READ,
        _ => PATIENCE,
    };
    reader.get_ref().set_read_timeout(Some(patience)).map_err(|e| broken(socket, e))?;
    let mut line = String::new();
    reader.read_line(&mut line).map_err(|e| unread(socket, e))?;
    match serde_json::from_str(&line).map_err(|e| broken(socket, e))? {
        Reply::Error { message } => Err(ClientError::Refused(message)),
        Reply::Refused { message } => Err(ClientError::Forbidden(message)),
        reply => Ok(reply),
    }
}

/// Hands over every line until the agent ends or `each` says no.
///
/// # Errors
/// Where nobody listens, or the connection breaks.
pub fn follow(
    socket: &Path,
    request: &Request,
    mut each: impl FnMut(&str) -> bool,
) -> Result<(), ClientError> {
    let reader = connect(socket, request)?;
    if !matches!(request, Request::Events { follow: true, .. }) {
        reader.get_ref().set_read_timeout(Some(PATIENCE_TO_READ)).map_err(|e| broken(socket, e))?;
    }
    for line in reader.lines() {
        let line = line.map_err(|e| unread(socket, e))?;
        // Events are no replies; that nobody may see them is one.
        if let Ok(Reply::Refused { message }) = serde_json::from_str(&line) {
            return Err(ClientError::Forbidden(message));
        }
        if !each(&line) {
            break;
        }
    }
    Ok(())
}
