//! From keys to what they mean: what is needed is there, and nothing that has no meaning.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::words::{Count, FilePath, Kind, Scheme};
use super::{Config, Destination, Facility, LineFormat, Output, Rotation, Spool, Target, Tls, syntax};
use crate::journal::SOCKET;
use crate::policy::Diagnostic;
use crate::policy::codes;
use crate::policy::diagnostic::Diagnostics;
use crate::policy::source::{Span, Spanned};

/// Outputs at most: each has a thread and a queue.
const OUTPUTS: usize = 16;
/// Where metrics are served unless it is said.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9477);
const QUEUE: u32 = 8_192;
const KEEP: u32 = 7;
const PCAPNG_SIZE: u64 = 16 << 20;
const SPOOL_SIZE: u64 = 64 << 20;
/// Room that a spool needs to have several segments.
const SMALLEST_SPOOL: u64 = 1 << 20;

pub(super) fn check(file: &syntax::Config, diagnostics: &mut Diagnostics) -> Config {
    let listen = |metrics: &Spanned<syntax::Metrics>| {
        metrics.value.listen.as_ref().map_or(LISTEN, |listen| listen.value.0)
    };
    let mut outputs = Vec::new();
    let mut taken: Vec<(PathBuf, Span)> = Vec::new();
    for (name, written) in file.outputs.iter().flat_map(|outputs| &outputs.value.0) {
        // Its own errors are kept already.
        let Some(written) = written else { continue };
        let output = Reader { written, diagnostics }.read(&name.value.0);
        for path in [&written.path, &written.spool].into_iter().flatten() {
            claim(path, &mut taken, diagnostics);
        }
        outputs.extend(output);
    }
    if let Some(outputs) = file.outputs.as_ref().filter(|outputs| outputs.value.0.len() > OUTPUTS) {
        let message = format!("{} outputs are too many", outputs.value.0.len());
        let diagnostic = Diagnostic::new(&codes::INVALID_VALUE, message)
            .label(outputs.span, "")
            .help(format!("each has a thread and a queue: {OUTPUTS} at most"));
        diagnostics.push(diagnostic);
    }
    Config { metrics: file.metrics.as_ref().map(listen), outputs }
}

/// Two outputs that write one file would spoil it.
fn claim(path: &Spanned<FilePath>, taken: &mut Vec<(PathBuf, Span)>, diagnostics: &mut Diagnostics) {
    if let Some((_, first)) = taken.iter().find(|(known, _)| *known == path.value.0) {
        let diagnostic = Diagnostic::new(&codes::CONFLICTING_KEYS, "two outputs write to one place")
            .label(path.span, "again here")
            .label(*first, "first here")
            .help("give each output a path of its own");
        diagnostics.push(diagnostic);
    }
    taken.push((path.value.0.clone(), path.span));
}

/// One output, and where to say what is wrong with it.
struct Reader<'a> {
    written: &'a syntax::Output,
    diagnostics: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn read(mut self, name: &str) -> Option<Output> {
        self.refuse_strangers();
        let kind = self.written.kind.value;
        let to = match kind {
            Kind::Json | Kind::Eve => Destination::Lines {
                format: if kind == Kind::Eve { LineFormat::Eve } else { LineFormat::Json },
                path: self.path()?,
                rotation: self.rotation(None),
            },
            Kind::Pcapng => {
                let path = self.path()?;
                let rotation = self.rotation(Some(PCAPNG_SIZE));
                Destination::Pcapng { path, rotation: rotation? }
            }
            Kind::Syslog => Destination::Syslog {
                to: self
                    .target(&[Scheme::Udp, Scheme::Tcp, Scheme::Tls], "`udp://`, `tcp://` or `tls://`")?,
                facility: self.written.facility.as_ref().map_or(Facility(16), |facility| facility.value),
                tls: self.tls()?,
                spool: self.spool(),
            },
            Kind::Mqtt => Destination::Mqtt {
                to: self.target(&[Scheme::Mqtt, Scheme::Mqtts], "`mqtt://` or `mqtts://`")?,
                topic: self.topic()?,
                client_id: self.client_id(),
                login: self.login()?,
                tls: self.tls()?,
                spool: self.spool(),
            },
            Kind::Journal => Destination::Journal {
                path: self.written.path.as_ref().map_or_else(|| SOCKET.into(), |path| path.value.0.clone()),
                spool: self.spool(),
            },
        };
        let queue = self.count(self.written.queue.as_ref(), 64..=65_535, QUEUE)?;
        Some(Output { name: name.to_owned(), queue: queue as usize, to })
    }

    /// Refuses keys that mean nothing for this kind.
    fn refuse_strangers(&mut self) {
        use Kind::{Eve, Journal, Json, Mqtt, Pcapng, Syslog};
        let written = self.written;
        let span = |path: &Option<Spanned<FilePath>>| path.as_ref().map(|path| path.span);
        let text = |text: &Option<Spanned<super::words::Text>>| text.as_ref().map(|text| text.span);
        let files: &[Kind] = &[Json, Eve, Pcapng];
        let paths: &[Kind] = &[Json, Eve, Pcapng, Journal];
        let sent: &[Kind] = &[Syslog, Mqtt];
        let spooled: &[Kind] = &[Syslog, Mqtt, Journal];
        let keys = [
            ("path", span(&written.path), paths),
            ("rotate_at", written.rotate_at.as_ref().map(|one| one.span), files),
            ("keep", written.keep.as_ref().map(|one| one.span), files),
            ("to", written.to.as_ref().map(|one| one.span), sent),
            ("facility", written.facility.as_ref().map(|one| one.span), &[Syslog]),
            ("ca", span(&written.ca), sent),
            ("cert", span(&written.cert), sent),
            ("key", span(&written.key), sent),
            ("server_name", text(&written.server_name), &[Syslog]),
            ("topic", text(&written.topic), &[Mqtt]),
            ("client_id", text(&written.client_id), &[Mqtt]),
            ("username", text(&written.username), &[Mqtt]),
            ("password_file", span(&written.password_file), &[Mqtt]),
            ("spool", span(&written.spool), spooled),
            ("spool_size", written.spool_size.as_ref().map(|one| one.span), spooled),
        ];
        let kind = written.kind.value;
        for (key, span, kinds) in keys {
            if let Some(span) = span.filter(|_| !kinds.contains(&kind)) {
                let names: Vec<String> = kinds.iter().map(|kind| format!("`{}`", kind.name())).collect();
                let why = format!("this output is `{}`", kind.name());
                self.stranger(key, span, &why, &format!("it is for {}: remove it", names.join(", ")));
            }
        }
        if let (Some(size), None, true) = (&written.spool_size, &written.spool, spooled.contains(&kind)) {
            let help = "add `spool: /var/lib/banchi/spool/NAME`, or remove it";
            self.stranger("spool_size", size.span, "there is no spool", help);
        }
        let lines = [Json, Eve].contains(&kind);
        if let (Some(keep), None, true) = (&written.keep, &written.rotate_at, lines) {
            let help = "add `rotate_at: 64MiB`, or remove it";
            self.stranger("keep", keep.span, "nothing renames the file", help);
        }
    }

    fn stranger(&mut self, key: &str, span: Span, why: &str, help: &str) {
        let message = format!("`{key}` does not apply here: {why}");
        self.diagnostics
            .push(Diagnostic::new(&codes::KEY_NOT_APPLICABLE, message).label(span, "").help(help));
    }

    /// The key is needed and not there. Not said where a key was refused, which may have been meant.
    fn missing(&mut self, key: &str, help: &str) {
        if !self.written.refused {
            let message =
                format!("an output of kind `{}` needs the key `{key}`", self.written.kind.value.name());
            let diagnostic =
                Diagnostic::new(&codes::MISSING_KEY, message).label(self.written.kind.span, "").help(help);
            self.diagnostics.push(diagnostic);
        }
    }

    fn invalid(&mut self, span: Span, message: String, help: &str) {
        self.diagnostics.push(Diagnostic::new(&codes::INVALID_VALUE, message).label(span, "").help(help));
    }

    fn path(&mut self) -> Option<PathBuf> {
        match &self.written.path {
            Some(path) => Some(path.value.0.clone()),
            None => {
                self.missing("path", "add `path: /var/log/banchi/..`");
                None
            }
        }
    }

    fn count(
        &mut self,
        count: Option<&Spanned<Count>>,
        allowed: std::ops::RangeInclusive<u32>,
        usual: u32,
    ) -> Option<u32> {
        let Some(count) = count else { return Some(usual) };
        if allowed.contains(&count.value.0) {
            return Some(count.value.0);
        }
        let (first, last) = allowed.into_inner();
        self.invalid(count.span, format!("{} is not allowed here", count.value.0), &{
            format!("write a number from {first} to {last}")
        });
        None
    }

    fn rotation(&mut self, usual: Option<u64>) -> Option<Rotation> {
        let size = self.written.rotate_at.as_ref().map(|size| size.value.0).or(usual)?;
        Some(Rotation { size, keep: self.count(self.written.keep.as_ref(), 1..=999, KEEP)? })
    }

    fn target(&mut self, schemes: &[Scheme], expected: &str) -> Option<Target> {
        let Some(to) = &self.written.to else {
            self.missing("to", &format!("add `to:` with {expected}"));
            return None;
        };
        if schemes.contains(&to.value.scheme) {
            return Some(to.value.clone());
        }
        let kind = self.written.kind.value.name();
        self.invalid(
            to.span,
            format!("`{kind}` cannot be sent there"),
            &format!("the target starts with {expected}"),
        );
        None
    }

    fn tls(&mut self) -> Option<Tls> {
        let written = self.written;
        let path = |path: &Option<Spanned<FilePath>>| path.as_ref().map(|path| path.value.0.clone());
        let is_tls = written.to.as_ref().is_some_and(|to| to.value.scheme.is_tls());
        if !is_tls {
            let keys = [("ca", &written.ca), ("cert", &written.cert), ("key", &written.key)];
            for (key, given) in keys {
                if let Some(given) = given {
                    self.stranger(
                        key,
                        given.span,
                        "the target is without TLS",
                        "write `tls://` or `mqtts://`",
                    );
                }
            }
            if let Some(name) = &written.server_name {
                let help = "write `tls://` or `mqtts://`";
                self.stranger("server_name", name.span, "the target is without TLS", help);
            }
            return Some(Tls::default());
        }
        if written.ca.is_none() {
            let help = "add `ca: /etc/banchi/ca.pem`: nobody is trusted without";
            self.missing("ca", help);
            return None;
        }
        let own = match (path(&written.cert), path(&written.key)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => {
                self.missing("key", "add `key: ..` with the key of `cert`");
                return None;
            }
            (None, Some(_)) => {
                self.missing("cert", "add `cert: ..` with the certificate of `key`");
                return None;
            }
        };
        Some(Tls {
            ca: path(&written.ca),
            own,
            server_name: written.server_name.as_ref().map(|name| name.value.0.clone()),
        })
    }

    fn spool(&mut self) -> Option<Spool> {
        let path = self.written.spool.as_ref()?.value.0.clone();
        let size = match &self.written.spool_size {
            Some(size) if size.value.0 < SMALLEST_SPOOL => {
                self.invalid(
                    size.span,
                    "a spool of this size is of no use".to_owned(),
                    "write `1MiB` or more",
                );
                return None;
            }
            Some(size) => size.value.0,
            None => SPOOL_SIZE,
        };
        Some(Spool { path, size })
    }

    fn topic(&mut self) -> Option<String> {
        let Some(topic) = &self.written.topic else { return Some("banchi/events".to_owned()) };
        if topic.value.0.contains(['#', '+']) {
            let message = format!("`{}` is a filter of topics", topic.value.0);
            self.invalid(topic.span, message, "a topic to publish to has no `#` and no `+`");
            return None;
        }
        Some(topic.value.0.clone())
    }

    fn client_id(&self) -> String {
        match &self.written.client_id {
            Some(id) => id.value.0.clone(),
            None => format!("banchi-{}", rustix::system::uname().nodename().to_string_lossy()),
        }
    }

    fn login(&mut self) -> Option<Option<(String, PathBuf)>> {
        let written = self.written;
        match (&written.username, &written.password_file) {
            (Some(name), Some(file)) => Some(Some((name.value.0.clone(), file.value.0.clone()))),
            (None, None) => Some(None),
            (Some(_), None) => {
                self.missing("password_file", "add `password_file: ..`");
                None
            }
            (None, Some(_)) => {
                self.missing("username", "add `username: ..`");
                None
            }
        }
    }
}

/// What somebody sees of a destination.
impl Destination {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Lines { format: LineFormat::Json, .. } => Kind::Json,
            Self::Lines { format: LineFormat::Eve, .. } => Kind::Eve,
            Self::Pcapng { .. } => Kind::Pcapng,
            Self::Syslog { .. } => Kind::Syslog,
            Self::Mqtt { .. } => Kind::Mqtt,
            Self::Journal { .. } => Kind::Journal,
        }
    }

    /// File or target, without secrets.
    pub fn place(&self) -> String {
        let file = |path: &Path| path.display().to_string();
        match self {
            Self::Lines { path, .. } | Self::Pcapng { path, .. } | Self::Journal { path, .. } => file(path),
            Self::Syslog { to, .. } | Self::Mqtt { to, .. } => to.to_string(),
        }
    }
}
