//! The keys of a configuration, as they are written.

use super::words::{Count, Facility, FilePath, Kind, Listen, Size, Target, Text};
use crate::policy::read::{Entries, record};
use crate::policy::source::Spanned;
use crate::policy::words::{Name, Version};

record! {
    /// What an agent is told besides its policy.
    pub struct Config, "the configuration" {
        /// Version of the configuration: 1.
        pub version: Spanned<Version>,
        /// Metrics over HTTP, for Prometheus. Default: none.
        pub metrics: Option<Spanned<Metrics>>,
        /// Outputs of events by name, 16 at most. Default: none.
        pub outputs: Option<Spanned<Entries<Name, Output>>>,
    }
}

record! {
    /// Metrics over HTTP, for Prometheus.
    pub struct Metrics, "`metrics`" {
        /// Address and port to listen at. Default `127.0.0.1:9477`.
        pub listen: Option<Spanned<Listen>>,
    }
}

record! {
    /// Where events go.
    pub struct Output, "an output" {
        /// `json` and `eve` (files of lines), `pcapng` (files of packets), `syslog`, `mqtt` or `journal`.
        pub kind: Spanned<Kind>,
        /// The file, absolute. For `json`, `eve` and `pcapng`; for `journal` its socket, default `/run/systemd/journal/socket`.
        pub path: Option<Spanned<FilePath>>,
        /// Size at which the file is renamed. Default of `json` and `eve`: never; of `pcapng`: `16MiB`.
        pub rotate_at: Option<Spanned<Size>>,
        /// Renamed files that are kept, 1 to 999. Default 7. Beside `rotate_at`, and for `pcapng`.
        pub keep: Option<Spanned<Count>>,
        /// Where to send: `udp://`, `tcp://`, `tls://` for `syslog`; `mqtt://`, `mqtts://` for `mqtt`.
        pub to: Option<Spanned<Target>>,
        /// Facility of messages. Default `local0`. For `syslog`.
        pub facility: Option<Spanned<Facility>>,
        /// PEM file with the certificates that are trusted. Needed by `tls://` and `mqtts://`.
        pub ca: Option<Spanned<FilePath>>,
        /// PEM file with the own certificate. Beside `key`.
        pub cert: Option<Spanned<FilePath>>,
        /// PEM file with the key of the own certificate.
        pub key: Option<Spanned<FilePath>>,
        /// Name in the certificate of the other side. Default: the host of `to`. For `syslog`.
        pub server_name: Option<Spanned<Text>>,
        /// Topic of messages. Default `banchi/events`. For `mqtt`.
        pub topic: Option<Spanned<Text>>,
        /// Name of the session at the broker. Default `banchi-` and the name of the host. For `mqtt`.
        pub client_id: Option<Spanned<Text>>,
        /// Name to log in with. For `mqtt`.
        pub username: Option<Spanned<Text>>,
        /// File whose first line is the password. Beside `username`.
        pub password_file: Option<Spanned<FilePath>>,
        /// Events that may wait in memory, 64 to 65535. Default 8192.
        pub queue: Option<Spanned<Count>>,
        /// Directory, of this output alone, where messages wait that cannot be sent. For `syslog`, `mqtt` and `journal`.
        pub spool: Option<Spanned<FilePath>>,
        /// Room that they may take. Default `64MiB`.
        pub spool_size: Option<Spanned<Size>>,
    }
}
