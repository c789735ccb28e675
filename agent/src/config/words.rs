//! The single words of a configuration.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::policy::codes;
use crate::policy::read::{Refusal, Word, choose};
use crate::policy::words::word_schema;

fn refuse<T>(message: String, help: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::new(&codes::INVALID_VALUE, message, help))
}

/// What kind of output it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Lines as `banchi events --json` has them, in a file.
    Json,
    /// Alerts of Suricata's EVE, in a file.
    Eve,
    /// Packets, in files.
    Pcapng,
    /// RFC 5424.
    Syslog,
    /// MQTT 3.1.1.
    Mqtt,
    /// Entries of systemd's journal.
    Journal,
}

const KINDS: &[(&str, Kind)] = &[
    ("json", Kind::Json),
    ("eve", Kind::Eve),
    ("pcapng", Kind::Pcapng),
    ("syslog", Kind::Syslog),
    ("mqtt", Kind::Mqtt),
    ("journal", Kind::Journal),
];

impl Kind {
    /// Its word.
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

word_schema!(Kind, "Kind", { "enum": ["json", "eve", "pcapng", "syslog", "mqtt", "journal"] });

impl Word for Kind {
    const EXPECTED: &'static str = "a kind of output: `json`, `eve`, `pcapng`, `syslog`, `mqtt` or `journal`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        choose(text, "a kind of output", KINDS)
    }
}

/// A file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath(pub PathBuf);

word_schema!(FilePath, "FilePath", { "type": "string", "pattern": "^/", "examples": ["/var/log/banchi/eve.json"] });

impl Word for FilePath {
    const EXPECTED: &'static str = "an absolute path, such as `/var/log/banchi/eve.json`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        // Where a service starts is not where its operator tried it.
        if text.starts_with('/') && !text.ends_with('/') && !text.contains('\0') {
            return Ok(Self(PathBuf::from(text)));
        }
        refuse(format!("`{text}` is not an absolute path"), format!("write {}", Self::EXPECTED))
    }
}

/// A number of things, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u32);

word_schema!(Count, "Count", { "type": "integer", "minimum": 1, "maximum": 65535 });

impl Word for Count {
    const EXPECTED: &'static str = "a number from 1 to 65535";

    fn parse(text: &str) -> Result<Self, Refusal> {
        match text.parse::<u16>() {
            Ok(number) if number > 0 => Ok(Self(number.into())),
            _ => refuse(format!("`{text}` is not a number from 1 to 65535"), "write it decimal: `8192`"),
        }
    }
}

/// An amount of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

word_schema!(Size, "Size", { "type": "string", "pattern": "^[0-9]+(KiB|MiB|GiB)$", "examples": ["64MiB"] });

impl Word for Size {
    const EXPECTED: &'static str = "a size from `64KiB` to `1024GiB`, such as `64MiB`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit {
            "KiB" => Some(10),
            "MiB" => Some(20),
            "GiB" => Some(30),
            _ => None,
        };
        let size = number.parse::<u64>().ok().zip(shift);
        match size.and_then(|(number, shift)| number.checked_mul(1 << shift)) {
            Some(size) if (64 << 10..=1 << 40).contains(&size) => Ok(Self(size)),
            _ => refuse(
                format!("`{text}` is not a size from 64KiB to 1024GiB"),
                "write a number and `KiB`, `MiB` or `GiB`, without a space: `64MiB`",
            ),
        }
    }
}

/// Some text on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub String);

word_schema!(Text, "Text", { "type": "string", "minLength": 1, "maxLength": 255 });

impl Word for Text {
    const EXPECTED: &'static str = "some text";

    fn parse(text: &str) -> Result<Self, Refusal> {
        if (1..=255).contains(&text.len()) && !text.contains(char::is_control) {
            return Ok(Self(text.to_owned()));
        }
        refuse("this text cannot be used".to_owned(), "write 1 to 255 bytes on one line")
    }
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

word_schema!(Listen, "Listen", { "type": "string", "examples": ["127.0.0.1:9477", "[::1]:9477"] });

impl Word for Listen {
    const EXPECTED: &'static str = "an address with its port, such as `127.0.0.1:9477`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => Ok(Self(address)),
            _ => refuse(
                format!("`{text}` is not an address with a port"),
                format!("write {}; names are not looked up", Self::EXPECTED),
            ),
        }
    }
}

/// How to reach a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Syslog in datagrams, RFC 5426.
    Udp,
    /// Syslog over TCP, RFC 6587 with octet counting.
    Tcp,
    /// Syslog over TLS, RFC 5425.
    Tls,
    /// MQTT over TCP.
    Mqtt,
    /// MQTT over TLS.
    Mqtts,
}

/// Word and port that is meant where none is written.
const SCHEMES: &[(&str, Scheme, u16)] = &[
    ("udp", Scheme::Udp, 514),
    ("tcp", Scheme::Tcp, 514),
    ("tls", Scheme::Tls, 6514),
    ("mqtt", Scheme::Mqtt, 1883),
    ("mqtts", Scheme::Mqtts, 8883),
];

impl Scheme {
    /// Whether it needs certificates.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Mqtts)
    }
}

/// Where to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How.
    pub scheme: Scheme,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = SCHEMES.iter().find(|known| known.1 == self.scheme).map_or("", |known| known.0);
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

word_schema!(Target, "Target", {
    "type": "string",
    "pattern": "^(udp|tcp|tls|mqtt|mqtts)://",
    "examples": ["tls://siem.example:6514", "udp://10.1.2.3", "mqtts://[fd00::1]:8883"]
});

impl Word for Target {
    const EXPECTED: &'static str = "a target, such as `tls://siem.example:6514`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        let words: Vec<&str> = SCHEMES.iter().map(|known| known.0).collect();
        let Some((scheme, rest)) = text.split_once("://") else {
            let help = format!("write {}; before `://` stands one of: {}", Self::EXPECTED, words.join(", "));
            return refuse(format!("`{text}` is not a target"), help);
        };
        let choices: Vec<(&'static str, (Scheme, u16))> =
            SCHEMES.iter().map(|(word, scheme, port)| (*word, (*scheme, *port))).collect();
        let (scheme, usual) = choose(scheme, "a way to send", &choices)?;
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host.parse::<Ipv6Addr>().map(|_| host).unwrap_or(""), port),
            None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0),
            None => port.is_empty().then_some(usual),
        };
        let is_host = !host.is_empty()
            && host.len() <= 253
            && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
        match port {
            Some(port) if is_host => Ok(Self { scheme, host: host.to_owned(), port }),
            _ => refuse(
                format!("`{text}` does not name a host and a port"),
                "write a name or an address and a port; IPv6 in brackets: `tcp://[fd00::1]:601`",
            ),
        }
    }
}

/// A facility of syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility(pub u8);

const FACILITIES: &[(&str, Facility)] = &[
    ("daemon", Facility(3)),
    ("auth", Facility(4)),
    ("authpriv", Facility(10)),
    ("local0", Facility(16)),
    ("local1", Facility(17)),
    ("local2", Facility(18)),
    ("local3", Facility(19)),
    ("local4", Facility(20)),
    ("local5", Facility(21)),
    ("local6", Facility(22)),
    ("local7", Facility(23)),
];

word_schema!(Facility, "Facility", {
    "enum": ["daemon", "auth", "authpriv", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
             "local7"]
});

impl Word for Facility {
    const EXPECTED: &'static str = "a facility, such as `local0`";

    fn parse(text: &str) -> Result<Self, Refusal> {
        choose(text, "a facility", FACILITIES)
    }
}
