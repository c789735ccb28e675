//! Entries of systemd's journal in its native protocol, and the way to it.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde_json::Value;
use tokio::net::UnixDatagram;

use super::link::Unsent;
use super::meaning;
use super::store::Message;
use crate::events::Report;

/// What every event is in the journal: `journalctl MESSAGE_ID=..` finds them all, and `packaging/systemd/banchi.catalog`
/// explains them.
const MESSAGE_ID: &str = "198b2052c35b46c590f7ac088ebf4630";
/// Room for most entries.
const ENTRY: usize = 2_048;

/// One entry: a field for each key of the event's JSON that is not null. Its `line` is the message.
pub(super) fn entry(report: &Report) -> Vec<u8> {
    let mut entry = Vec::with_capacity(ENTRY);
    put(&mut entry, "MESSAGE", &report.line());
    put(&mut entry, "PRIORITY", &meaning::priority(report.reason, report.verdict).to_string());
    put(&mut entry, "SYSLOG_IDENTIFIER", "banchi");
    put(&mut entry, "MESSAGE_ID", MESSAGE_ID);
    if let Ok(Value::Object(fields)) = serde_json::to_value(report) {
        for (key, value) in &fields {
            let name = format!("BANCHI_{}", key.to_ascii_uppercase());
            match value {
                Value::Null => {}
                // A field may be there more than once.
                Value::Array(values) => values.iter().for_each(|value| put_value(&mut entry, &name, value)),
                value => put_value(&mut entry, &name, value),
            }
        }
    }
    entry
}

fn put_value(entry: &mut Vec<u8>, name: &str, value: &Value) {
    match value {
        Value::String(text) => put(entry, name, text),
        other => put(entry, name, &other.to_string()),
    }
}

/// A line, or, where the value has lines of its own, its length before it.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
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
    pub(super) async fn send(&mut self, batch: &[Message]) -> Result<usize, Unsent> {
        for (number, message) in batch.iter().enumerate() {
            let sent = if number == 0 { self.0.send(message).await } else { self.0.try_send(message) };
            match sent {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(number),
                // It would be so each time: lost, and what is behind it goes on.
                Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                    let why = format!("an entry of {} bytes is too large for the socket", message.len());
                    return Err((number + 1, 1, why));
                }
                Err(error) => return Err((number, 0, format!("cannot send: {error}"))),
            }
        }
        Ok(batch.len())
    }
}
