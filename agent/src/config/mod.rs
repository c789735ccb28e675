//! The agent's configuration: where events and metrics go. The policy says nothing of it.
//!
//! Read as the policy is: strict, with every mistake at its place ([`crate::policy`]).

mod check;
pub mod syntax;
mod words;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;

use crate::policy::Diagnostic;
use crate::policy::codes;
use crate::policy::diagnostic::Diagnostics;
use crate::policy::parse;
use crate::policy::read::FromNode as _;
use crate::policy::render::{Style, render};
use crate::policy::schema::no_nulls;
use crate::policy::source::{Source, Span};
pub use words::{Facility, Kind, Scheme, Target};

/// What an agent is told besides its policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Where metrics are served, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Where events go, in the order of the file.
    pub outputs: Vec<Output>,
}

/// One place where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// Events that may wait for it in memory.
    pub queue: usize,
    /// What it is.
    pub to: Destination,
}

/// What an output is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A file of lines.
    Lines {
        /// What a line is.
        format: LineFormat,
        /// The file.
        path: PathBuf,
        /// When it is renamed; `None` leaves that to somebody else.
        rotation: Option<Rotation>,
    },
    /// Files of packets.
    Pcapng {
        /// The file that is written.
        path: PathBuf,
        /// When it is renamed.
        rotation: Rotation,
    },
    /// A syslog server.
    Syslog {
        /// Where.
        to: Target,
        /// Facility of the messages.
        facility: Facility,
        /// Certificates, for TLS.
        tls: Tls,
        /// Where messages wait that cannot be sent.
        spool: Option<Spool>,
    },
    /// A broker of messages.
    Mqtt {
        /// Where.
        to: Target,
        /// Topic of the messages.
        topic: String,
        /// Name of the session at the broker.
        client_id: String,
        /// Name and the file with the password.
        login: Option<(String, PathBuf)>,
        /// Certificates, for TLS.
        tls: Tls,
        /// Where messages wait that cannot be sent.
        spool: Option<Spool>,
    },
    /// The journal of systemd.
    Journal {
        /// Its socket.
        path: PathBuf,
        /// Where entries wait that cannot be sent.
        spool: Option<Spool>,
    },
}

/// What a line of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// An event as `banchi events --json` has it.
    Json,
    /// An alert of Suricata's EVE.
    Eve,
}

/// When a file makes room for the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes of a file.
    pub size: u64,
    /// Files that are kept besides the one that is written, `.1` being the youngest.
    pub keep: u32,
}

/// Certificates of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with who is trusted.
    pub ca: Option<PathBuf>,
    /// PEM files with the own certificate and its key.
    pub own: Option<(PathBuf, PathBuf)>,
    /// Name in the peer's certificate, where it is not that of the target.
    pub server_name: Option<String>,
}

/// A directory where messages wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// The directory, of this output alone.
    pub path: PathBuf,
    /// Bytes that it may take.
    pub size: u64,
}

/// What came out of a configuration file.
#[derive(Debug)]
pub struct Loaded {
    /// Name of the file, for messages.
    pub name: String,
    /// The configuration, if it has no error.
    pub config: Option<Config>,
    /// Every error, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// Every diagnostic for people; `text` is what was loaded.
    pub fn render(&self, text: &str, style: Style) -> String {
        render(&self.name, text, &self.diagnostics, style)
    }
}

/// Reads a configuration, without any I/O; `name` is the file's name, for messages.
pub fn load(name: &str, text: &str) -> Loaded {
    let source = Source::new(text);
    let mut diagnostics = Diagnostics::default();
    let config = match parse::parse(&source) {
        Ok(root) => syntax::Config::from_node(&root, &mut diagnostics)
            .map(|file| check::check(&file, &mut diagnostics)),
        Err(_) if is_blank(text) => {
            let nothing = Diagnostic::new(&codes::YAML_SYNTAX, "the configuration is empty")
                .label(Span::new(0, text.len()), "")
                .help("a configuration starts with `version: 1`; docs/outputs.md shows what follows");
            diagnostics.push(nothing);
            None
        }
        Err(diagnostic) => {
            diagnostics.push(*diagnostic);
            None
        }
    };
    let config = config.filter(|_| !diagnostics.has_errors());
    Loaded { name: name.to_owned(), config, diagnostics: diagnostics.finish(&source) }
}

fn is_blank(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// The JSON Schema of a configuration file.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(syntax::Config).to_value();
    no_nulls(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".into(), "banchi agent configuration".into());
    }
    schema
}
