//! Entries of systemd's journal, in [its native protocol](https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): what events and
//! the agent's log have in common there.

use serde_json::Value;

/// Where journald listens.
pub(crate) const SOCKET: &str = "/run/systemd/journal/socket";
/// Room for most entries.
const ENTRY: usize = 2_048;

/// One entry, as it is sent.
pub(crate) struct Entry(Vec<u8>);

impl Entry {
    /// An entry of banchi; priorities are those of syslog.
    pub(crate) fn new(message: &str, priority: u8) -> Self {
        let mut entry = Self(Vec::with_capacity(ENTRY));
        entry.put("MESSAGE", message);
        entry.put("PRIORITY", &priority.to_string());
        entry.put("SYSLOG_IDENTIFIER", "banchi");
        entry
    }

    /// Adds a field: a line, or, where the value has lines of its own, its length before it.
    pub(crate) fn put(&mut self, name: &str, value: &str) {
        let Self(entry) = self;
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

    /// Adds a value of JSON: none for null, and each one of several.
    pub(crate) fn put_value(&mut self, name: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Array(values) => values.iter().for_each(|value| self.put_value(name, value)),
            Value::String(text) => self.put(name, text),
            other => self.put(name, &other.to_string()),
        }
    }

    /// The same under the name that a key of JSON has there: `BANCHI_` and what journald takes of it.
    pub(crate) fn put_key(&mut self, key: &str, value: &Value) {
        let taken = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let name: String = "BANCHI_".chars().chain(key.chars().map(taken)).collect();
        self.put_value(&name, value);
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
