//! The agent's own log: lines for people, entries of the journal, or JSON.

use std::fmt;
use std::io::{self, Write};

use rustix::fs::fstat;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_journald::{Layer, Priority, PriorityMappings};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

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

/// Starts the log of this process, on standard error or in the journal. `RUST_LOG` says what of it is written. What libraries say through
/// `log` is in it, too.
pub fn start(format: LogFormat, debug_packets: bool) {
    // What libraries do in detail is theirs.
    let usual = if debug_packets { "info,rumqttc=warn,banchi=trace" } else { "info,rumqttc=warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let in_journal = is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref());
    let journal = if format == LogFormat::Auto && in_journal { journal().ok() } else { None };
    let log = tracing_subscriber::fmt();
    let started = match (format, journal) {
        (_, Some(journal)) => tracing_subscriber::registry().with(filter).with(journal).try_init(),
        (LogFormat::Auto | LogFormat::Json, None) if in_journal || format == LogFormat::Json => {
            let writer = Lines { with_priority: in_journal };
            let log = log.json().flatten_event(true).with_current_span(false).with_span_list(false);
            log.with_env_filter(filter).with_writer(writer).finish().try_init()
        }
        (LogFormat::Auto | LogFormat::Human | LogFormat::Json, None) => {
            log.event_format(Human).with_env_filter(filter).with_writer(io::stderr).finish().try_init()
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

/// Entries of the journal, each with `BANCHI_KIND=log`, so that events are told apart. An error where nobody listens.
fn journal() -> io::Result<Layer> {
    let priorities =
        PriorityMappings { info: Priority::Informational, debug: Priority::Debug, ..PriorityMappings::new() };
    let layer = Layer::new()?.with_syslog_identifier("banchi".to_owned());
    let layer = layer.with_field_prefix(Some("BANCHI".to_owned())).with_priority_mappings(priorities);
    Ok(layer.with_custom_fields([("BANCHI_KIND", "log")]))
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

/// Standard error, each line with its priority where the journal reads it (sd-daemon(3)).
struct Lines {
    with_priority: bool,
}

struct Line {
    priority: Option<u8>,
}

impl MakeWriter<'_> for Lines {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { priority: self.with_priority.then_some(6) }
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Line {
        let priority = match *metadata.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        Line { priority: self.with_priority.then_some(priority) }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut text = self.priority.map_or_else(Vec::new, |priority| format!("<{priority}>").into_bytes());
        text.extend_from_slice(line);
        // A line is handed over at once.
        io::stderr().write_all(&text)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
