//! Events as entries of systemd's journal, and the way to it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde_json::Value;
use tokio::net::UnixDatagram;

use super::link::{Taken, Unsent};
use super::meaning;
use super::store::Message;
use crate::events::Report;
use crate::journal::Entry;

/// What every event is in the journal: `journalctl MESSAGE_ID=..` finds them all, and `packaging/systemd/banchi.catalog`
/// explains them.
const MESSAGE_ID: &str = "198b2052c35b46c590f7ac088ebf4630";

/// A field for each key of the event's JSON that is not null. Its `line` is the message.
pub(super) fn entry(report: &Report) -> Vec<u8> {
    let priority = meaning::priority(report.reason, report.verdict);
    let mut entry = Entry::new(&report.line(), priority);
    entry.put("MESSAGE_ID", MESSAGE_ID);
    if let Ok(Value::Object(fields)) = serde_json::to_value(report) {
        fields.iter().for_each(|(key, value)| entry.put_key(key, value));
    }
    entry.into_bytes()
}

/// Where a journal listens.
pub(super) struct Journal {
    pub(super) path: PathBuf,
}

/// A connection to it.
pub(super) struct Session(UnixDatagram);

impl Journal {
    pub(super) fn connect(&self) -> Result<Session, String> {
        let connected = |path: &Path| -> io::Result<UnixDatagram> {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Ok(socket)
        };
        connected(&self.path).map(Session).map_err(|e| format!("cannot connect: {e}"))
    }
}

impl Session {
    /// Waits until the journal takes the first, and sends the others as long as it has room: how many it took.
    pub(super) async fn send(&mut self, batch: &[Message]) -> Result<Taken, Unsent> {
        for (number, message) in batch.iter().enumerate() {
            let sent = if number == 0 { self.0.send(message).await } else { self.0.try_send(message) };
            match sent {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok((number, None)),
                // It would be so each time: lost, and what is behind it goes on.
                Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                    let why = format!("an entry of {} bytes is larger than the socket takes", message.len());
                    return Ok((number + 1, Some(why)));
                }
                Err(error) => return Err((number, 0, format!("cannot send: {error}"))),
            }
        }
        Ok((batch.len(), None))
    }
}
