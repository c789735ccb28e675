//! The agent's own log: lines for people, entries of the journal, or JSON.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;

use rustix::fs::fstat;
use serde_json::Value;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::journal::{Entry, SOCKET};

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Entries of the journal where standard error is its, `json` where it does not answer; else `human`.
    #[default]
    Auto,
    /// `banchi: warn: ..`
    Human,
    /// One JSON object a line.
    Json,
}

/// Starts the log of this process, on standard error or in the journal. `RUST_LOG` says what of it is written. What
/// libraries say through `log` is in it, too.
pub fn start(format: LogFormat, debug_packets: bool) {
    // What libraries do in detail is theirs.
    let usual = if debug_packets { "info,rumqttc=warn,banchi=trace" } else { "info,rumqttc=warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let in_journal = is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref());
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    let started = match format {
        LogFormat::Auto | LogFormat::Json if in_journal || format == LogFormat::Json => {
            let journal = if format == LogFormat::Auto { unbound().ok() } else { None };
            let log = log.with_file(journal.is_some()).with_line_number(journal.is_some());
            let writer = Lines { with_priority: in_journal, journal };
            let log = log.json().flatten_event(true).with_current_span(false).with_span_list(false);
            tracing_subscriber::util::SubscriberInitExt::try_init(log.with_writer(writer).finish())
        }
        LogFormat::Auto | LogFormat::Human | LogFormat::Json => {
            let log = log.event_format(Human).with_writer(io::stderr).finish();
            tracing_subscriber::util::SubscriberInitExt::try_init(log)
        }
    };
    if let Err(error) = started {
        let _ = writeln!(io::stderr(), "banchi: there is no log: {error}");
    }
}

/// Whether standard error is what systemd says that the journal reads: `DEVICE:INODE`.
fn is_journal(stream: Option<&str>) -> bool {
    let Ok(stat) = fstat(io::stderr()) else { return false };
    stream.is_some_and(|stream| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// A socket that waits for nobody: events of an output may have filled the journal's queue, and the agent goes on.
fn unbound() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Lines as they have always been.
struct Human;

impl<S, N> FormatEvent<S, N> for Human
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "banchi: {}: ", event.metadata().level().as_str().to_lowercase())?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Lines of JSON: entries of the journal, and on standard error what it does not take, each with its priority where the
/// journal reads that (sd-daemon(3)).
struct Lines {
    with_priority: bool,
    journal: Option<UnixDatagram>,
}

struct Line<'a> {
    priority: u8,
    with_priority: bool,
    journal: Option<&'a UnixDatagram>,
}

impl Lines {
    fn line(&self, priority: u8) -> Line<'_> {
        Line { priority, with_priority: self.with_priority, journal: self.journal.as_ref() }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        self.line(6)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        let priority = match *metadata.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        self.line(priority)
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let entry = self.journal.zip(entry(line, self.priority));
        if entry.is_some_and(|(journal, entry)| journal.send_to(&entry, SOCKET).is_ok()) {
            return Ok(line.len());
        }
        let mut text = Vec::with_capacity(line.len() + 3);
        if self.with_priority {
            text.extend_from_slice(format!("<{}>", self.priority).as_bytes());
        }
        text.extend_from_slice(line);
        // A line is handed over at once.
        io::stderr().write_all(&text)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The entry of a line: with the names of systemd.journal-fields(7) where it has some, and `BANCHI_KIND=log`, which
/// tells it from events.
fn entry(line: &[u8], priority: u8) -> Option<Vec<u8>> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(line) else { return None };
    let mut entry = Entry::new(fields.get("message")?.as_str()?, priority);
    entry.put("BANCHI_KIND", "log");
    for (key, value) in &fields {
        match key.as_str() {
            // The journal has its own clock.
            "message" | "level" | "timestamp" => {}
            "target" => entry.put_value("TARGET", value),
            "filename" => entry.put_value("CODE_FILE", value),
            "line_number" => entry.put_value("CODE_LINE", value),
            key => entry.put_key(key, value),
        }
    }
    Some(entry.into_bytes())
}
